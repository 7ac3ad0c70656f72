//! Keystile, the library: a self-hosted turnstile for API keys and JWTs.
//!
//! [`Keystile::open`] opens a store; [`Keystile::verify`] judges a credential by the validator's own
//! wasm bytes in a sandbox; [`Keystile::keys`] makes, rotates, suspends and revokes keys,
//! [`Keystile::users`] and [`Keystile::login`] are for people, [`Keystile::tokens`] and
//! [`Keystile::issuers`] for access tokens, own ones and those of others. The command
//! line is a front end over exactly this.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("keystile.db");
//! use keystile::{Code, Keystile, NewKey, NewStore, RevokeReason};
//!
//! Keystile::create(&path, NewStore::default())?;
//! let keystile = Keystile::open(&path)?;
//!
//! let created = keystile.keys().create(NewKey { name: "billing worker".into(), ..NewKey::default() })?;
//! let secret = created.secret.expose_secret();
//! assert!(keystile.verify(secret, &keystile.request()).is_allow());
//!
//! keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None)?;
//! assert_eq!(keystile.verify(secret, &keystile.request()).code(), Some(Code::Revoked));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The turnstile
pub use bootstrap::{BootstrapError, Bootstrapped, KekPlace};
pub use keystile::Keystile;
pub use options::{CreateStoreError, NewStore, OpenError, OpenOptions};

// What it judges, and how: the validator's words
pub use keystile_validator::{
    AddressRange, AddressRangeError, Checksum, Code, Denial, Digest, DigestError, Environment, EnvironmentError,
    KeyFormat, KeyFormatError, KeyId, KeyIdError, KeyRecordError, KeyState, Principal, PrincipalKind, Rate, RateError,
    Request, RequestError, Scope, ScopeError, Separator, Timestamp, TimestampError, Usage, Verdict,
};

pub use error::ErrorKind;
pub use explain::{Check, ExplainError, Explanation, Outcome};

// Keys
pub use ids::{ImportId, ImportIdError};
pub use in_force::InForce;
pub use key::{
    Key, KeyStatus, NamedFormat, Origin, Revocation, RevokeReason, SecretInfo, Settings, SortColumn, UnknownName,
};
pub use keys::{
    ChangeStateError, Concern, CreateKeyError, CreatedKey, DigestEncoding, Grace, Import, ImportKeysError, Imported,
    ImportedKey, KeyChange, KeyCounts, KeyFieldError, KeyReport, Keys, ListKeysError, NewKey, ReportSection,
    RotateKeyError, RotatedKey, Rotation, ShowKeyError, UpdateKeyError,
};
pub use query::{Cursor, CursorError, KeyPage, KeyQuery};
pub use secret::Secret;

// Tokens, and the keys that sign them
pub use sealing::{KekError, KeyEncryptionKey};
pub use signing_keys::{
    RotateSigningKeyError, SigningAlgorithm, SigningKey, SigningKeyError, SigningKeyRotation, SigningKeyState,
    SigningKeys,
};
pub use tokens::{
    InspectTokenError, IssueTokenError, IssuedToken, NewToken, OwnIssuer, RevokeTokenError, RevokedToken,
    RevokedTokens, TokenSettings, Tokens, TokensOf, UnverifiedToken, WasToken,
};
// External issuers
pub use issuers::{
    AddIssuerError, AudienceRule, ChangeIssuerError, EnvironmentRule, ExternalIssuer, FetchProblem, IssuerFieldError,
    IssuerInfo, IssuerKeys, IssuerList, IssuerUpdate, Issuers, JwksUrl, KeySetInfo, KeySetKey, KeySetProblem,
    KeySource, NewIssuer, RefreshIssuerError, Refreshed, ShowIssuerError, UnknownProblem, UpdateIssuerError,
};
pub use keystile_validator::jwt::{Algorithm, ClaimMapping, ScopeClaim, TokenType};
// Users, logins and sessions
pub use ids::{SessionId, SessionIdError, UserId, UserIdError};
pub use login::{
    Client, Login, LoginError, LoginSettings, LoginSettingsError, MIN_PASSWORD_LEN_BOUNDS, REFRESH_WINDOW_BOUNDS,
    SESSION_LIFETIME_BOUNDS,
};
pub use password::{Password, PasswordError};
pub use session::{EndReason, Session, SessionEnd, SessionPage, SessionQuery, SessionStatus};
pub use sessions::{
    DEFAULT_CLIENT_ID, EndSessionError, ListSessionsError, LoggedIn, LogoutError, Refresh, RefreshError, Sessions,
};
pub use user::{Email, EmailError, User, UserPage, UserQuery, UserRef, UserRefError, UserStatus};
pub use users::{
    ChangePasswordError, ChangeUserStateError, ChangedUser, ContainedUser, CreateUserError, ListUsersError, NewUser,
    PasswordChange, ResetPasswordError, ShowUserError, UpdateUserError, UserChange, UserFieldError, Users,
};

// The store and what watches over it
pub use audit::{
    AuditEntry, AuditHash, AuditPage, AuditProblem, AuditQuery, AuditReport, BoundRow, BoundRows, Checkpoint,
    Difference, DifferenceKind, EntryName, ListAuditError, RowId, RowKind, RowState,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use doctor::{Finding, Health, Severity};
pub use formats::AddFormatError;
pub use process::protect_memory;
pub use restore::{RestoreError, RestoreOptions, RestoreSuspension, Restored, SuspendedKey};
pub use security_events::{
    AccountHash, ListSecurityEventsError, SecurityEvent, SecurityEventKind, SecurityEventPage, SecurityEventQuery,
};
pub use settings::{MAX_LIFETIME_BOUNDS, SetSettingsError};
pub use store::{StoreError, UnreadableRow};
pub use systems::SYSTEMS;
pub use timekeeping::{AcceptedClock, StoreTime};

/// Bounds of the host, each with a test that hits it.
pub mod bounds {
    pub use crate::audit::{MAX_DIFFERENCES, MAX_ROWS as MAX_ROWS_PER_ENTRY};
    pub use crate::issuers::{
        DEFAULT_MAX_AGE, FETCH_COOLDOWN, MAX_AGE_BOUNDS, MAX_AUDIENCE_LEN, MAX_AUDIENCES, MAX_BACKOFF,
        MAX_CLAIM_NAME_LEN, MAX_ISSUER_LEN, MAX_ISSUERS, MAX_JWKS_KEYS, MAX_JWKS_LEN, MAX_JWKS_URL_LEN, MAX_LEEWAY,
        MAX_REDIRECTS,
    };
    pub use crate::key::{
        MAX_DISPLAY_LEN, MAX_METADATA, MAX_METADATA_NAME_LEN, MAX_METADATA_VALUE_LEN, MAX_NAME_LEN, MAX_NOTE_LEN,
        MAX_REQUEST_ID_LEN,
    };
    pub use crate::keys::{
        DEFAULT_GRACE, EXPIRING_SECONDS, IDLE_SECONDS, MAX_GRACE, MAX_IMPORT, MAX_REPORT_KEYS, MAX_VALID_SECRETS,
        OLD_SECONDS, UNMISSED_SECONDS, USAGE_DAYS,
    };
    pub use crate::login::attempts::{LOCK_ACCOUNT_AFTER, LOCK_ADDRESS_AFTER, LOCK_SECONDS};
    pub use crate::password::{MAX_PASSWORD_LEN, MIN_PASSWORD_LEN};
    pub use crate::query::{DEFAULT_PAGE, MAX_PAGE, MAX_SEARCH_LEN};
    pub use crate::restore::MAX_LISTED_SUSPENDED;
    pub use crate::security_events::{MAX_EVENTS_OF_A_KIND, SECURITY_EVENT_DAYS};
    pub use crate::session::{MAX_CLIENT_ID_LEN, MAX_CLIENT_LEN, MAX_SESSION_SCOPES, MAX_SESSIONS};
    pub use crate::timekeeping::CLOCK_TOLERANCE;
    pub use crate::tokens::{
        ACCESS_TOKEN_LIFETIME_BOUNDS, DEFAULT_ACCESS_TOKEN_LIFETIME, DEFAULT_PUBLISH_LEAD, MAX_CLAIM_LEN,
        MAX_INSPECTED_LEN, MAX_ISSUER_LEN as MAX_OWN_ISSUER_LEN, MAX_TOKEN_LEN as MAX_ISSUED_TOKEN_LEN,
        PUBLISH_LEAD_BOUNDS,
    };
    pub use crate::user::{MAX_EMAIL_LEN, MAX_EMAIL_LOCAL_LEN};
    pub use keystile_validator::bounds::*;
}

pub mod sandbox;
pub mod text;
mod timekeeping;

mod audit;
mod bell;
mod bootstrap;
mod clock;
mod doctor;
mod error;
mod explain;
mod fork;
mod formats;
mod ids;
mod in_force;
mod issuers;
mod kek_file;
mod key;
mod keys;
mod keystile;
mod limits;
mod login;
mod mirror;
mod options;
mod password;
mod process;
mod query;
mod restore;
mod sealing;
mod secret;
mod secret_forms;
mod security_events;
mod seen_graces;
mod session;
mod sessions;
mod settings;
mod signing_keys;
mod store;
mod systems;
mod tokens;
mod usage;
mod user;
mod users;
mod verify;
mod workers;
