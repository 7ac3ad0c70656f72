//! Keys whose rows cannot be read, and that must be kept.

use std::collections::BTreeMap;

use keystile_validator::{Environment, KeyId, KeyState, Timestamp};

use crate::key::{Key, Revocation, RevokeReason};
use crate::store::StoreError;

/// A key of which nothing is known but its id.
pub(crate) fn blank(id: KeyId, now: Timestamp) -> Result<Key, StoreError> {
    let environment = Environment::new("live").map_err(|_| StoreError::InvalidValue { column: "keys.environment" })?;
    Ok(Key {
        id,
        name: "(unreadable)".to_owned(),
        owner: None,
        format: None,
        environment,
        scopes: Vec::new(),
        addresses: Vec::new(),
        rate: None,
        metadata: BTreeMap::new(),
        created_at: now,
        created_by: String::new(),
        updated_at: now,
        not_before: None,
        expires_at: None,
        state: KeyState::Suspended,
        suspended_at: Some(now),
        suspended_for: None,
        suspended_by_restore: false,
        revocation: None,
        secrets: Vec::new(),
    })
}

/// A key, revoked because it cannot be read.
pub(crate) fn revoked(key: Key, now: Timestamp) -> Key {
    let unreadable = Revocation { at: now, reason: RevokeReason::Unspecified, note: None };
    Key {
        state: KeyState::Revoked,
        suspended_at: None,
        suspended_for: None,
        suspended_by_restore: false,
        revocation: key.revocation.or(Some(unreadable)),
        ..key
    }
}
