//! Refreshing: one refresh token for the next one, and a new access token.

use std::net::IpAddr;

use keystile_validator::Timestamp;
use serde_json::json;

use super::end::end_session;
use super::outlived::outlived;
use super::refresh_key::RefreshKey;
use super::start::{give_tokens, token_lifetime};
use super::token::{TokenNumber, UnverifiedRefreshToken};
use super::{LoggedIn, RefreshError, Sessions};
use crate::login::attempts::counted_address;
use crate::security_events::{NewSecurityEvent, SecurityEventKind};
use crate::session::{EndReason, SessionStatus};
use crate::store::WriteTransaction;
use crate::store::containment::BareSession;
use crate::store::users::{SessionRow, UserRow};
use crate::user::User;

/// A refresh, as a client asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refresh<'a> {
    /// The client that asks, when it has said so: a session that is bound to a client is refused to every
    /// other one, and to one that does not say.
    pub client_id: Option<&'a str>,
    /// Its address, for the security event that a token is when it was used before.
    pub address: Option<IpAddr>,
}

/// What a valid refresh token is worth.
enum Outcome {
    /// New tokens.
    Given(LoggedIn),
    /// Nothing; what was written about the session is kept.
    Refused(RefreshError),
}

impl Sessions<'_> {
    /// Gives the successor of a refresh token, and a new access token.
    pub(crate) fn refresh(&self, refresh_token: &str, refresh: &Refresh<'_>) -> Result<LoggedIn, RefreshError> {
        let token = UnverifiedRefreshToken::parse(refresh_token).ok_or(RefreshError::Invalid)?;
        // What is no token of ours costs a read, and waits for no writer.
        let view = self.inner.store().read()?;
        let seen = view.session(token.session)?.ok_or(RefreshError::Invalid)?;
        let key = self.inner.refresh_key(&*view, &seen)?.ok_or(RefreshError::Ended)?;
        drop(view);
        let number = token.verify(&key).ok_or(RefreshError::Invalid)?;
        let outcome = self.inner.change(|transaction, now| {
            let row = transaction.session(token.session)?.ok_or(RefreshError::Invalid)?;
            // The key is that of the first look, or the session is another one since a restore.
            if row.key != seen.key {
                return Err(RefreshError::Invalid);
            }
            self.refresh_in(transaction, now, (row, &key), number, refresh)
        })?;
        match outcome {
            Outcome::Given(given) => Ok(given),
            Outcome::Refused(error) => Err(error),
        }
    }

    fn refresh_in(
        &self,
        transaction: &mut dyn WriteTransaction,
        clock: Timestamp,
        (mut row, key): (SessionRow, &RefreshKey),
        number: TokenNumber,
        refresh: &Refresh<'_>,
    ) -> Result<Outcome, RefreshError> {
        // What has expired is judged by a time at least as late as the store knows and as when the session was last used;
        // and the window is closed when the clock is before its beginning. What is written down was done by the clock.
        let last_used_at = clock.max(row.session.last_used_at);
        let latest = last_used_at.max(transaction.clock()?.newest);
        match row.session.status(latest) {
            SessionStatus::Active => {}
            SessionStatus::Ended => return Ok(Outcome::Refused(RefreshError::Ended)),
            SessionStatus::Expired => {
                // Written down, so that it stays so when the clock goes back.
                if row.session.end.is_none() {
                    end_session(self.inner, transaction, clock, &BareSession::from(&row.session), EndReason::Expired)?;
                }
                return Ok(Outcome::Refused(RefreshError::Expired));
            }
        }
        if row.session.client_id.is_some() && row.session.client_id.as_deref() != refresh.client_id {
            return Ok(Outcome::Refused(RefreshError::OtherClient));
        }
        let Some(user) = self.standing(transaction, latest, &row)? else {
            end_session(self.inner, transaction, clock, &BareSession::from(&row.session), EndReason::Key)?;
            return Ok(Outcome::Refused(RefreshError::Ended));
        };
        let window = transaction.settings()?.logins.refresh_window;
        let current = row.counter;
        if number.0 == current {
            let Some(next) = current.checked_add(1) else { return Ok(Outcome::Refused(RefreshError::Ended)) };
            row.counter = next;
            row.rotated_at = Some(clock);
        } else if number.0.checked_add(1) != Some(current)
            || row.rotated_at.is_none_or(|first_use| clock < first_use || clock.seconds_since(first_use) >= window)
        {
            // The token was used before, and its successor was given out: one of the two is a thief, and
            // nobody can say which.
            let detail = json!({ "user": user.id.to_string(), "tokens_ago": current.saturating_sub(number.0) });
            self.inner.audit(transaction, clock, "session.token_reused", Some(row.session.id.to_string()), &detail)?;
            end_session(self.inner, transaction, clock, &BareSession::from(&row.session), EndReason::Reuse)?;
            let event = NewSecurityEvent {
                kind: SecurityEventKind::TokenReused,
                user: Some(user.id),
                account: None,
                session: Some(row.session.id),
                address: refresh.address.map(counted_address),
            };
            transaction.count_security_event(&event, clock)?;
            return Ok(Outcome::Refused(RefreshError::Reused));
        }
        row.session.last_used_at = last_used_at;
        let ttl = token_lifetime(&*transaction, clock, &mut row)?;
        transaction.update_session(&row)?;
        Ok(Outcome::Given(give_tokens(self.inner, transaction, clock, &user, (&row, key), ttl)?))
    }

    /// The user of a session, as long as it may be refreshed: the user is not suspended, and the key that began it
    /// still allows all that it has.
    fn standing(
        &self,
        transaction: &dyn WriteTransaction,
        now: Timestamp,
        row: &SessionRow,
    ) -> Result<Option<User>, RefreshError> {
        let user = match transaction.user(row.session.user)? {
            Some(UserRow::Live { user, .. }) if user.suspended_at.is_none() => user,
            _ => return Ok(None),
        };
        if let Some(key) = row.session.key {
            let key = transaction.key(key)?;
            if key.is_none_or(|key| outlived(&key, &user, &row.session, now)) {
                return Ok(None);
            }
        }
        Ok(Some(user))
    }
}
