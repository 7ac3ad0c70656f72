//! Changing keys.

use std::collections::BTreeMap;

use keystile_validator::{AddressRange, KeyId, KeyState, Rate, Scope, Timestamp};
use serde_json::json;

use super::create::without_duplicates;
use super::error::UpdateKeyError;
use super::field::{check_expiry, check_fields, check_no_secret};
use super::owner::suspended_owner;
use super::write::{KeyEntry, write_key};
use super::{Keys, key_in, within_lifetime};
use crate::audit;
use crate::key::Key;
use crate::secret_forms::SecretForms;
use crate::store::{ReadTransaction, StoreError};
use crate::text::rfc3339;

/// What to change of a key; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<String>,
    /// A new owner.
    pub owner: Option<Option<String>>,
    /// New scopes, in place of all old ones.
    pub scopes: Option<Vec<Scope>>,
    /// New address ranges, in place of all old ones.
    pub addresses: Option<Vec<AddressRange>>,
    /// A new rate.
    pub rate: Option<Option<Rate>>,
    /// Metadata entries to set, and with `None` to remove.
    pub metadata: BTreeMap<String, Option<String>>,
    /// A new start.
    pub not_before: Option<Option<Timestamp>>,
    /// A new expiry.
    pub expires_at: Option<Option<Timestamp>>,
}

impl Keys<'_> {
    /// Changes a key. It holds at once, for all its secrets. Sessions that were begun with it and have more than it
    /// allows now end, with their access tokens; an earlier expiry or a later start ends all of them.
    ///
    /// # Errors
    /// [`UpdateKeyError`]; nothing was changed then.
    pub fn update(&self, id: KeyId, change: KeyChange) -> Result<Key, UpdateKeyError> {
        if change == KeyChange::default() {
            return Err(UpdateKeyError::NoChange);
        }
        self.inner.change(|transaction, now| {
            let old = key_in(transaction, id, UpdateKeyError::NotFound { id })?;
            if old.state == KeyState::Revoked {
                return Err(UpdateKeyError::Revoked { id });
            }
            let mut key = old.clone();
            if let Some(expires_at) = change.expires_at {
                check_expiry(expires_at, now)?;
                key.expires_at = within_lifetime(expires_at, key.created_at, transaction.settings()?.max_lifetime)?;
            }
            apply(&mut key, change);
            key.updated_at = now;
            check_fields(&key)?;
            check_no_secret(&SecretForms::of(&*transaction), &key, Some(&old))?;
            if key.owner != old.owner {
                if let Some(user) = suspended_owner(&*transaction, key.owner.as_deref())? {
                    return Err(UpdateKeyError::OwnerSuspended { user });
                }
                // It no longer acts for the user that it was suspended with: an operator decides when it is resumed.
                key.suspended_for = None;
            }
            // A grace never outlives its key, also when the key now ends earlier.
            for secret in &mut key.secrets {
                if let (Some(retires_at), Some(expires_at)) = (secret.retires_at, key.expires_at)
                    && retires_at > expires_at
                {
                    secret.retires_at = Some(expires_at);
                }
            }
            let detail = differences(&*transaction, &old, &key)?;
            let entry = KeyEntry { action: "key.updated", detail: &detail };
            write_key(self.inner, transaction, now, &old, &key, entry)?;
            Ok(key)
        })
    }
}

fn apply(key: &mut Key, change: KeyChange) {
    fn replace<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    replace(&mut key.name, change.name);
    replace(&mut key.owner, change.owner);
    replace(&mut key.scopes, change.scopes.map(without_duplicates));
    replace(&mut key.addresses, change.addresses.map(without_duplicates));
    replace(&mut key.rate, change.rate);
    replace(&mut key.not_before, change.not_before);
    for (name, value) in change.metadata {
        match value {
            Some(value) => key.metadata.insert(name, value),
            None => key.metadata.remove(&name),
        };
    }
}

/// The fields that differ, old and new, for the audit trail. It names an owner by the id of a user, never by an
/// address.
fn differences(view: &dyn ReadTransaction, old: &Key, new: &Key) -> Result<serde_json::Value, StoreError> {
    let owners = [audit::owner(view, old.owner.as_deref())?, audit::owner(view, new.owner.as_deref())?];
    let fields = |key: &Key| {
        [
            ("name", json!(key.name)),
            ("scopes", json!(key.scopes)),
            ("addresses", json!(key.addresses)),
            ("rate", json!(key.rate.map(|rate| rate.to_string()))),
            ("metadata", json!(key.metadata)),
            ("not_before", json!(key.not_before.map(rfc3339))),
            ("expires_at", json!(key.expires_at.map(rfc3339))),
        ]
    };
    let mut differences: serde_json::Map<_, _> = fields(old)
        .into_iter()
        .zip(fields(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| (name.to_owned(), json!({ "old": old, "new": new })))
        .collect();
    if old.owner != new.owner {
        let [old, new] = owners;
        differences.insert("owner".to_owned(), json!({ "old": old, "new": new }));
    }
    Ok(differences.into())
}
