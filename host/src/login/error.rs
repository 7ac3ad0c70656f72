//! What can go wrong with a login.

use std::fmt;

use super::attempts::Refused;
use crate::password::{Busy, HashError, PasswordError};
use crate::session::{MAX_CLIENT_ID_LEN, MAX_SESSION_SCOPES};
use crate::store::StoreError;
use crate::tokens::IssueTokenError;

/// Why a login was refused. None of them tells whether there is such an account.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginError {
    /// No such account, a wrong password, no password, a suspended account: the same for all.
    InvalidCredentials,
    /// There were too many attempts for this account, or from this address; nothing was looked at. HTTP
    /// 429 with `Retry-After`.
    TooManyAttempts {
        /// Seconds after which to try again.
        retry_after: u64,
        /// Whether this came from where somebody has logged in to the account lately: only there may an
        /// answer speak of a locked account.
        known_device: bool,
    },
    /// Too many passwords are being hashed; nothing was counted. HTTP 429.
    Busy,
    /// The client id is empty, too long, or holds other than visible ASCII.
    ClientId,
    /// Too many scopes.
    Scopes {
        /// How many were given.
        given: usize,
    },
    /// The key is limited to addresses or to a rate, which tokens are not.
    LimitedKey,
    /// The key belongs to another environment than the session was to be for.
    WrongEnvironment,
    /// It cannot be said whether the key is valid: nothing was allowed.
    Unavailable,
    /// The password could not be hashed.
    Password(PasswordError),
    /// No access token could be made.
    Token(IssueTokenError),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoginError::InvalidCredentials => {
                f.write_str("invalid credentials · check the e-mail address and the password, or have it reset")
            }
            LoginError::TooManyAttempts { retry_after, .. } => {
                write!(f, "too many attempts · repeat in {retry_after} seconds")
            }
            LoginError::Busy => f.write_str("too many passwords are being checked · repeat in a few seconds"),
            LoginError::ClientId => {
                write!(f, "not a client id · give 1 to {MAX_CLIENT_ID_LEN} visible ASCII characters")
            }
            LoginError::LimitedKey => f.write_str(
                "the key is limited to addresses or a rate, which tokens cannot be · make the calls with the key itself",
            ),
            LoginError::WrongEnvironment => f.write_str(
                "the key belongs to another environment · log in to its own, or with a key of the one that is asked for",
            ),
            LoginError::Unavailable => {
                f.write_str("the key could not be checked, so nothing was allowed · repeat in a few seconds")
            }
            LoginError::Scopes { given } => {
                write!(f, "{given} scopes are too many · give at most {MAX_SESSION_SCOPES}")
            }
            LoginError::Password(error) => error.fmt(f),
            LoginError::Token(error) => error.fmt(f),
            LoginError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoginError {}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> LoginError {
        LoginError::Store(error)
    }
}

impl From<IssueTokenError> for LoginError {
    fn from(error: IssueTokenError) -> LoginError {
        match error {
            IssueTokenError::Store(error) => LoginError::Store(error),
            error => LoginError::Token(error),
        }
    }
}

impl From<Busy> for LoginError {
    fn from(Busy: Busy) -> LoginError {
        LoginError::Busy
    }
}

impl From<HashError> for LoginError {
    fn from(error: HashError) -> LoginError {
        LoginError::Password(error.into())
    }
}

impl From<Refused> for LoginError {
    fn from(refused: Refused) -> LoginError {
        LoginError::TooManyAttempts { retry_after: refused.retry_after, known_device: refused.known_device }
    }
}
