//! Ending sessions.

use keystile_validator::Timestamp;
use serde_json::json;

use super::outlived::{outlived, secret_end, tokens_until};
use super::token::UnverifiedRefreshToken;
use super::{EndSessionError, LogoutError, Sessions};
use crate::ids::{SessionId, UserId};
use crate::in_force::{InForce, readable};
use crate::key::Key;
use crate::keystile::Inner;
use crate::session::{EndReason, Session};
use crate::store::containment::BareSession;
use crate::store::users::UserRow;
use crate::store::{StoreError, UnreadableRow, WriteTransaction};
use crate::tokens::ACCESS_TOKEN_LIFETIME_BOUNDS;

impl Sessions<'_> {
    /// Ends a session: its refresh token and its access tokens are refused from now on. One that has
    /// ended already stays as it is.
    ///
    /// Answers with the session as it is now; `None` when its row cannot be read. It has ended then, too.
    ///
    /// # Errors
    /// [`EndSessionError`] when there is no such session, or the store refuses.
    pub fn end(&self, id: SessionId) -> Result<InForce<Option<Session>>, EndSessionError> {
        self.inner.contain(|transaction, now| {
            let bare = transaction.bare_session(id)?.ok_or(EndSessionError::NotFound { id })?;
            end_session(self.inner, transaction, now, &bare, EndReason::Operator)?;
            let mut unreadable = Vec::new();
            let row = readable(transaction.session(id), id, &mut unreadable)?;
            Ok(InForce::new(row.map(|row| row.session), unreadable))
        })
    }

    /// Ends all sessions of a user; says how many.
    ///
    /// # Errors
    /// [`EndSessionError`] when there is no such user, or the store refuses.
    pub fn end_all(&self, user: UserId) -> Result<InForce<u64>, EndSessionError> {
        self.end_but(user, None)
    }

    /// Ends all sessions of a user but this one; says how many.
    ///
    /// # Errors
    /// [`EndSessionError`] when there is no such user, or the store refuses.
    pub fn end_others(&self, user: UserId, keep: SessionId) -> Result<InForce<u64>, EndSessionError> {
        self.end_but(user, Some(keep))
    }

    fn end_but(&self, user: UserId, keep: Option<SessionId>) -> Result<InForce<u64>, EndSessionError> {
        self.inner.contain(|transaction, now| {
            transaction.bare_user(user)?.ok_or(EndSessionError::UserNotFound { id: user })?;
            let mut unreadable = Vec::new();
            let reason = EndReason::Operator;
            let ended = end_sessions(self.inner, transaction, now, (user, keep), reason, &mut unreadable)?;
            Ok(InForce::new(ended, unreadable))
        })
    }

    /// Ends the session of this refresh token, whichever of the session's tokens it is.
    pub(crate) fn logout(&self, refresh_token: &str) -> Result<SessionId, LogoutError> {
        let token = UnverifiedRefreshToken::parse(refresh_token).ok_or(LogoutError::Invalid)?;
        let view = self.inner.store().read()?;
        let sealed = view.sealed_refresh_key(token.session)?.ok_or(LogoutError::Invalid)?;
        let key = self.inner.open_refresh_key(&*view, token.session, &sealed)?;
        drop(view);
        token.verify(&key).ok_or(LogoutError::Invalid)?;
        self.inner.contain(|transaction, now| {
            // A session is never forgotten in between: that takes a month after its expiry.
            if let Some(bare) = transaction.bare_session(token.session)? {
                end_session(self.inner, transaction, now, &bare, EndReason::Logout)?;
            }
            Ok(token.session)
        })
    }
}

/// Ends a session with its access tokens; why, when anything of it was left. That a session says it has ended is not
/// enough: what refuses its tokens is a revocation.
pub(super) fn end_session(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    session: &BareSession,
    reason: EndReason,
) -> Result<Option<EndReason>, StoreError> {
    // The clock may have gone back: what has expired once has expired.
    let reason = if session.has_expired(now) { EndReason::Expired } else { reason };
    let was_open = transaction.end_session(session.id, now, reason)?;
    // Also of one that had ended: whatever ended it, its tokens must be refused.
    let was_refused = refuse_tokens(inner, transaction, now, session)?;
    if !was_open && (was_refused || reason == EndReason::Expired) {
        return Ok(None);
    }
    let detail = json!({ "user": session.user.map(|user| user.to_string()), "reason": reason.as_str() });
    inner.audit(transaction, now, "session.ended", Some(session.id.to_string()), &detail)?;
    Ok(Some(reason))
}

/// Ends these sessions; says how many had not ended before, and adds those that cannot be read.
pub(crate) fn end_each(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    sessions: &[SessionId],
    reason: EndReason,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in sessions {
        let Some(bare) = transaction.bare_session(*id)? else { continue };
        readable(transaction.session(*id), id, unreadable)?;
        let ended_now = end_session(inner, transaction, now, &bare, reason)?;
        ended = ended.saturating_add(ended_now.is_some_and(|reason| reason != EndReason::Expired).into());
    }
    Ok(ended)
}

/// Refuses the access tokens of a session; says whether they were refused before.
fn refuse_tokens(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    session: &BareSession,
) -> Result<bool, StoreError> {
    // No token of the session is valid for longer than any token may be; the clock may have been ahead when
    // the last one was made. What cannot be read bounds nothing.
    let longest = *ACCESS_TOKEN_LIFETIME_BOUNDS.end();
    let by_last_use = session.last_used_at.map_or(Timestamp::MAX, |used| used.max(now).saturating_add(longest));
    let until = by_last_use.min(session.expires_at.map_or(Timestamp::MAX, |expires_at| expires_at.max(now)));
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
    for id in transaction.open_sessions(None, now)? {
        let Some(bare) = transaction.bare_session(id)? else { continue };
        // One that does not say when it expires is refused, too: no refresh can read it.
        if bare.expires_at.is_none_or(|expires_at| expires_at <= later && expires_at > now) {
            refuse_tokens(inner, transaction, now, &bare)?;
        }
    }
    transaction.clock_went_back(later, now)
}

/// Ends the sessions begun with a key that allows them no longer, and those that cannot be read; says how many.
pub(crate) fn end_sessions_without_key(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in transaction.open_sessions(None, now)? {
        let Some(bare) = transaction.bare_session(id)? else { continue };
        let allowed = readable(allowed_by_key(&*transaction, id, now), id, &mut Vec::new())?;
        if allowed != Some(true) {
            end_session(inner, transaction, now, &bare, EndReason::Key)?;
            ended = ended.saturating_add(1);
        }
    }
    Ok(ended)
}

/// Whether the key that began a session, if one did, still allows it.
fn allowed_by_key(view: &dyn WriteTransaction, id: SessionId, now: Timestamp) -> Result<Option<bool>, StoreError> {
    let Some(row) = view.session(id)? else { return Ok(Some(true)) };
    let session = &row.session;
    let (Some(key), Some(UserRow::Live { user, .. })) = (session.key, view.user(session.user)?) else {
        return Ok(Some(true));
    };
    // A grace may end earlier than it did when the last access token was made.
    let allows = |key: &Key| !outlived(key, &user, session, now) && secret_end(key, session) >= tokens_until(&row);
    Ok(Some(view.key(key)?.is_some_and(|key| allows(&key))))
}

/// Ends all sessions of a user but one; says how many, and adds those that cannot be read.
pub(crate) fn end_sessions(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    (user, keep): (UserId, Option<SessionId>),
    reason: EndReason,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<u64, StoreError> {
    let mut sessions = transaction.open_sessions(Some(user), now)?;
    sessions.retain(|id| Some(*id) != keep);
    end_each(inner, transaction, now, &sessions, reason, unreadable)
}

/// Ends the sessions that were begun after this time, while the clock was ahead of it, and those that cannot be read;
/// says how many.
pub(crate) fn end_sessions_from_the_future(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in transaction.open_sessions(None, now)? {
        let Some(bare) = transaction.bare_session(id)? else { continue };
        let row = readable(transaction.session(id), id, &mut Vec::new())?;
        if row.is_none_or(|row| row.session.created_at > now) {
            end_session(inner, transaction, now, &bare, EndReason::Expired)?;
            ended = ended.saturating_add(1);
        }
    }
    Ok(ended)
}
