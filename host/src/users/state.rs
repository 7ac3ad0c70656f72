//! Suspending, resuming, unlocking, deleting.

use keystile_validator::{KeyId, Timestamp};
use serde_json::json;

use super::{ChangeUserStateError, ChangedUser, Users, live_user_in};
use crate::ids::UserId;
use crate::in_force::{InForce, readable};
use crate::keys::{disown_keys_of, resume_with_user, suspend_with_user};
use crate::login::attempts;
use crate::session::EndReason;
use crate::sessions::end_sessions;
use crate::store::containment::BareUser;
use crate::store::{StoreError, UnreadableRow, WriteTransaction};
use crate::tokens::{are_subject_tokens_revoked, latest_issue};
use crate::user::{Email, User, UserStatus};

/// A user who was suspended or deleted, and what became of the keys that acted for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainedUser {
    /// The user as it is now, or was before it was deleted; `None`: its row cannot be read.
    pub user: Option<User>,
    /// The keys that were suspended: those whose owner was the address of the user. Those of a user whose address
    /// cannot be read are not found.
    pub keys_suspended: Vec<KeyId>,
}

impl Users<'_> {
    /// Switches a user off: its sessions end, its tokens are refused, it cannot log in, and the keys that act for it,
    /// which are those with its address as their owner, are suspended. [`resume`](Users::resume) lets it log in again.
    /// Rows that cannot be read, of the user, its sessions or its keys, keep nothing of that from being in force.
    ///
    /// # Errors
    /// [`ChangeUserStateError`] when there is no such user, or it is suspended already.
    pub fn suspend(&self, id: UserId) -> Result<InForce<ContainedUser>, ChangeUserStateError> {
        self.inner.contain(|transaction, now| {
            let BareUser { email, is_suspended } =
                transaction.bare_user(id)?.ok_or(ChangeUserStateError::NotFound { id })?;
            if is_suspended && is_shut_out(&*transaction, now, id, email.as_ref())? {
                return Err(ChangeUserStateError::Conflict { id, status: UserStatus::Suspended });
            }
            let mut unreadable = Vec::new();
            let sessions = self.shut_out(transaction, now, id, EndReason::Suspended, &mut unreadable)?;
            transaction.suspend_user(id, now)?;
            let detail = json!({ "sessions_ended": sessions });
            self.inner.audit(transaction, now, "user.suspended", Some(id.to_string()), &detail)?;
            let user = (id, email.as_ref());
            let keys_suspended = suspend_with_user(self.inner, transaction, now, user, &mut unreadable)?;
            let user = readable(live_user_in(&*transaction, id), id, &mut unreadable)?.map(|(user, _)| user);
            Ok(InForce::new(ContainedUser { user, keys_suspended }, unreadable))
        })
    }

    /// Lets a suspended user log in again, and resumes the keys that were suspended with it: not those that an operator
    /// has suspended, revoked or given another owner meanwhile. Its sessions and tokens stay ended.
    ///
    /// # Errors
    /// [`ChangeUserStateError`] when there is no such user, or it is not suspended.
    pub fn resume(&self, id: UserId) -> Result<ChangedUser, ChangeUserStateError> {
        self.inner.change(|transaction, now| {
            let mut user = user_in(transaction, id, UserStatus::Suspended)?;
            user.suspended_at = None;
            user.updated_at = now;
            transaction.update_user(&user)?;
            self.inner.audit(transaction, now, "user.resumed", Some(id.to_string()), &json!({}))?;
            let keys_resumed = resume_with_user(self.inner, transaction, now, &user)?;
            Ok(ChangedUser { user, keys_suspended: Vec::new(), keys_resumed })
        })
    }

    /// Ends the lock, or the slowing down, that wrong passwords have brought on a user.
    ///
    /// # Errors
    /// [`ChangeUserStateError`] when there is no such user, or the store refuses.
    pub fn unlock(&self, id: UserId) -> Result<User, ChangeUserStateError> {
        self.inner.change(|transaction, now| {
            let (user, _) = live_user_in(&*transaction, id)?.ok_or(ChangeUserStateError::NotFound { id })?;
            let was_locked = attempts::unlock(transaction, user.email.as_str(), now)?;
            let detail = json!({ "was_locked": was_locked });
            self.inner.audit(transaction, now, "user.unlocked", Some(id.to_string()), &detail)?;
            Ok(user)
        })
    }

    /// Deletes a user: its tokens are refused, and all that is known of it is forgotten but its id, which the audit
    /// trail names: its sessions, its security events, its password. Its address is free for another; so the keys
    /// that have the address as their owner are suspended, or they would log in to whoever has it next, and have the
    /// id of the user as their owner from then on.
    ///
    /// What was deleted is taken out of the file, too, before this returns, unless somebody reads an older state of
    /// it: see [`Keystile::erase_deleted`](crate::Keystile::erase_deleted).
    ///
    /// # Errors
    /// [`ChangeUserStateError`] when there is no such user, or the store refuses.
    pub fn delete(&self, id: UserId) -> Result<InForce<ContainedUser>, ChangeUserStateError> {
        self.inner.contain(|transaction, now| {
            let BareUser { email, .. } = transaction.bare_user(id)?.ok_or(ChangeUserStateError::NotFound { id })?;
            let mut unreadable = Vec::new();
            let user = readable(live_user_in(&*transaction, id), id, &mut unreadable)?.map(|(user, _)| user);
            let sessions = self.shut_out(transaction, now, id, EndReason::Deleted, &mut unreadable)?;
            transaction.delete_sessions_of(id)?;
            attempts::forget(transaction, id, email.as_ref().map(Email::as_str))?;
            transaction.delete_user(id, now)?;
            let detail = json!({ "sessions_ended": sessions });
            self.inner.audit(transaction, now, "user.deleted", Some(id.to_string()), &detail)?;
            let detail = json!({ "owner_deleted": id.to_string() });
            let of = (id, email.as_ref());
            let keys_suspended = disown_keys_of(self.inner, transaction, now, of, &detail, &mut unreadable)?;
            Ok(InForce::new(ContainedUser { user, keys_suspended }, unreadable))
        })
    }

    /// Ends all that a user has: sessions, and every token that was given out up to now.
    fn shut_out(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        id: UserId,
        reason: EndReason,
        unreadable: &mut Vec<UnreadableRow>,
    ) -> Result<u64, StoreError> {
        let sessions = end_sessions(self.inner, transaction, now, (id, None), reason, unreadable)?;
        // Those of that second too.
        let issued_before = latest_issue(&*transaction, &id.to_string(), now)?.saturating_add(1);
        self.inner.revoke_subject_tokens(transaction, now, &id.to_string(), issued_before)?;
        Ok(sessions)
    }
}

/// Whether nothing is left to a user whose row says that it is suspended: no session, no key, no token. When something
/// is, somebody else than Keystile has written that into the row, and the user is suspended once more.
fn is_shut_out(
    view: &dyn WriteTransaction,
    now: Timestamp,
    id: UserId,
    email: Option<&Email>,
) -> Result<bool, StoreError> {
    let keys = email.map_or_else(|| Ok(Vec::new()), |email| view.active_keys_of(email))?;
    let has_none = view.open_sessions(Some(id), now)?.is_empty() && keys.is_empty();
    Ok(has_none && are_subject_tokens_revoked(view, &id.to_string(), now)?)
}

fn user_in(transaction: &dyn WriteTransaction, id: UserId, expected: UserStatus) -> Result<User, ChangeUserStateError> {
    let (user, _) = live_user_in(transaction, id)?.ok_or(ChangeUserStateError::NotFound { id })?;
    if user.status() != expected {
        return Err(ChangeUserStateError::Conflict { id, status: user.status() });
    }
    Ok(user)
}
