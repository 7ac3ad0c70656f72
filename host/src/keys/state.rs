//! Suspending, resuming, revoking.

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use super::error::ChangeStateError;
use super::write::{KeyEntry, write_key};
use super::{Keys, key_in};
use crate::key::{Key, MAX_NOTE_LEN, Revocation, RevokeReason};
use crate::keystile::Inner;
use crate::store::{StoreError, WriteTransaction};
use crate::text::is_line;
use crate::user::Email;

impl Keys<'_> {
    /// Switches a key off; [`resume`](Keys::resume) switches it on again. Sessions that were begun with it
    /// end, with their access tokens.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is suspended already, or revoked.
    pub fn suspend(&self, id: KeyId) -> Result<Key, ChangeStateError> {
        self.inner.change(|transaction, now| {
            self.change_state(transaction, now, id, KeyState::Active, |key| {
                key.state = KeyState::Suspended;
                key.suspended_at = Some(now);
                "key.suspended"
            })
        })
    }

    /// Switches a suspended key on again.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is not suspended.
    pub fn resume(&self, id: KeyId) -> Result<Key, ChangeStateError> {
        self.inner.change(|transaction, now| {
            self.change_state(transaction, now, id, KeyState::Suspended, |key| {
                key.state = KeyState::Active;
                key.suspended_at = None;
                "key.resumed"
            })
        })
    }

    /// Ends a key for good, with all its secrets, the sessions that were begun with it, and their access
    /// tokens. The key stays in lists and in the audit trail.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is revoked already, or the note does not fit.
    pub fn revoke(&self, id: KeyId, reason: RevokeReason, note: Option<&str>) -> Result<Key, ChangeStateError> {
        if !note.is_none_or(|note| is_line(note, MAX_NOTE_LEN)) {
            return Err(ChangeStateError::Note);
        }
        self.inner.change(|transaction, now| {
            let old = key_in(transaction, id, ChangeStateError::NotFound { id })?;
            if old.state == KeyState::Revoked {
                return Err(ChangeStateError::Conflict { id, status: old.status(now) });
            }
            let mut key = old.clone();
            key.state = KeyState::Revoked;
            key.suspended_at = None;
            key.revocation = Some(Revocation { at: now, reason, note: note.map(str::to_owned) });
            key.updated_at = now;
            let detail = json!({ "reason": reason.as_str(), "note": note });
            let entry = KeyEntry { action: "key.revoked", detail: &detail };
            write_key(self.inner, transaction, now, &old, &key, entry)?;
            Ok(key)
        })
    }

    fn change_state(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        id: KeyId,
        from: KeyState,
        change: impl FnOnce(&mut Key) -> &'static str,
    ) -> Result<Key, ChangeStateError> {
        let old = key_in(transaction, id, ChangeStateError::NotFound { id })?;
        if old.state != from {
            return Err(ChangeStateError::Conflict { id, status: old.status(now) });
        }
        let mut key = old.clone();
        let action = change(&mut key);
        key.updated_at = now;
        write_key(self.inner, transaction, now, &old, &key, KeyEntry { action, detail: &json!({}) })?;
        Ok(key)
    }
}

/// Switches off the keys that act for whoever has this address, because somebody else may have it next;
/// says which.
pub(crate) fn suspend_keys_of(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    owner: &Email,
    detail: &serde_json::Value,
) -> Result<Vec<KeyId>, StoreError> {
    let keys = transaction.active_keys_of(owner)?;
    for id in &keys {
        let Some(key) = transaction.key(*id)? else { continue };
        let entry = KeyEntry { action: "key.suspended", detail };
        write_key(inner, transaction, now, &key, &suspended(key.clone(), now), entry)?;
    }
    Ok(keys)
}

/// A key, switched off.
pub(crate) fn suspended(key: Key, now: Timestamp) -> Key {
    Key { state: KeyState::Suspended, suspended_at: Some(now), updated_at: now, ..key }
}
