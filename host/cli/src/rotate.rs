//! `keystile keys rotate`.

use serde::Serialize;

use super::args::RotateArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::json::KeyJson;
use super::keys::show_secret;
use keystile::text::{exact, format_duration, printable};
use keystile::{Grace, Rotation, Secret};

/// Gives a key a new secret and prints it.
pub(super) fn rotate(args: RotateArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let grace = if args.grace_from_first_use { Grace::from_first_use(args.grace) } else { Grace::from_now(args.grace) };
    let rotation = Rotation { grace, request_id: args.request_id, format: args.format };
    let rotated = keystile.keys().rotate(args.id, rotation)?;
    let now = keystile.request().now;
    let key = &rotated.key;
    let secret = rotated.secret.as_ref();
    let json = RotatedJson {
        key: KeyJson::new(key, now),
        secret: secret.map(Secret::expose_secret),
        replayed: secret.is_none(),
    };
    if secret.is_some() {
        context.output.note(format_args!("rotated {} (now {})", key.id, printable(key.display())));
        let old = key.retiring().last();
        match old.map(|old| (old.retires_at, old.pending_grace)) {
            _ if old.is_some_and(|old| old.has_ended(now)) => {
                context.output.note("the old secret is refused from now on")
            }
            Some((Some(at), _)) => context.output.note(format_args!("the old secret works until {}", exact(now, at))),
            Some((None, Some(grace))) => context.output.note(format_args!(
                "the old secret works until {} after the first use of the new one",
                format_duration(grace)
            )),
            Some((None, None)) | None => {}
        }
    }
    show_secret(context, key, secret, json)?;
    if secret.is_some() {
        context.output.hint("the secret is shown this once; only its digest is kept");
    } else {
        context.output.note(format_args!("{} was already rotated by this request id: nothing was changed", key.id));
        context.output.hint("a secret is shown once; if it was lost, rotate again with another request id");
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct RotatedJson<'a> {
    key: KeyJson<'a>,
    secret: Option<&'a str>,
    replayed: bool,
}
