//! Passwords of users: changed by themselves, reset by an operator.

use std::net::IpAddr;

use keystile_validator::Timestamp;
use serde_json::json;

use super::{ChangePasswordError, ResetPasswordError, Users, live_user_in};
use crate::ids::{SessionId, UserId};
use crate::login::attempts::{self, Attempt};
use crate::password::{Checked, Password};
use crate::secret::Secret;
use crate::session::EndReason;
use crate::sessions::end_sessions;
use crate::store::users::PasswordHash;
use crate::store::{StoreError, WriteTransaction};
use crate::tokens::issued_so_far;
use crate::user::User;

/// A change of password, as its user asks for it.
#[derive(Debug)]
pub struct PasswordChange {
    /// The password up to now.
    pub old: Password,
    /// The password from now on.
    pub new: Password,
    /// The session that asks, which goes on; all others end.
    pub keep: Option<SessionId>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

impl Users<'_> {
    /// Changes a password, which only whoever knows the old one can do. All other sessions end. Tokens that an operator
    /// has made stay: they were not got with the password, and suspending the user or a reset ends them. Wrong old
    /// passwords count as attempts to log in do.
    ///
    /// # Errors
    /// [`ChangePasswordError`]; nothing was changed then.
    pub fn change_password(&self, id: UserId, change: PasswordChange) -> Result<User, ChangePasswordError> {
        let not_found = || ChangePasswordError::NotFound { id };
        let view = self.inner.store().read()?;
        let (user, _) = live_user_in(&*view, id)?.ok_or_else(not_found)?;
        let min_len = view.settings()?.logins.min_password_len;
        drop(view);
        change.new.check_new(min_len, user.email.as_str())?;
        let place = self.inner.hasher.enter()?;
        let attempt = Attempt { account: user.email.as_str(), address: change.address };
        let counted = attempts::count(self.inner, &attempt)??;
        // After the attempt was counted: what it is held against is of no earlier moment.
        let (user, stored) = live_user_in(&*self.inner.store().read()?, id)?.ok_or_else(not_found)?;
        let right =
            matches!(place.check(&change.old, stored.as_ref().map(|hash| hash.0.as_str()))?, Checked::Right { .. });
        if !right || user.suspended_at.is_some() {
            attempts::fail(self.inner, &attempt, &counted)?;
            return Err(ChangePasswordError::WrongPassword);
        }
        let hash = PasswordHash(place.hash(&change.new)?);
        self.inner.change(|transaction, now| {
            let (mut user, current) = live_user_in(&*transaction, id)?.ok_or_else(not_found)?;
            // Somebody else was faster: what was right is no longer the password.
            if current != stored || user.suspended_at.is_some() {
                return Err(ChangePasswordError::WrongPassword);
            }
            attempts::succeed(transaction, &counted, now)?;
            let sessions = self.set_password(transaction, now, &mut user, &hash, change.keep)?;
            let detail = json!({ "sessions_ended": sessions });
            self.inner.audit(transaction, now, "user.password_changed", Some(id.to_string()), &detail)?;
            Ok(user)
        })
    }

    /// Gives a user a new password, without the old one, as an operator may. All its sessions end, and every token that
    /// was issued to it so far is refused, also one that an operator has made.
    ///
    /// # Errors
    /// [`ResetPasswordError`]; nothing was changed then.
    pub fn reset_password(&self, id: UserId, password: &Password) -> Result<User, ResetPasswordError> {
        let view = self.inner.store().read()?;
        let (user, _) = live_user_in(&*view, id)?.ok_or(ResetPasswordError::NotFound { id })?;
        let min_len = view.settings()?.logins.min_password_len;
        drop(view);
        password.check_new(min_len, user.email.as_str())?;
        let hash = PasswordHash(self.inner.hasher.enter()?.hash(password)?);
        self.inner.change(|transaction, now| {
            let (mut user, _) = live_user_in(&*transaction, id)?.ok_or(ResetPasswordError::NotFound { id })?;
            let sessions = self.set_password(transaction, now, &mut user, &hash, None)?;
            let issued_before = issued_so_far(&*transaction, &id.to_string(), now)?;
            self.inner.revoke_subject_tokens(transaction, now, &id.to_string(), issued_before)?;
            let detail = json!({ "sessions_ended": sessions });
            self.inner.audit(transaction, now, "user.password_reset", Some(id.to_string()), &detail)?;
            Ok(user)
        })
    }

    /// [`Users::reset_password`] to a password that is drawn here, and shown this once.
    ///
    /// # Errors
    /// [`ResetPasswordError`]; nothing was changed then.
    pub fn generate_password(&self, id: UserId) -> Result<(User, Secret), ResetPasswordError> {
        let password = Password::generate()?;
        let user = self.reset_password(id, &password)?;
        Ok((user, password.into_secret()))
    }

    fn set_password(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        user: &mut User,
        hash: &PasswordHash,
        keep: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        transaction.set_password(user.id, Some(hash), now)?;
        user.password_set_at = Some(now);
        user.updated_at = now;
        transaction.update_user(user)?;
        end_sessions(self.inner, transaction, now, (user.id, keep), EndReason::Password, &mut Vec::new())
    }
}
