//! `keystile keys update`.

use std::collections::BTreeMap;

use super::args::UpdateArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::keys::changed;
use keystile::{KeyChange, Timestamp};

/// Changes a key.
pub(super) fn update(args: UpdateArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let id = args.id;
    let key = keystile.keys().update(id, change(args, keystile.request().now))?;
    changed(context, "updated", &key, keystile.request().now)
}

fn change(args: UpdateArgs, now: Timestamp) -> KeyChange {
    let mut metadata: BTreeMap<String, Option<String>> =
        args.metadata.into_iter().map(|(name, value)| (name, Some(value))).collect();
    metadata.extend(args.remove_metadata.into_iter().map(|name| (name, None)));
    KeyChange {
        name: args.name,
        owner: cleared_or(args.no_owner, args.owner),
        scopes: (args.no_scopes || !args.scope.is_empty()).then_some(args.scope),
        addresses: (args.no_addresses || !args.allow_address.is_empty()).then_some(args.allow_address),
        rate: cleared_or(args.no_rate, args.rate),
        metadata,
        not_before: args.not_before.map(|when| when.from(now)),
        expires_at: args.expires.map(|when| when.from(now)),
    }
}

/// What to change of a field that can be absent.
pub(super) fn cleared_or<T>(cleared: bool, value: Option<T>) -> Option<Option<T>> {
    if cleared { Some(None) } else { value.map(Some) }
}
