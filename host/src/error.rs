//! The code and the kind of each error: one table for all operations.
//!
//! [`ErrorKind`] is what a front end acts by: an exit status, an HTTP status, whether to try again. A code is a stable
//! word for programs, and what a front end finds its advice by.

use crate::sandbox::SandboxError;
use crate::{
    AddFormatError, AddIssuerError, BootstrapError, ChangeIssuerError, ChangeStateError, ChangeUserStateError,
    CreateKeyError, CreateStoreError, CreateUserError, EndSessionError, ExplainError, ImportKeysError,
    InspectTokenError, IssueTokenError, IssuerFieldError, KekError, KeyFieldError, KeyFormatError, KeySetProblem,
    ListAuditError, ListKeysError, ListSecurityEventsError, ListSessionsError, ListUsersError, LoginError,
    LoginSettingsError, LogoutError, OpenError, PasswordError, RefreshError, RefreshIssuerError, ResetPasswordError,
    RestoreError, RevokeTokenError, RotateKeyError, RotateSigningKeyError, SetSettingsError, ShowIssuerError,
    ShowKeyError, ShowUserError, SigningKeyError, StoreError, UpdateIssuerError, UpdateKeyError, UpdateUserError,
    UserFieldError,
};

/// What kind of error it is, which decides what to do about it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keystile.db");
/// use keystile::{ErrorKind, Keystile, NewKey, NewStore};
/// Keystile::create(&path, NewStore::default())?;
/// let keystile = Keystile::open(&path)?;
/// let error = keystile.keys().create(NewKey::default()).unwrap_err();
/// assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "invalid_field"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for does not fit: another request would. HTTP 400 or 422.
    Invalid,
    /// There is nothing by that name or id. HTTP 404.
    NotFound,
    /// Something is in the way. HTTP 409.
    Conflict,
    /// Whoever asks may not: wrong credentials, an ended session. HTTP 401 or 403.
    Refused,
    /// Others are at work, or there were too many attempts: the same request may be done later. HTTP 429 or 503.
    Busy,
    /// It cannot be said or done now: what it needs is missing, locked or out of reach. HTTP 503.
    Unavailable,
    /// Something is broken: a damaged file, the system. HTTP 500.
    Internal,
}

/// A kind, and the word for programs.
type Class = (ErrorKind, &'static str);

/// The kind and the code of an error.
trait Classified {
    fn class(&self) -> Class;
}

macro_rules! classified {
    ($($error:ty),*) => {$(
        impl $error {
            /// What kind of error it is.
            pub fn kind(&self) -> ErrorKind {
                self.class().0
            }

            /// The name of the error for programs: a stable word, such as `unknown_key`.
            pub fn code(&self) -> &'static str {
                self.class().1
            }
        }
    )*};
}

classified!(
    AddFormatError,
    AddIssuerError,
    BootstrapError,
    ChangeIssuerError,
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
    IssuerFieldError,
    KekError,
    KeyFieldError,
    KeySetProblem,
    ListAuditError,
    ListKeysError,
    ListSecurityEventsError,
    ListSessionsError,
    ListUsersError,
    LoginError,
    LoginSettingsError,
    LogoutError,
    OpenError,
    PasswordError,
    RefreshError,
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
    SigningKeyError,
    StoreError,
    UpdateIssuerError,
    UpdateKeyError,
    UpdateUserError,
    UserFieldError
);

const FIELD: Class = (ErrorKind::Invalid, "invalid_field");
const FORMAT: Class = (ErrorKind::Invalid, "invalid_format");
const UNKNOWN_FORMAT: Class = (ErrorKind::NotFound, "unknown_format");
const UNKNOWN_KEY: Class = (ErrorKind::NotFound, "unknown_key");
const UNKNOWN_ISSUER: Class = (ErrorKind::NotFound, "unknown_issuer");
const KEYS: Class = (ErrorKind::Invalid, "invalid_keys");
const CONFLICT: Class = (ErrorKind::Conflict, "conflict");
const USAGE: Class = (ErrorKind::Invalid, "usage");
const GENERATOR: Class = (ErrorKind::Internal, "no_random_bytes");
const UNKNOWN_USER: Class = (ErrorKind::NotFound, "unknown_user");
const PASSWORD: Class = (ErrorKind::Invalid, "invalid_password");
const BUSY: Class = (ErrorKind::Busy, "busy");

impl Classified for StoreError {
    fn class(&self) -> Class {
        match self {
            StoreError::Missing { .. } => (ErrorKind::NotFound, "no_store"),
            StoreError::AlreadyExists { .. } => (ErrorKind::Conflict, "already_exists"),
            StoreError::ForeignDefinition { .. } => (ErrorKind::Unavailable, "foreign_definition"),
            StoreError::OtherStore { .. } => (ErrorKind::Conflict, "other_store"),
            StoreError::NoSuchKey { .. } => UNKNOWN_KEY,
            StoreError::NoSuchUser { .. } => UNKNOWN_USER,
            StoreError::NoRandomBytes => GENERATOR,
            StoreError::SameFile { .. } | StoreError::CursorMismatch => USAGE,
            StoreError::NotAStore { .. } => (ErrorKind::Internal, "not_a_store"),
            StoreError::OtherProgram { .. } => (ErrorKind::Unavailable, "other_program"),
            StoreError::Newer { .. } => (ErrorKind::Unavailable, "newer_store"),
            StoreError::Migrated { .. } => (ErrorKind::Unavailable, "migrated"),
            StoreError::Older { .. } => (ErrorKind::Unavailable, "older_store"),
            StoreError::Unreadable { .. } => (ErrorKind::Unavailable, "unreadable"),
            StoreError::ReadOnly => (ErrorKind::Unavailable, "read_only"),
            StoreError::DiskFull => (ErrorKind::Unavailable, "disk_full"),
            StoreError::Busy { .. } => (ErrorKind::Busy, "busy"),
            StoreError::Corrupt
            | StoreError::InvalidValue { .. }
            | StoreError::InvalidRow { .. }
            | StoreError::Undecided { .. } => (ErrorKind::Internal, "corrupt"),
            StoreError::DamagedBackup { .. } => (ErrorKind::Internal, "damaged_backup"),
            StoreError::Replaced { .. } | StoreError::WentBack { .. } | StoreError::Overwritten { .. } => {
                (ErrorKind::Unavailable, "replaced")
            }
            StoreError::JournalLost { .. } => (ErrorKind::Unavailable, "journal_lost"),
            StoreError::RollbackJournal { .. } => (ErrorKind::Unavailable, "rollback_journal"),
            StoreError::Unacknowledged { .. } => (ErrorKind::Internal, "unacknowledged"),
            StoreError::InUse { .. } => (ErrorKind::Busy, "in_use"),
            StoreError::ManyNames { .. } => (ErrorKind::Unavailable, "many_names"),
            StoreError::MountPoint { .. } => (ErrorKind::Unavailable, "mount_point"),
            StoreError::NetworkFileSystem { .. } => (ErrorKind::Unavailable, "network_file_system"),
            StoreError::RolledBack | StoreError::EngineTooOld { .. } | StoreError::Engine { .. } => {
                (ErrorKind::Internal, "engine")
            }
            StoreError::Forked => (ErrorKind::Unavailable, "forked"),
            StoreError::NotFollowed => (ErrorKind::Unavailable, "not_followed"),
            StoreError::System { .. } => (ErrorKind::Internal, "system"),
        }
    }
}

impl Classified for SandboxError {
    fn class(&self) -> Class {
        match self {
            SandboxError::Incompatible { .. }
            | SandboxError::HasImport { .. }
            | SandboxError::BadExport { .. }
            | SandboxError::AbiVersion { .. }
            | SandboxError::BadBuffer { .. }
            | SandboxError::Start(_)
            | SandboxError::Clock(_) => (ErrorKind::Internal, "sandbox"),
        }
    }
}

impl Classified for OpenError {
    fn class(&self) -> Class {
        match self {
            OpenError::Store(error) => error.class(),
            OpenError::Kek(error) => error.class(),
            OpenError::Sandbox(error) => error.class(),
            OpenError::Thread(_) => (ErrorKind::Internal, "system"),
        }
    }
}

impl Classified for ExplainError {
    fn class(&self) -> Class {
        match self {
            ExplainError::Request(_) => USAGE,
            ExplainError::Store(error) => error.class(),
        }
    }
}

impl Classified for KekError {
    fn class(&self) -> Class {
        match self {
            KekError::NotGiven | KekError::Missing { .. } => (ErrorKind::Unavailable, "no_kek"),
            KekError::AlreadyExists { .. } => (ErrorKind::Conflict, "already_exists"),
            KekError::Form => (ErrorKind::Internal, "invalid_kek"),
            KekError::Wrong => (ErrorKind::Unavailable, "wrong_kek"),
            KekError::File { .. } => (ErrorKind::Internal, "system"),
            KekError::Generator => GENERATOR,
            KekError::Store(error) => error.class(),
        }
    }
}

impl Classified for SigningKeyError {
    fn class(&self) -> Class {
        match self {
            SigningKeyError::Kek(error) => error.class(),
            SigningKeyError::Damaged { .. } => (ErrorKind::Internal, "damaged_signing_key"),
            SigningKeyError::Generator => GENERATOR,
            SigningKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for RotateSigningKeyError {
    fn class(&self) -> Class {
        match self {
            RotateSigningKeyError::Pending { .. } => CONFLICT,
            RotateSigningKeyError::Key(error) => error.class(),
        }
    }
}

impl Classified for IssueTokenError {
    fn class(&self) -> Class {
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
    fn class(&self) -> Class {
        match self {
            RevokeTokenError::Unknown => (ErrorKind::NotFound, "unknown_token"),
            RevokeTokenError::ClosedKey => (ErrorKind::Unavailable, "no_kek"),
            RevokeTokenError::NoTokenId => CONFLICT,
            RevokeTokenError::TokenId | RevokeTokenError::Name { .. } | RevokeTokenError::Secret => FIELD,
            RevokeTokenError::OwnIssuer => CONFLICT,
            RevokeTokenError::Issuer => UNKNOWN_ISSUER,
            RevokeTokenError::Unavailable => (ErrorKind::Unavailable, "unavailable"),
            RevokeTokenError::Sandbox(_) => (ErrorKind::Internal, "sandbox"),
            RevokeTokenError::Store(error) => error.class(),
        }
    }
}

impl Classified for InspectTokenError {
    fn class(&self) -> Class {
        (ErrorKind::Invalid, "malformed_token")
    }
}

impl Classified for KeyFormatError {
    fn class(&self) -> Class {
        FORMAT
    }
}

impl Classified for KeyFieldError {
    fn class(&self) -> Class {
        FIELD
    }
}

impl Classified for AddFormatError {
    fn class(&self) -> Class {
        match self {
            AddFormatError::Name => FORMAT,
            AddFormatError::NameTaken { .. } | AddFormatError::TooMany => CONFLICT,
            AddFormatError::Store(error) => error.class(),
        }
    }
}

impl Classified for SetSettingsError {
    fn class(&self) -> Class {
        match self {
            SetSettingsError::MaxLifetime { .. }
            | SetSettingsError::Issuer
            | SetSettingsError::Audience
            | SetSettingsError::AccessTokenLifetime { .. }
            | SetSettingsError::PublishLead { .. }
            | SetSettingsError::Logins(_) => FIELD,
            SetSettingsError::IssuerTaken { .. } => CONFLICT,
            SetSettingsError::Secret => FIELD,
            SetSettingsError::Store(error) => error.class(),
        }
    }
}

impl Classified for BootstrapError {
    fn class(&self) -> Class {
        match self {
            BootstrapError::Kek(error) => error.class(),
            BootstrapError::Create(error) | BootstrapError::KeyStays { error, .. } => error.class(),
        }
    }
}

impl Classified for CreateStoreError {
    fn class(&self) -> Class {
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
    fn class(&self) -> Class {
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
    fn class(&self) -> Class {
        match self {
            ShowKeyError::NotFound { .. } => UNKNOWN_KEY,
            ShowKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListSecurityEventsError {
    fn class(&self) -> Class {
        match self {
            ListSecurityEventsError::Limit { .. } => USAGE,
            ListSecurityEventsError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListAuditError {
    fn class(&self) -> Class {
        match self {
            ListAuditError::Limit { .. } | ListAuditError::Search => USAGE,
            ListAuditError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListKeysError {
    fn class(&self) -> Class {
        match self {
            ListKeysError::Limit { .. } | ListKeysError::Search | ListKeysError::Cursor => USAGE,
            ListKeysError::Store(error) => error.class(),
        }
    }
}

impl Classified for UpdateKeyError {
    fn class(&self) -> Class {
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
    fn class(&self) -> Class {
        match self {
            ChangeStateError::NotFound { .. } => UNKNOWN_KEY,
            ChangeStateError::Conflict { .. } | ChangeStateError::OwnerSuspended { .. } => CONFLICT,
            ChangeStateError::Note | ChangeStateError::SecretInNote => FIELD,
            ChangeStateError::Store(error) => error.class(),
        }
    }
}

impl Classified for RotateKeyError {
    fn class(&self) -> Class {
        match self {
            RotateKeyError::NotFound { .. } => UNKNOWN_KEY,
            RotateKeyError::UnknownFormat { .. } => UNKNOWN_FORMAT,
            RotateKeyError::Conflict { .. } | RotateKeyError::RequestIdReused | RotateKeyError::TooManySecrets => {
                CONFLICT
            }
            RotateKeyError::Grace | RotateKeyError::RequestId | RotateKeyError::SecretAsRequestId => FIELD,
            RotateKeyError::Format(error) => error.class(),
            RotateKeyError::Generator => GENERATOR,
            RotateKeyError::Store(error) => error.class(),
        }
    }
}

impl Classified for ImportKeysError {
    fn class(&self) -> Class {
        match self {
            ImportKeysError::Count { .. } => USAGE,
            ImportKeysError::Field { error, .. } => error.class(),
            ImportKeysError::DuplicateDigest { .. } | ImportKeysError::OwnerSuspended { .. } => CONFLICT,
            ImportKeysError::Running { .. } | ImportKeysError::Discarded | ImportKeysError::Failed => CONFLICT,
            ImportKeysError::Generator => GENERATOR,
            ImportKeysError::Store(error) => error.class(),
        }
    }
}

impl Classified for KeySetProblem {
    fn class(&self) -> Class {
        KEYS
    }
}

impl Classified for AddIssuerError {
    fn class(&self) -> Class {
        match self {
            AddIssuerError::Field(_) => FIELD,
            AddIssuerError::Keys(problem) => problem.class(),
            AddIssuerError::NameTaken { .. }
            | AddIssuerError::IssuerTaken { .. }
            | AddIssuerError::Ambiguous { .. }
            | AddIssuerError::OwnIssuer
            | AddIssuerError::TooMany => CONFLICT,
            AddIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for ShowIssuerError {
    fn class(&self) -> Class {
        match self {
            ShowIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            ShowIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for UpdateIssuerError {
    fn class(&self) -> Class {
        match self {
            UpdateIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            UpdateIssuerError::Field(_) => (ErrorKind::Invalid, "invalid_field"),
            UpdateIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for ChangeIssuerError {
    fn class(&self) -> Class {
        match self {
            ChangeIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            ChangeIssuerError::Conflict { .. } | ChangeIssuerError::TooMany => CONFLICT,
            ChangeIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for RefreshIssuerError {
    fn class(&self) -> Class {
        match self {
            RefreshIssuerError::NotFound { .. } => UNKNOWN_ISSUER,
            RefreshIssuerError::GivenKeys { .. } | RefreshIssuerError::FetchedKeys { .. } => CONFLICT,
            RefreshIssuerError::Keys(problem) => problem.class(),
            RefreshIssuerError::Fetch { .. } => (ErrorKind::Unavailable, "not_fetched"),
            RefreshIssuerError::Store(error) => error.class(),
        }
    }
}

impl Classified for RestoreError {
    fn class(&self) -> Class {
        match self {
            RestoreError::Store(error) => error.class(),
        }
    }
}

impl Classified for PasswordError {
    fn class(&self) -> Class {
        match self {
            PasswordError::TooLong | PasswordError::TooShort { .. } | PasswordError::Common => PASSWORD,
            PasswordError::Generator => GENERATOR,
            PasswordError::Memory => (ErrorKind::Internal, "system"),
        }
    }
}

impl Classified for CreateUserError {
    fn class(&self) -> Class {
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
    fn class(&self) -> Class {
        match self {
            ShowUserError::NotFound { .. } => UNKNOWN_USER,
            ShowUserError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListUsersError {
    fn class(&self) -> Class {
        match self {
            ListUsersError::Limit { .. } | ListUsersError::Search => USAGE,
            ListUsersError::Store(error) => error.class(),
        }
    }
}

impl Classified for UpdateUserError {
    fn class(&self) -> Class {
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
    fn class(&self) -> Class {
        match self {
            ChangeUserStateError::NotFound { .. } => UNKNOWN_USER,
            ChangeUserStateError::Conflict { .. } => CONFLICT,
            ChangeUserStateError::Store(error) => error.class(),
        }
    }
}

impl Classified for ResetPasswordError {
    fn class(&self) -> Class {
        match self {
            ResetPasswordError::NotFound { .. } => UNKNOWN_USER,
            ResetPasswordError::Password(error) => error.class(),
            ResetPasswordError::Busy => BUSY,
            ResetPasswordError::Store(error) => error.class(),
        }
    }
}

impl Classified for EndSessionError {
    fn class(&self) -> Class {
        match self {
            EndSessionError::NotFound { .. } => (ErrorKind::NotFound, "unknown_session"),
            EndSessionError::UserNotFound { .. } => UNKNOWN_USER,
            EndSessionError::Store(error) => error.class(),
        }
    }
}

impl Classified for ListSessionsError {
    fn class(&self) -> Class {
        match self {
            ListSessionsError::Limit { .. } => USAGE,
            ListSessionsError::Store(error) => error.class(),
        }
    }
}

impl Classified for LoginError {
    fn class(&self) -> Class {
        match self {
            LoginError::InvalidCredentials => (ErrorKind::Refused, "invalid_credentials"),
            LoginError::TooManyAttempts { .. } => (ErrorKind::Busy, "too_many_attempts"),
            LoginError::Busy => BUSY,
            LoginError::ClientId | LoginError::Scopes { .. } => FIELD,
            LoginError::LimitedKey => (ErrorKind::Refused, "limited_key"),
            LoginError::WrongEnvironment => (ErrorKind::Refused, "wrong_environment"),
            LoginError::Unavailable => (ErrorKind::Unavailable, "unavailable"),
            LoginError::Password(error) => error.class(),
            LoginError::Token(error) => error.class(),
            LoginError::Store(error) => error.class(),
        }
    }
}

impl Classified for RefreshError {
    fn class(&self) -> Class {
        match self {
            RefreshError::Invalid => (ErrorKind::Refused, "invalid_refresh_token"),
            RefreshError::Expired => (ErrorKind::Refused, "expired"),
            RefreshError::Ended => (ErrorKind::Refused, "ended"),
            RefreshError::Reused => (ErrorKind::Refused, "reused"),
            RefreshError::OtherClient => (ErrorKind::Refused, "other_client"),
            RefreshError::Kek(error) => error.class(),
            RefreshError::Token(error) => error.class(),
            RefreshError::Store(error) => error.class(),
        }
    }
}

impl Classified for LogoutError {
    fn class(&self) -> Class {
        match self {
            LogoutError::Invalid => (ErrorKind::Refused, "invalid_refresh_token"),
            LogoutError::Kek(error) => error.class(),
            LogoutError::Store(error) => error.class(),
        }
    }
}

impl Classified for UserFieldError {
    fn class(&self) -> Class {
        FIELD
    }
}

impl Classified for IssuerFieldError {
    fn class(&self) -> Class {
        FIELD
    }
}

impl Classified for LoginSettingsError {
    fn class(&self) -> Class {
        FIELD
    }
}
