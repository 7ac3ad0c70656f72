//! Sessions as users and operators see them: plain data.

use crate::store::UnreadableRow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use keystile_validator::{Environment, KeyId, Scope, Timestamp};

use crate::ids::{SessionId, UserId};
use crate::key::{UnknownName, names};

/// Longest description of a client, in bytes: what a browser says of itself fits, cut or not.
pub const MAX_CLIENT_LEN: usize = 512;
/// Longest client id, in bytes.
pub const MAX_CLIENT_ID_LEN: usize = 128;
/// Most sessions of one user that live at once; a login beyond that ends the one that was used least
/// lately.
pub const MAX_SESSIONS: usize = 100;
/// Most scopes of a session.
pub const MAX_SESSION_SCOPES: usize = 64;

/// A session: what a login began, and a logout ends. It holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, as tokens say in `sid`.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The client it is bound to: its refresh tokens are refused to every other one.
    pub client_id: Option<String>,
    /// How the client described itself.
    pub client: Option<String>,
    /// Where the login came from.
    pub address: Option<IpAddr>,
    /// The key that began it, when a key did.
    pub key: Option<KeyId>,
    /// The number of the secret of that key.
    pub secret: Option<u32>,
    /// The environment that it and its tokens belong to. That of the key, when a key began it.
    pub environment: Option<Environment>,
    /// The scopes of its access tokens.
    pub scopes: Vec<Scope>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends whatever happens: a refresh never moves this.
    pub expires_at: Timestamp,
    /// When and why it was ended.
    pub end: Option<SessionEnd>,
}

/// When and why a session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

impl Session {
    /// The state at this time.
    pub fn status(&self, now: Timestamp) -> SessionStatus {
        match self.end {
            Some(SessionEnd { reason: EndReason::Expired, .. }) => SessionStatus::Expired,
            Some(_) => SessionStatus::Ended,
            // The latest time that it has seen counts, whatever the clock says by now.
            None if now.max(self.last_used_at) >= self.expires_at => SessionStatus::Expired,
            None => SessionStatus::Active,
        }
    }
}

names! {
    /// Why a session was ended.
    EndReason {
        /// Its user has logged out.
        Logout = "logout",
        /// An operator has ended it.
        Operator = "operator",
        /// The password was changed or reset.
        Password = "password",
        /// The user was suspended.
        Suspended = "suspended",
        /// The user was deleted.
        Deleted = "deleted",
        /// A refresh token was used twice: somebody else has it.
        Reuse = "reuse",
        /// Its time was over.
        Expired = "expired",
        /// The user has begun too many others since.
        TooMany = "too_many",
        /// The key that began it no longer allows what the session has.
        Key = "key",
        /// It was begun before what refresh tokens are made with was sealed.
        Unsealed = "unsealed",
        /// A backup was restored, and nobody can say whether it had ended since.
        Restored = "restored",
    }
}

names! {
    /// The state of a session at a point in time.
    SessionStatus {
        /// In use.
        Active = "active",
        /// Past its expiry.
        Expired = "expired",
        /// Ended before that.
        Ended = "ended",
    }
}

/// Which sessions to list. The default lists all that live, newest first.
#[derive(Clone, Debug)]
pub struct SessionQuery {
    /// Only sessions of this user.
    pub user: Option<UserId>,
    /// Also those that have ended or expired, as long as the store knows them.
    pub ended: bool,
    /// Most sessions to return: 1 to [`MAX_PAGE`](crate::bounds::MAX_PAGE).
    pub limit: usize,
    /// The last session of the page before.
    pub after: Option<SessionId>,
}

impl Default for SessionQuery {
    fn default() -> SessionQuery {
        SessionQuery { user: None, ended: false, limit: crate::query::DEFAULT_PAGE, after: None }
    }
}

/// A page of sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// Sessions that cannot be read.
    pub unreadable: Vec<UnreadableRow>,
    /// The sessions, newest first.
    pub sessions: Vec<Session>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<SessionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_has_seen_its_end_stays_over() {
        let at = |seconds| Timestamp::from_unix(seconds).unwrap();
        let session = Session {
            id: SessionId::from_bytes([1; 16]),
            user: UserId::from_bytes([1; 16]),
            client_id: None,
            client: None,
            address: None,
            key: None,
            secret: None,
            environment: None,
            scopes: Vec::new(),
            created_at: at(0),
            last_used_at: at(50),
            expires_at: at(100),
            end: None,
        };
        assert_eq!(session.status(at(99)), SessionStatus::Active);
        assert_eq!(session.status(at(100)), SessionStatus::Expired);
        let seen = Session { last_used_at: at(100), ..session.clone() };
        assert_eq!(seen.status(at(1)), SessionStatus::Expired, "the clock went back");
        let ended = Session { end: Some(SessionEnd { at: at(7), reason: EndReason::Logout }), ..session };
        assert_eq!(ended.status(at(1)), SessionStatus::Ended);
    }
}
