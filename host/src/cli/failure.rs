//! How a command ends: exit codes, and every error of the library mapped to one.

use std::fmt::Display;
use std::io;

use crate::sandbox::SandboxError;
use crate::{
    AddFormatError, AddIssuerError, BootstrapError, ChangeIssuerError, ChangeStateError, ChangeUserStateError,
    CreateKeyError, CreateStoreError, CreateUserError, EndSessionError, ExplainError, ImportKeysError,
    InspectTokenError, IssueTokenError, KekError, KeyFieldError, KeyFormatError, KeySetProblem, ListAuditError,
    ListKeysError, ListSecurityEventsError, ListSessionsError, ListUsersError, OpenError, PasswordError,
    RefreshIssuerError, ResetPasswordError, RestoreError, RevokeTokenError, RotateKeyError, RotateSigningKeyError,
    SetSettingsError, ShowIssuerError, ShowKeyError, ShowUserError, SigningKeyError, StoreError, UpdateIssuerError,
    UpdateKeyError, UpdateUserError,
};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Exit {
    /// Allowed, or done.
    Done = 0,
    /// Denied; or the audit trail is broken, or the doctor found an error.
    Denied = 1,
    /// The command, or a field in it, does not fit.
    Usage = 2,
    /// Something is not there, or is in the way.
    Conflict = 3,
    /// The store or the validator could not be asked.
    CannotSay = 4,
}

/// Why a command ended early: what happened, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// How the command ends.
    pub(super) exit: Exit,
    /// The name for programs.
    pub(super) code: &'static str,
    /// What happened.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: Option<String>,
}

impl Failure {
    /// A failure out of a message of the library: `what happened · what to do`.
    pub(super) fn new(exit: Exit, code: &'static str, message: impl Display) -> Failure {
        let text = message.to_string();
        let (message, hint) = match text.split_once(PAIR) {
            Some((message, hint)) => (message.to_owned(), Some(hint.replace(PAIR, "; "))),
            None => (text, None),
        };
        Failure { exit, code, message, hint }
    }

    /// A command that does not fit.
    pub(super) fn usage(message: impl Display) -> Failure {
        Failure::new(Exit::Usage, "usage", message)
    }
}

/// What went wrong while writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let message = format!("standard output cannot be written: {error} · check where it goes");
        Failure::new(Exit::CannotSay, "output", message)
    }
}

/// How each error ends a command, and its name for programs.
trait Classified {
    fn class(&self) -> (Exit, &'static str);
}

macro_rules! failures {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                let (exit, code) = error.class();
                Failure::new(exit, code, error)
            }
        }
    )*};
}

failures!(
    AddFormatError,
    AddIssuerError,
    BootstrapError,
    ChangeIssuerError,
    UpdateIssuerError,
    ChangeStateError,
    ChangeUserStateError,
    CreateKeyError,
    CreateStoreError,
    CreateUserError,
    EndSessionError,
    ExplainError,
    ImportKeysError,
    InspectTokenError,
    IssueTokenError,
    KekError,
    KeyFormatError,
    KeySetProblem,
    ListAuditError,
    ListKeysError,
    ListSecurityEventsError,
    ListSessionsError,
    ListUsersError,
    OpenError,
    RefreshIssuerError,
    ResetPasswordError,
    RestoreError,
    RevokeTokenError,
    RotateKeyError,
    RotateSigningKeyError,
    SandboxError,
    SetSettingsError,
    ShowIssuerError,
    ShowKeyError,
    ShowUserError,
    StoreError,
    UpdateKeyError,
    UpdateUserError
);

const FIELD: (Exit, &str) = (Exit::Usage, "invalid_field");
const FORMAT: (Exit, &str) = (Exit::Usage, "invalid_format");
const UNKNOWN_FORMAT: (Exit, &str) = (Exit::Conflict, "unknown_format");
const UNKNOWN_KEY: (Exit, &str) = (Exit::Conflict, "unknown_key");
const UNKNOWN_ISSUER: (Exit, &str) = (Exit::Conflict, "unknown_issuer");
const KEYS: (Exit, &str) = (Exit::Usage, "invalid_keys");
const CONFLICT: (Exit, &str) = (Exit::Conflict, "conflict");
const USAGE: (Exit, &str) = (Exit::Usage, "usage");
const GENERATOR: (Exit, &str) = (Exit::CannotSay, "no_random_bytes");
const UNKNOWN_USER: (Exit, &str) = (Exit::Conflict, "unknown_user");
const PASSWORD: (Exit, &str) = (Exit::Usage, "invalid_password");
const BUSY: (Exit, &str) = (Exit::CannotSay, "busy");

impl Classified for StoreError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            StoreError::Missing { .. } => (Exit::Conflict, "no_store"),
            StoreError::AlreadyExists { .. } => (Exit::Conflict, "already_exists"),
            StoreError::NoSuchKey { .. } => UNKNOWN_KEY,
            StoreError::NoSuchUser { .. } => UNKNOWN_USER,
            StoreError::NoRandomBytes => GENERATOR,
            StoreError::SameFile { .. } | StoreError::CursorMismatch => USAGE,
            StoreError::NotAStore { .. } => (Exit::CannotSay, "not_a_store"),
            StoreError::OtherProgram { .. } => (Exit::CannotSay, "other_program"),
            StoreError::Newer { .. } => (Exit::CannotSay, "newer_store"),
            StoreError::Migrated { .. } => (Exit::CannotSay, "migrated"),
            StoreError::Older { .. } => (Exit::CannotSay, "older_store"),
            StoreError::Unreadable { .. } => (Exit::CannotSay, "unreadable"),
            StoreError::ReadOnly => (Exit::CannotSay, "read_only"),
            StoreError::DiskFull => (Exit::CannotSay, "disk_full"),
            StoreError::Busy { .. } => (Exit::CannotSay, "busy"),
            StoreError::Corrupt | StoreError::InvalidValue { .. } | StoreError::InvalidRow { .. } => {
                (Exit::CannotSay, "corrupt")
            }
            StoreError::DamagedBackup { .. } => (Exit::CannotSay, "damaged_backup"),
            StoreError::Replaced { .. } | StoreError::WentBack { .. } | StoreError::Overwritten { .. } => {
                (Exit::CannotSay, "replaced")
            }
            StoreError::JournalLost { .. } => (Exit::CannotSay, "journal_lost"),
            StoreError::Unacknowledged { .. } => (Exit::CannotSay, "unacknowledged"),
            StoreError::InUse { .. } => (Exit::CannotSay, "in_use"),
            StoreError::ManyNames { .. } => (Exit::CannotSay, "many_names"),
            StoreError::MountPoint { .. } => (Exit::CannotSay, "mount_point"),
            StoreError::NetworkFileSystem { .. } => (Exit::CannotSay, "network_file_system"),
            StoreError::RolledBack | StoreError::EngineTooOld { .. } | StoreError::Engine { .. } => {
                (Exit::CannotSay, "engine")
            }
            StoreError::Forked => (Exit::CannotSay, "forked"),
            StoreError::NotFollowed => (Exit::CannotSay, "not_followed"),
            StoreError::System { .. } => (Exit::CannotSay, "system"),
        }
    }
}

impl Classified for SandboxError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            SandboxError::Incompatible { .. }
            | SandboxError::HasImport { .. }
            | SandboxError::BadExport { .. }
            | SandboxError::AbiVersion { .. }
            | SandboxError::BadBuffer { .. }
            | SandboxError::Start(_)
            | SandboxError::Clock(_) => (Exit::CannotSay, "sandbox"),
        }
    }
}

impl Classified for OpenError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            OpenError::Store(error) => error.class(),
            OpenError::Kek(error) => error.class(),
            OpenError::Sandbox(error) => error.class(),
            OpenError::Thread(_) => (Exit::CannotSay, "system"),
        }
    }
}

impl Classified for ExplainError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ExplainError::Request(_) => USAGE,
            ExplainError::Store(error) => error.class(),
        }
    }
}

impl Classified for KekError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            KekError::NotGiven | KekError::Missing { .. } => (Exit::CannotSay, "no_kek"),
            KekError::AlreadyExists { .. } => (Exit::Conflict, "already_exists"),
            KekError::Form => (Exit::CannotSay, "invalid_kek"),
            KekError::Wrong => (Exit::CannotSay, "wrong_kek"),
            KekError::File { .. } => (Exit::CannotSay, "system"),
            KekError::Generator => GENERATOR,
            KekError::Store(error) => error.class(),
        }
    }
}

impl Classified for SigningKeyError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            SigningKeyError::Kek(error) => error.class(),
            SigningKeyError::Damaged { .. } => (Exit::CannotSay, "damaged_signing_key"),
            SigningKeyError::Generator => GENERATOR,
            SigningKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for RotateSigningKeyError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            RotateSigningKeyError::Pending { .. } => CONFLICT,
            RotateSigningKeyError::Key(error) => error.class(),
        }
    }
}

impl Classified for IssueTokenError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            IssueTokenError::NoSuchUser => UNKNOWN_USER,
            IssueTokenError::Suspended => CONFLICT,
            IssueTokenError::Claim { .. } | IssueTokenError::Lifetime { .. } | IssueTokenError::TooLong => FIELD,
            IssueTokenError::Key(error) => error.class(),
            IssueTokenError::Store(error) => error.class(),
        }
    }
}

impl Classified for RevokeTokenError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            RevokeTokenError::Unknown => (Exit::Conflict, "unknown_token"),
            RevokeTokenError::ClosedKey => (Exit::CannotSay, "no_kek"),
            RevokeTokenError::NoTokenId => CONFLICT,
            RevokeTokenError::TokenId | RevokeTokenError::Name { .. } => FIELD,
            RevokeTokenError::OwnIssuer => CONFLICT,
            RevokeTokenError::Issuer => UNKNOWN_ISSUER,
            RevokeTokenError::Unavailable => (Exit::CannotSay, "unavailable"),
            RevokeTokenError::Sandbox(_) => (Exit::CannotSay, "sandbox"),
            RevokeTokenError::Store(error) => error.class(),
        }
    }
}

impl Classified for InspectTokenError {
    fn class(&self) -> (Exit, &'static str) {
        (Exit::Usage, "malformed_token")
    }
}

impl Classified for KeyFormatError {
    fn class(&self) -> (Exit, &'static str) {
        FORMAT
    }
}

impl Classified for KeyFieldError {
    fn class(&self) -> (Exit, &'static str) {
        FIELD
    }
}

impl Classified for AddFormatError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            AddFormatError::Name => FORMAT,
            AddFormatError::NameTaken { .. } | AddFormatError::TooMany => CONFLICT,
            AddFormatError::Store(error) => error.class(),
        }
    }
}

impl Classified for SetSettingsError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            SetSettingsError::MaxLifetime { .. }
            | SetSettingsError::Issuer
            | SetSettingsError::Audience
            | SetSettingsError::AccessTokenLifetime { .. }
            | SetSettingsError::PublishLead { .. }
            | SetSettingsError::Logins(_) => FIELD,
            SetSettingsError::Store(error) => error.class(),
        }
    }
}

impl Classified for BootstrapError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            BootstrapError::Kek(error) => error.class(),
            BootstrapError::Create(error) | BootstrapError::KeyStays { error, .. } => error.class(),
        }
    }
}

impl Classified for CreateStoreError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            // Nothing is in the store yet that could be in the way: the command does not fit.
            CreateStoreError::Format(AddFormatError::Store(error)) => error.class(),
            CreateStoreError::Format(_) | CreateStoreError::DefaultFormat(_) => FORMAT,
            CreateStoreError::Settings(error) => error.class(),
            CreateStoreError::Kek(error) => error.class(),
            CreateStoreError::Store(error) => error.class(),
        }
    }
}

impl Classified for CreateKeyError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            CreateKeyError::Field(error) => error.class(),
            CreateKeyError::UnknownFormat { .. } => UNKNOWN_FORMAT,
            CreateKeyError::Format(error) => error.class(),
            CreateKeyError::OwnerSuspended { .. } => CONFLICT,
            CreateKeyError::Generator => GENERATOR,
            CreateKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for ShowKeyError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ShowKeyError::NotFound { .. } => UNKNOWN_KEY,
            ShowKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListSecurityEventsError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ListSecurityEventsError::Limit { .. } => USAGE,
            ListSecurityEventsError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListAuditError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ListAuditError::Limit { .. } | ListAuditError::Search => USAGE,
            ListAuditError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListKeysError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ListKeysError::Limit { .. } | ListKeysError::Search | ListKeysError::Cursor => USAGE,
            ListKeysError::Store(error) => error.class(),
        }
    }
}

impl Classified for UpdateKeyError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            UpdateKeyError::NotFound { .. } => UNKNOWN_KEY,
            UpdateKeyError::Revoked { .. } | UpdateKeyError::OwnerSuspended { .. } => CONFLICT,
            UpdateKeyError::NoChange => USAGE,
            UpdateKeyError::Field(error) => error.class(),
            UpdateKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for ChangeStateError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ChangeStateError::NotFound { .. } => UNKNOWN_KEY,
            ChangeStateError::Conflict { .. } | ChangeStateError::OwnerSuspended { .. } => CONFLICT,
            ChangeStateError::Note => FIELD,
            ChangeStateError::Store(error) => error.class(),
        }
    }
}

impl Classified for RotateKeyError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            RotateKeyError::NotFound { .. } => UNKNOWN_KEY,
            RotateKeyError::UnknownFormat { .. } => UNKNOWN_FORMAT,
            RotateKeyError::Conflict { .. } | RotateKeyError::RequestIdReused | RotateKeyError::TooManySecrets => {
                CONFLICT
            }
            RotateKeyError::Grace | RotateKeyError::RequestId => FIELD,
            RotateKeyError::Format(error) => error.class(),
            RotateKeyError::Generator => GENERATOR,
            RotateKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for ImportKeysError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ImportKeysError::Count { .. } => USAGE,
            ImportKeysError::Field { error, .. } => error.class(),
            ImportKeysError::DuplicateDigest { .. } | ImportKeysError::OwnerSuspended { .. } => CONFLICT,
            ImportKeysError::Running { .. } | ImportKeysError::Discarded => CONFLICT,
            ImportKeysError::Generator => GENERATOR,
            ImportKeysError::Store(error) => error.class(),
        }
    }
}

impl Classified for KeySetProblem {
    fn class(&self) -> (Exit, &'static str) {
        KEYS
    }
}

impl Classified for AddIssuerError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            AddIssuerError::Field(_) => FIELD,
            AddIssuerError::Keys(problem) => problem.class(),
            AddIssuerError::NameTaken { .. } | AddIssuerError::IssuerTaken { .. } | AddIssuerError::TooMany => CONFLICT,
            AddIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for ShowIssuerError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ShowIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            ShowIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for UpdateIssuerError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            UpdateIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            UpdateIssuerError::Field(_) => (Exit::Usage, "invalid_field"),
            UpdateIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for ChangeIssuerError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ChangeIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            ChangeIssuerError::Conflict { .. } | ChangeIssuerError::TooMany => CONFLICT,
            ChangeIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for RefreshIssuerError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            RefreshIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            RefreshIssuerError::GivenKeys { .. } | RefreshIssuerError::FetchedKeys { .. } => CONFLICT,
            RefreshIssuerError::Keys(problem) => problem.class(),
            RefreshIssuerError::Fetch { .. } => (Exit::CannotSay, "not_fetched"),
            RefreshIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for RestoreError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            RestoreError::Store(error) => error.class(),
        }
    }
}

impl Classified for PasswordError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            PasswordError::TooLong | PasswordError::TooShort { .. } | PasswordError::Common => PASSWORD,
            PasswordError::Generator => GENERATOR,
            PasswordError::Memory => (Exit::CannotSay, "system"),
        }
    }
}

impl Classified for CreateUserError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            CreateUserError::Field(_) => FIELD,
            CreateUserError::Password(error) => error.class(),
            CreateUserError::EmailTaken { .. } => CONFLICT,
            CreateUserError::Busy => BUSY,
            CreateUserError::Store(error) => error.class(),
        }
    }
}

impl Classified for ShowUserError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ShowUserError::NotFound { .. } => UNKNOWN_USER,
            ShowUserError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListUsersError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ListUsersError::Limit { .. } | ListUsersError::Search => USAGE,
            ListUsersError::Store(error) => error.class(),
        }
    }
}

impl Classified for UpdateUserError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            UpdateUserError::NotFound { .. } => UNKNOWN_USER,
            UpdateUserError::NoChange => USAGE,
            UpdateUserError::Field(_) => FIELD,
            UpdateUserError::EmailTaken { .. } => CONFLICT,
            UpdateUserError::Store(error) => error.class(),
        }
    }
}

impl Classified for ChangeUserStateError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ChangeUserStateError::NotFound { .. } => UNKNOWN_USER,
            ChangeUserStateError::Conflict { .. } => CONFLICT,
            ChangeUserStateError::Store(error) => error.class(),
        }
    }
}

impl Classified for ResetPasswordError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ResetPasswordError::NotFound { .. } => UNKNOWN_USER,
            ResetPasswordError::Password(error) => error.class(),
            ResetPasswordError::Busy => BUSY,
            ResetPasswordError::Store(error) => error.class(),
        }
    }
}

impl Classified for EndSessionError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            EndSessionError::NotFound { .. } => (Exit::Conflict, "unknown_session"),
            EndSessionError::UserNotFound { .. } => UNKNOWN_USER,
            EndSessionError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListSessionsError {
    fn class(&self) -> (Exit, &'static str) {
        match self {
            ListSessionsError::Limit { .. } => USAGE,
            ListSessionsError::Store(error) => error.class(),
        }
    }
}

/// What stands between the two halves of a message.
pub(super) const PAIR: &str = " · ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_pairs() {
        let failure = Failure::usage("a · b · c");
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), ("a", Some("b; c")));
        assert_eq!(Failure::usage("a").hint, None);
    }
}
