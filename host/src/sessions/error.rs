//! What can go wrong with each operation.

use std::fmt;

use super::refresh_key::OpenRefreshKeyError;
use crate::ids::{SessionId, UserId};
use crate::query::MAX_PAGE;
use crate::sealing::KekError;
use crate::store::StoreError;
use crate::tokens::IssueTokenError;

/// Why a refresh token was refused. A client may be told that it is refused, and when it has expired;
/// which of the others it was is for the log.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefreshError {
    /// It is no refresh token of this store.
    Invalid,
    /// Its session has expired.
    Expired,
    /// Its session was ended, or its user or key is gone or suspended.
    Ended,
    /// It was used before: its session is ended now.
    Reused,
    /// Its session is bound to another client.
    OtherClient,
    /// The key-encryption key is missing, under which the key of its session is sealed.
    Kek(KekError),
    /// No access token could be made.
    Token(IssueTokenError),
    /// The store refused.
    Store(StoreError),
}

/// Why a session was not ended by its refresh token.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogoutError {
    /// It is no refresh token of this store. RFC 7009, section 2.2: who logs out need not be told.
    Invalid,
    /// The key-encryption key is missing, under which the key of its session is sealed.
    Kek(KekError),
    /// The store refused.
    Store(StoreError),
}

/// Why a session was not found or not ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum EndSessionError {
    /// There is no such session.
    NotFound {
        /// Its id.
        id: SessionId,
    },
    /// There is no such user.
    UserNotFound {
        /// Its id.
        id: UserId,
    },
    /// The store refused.
    Store(StoreError),
}

/// Why sessions were not listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListSessionsError {
    /// The page is empty or too large.
    Limit {
        /// The number that was given.
        given: usize,
    },
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefreshError::Invalid => f.write_str("not a refresh token of this store · log in again"),
            RefreshError::Expired => f.write_str("the session has expired · log in again"),
            RefreshError::Ended => f.write_str("the session has ended · log in again"),
            RefreshError::Reused => {
                f.write_str("the refresh token was used before, so its session was ended · log in again")
            }
            RefreshError::OtherClient => {
                f.write_str("the refresh token was given to another client · use it as the client that logged in")
            }
            RefreshError::Kek(error) => error.fmt(f),
            RefreshError::Token(error) => error.fmt(f),
            RefreshError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for LogoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogoutError::Invalid => f.write_str("not a refresh token of this store · give one that a login gave"),
            LogoutError::Kek(error) => error.fmt(f),
            LogoutError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for EndSessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndSessionError::NotFound { id } => {
                write!(f, "there is no session {id} · look it up with `keystile sessions list`")
            }
            EndSessionError::UserNotFound { id } => {
                write!(f, "there is no user {id} · look it up with `keystile users list`")
            }
            EndSessionError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ListSessionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListSessionsError::Limit { given } => {
                write!(f, "a page of {given} sessions does not fit · give a limit of 1 to {MAX_PAGE}")
            }
            ListSessionsError::Store(error) => error.fmt(f),
        }
    }
}

impl From<IssueTokenError> for RefreshError {
    fn from(error: IssueTokenError) -> RefreshError {
        match error {
            IssueTokenError::Store(error) => RefreshError::Store(error),
            error => RefreshError::Token(error),
        }
    }
}

impl From<OpenRefreshKeyError> for RefreshError {
    fn from(error: OpenRefreshKeyError) -> RefreshError {
        match error {
            OpenRefreshKeyError::Kek(error) => RefreshError::Kek(error),
            OpenRefreshKeyError::Store(error) => RefreshError::Store(error),
        }
    }
}

impl From<OpenRefreshKeyError> for LogoutError {
    fn from(error: OpenRefreshKeyError) -> LogoutError {
        match error {
            OpenRefreshKeyError::Kek(error) => LogoutError::Kek(error),
            OpenRefreshKeyError::Store(error) => LogoutError::Store(error),
        }
    }
}

macro_rules! operations {
    ($($error:ident),*) => {$(
        impl std::error::Error for $error {}

        impl From<StoreError> for $error {
            fn from(error: StoreError) -> $error {
                $error::Store(error)
            }
        }
    )*};
}

operations!(RefreshError, LogoutError, EndSessionError, ListSessionsError);
