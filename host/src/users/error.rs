//! What can go wrong with each operation.

use std::fmt;

use super::field::UserFieldError;
use crate::ids::UserId;
use crate::login::attempts::Refused;
use crate::password::{Busy, HashError, PasswordError};
use crate::query::{MAX_PAGE, MAX_SEARCH_LEN};
use crate::store::StoreError;
use crate::user::{Email, UserRef, UserStatus};

/// Why no user was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum CreateUserError {
    /// A field does not fit.
    Field(UserFieldError),
    /// The password does not fit.
    Password(PasswordError),
    /// Another user has the address.
    EmailTaken {
        /// The address.
        email: Email,
    },
    /// Too many passwords are being hashed.
    Busy,
    /// The store refused.
    Store(StoreError),
}

/// Why a user was not found or not read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShowUserError {
    /// There is no such user.
    NotFound {
        /// What it was named by.
        user: UserRef,
    },
    /// The store refused.
    Store(StoreError),
}

/// Why users were not listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListUsersError {
    /// The page is empty or too large.
    Limit {
        /// The number that was given.
        given: usize,
    },
    /// The search text is too long.
    Search,
    /// The store refused.
    Store(StoreError),
}

/// Why a user was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpdateUserError {
    /// There is no such user.
    NotFound {
        /// Its id.
        id: UserId,
    },
    /// Nothing was to be changed.
    NoChange,
    /// A field does not fit.
    Field(UserFieldError),
    /// Another user has the address.
    EmailTaken {
        /// The address.
        email: Email,
    },
    /// The store refused.
    Store(StoreError),
}

/// Why a user was not suspended, resumed, unlocked or deleted.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeUserStateError {
    /// There is no such user.
    NotFound {
        /// Its id.
        id: UserId,
    },
    /// The user is in a state from which this cannot be done.
    Conflict {
        /// Its id.
        id: UserId,
        /// The state it is in.
        status: UserStatus,
    },
    /// The store refused.
    Store(StoreError),
}

/// Why a password was not reset.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResetPasswordError {
    /// There is no such user.
    NotFound {
        /// Its id.
        id: UserId,
    },
    /// The new password does not fit.
    Password(PasswordError),
    /// Too many passwords are being hashed.
    Busy,
    /// The store refused.
    Store(StoreError),
}

/// Why a password was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangePasswordError {
    /// There is no such user.
    NotFound {
        /// Its id.
        id: UserId,
    },
    /// The old password is wrong, or the user has none, or is suspended.
    WrongPassword,
    /// The new password does not fit.
    Password(PasswordError),
    /// There were too many wrong passwords.
    TooManyAttempts {
        /// Seconds after which to try again.
        retry_after: u64,
    },
    /// Too many passwords are being hashed.
    Busy,
    /// The store refused.
    Store(StoreError),
}

const BUSY: &str = "too many passwords are being checked · repeat in a few seconds";

fn not_found(f: &mut fmt::Formatter<'_>, user: &dyn fmt::Display) -> fmt::Result {
    write!(f, "there is no user {user} · look it up with `keystile users list`")
}

fn taken(f: &mut fmt::Formatter<'_>, email: &Email) -> fmt::Result {
    write!(f, "another user has the address {email} · give another one, or look it up with `keystile users show`")
}

impl fmt::Display for CreateUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateUserError::Field(error) => error.fmt(f),
            CreateUserError::Password(error) => error.fmt(f),
            CreateUserError::EmailTaken { email } => taken(f, email),
            CreateUserError::Busy => f.write_str(BUSY),
            CreateUserError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ShowUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShowUserError::NotFound { user } => not_found(f, user),
            ShowUserError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ListUsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListUsersError::Limit { given } => {
                write!(f, "a page of {given} users cannot be listed · ask for 1 to {MAX_PAGE}")
            }
            ListUsersError::Search => write!(f, "the search text is too long · give at most {MAX_SEARCH_LEN} bytes"),
            ListUsersError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for UpdateUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateUserError::NotFound { id } => not_found(f, id),
            UpdateUserError::NoChange => {
                f.write_str("nothing to change · say what, see `keystile users update --help`")
            }
            UpdateUserError::Field(error) => error.fmt(f),
            UpdateUserError::EmailTaken { email } => taken(f, email),
            UpdateUserError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ChangeUserStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeUserStateError::NotFound { id } => not_found(f, id),
            ChangeUserStateError::Conflict { id, status } => {
                write!(f, "{id} is {status} · look at it with `keystile users show`")
            }
            ChangeUserStateError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ResetPasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResetPasswordError::NotFound { id } => not_found(f, id),
            ResetPasswordError::Password(error) => error.fmt(f),
            ResetPasswordError::Busy => f.write_str(BUSY),
            ResetPasswordError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ChangePasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangePasswordError::NotFound { id } => not_found(f, id),
            ChangePasswordError::WrongPassword => f.write_str("the old password is wrong · repeat, or have it reset"),
            ChangePasswordError::Password(error) => error.fmt(f),
            ChangePasswordError::TooManyAttempts { retry_after } => {
                write!(f, "too many wrong passwords · repeat in {retry_after} seconds")
            }
            ChangePasswordError::Busy => f.write_str(BUSY),
            ChangePasswordError::Store(error) => error.fmt(f),
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

operations!(
    CreateUserError,
    ShowUserError,
    ListUsersError,
    UpdateUserError,
    ChangeUserStateError,
    ResetPasswordError,
    ChangePasswordError
);

macro_rules! fields {
    ($($error:ident),*) => {$(
        impl From<UserFieldError> for $error {
            fn from(error: UserFieldError) -> $error {
                $error::Field(error)
            }
        }
    )*};
}

fields!(CreateUserError, UpdateUserError);

macro_rules! passwords {
    ($($error:ident),*) => {$(
        impl From<PasswordError> for $error {
            fn from(error: PasswordError) -> $error {
                $error::Password(error)
            }
        }

        impl From<HashError> for $error {
            fn from(error: HashError) -> $error {
                $error::Password(error.into())
            }
        }

        impl From<Busy> for $error {
            fn from(Busy: Busy) -> $error {
                $error::Busy
            }
        }
    )*};
}

passwords!(CreateUserError, ResetPasswordError, ChangePasswordError);

impl From<Refused> for ChangePasswordError {
    fn from(refused: Refused) -> ChangePasswordError {
        ChangePasswordError::TooManyAttempts { retry_after: refused.retry_after }
    }
}
