//! What can go wrong with each operation.

use std::fmt;

use keystile_validator::{KeyFormatError, KeyId, Timestamp};

use super::field::KeyFieldError;
use super::rotate::{MAX_GRACE, MAX_VALID_SECRETS};
use crate::ids::UserId;
use crate::key::{KeyStatus, MAX_NOTE_LEN, MAX_REQUEST_ID_LEN};
use crate::query::{MAX_PAGE, MAX_SEARCH_LEN};
use crate::secret::GenerateError;
use crate::store::StoreError;
use crate::text::rfc3339;

/// Why no key was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum CreateKeyError {
    /// A field does not fit.
    Field(KeyFieldError),
    /// There is no key format of this name.
    UnknownFormat {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The format does not have the environment.
    Format(KeyFormatError),
    /// The key would act for a user who is suspended.
    OwnerSuspended {
        /// The user.
        user: UserId,
    },
    /// The operating system gave no random bytes.
    Generator,
    /// The store refused.
    Store(StoreError),
}

/// Why a key was not found or not read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShowKeyError {
    /// There is no such key.
    NotFound {
        /// Its id.
        id: KeyId,
    },
    /// The store refused.
    Store(StoreError),
}

/// Why keys were not listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListKeysError {
    /// The page is empty or too large.
    Limit {
        /// The number that was given.
        given: usize,
    },
    /// The search text is too long.
    Search,
    /// The cursor belongs to another sort order.
    Cursor,
    /// The store refused.
    Store(StoreError),
}

/// Why a key was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpdateKeyError {
    /// There is no such key.
    NotFound {
        /// Its id.
        id: KeyId,
    },
    /// The key is revoked, for good.
    Revoked {
        /// Its id.
        id: KeyId,
    },
    /// Nothing was to be changed.
    NoChange,
    /// The key would act for a user who is suspended.
    OwnerSuspended {
        /// The user.
        user: UserId,
    },
    /// A field does not fit.
    Field(KeyFieldError),
    /// The store refused.
    Store(StoreError),
}

/// Why a key was not suspended, resumed or revoked.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeStateError {
    /// There is no such key.
    NotFound {
        /// Its id.
        id: KeyId,
    },
    /// The key is in a state from which this cannot be done.
    Conflict {
        /// Its id.
        id: KeyId,
        /// The state it is in.
        status: KeyStatus,
    },
    /// The key acts for a user who is suspended.
    OwnerSuspended {
        /// The user.
        user: UserId,
    },
    /// The note is too long, or holds control characters.
    Note,
    /// There is a secret in the note.
    SecretInNote,
    /// The store refused.
    Store(StoreError),
}

/// Why a key was not rotated.
#[derive(Debug)]
#[non_exhaustive]
pub enum RotateKeyError {
    /// There is no such key.
    NotFound {
        /// Its id.
        id: KeyId,
    },
    /// The key is revoked or expired: a new secret would not be valid either.
    Conflict {
        /// Its id.
        id: KeyId,
        /// The state it is in.
        status: KeyStatus,
    },
    /// The grace period is longer than [`MAX_GRACE`].
    Grace,
    /// The request id is empty, too long, or holds control characters.
    RequestId,
    /// An API key or a token was given as the request id.
    SecretAsRequestId,
    /// The request id was already used for this key with another grace.
    RequestIdReused,
    /// Too many secrets of the key are valid at once.
    TooManySecrets,
    /// There is no key format of this name.
    UnknownFormat {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The format does not have the environment of the key.
    Format(KeyFormatError),
    /// The operating system gave no random bytes.
    Generator,
    /// The store refused.
    Store(StoreError),
}

/// Why nothing was imported.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportKeysError {
    /// There are no keys, or too many at once.
    Count {
        /// How many were given.
        given: usize,
    },
    /// A field does not fit.
    Field {
        /// The position of the key, from 0.
        index: usize,
        /// Which field, and why.
        error: KeyFieldError,
    },
    /// A digest is already in the store, or twice in the import.
    DuplicateDigest {
        /// The position of the key, from 0.
        index: usize,
    },
    /// A key would act for a user who is suspended.
    OwnerSuspended {
        /// The user.
        user: UserId,
    },
    /// Another import is in progress.
    Running {
        /// Who began it.
        started_by: String,
        /// When it is taken for ended, if it stages nothing more until then.
        until: Timestamp,
    },
    /// What was staged is gone: the import had paused for so long that it was taken for ended, or the store
    /// was restored meanwhile.
    Discarded,
    /// An earlier call has failed, so some of the keys are missing: nothing of this import will be in force.
    Failed,
    /// The operating system gave no random bytes.
    Generator,
    /// The store refused.
    Store(StoreError),
}

macro_rules! from_errors {
    ($($error:ident { $($variant:ident($source:ty)),* })*) => {$(
        impl std::error::Error for $error {}
        $(impl From<$source> for $error {
            fn from(error: $source) -> $error {
                $error::$variant(error)
            }
        })*
    )*};
}

from_errors! {
    CreateKeyError { Field(KeyFieldError), Store(StoreError) }
    ShowKeyError { Store(StoreError) }
    ListKeysError { Store(StoreError) }
    UpdateKeyError { Field(KeyFieldError), Store(StoreError) }
    ChangeStateError { Store(StoreError) }
    RotateKeyError { Store(StoreError) }
    ImportKeysError { Store(StoreError) }
}

impl From<GenerateError> for CreateKeyError {
    fn from(error: GenerateError) -> CreateKeyError {
        match error {
            GenerateError::Generator => CreateKeyError::Generator,
            GenerateError::Format(error) => CreateKeyError::Format(error),
        }
    }
}

impl From<GenerateError> for RotateKeyError {
    fn from(error: GenerateError) -> RotateKeyError {
        match error {
            GenerateError::Generator => RotateKeyError::Generator,
            GenerateError::Format(error) => RotateKeyError::Format(error),
        }
    }
}

const GENERATOR: &str =
    "the operating system gave no random bytes, so no secret was made · check the machine's random generator";

fn owner_suspended(f: &mut fmt::Formatter<'_>, user: UserId) -> fmt::Result {
    write!(
        f,
        "the key would act for the user {user}, who is suspended · resume the user, or give the key another owner"
    )
}

fn not_found(f: &mut fmt::Formatter<'_>, id: KeyId) -> fmt::Result {
    write!(f, "there is no key {id} · see `keystile keys list`")
}

fn unknown_format(f: &mut fmt::Formatter<'_>, name: &str, known: &[String]) -> fmt::Result {
    let name = name.escape_debug();
    write!(f, "there is no key format {name} · use one of {}, or add it with `keystile formats add`", known.join(", "))
}

impl fmt::Display for CreateKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateKeyError::Field(error) => error.fmt(f),
            CreateKeyError::UnknownFormat { name, known } => unknown_format(f, name, known),
            CreateKeyError::Format(error) => error.fmt(f),
            CreateKeyError::OwnerSuspended { user } => owner_suspended(f, *user),
            CreateKeyError::Generator => f.write_str(GENERATOR),
            CreateKeyError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ShowKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShowKeyError::NotFound { id } => not_found(f, *id),
            ShowKeyError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ListKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListKeysError::Limit { given } => {
                write!(f, "a page of {given} keys cannot be listed · ask for 1 to {MAX_PAGE}")
            }
            ListKeysError::Search => write!(f, "the search text is too long · give at most {MAX_SEARCH_LEN} bytes"),
            ListKeysError::Cursor => {
                f.write_str("the cursor belongs to another sort order · use it with the order it came from")
            }
            ListKeysError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for UpdateKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateKeyError::NotFound { id } => not_found(f, *id),
            UpdateKeyError::Revoked { id } => {
                write!(f, "the key {id} is revoked, for good · create a new one with `keystile keys create`")
            }
            UpdateKeyError::NoChange => f.write_str("nothing to change was given · see `keystile keys update --help`"),
            UpdateKeyError::OwnerSuspended { user } => owner_suspended(f, *user),
            UpdateKeyError::Field(error) => error.fmt(f),
            UpdateKeyError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ChangeStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeStateError::NotFound { id } => not_found(f, *id),
            ChangeStateError::Conflict { id, status: KeyStatus::Revoked } => {
                write!(f, "the key {id} is revoked, for good · create a new one with `keystile keys create`")
            }
            ChangeStateError::Conflict { id, status: KeyStatus::Suspended } => {
                write!(f, "the key {id} is already suspended · resume it with `keystile keys resume {id}`")
            }
            ChangeStateError::Conflict { id, status } => {
                write!(f, "the key {id} is {status}, not suspended · only a suspended key can be resumed")
            }
            ChangeStateError::OwnerSuspended { user } => owner_suspended(f, *user),
            ChangeStateError::SecretInNote => f.write_str(
                "there is an API key or a token in the note · give another one, or none: the audit trail keeps it for good",
            ),
            ChangeStateError::Note => {
                write!(f, "not a note · give 1 to {MAX_NOTE_LEN} bytes without control characters")
            }
            ChangeStateError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for RotateKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RotateKeyError::NotFound { id } => not_found(f, *id),
            RotateKeyError::Conflict { id, status: KeyStatus::Revoked } => {
                write!(f, "the key {id} is revoked, for good · create a new one with `keystile keys create`")
            }
            RotateKeyError::Conflict { id, status } => write!(
                f,
                "the key {id} is {status}, and a new secret would be too · move its expiry first: `keystile keys update {id} --expires 90d`"
            ),
            RotateKeyError::Grace => {
                write!(f, "the grace period is too long · give at most {} days", MAX_GRACE / 86_400)
            }
            RotateKeyError::RequestId => write!(
                f,
                "not a request id · give 1 to {MAX_REQUEST_ID_LEN} bytes without control characters, such as a UUID"
            ),
            RotateKeyError::SecretAsRequestId => f.write_str(
                "there is an API key or a token in the request id · give another one: the store keeps it",
            ),
            RotateKeyError::RequestIdReused => f.write_str(
                "the request id was already used for this key with another grace · use a new request id for a new rotation",
            ),
            RotateKeyError::TooManySecrets => write!(
                f,
                "{MAX_VALID_SECRETS} secrets of the key are still valid · wait for one to retire, or rotate with a grace of 0"
            ),
            RotateKeyError::UnknownFormat { name, known } => unknown_format(f, name, known),
            RotateKeyError::Format(error) => error.fmt(f),
            RotateKeyError::Generator => f.write_str(GENERATOR),
            RotateKeyError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ImportKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportKeysError::Count { given } => {
                write!(f, "{given} keys cannot be imported at once · give 1 to {}", super::MAX_IMPORT)
            }
            ImportKeysError::Field { index, error } => write!(f, "key {}: {error} · nothing was imported", index + 1),
            ImportKeysError::DuplicateDigest { index } => write!(
                f,
                "key {}: its digest is already in the store, or twice in the import · remove it and import again; nothing was imported",
                index + 1
            ),
            ImportKeysError::OwnerSuspended { user } => write!(
                f,
                "a key in the import would act for the user {user}, who is suspended · resume the user, or leave out the \
                 keys with its address as their owner; nothing was imported"
            ),
            ImportKeysError::Running { started_by, until } => write!(
                f,
                "{started_by} is importing keys · wait until that has ended, at {} at the latest if it was killed",
                rfc3339(*until)
            ),
            ImportKeysError::Discarded => f.write_str(
                "the import had paused for too long, or the store was restored meanwhile · import again; nothing was \
                 imported",
            ),
            ImportKeysError::Failed => f.write_str(
                "adding a key to this import has failed before · mend what that error says and import again; nothing was \
                 imported",
            ),
            ImportKeysError::Generator => f.write_str(GENERATOR),
            ImportKeysError::Store(error) => error.fmt(f),
        }
    }
}
