//! Suspending, resuming, revoking.

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use super::error::ChangeStateError;
use super::owner::{suspended, suspended_owner, switched_on};
use super::write::{KeyEntry, write_key};
use super::{Keys, key_in};
use crate::key::{Key, MAX_NOTE_LEN, Revocation, RevokeReason};
use crate::store::WriteTransaction;
use crate::text::is_line;

impl Keys<'_> {
    /// Switches a key off; [`resume`](Keys::resume) switches it on again. Sessions that were begun with it
    /// end, with their access tokens. A key that was suspended with its user stays so when that user is resumed.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is suspended already, or revoked.
    pub fn suspend(&self, id: KeyId) -> Result<Key, ChangeStateError> {
        self.inner.change(|transaction, now| {
            let old = key_in(transaction, id, ChangeStateError::NotFound { id })?;
            if old.state != KeyState::Active && old.suspended_for.is_none() {
                return Err(ChangeStateError::Conflict { id, status: old.status(now) });
            }
            let key = suspended(old.clone(), now, None);
            self.write_state(transaction, now, &old, key, "key.suspended")
        })
    }

    /// Switches a suspended key on again.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is not suspended, or acts for a user who is.
    pub fn resume(&self, id: KeyId) -> Result<Key, ChangeStateError> {
        self.inner.change(|transaction, now| {
            let old = key_in(transaction, id, ChangeStateError::NotFound { id })?;
            if old.state != KeyState::Suspended {
                return Err(ChangeStateError::Conflict { id, status: old.status(now) });
            }
            if let Some(user) = suspended_owner(&*transaction, old.owner.as_deref())? {
                return Err(ChangeStateError::OwnerSuspended { user });
            }
            let key = switched_on(old.clone());
            self.write_state(transaction, now, &old, key, "key.resumed")
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
            key.suspended_for = None;
            key.suspended_by_restore = false;
            key.revocation = Some(Revocation { at: now, reason, note: note.map(str::to_owned) });
            key.updated_at = now;
            let detail = json!({ "reason": reason.as_str(), "note": note });
            let entry = KeyEntry { action: "key.revoked", detail: &detail };
            write_key(self.inner, transaction, now, &old, &key, entry)?;
            Ok(key)
        })
    }

    fn write_state(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        old: &Key,
        new: Key,
        action: &str,
    ) -> Result<Key, ChangeStateError> {
        let new = Key { updated_at: now, ..new };
        write_key(self.inner, transaction, now, old, &new, KeyEntry { action, detail: &json!({}) })?;
        Ok(new)
    }
}
