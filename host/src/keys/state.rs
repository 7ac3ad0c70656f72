//! Suspending, resuming, revoking.

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use super::error::ChangeStateError;
use super::owner::{suspended_owner, switched_on};
use super::write::{KeyEntry, contain_key, write_key};
use super::{Keys, key_in};
use crate::in_force::InForce;
use crate::key::{Key, KeyStatus, MAX_NOTE_LEN, RevokeReason};
use crate::secret_forms::SecretForms;
use crate::store::containment::KeyContainment;
use crate::store::{StoreError, WriteTransaction};
use crate::text::is_line;

impl Keys<'_> {
    /// Switches a key off; [`resume`](Keys::resume) switches it on again. Sessions that were begun with it
    /// end, with their access tokens. A key that was suspended with its user stays so when that user is resumed.
    ///
    /// Answers with the key as it is now; `None` when its row cannot be read. It is suspended then, too.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is suspended already, or revoked.
    pub fn suspend(&self, id: KeyId) -> Result<InForce<Option<Key>>, ChangeStateError> {
        self.inner.contain(|transaction, now| {
            let old = transaction.bare_key(id)?.ok_or(ChangeStateError::NotFound { id })?;
            match old.state {
                Some(KeyState::Revoked) => return Err(ChangeStateError::Conflict { id, status: KeyStatus::Revoked }),
                Some(KeyState::Suspended) if !old.suspended_for_user && has_no_session(&*transaction, id, now)? => {
                    return Err(ChangeStateError::Conflict { id, status: KeyStatus::Suspended });
                }
                Some(KeyState::Suspended | KeyState::Active) | None => {}
            }
            let entry = KeyEntry { action: "key.suspended", detail: &json!({}) };
            let how = KeyContainment::Suspend { with: None };
            let mut unreadable = Vec::new();
            let key = contain_key(self.inner, transaction, now, id, how, entry, &mut unreadable)?;
            Ok(InForce::new(key, unreadable))
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
    /// Answers with the key as it is now; `None` when its row cannot be read. It is revoked then, too.
    ///
    /// # Errors
    /// [`ChangeStateError`] when it is revoked already, or the note does not fit.
    pub fn revoke(
        &self,
        id: KeyId,
        reason: RevokeReason,
        note: Option<&str>,
    ) -> Result<InForce<Option<Key>>, ChangeStateError> {
        if !note.is_none_or(|note| is_line(note, MAX_NOTE_LEN)) {
            return Err(ChangeStateError::Note);
        }
        self.inner.contain(|transaction, now| {
            if note.is_some_and(|note| SecretForms::of(&*transaction).is_in(note)) {
                return Err(ChangeStateError::SecretInNote);
            }
            let old = transaction.bare_key(id)?.ok_or(ChangeStateError::NotFound { id })?;
            if old.state == Some(KeyState::Revoked) && has_no_session(&*transaction, id, now)? {
                return Err(ChangeStateError::Conflict { id, status: KeyStatus::Revoked });
            }
            let detail = json!({ "reason": reason.as_str(), "note": note });
            let entry = KeyEntry { action: "key.revoked", detail: &detail };
            let how = KeyContainment::Revoke { reason, note };
            let mut unreadable = Vec::new();
            let key = contain_key(self.inner, transaction, now, id, how, entry, &mut unreadable)?;
            Ok(InForce::new(key, unreadable))
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

/// Whether nothing is left of a key whose row says that it was taken away. When a session is, somebody else than
/// Keystile has written that into the row, and the key is taken away once more.
fn has_no_session(view: &dyn WriteTransaction, id: KeyId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(view.open_sessions_of_key(id, now)?.is_empty())
}
