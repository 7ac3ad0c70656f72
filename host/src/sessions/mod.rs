//! Session operations, and what the user does with a session: refresh and log out.

mod end;
mod error;
mod list;
mod outlived;
mod refresh;
mod refresh_key;
mod start;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use end::{
    end_each, end_sessions, end_sessions_from_the_future, end_sessions_over_by, end_sessions_without_key,
};
pub use error::{EndSessionError, ListSessionsError, LogoutError, RefreshError};
pub(crate) use outlived::{end_outlived, outlived};
pub use refresh::Refresh;
pub(crate) use start::{NewSession, start};

use keystile_validator::Timestamp;

use crate::ids::{SessionId, UserId};
use crate::keystile::Inner;
use crate::secret::Secret;

/// The session operations of a [`Keystile`](crate::Keystile).
#[derive(Clone, Copy)]
pub struct Sessions<'a> {
    inner: &'a Inner,
}

impl<'a> Sessions<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Sessions<'a> {
        Sessions { inner }
    }
}

/// What a login, or a refresh, gives: the tokens are shown this once.
#[derive(Debug)]
pub struct LoggedIn {
    /// The session.
    pub session_id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// What calls are made with.
    pub access_token: Secret,
    /// What the next access token is got with.
    pub refresh_token: Secret,
    /// Seconds for which the access token is valid.
    pub expires_in: u64,
    /// When the session ends, whatever happens.
    pub session_expires_at: Timestamp,
}

/// The client id of access tokens whose session is bound to no client: RFC 9068, section 2.2, wants one.
pub const DEFAULT_CLIENT_ID: &str = "keystile";
