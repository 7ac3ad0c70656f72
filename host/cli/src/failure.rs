//! How a command ends: exit codes, and every error of the library mapped to one.

use std::fmt::Display;
use std::io;

use keystile::sandbox::SandboxError;
use keystile::{
    AddFormatError, AddIssuerError, BootstrapError, ChangeIssuerError, ChangeStateError, ChangeUserStateError,
    CreateKeyError, CreateStoreError, CreateUserError, EndSessionError, ErrorKind, ExplainError, ImportKeysError,
    InspectTokenError, IssueTokenError, KekError, KeyFormatError, KeySetProblem, ListAuditError, ListKeysError,
    ListSecurityEventsError, ListSessionsError, ListUsersError, OpenError, RefreshIssuerError, ResetPasswordError,
    RestoreError, RevokeTokenError, RotateKeyError, RotateSigningKeyError, SetSettingsError, ShowIssuerError,
    ShowKeyError, ShowUserError, StoreError, UpdateIssuerError, UpdateKeyError, UpdateUserError,
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

/// How an error of this kind ends a command.
impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::Invalid => Exit::Usage,
            ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Refused => Exit::Conflict,
            // One that this version does not know says no more than that it could not be done.
            _ => Exit::CannotSay,
        }
    }
}

macro_rules! failures {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::new(error.kind().into(), error.code(), error)
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

impl From<KeyFormatError> for Failure {
    fn from(error: KeyFormatError) -> Failure {
        Failure::new(Exit::Usage, "invalid_format", error)
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
