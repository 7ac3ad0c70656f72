//! Ending sessions.

use keystile_validator::Timestamp;
use serde_json::json;

use super::outlived::outlived;
use super::token::UnverifiedRefreshToken;
use super::{EndSessionError, LogoutError, Sessions};
use crate::ids::{SessionId, UserId};
use crate::keystile::Inner;
use crate::session::{EndReason, Session, SessionEnd, SessionStatus};
use crate::store::users::UserRow;
use crate::store::{StoreError, WriteTransaction};
use crate::tokens::ACCESS_TOKEN_LIFETIME_BOUNDS;
use crate::users::live_user_in;

impl Sessions<'_> {
    /// Ends a session: its refresh token and its access tokens are refused from now on. One that has
    /// ended already stays as it is.
    ///
    /// # Errors
    /// [`EndSessionError`] when there is no such session, or the store refuses.
    pub fn end(&self, id: SessionId) -> Result<Session, EndSessionError> {
        self.inner.contain(|transaction, now| {
            let row = transaction.session(id)?.ok_or(EndSessionError::NotFound { id })?;
            Ok(end_session(self.inner, transaction, now, &row.session, EndReason::Operator)?)
        })
    }

    /// Ends all sessions of a user; says how many.
    ///
    /// # Errors
    /// [`EndSessionError`] when there is no such user, or the store refuses.
    pub fn end_all(&self, user: UserId) -> Result<u64, EndSessionError> {
        self.end_but(user, None)
    }

    /// Ends all sessions of a user but this one; says how many.
    ///
    /// # Errors
    /// [`EndSessionError`] when there is no such user, or the store refuses.
    pub fn end_others(&self, user: UserId, keep: SessionId) -> Result<u64, EndSessionError> {
        self.end_but(user, Some(keep))
    }

    fn end_but(&self, user: UserId, keep: Option<SessionId>) -> Result<u64, EndSessionError> {
        self.inner.contain(|transaction, now| {
            live_user_in(&*transaction, user)?.ok_or(EndSessionError::UserNotFound { id: user })?;
            Ok(end_sessions(self.inner, transaction, now, user, keep, EndReason::Operator)?)
        })
    }

    /// Ends the session of this refresh token, whichever of the session's tokens it is.
    pub(crate) fn logout(&self, refresh_token: &str) -> Result<SessionId, LogoutError> {
        let token = UnverifiedRefreshToken::parse(refresh_token).ok_or(LogoutError::Invalid)?;
        let view = self.inner.store().read()?;
        let row = view.session(token.session)?.ok_or(LogoutError::Invalid)?;
        // One without a key has ended already.
        let key = self.inner.refresh_key(&*view, &row)?.ok_or(LogoutError::Invalid)?;
        drop(view);
        token.verify(&key).ok_or(LogoutError::Invalid)?;
        self.inner.contain(|transaction, now| {
            // A session is never forgotten in between: that takes a month after its expiry.
            if let Some(row) = transaction.session(token.session)? {
                end_session(self.inner, transaction, now, &row.session, EndReason::Logout)?;
            }
            Ok(token.session)
        })
    }
}

/// Ends a session with its access tokens, and says what it is now.
pub(super) fn end_session(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    session: &Session,
    reason: EndReason,
) -> Result<Session, StoreError> {
    // The clock may have gone back: what has expired once has expired.
    let expired = session.status(now) == SessionStatus::Expired;
    let reason = if expired { EndReason::Expired } else { reason };
    let has_ended_now = transaction.end_session(session.id, now, reason)?;
    // Also of one that had ended: whatever ended it, its tokens must be refused.
    refuse_tokens(inner, transaction, now, session)?;
    if !has_ended_now {
        return Ok(session.clone());
    }
    let detail = json!({ "user": session.user.to_string(), "reason": reason.as_str() });
    inner.audit(transaction, now, "session.ended", Some(session.id.to_string()), &detail)?;
    Ok(Session { end: Some(SessionEnd { at: now, reason }), ..session.clone() })
}

/// Refuses the access tokens of a session.
fn refuse_tokens(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    session: &Session,
) -> Result<(), StoreError> {
    // No token of the session is valid for longer than any token may be; the clock may have been ahead when
    // the last one was made.
    let until = now
        .max(session.last_used_at)
        .saturating_add(*ACCESS_TOKEN_LIFETIME_BOUNDS.end())
        .min(session.expires_at.max(now));
    inner.revoke_session_tokens(transaction, now, &session.id.to_string(), until)
}

/// Ends the sessions that had expired by a later time, which the clock was at, with the access tokens that are valid
/// by the clock as it goes now; says how many.
pub(crate) fn end_sessions_over_by(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    later: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    for id in transaction.open_sessions(None)? {
        let row = transaction.session(id)?;
        if let Some(row) = row.filter(|row| row.session.expires_at <= later && row.session.expires_at > now) {
            refuse_tokens(inner, transaction, now, &row.session)?;
        }
    }
    transaction.clock_went_back(later, now)
}

/// Ends the sessions begun with a key that allows them no longer; says how many.
pub(crate) fn end_sessions_without_key(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in transaction.open_sessions(None)? {
        let Some(row) = transaction.session(id)? else { continue };
        let (Some(key), Some(UserRow::Live { user, .. })) = (row.session.key, transaction.user(row.session.user)?)
        else {
            continue;
        };
        let allowed = transaction.key(key)?.is_some_and(|key| !outlived(&key, &user, &row.session, now));
        if !allowed {
            end_session(inner, transaction, now, &row.session, EndReason::Key)?;
            ended = ended.saturating_add(1);
        }
    }
    Ok(ended)
}

/// Ends all sessions of a user but one; says how many.
pub(crate) fn end_sessions(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    user: UserId,
    keep: Option<SessionId>,
    reason: EndReason,
) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in transaction.open_sessions(Some(user))? {
        if Some(id) == keep {
            continue;
        }
        if let Some(row) = transaction.session(id)? {
            let session = end_session(inner, transaction, now, &row.session, reason)?;
            let counts = session.end.is_some_and(|end| end.reason != EndReason::Expired);
            ended = ended.saturating_add(counts.into());
        }
    }
    Ok(ended)
}

/// Ends the sessions that were begun after this time, while the clock was ahead of it; says how many.
pub(crate) fn end_sessions_from_the_future(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in transaction.open_sessions(None)? {
        if let Some(row) = transaction.session(id)?.filter(|row| row.session.created_at > now) {
            end_session(inner, transaction, now, &row.session, EndReason::Expired)?;
            ended = ended.saturating_add(1);
        }
    }
    Ok(ended)
}
