//! What happens to the program, and what it asks for.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::Event;
use keystile::{
    AuditEntry, AuditPage, AuditQuery, AuditReport, CreateKeyError, CreatedKey, Environment, Explanation, Finding,
    IssuerList, KeyCounts, KeyId, KeyPage, KeyQuery, NamedFormat, NewKey, RevokeReason, RotateKeyError, RotatedKey,
    Rotation, Scope, Secret, SecurityEventPage, SecurityEventQuery, SessionId, SessionPage, SessionQuery, SigningKey,
    SigningKeyRotation, Timestamp, UnreadableRow, User, UserId, UserPage, UserQuery,
};
use zeroize::Zeroizing;

use crate::section::Section;

/// What happened.
#[derive(Debug)]
pub(crate) enum Message {
    /// A key, a paste, or a new size of the terminal.
    Terminal(Event),
    /// The time has moved on.
    Now(Timestamp),
    /// The store is open.
    Opened {
        /// Its key formats.
        formats: Vec<NamedFormat>,
        /// The longest lifetime of its keys, in seconds.
        max_lifetime: Option<u64>,
        /// Whether this user can only read it.
        only_readable: bool,
    },
    /// A store was made.
    Made {
        /// The file of the key that seals it, when one was made for it.
        kek: Option<String>,
    },
    /// The store is not open, and why.
    NotOpened {
        /// Whether there is nothing at its path.
        missing: bool,
        /// What happened, and what to do.
        problem: String,
    },
    /// Somebody has changed the store.
    Changed,
    /// The clock is behind the newest time that the store has seen, or no longer.
    Clock {
        /// Whether it is.
        behind: bool,
    },
    /// Rows that were asked for.
    Loaded {
        /// The request.
        request: u64,
        /// The row that the first one goes to.
        start: usize,
        /// The rows.
        page: Result<Page, Unread>,
    },
    /// A key was made, or not.
    Created(Box<Result<CreatedKey, CreateKeyError>>),
    /// A key was rotated, or not.
    Rotated(Box<Result<RotatedKey, RotateKeyError>>),
    /// Something was changed, or not.
    Done {
        /// What was done, for people.
        result: Result<String, String>,
        /// The keys that were changed, also when others were not.
        changed: Vec<KeyId>,
    },
    /// The keys of an issuer were fetched, or not: what came of it, for people.
    Fetched(Result<String, String>),
    /// A user has a new password, or not.
    PasswordReset(Box<Result<(User, Secret), String>>),
    /// A verdict, step by step.
    Explained {
        /// The number of the trial.
        number: (u64, u64),
        /// The verdict.
        explained: Box<Result<Explanation, String>>,
    },
    /// The audit trail was walked.
    AuditVerified(Result<AuditReport, String>),
    /// What was done to a key, newest first.
    Audited {
        /// The key.
        id: KeyId,
        /// The entries of the audit trail.
        entries: Result<Vec<AuditEntry>, String>,
    },
    /// The screen has shown long enough that the secret was taken.
    SecretSeen,
    /// How often a key was used on each of the last days, oldest first.
    Used {
        /// The key.
        id: KeyId,
        /// The uses of each day.
        usage: Result<Vec<u64>, String>,
    },
    /// The secret was written to a file, or not.
    SecretWritten(Result<PathBuf, String>),
    /// Something that nobody asked for went wrong.
    Trouble(String),
    /// The operating system asks the program to end.
    Terminate,
}

/// What to do outside the model. The host is called on a worker thread.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Open the store.
    Open,
    /// Make a store, then open it.
    MakeStore,
    /// Read rows.
    Load {
        /// Comes back with the answer.
        request: u64,
        /// Comes back with the answer.
        start: usize,
        /// Which rows.
        query: Query,
    },
    /// Read what was done to a key.
    Audit(KeyId),
    /// Read how often a key was used.
    Usage(KeyId),
    /// Make a key.
    Create(Box<NewKey>),
    /// Give a key a new secret.
    Rotate {
        /// The key.
        id: KeyId,
        /// How.
        rotation: Rotation,
    },
    /// Change something.
    Change(Change),
    /// Judge a credential, and say why.
    Explain(Box<Trial>),
    /// Walk the audit trail.
    VerifyAudit,
    /// Write a secret to a new file.
    WriteSecret {
        /// The path of the file.
        path: PathBuf,
        /// The secret.
        secret: Arc<Secret>,
    },
    /// Put a secret on the terminal's clipboard.
    Copy(Arc<Secret>),
    /// Empty the terminal's clipboard.
    ClearClipboard,
}

/// Which rows to read.
#[derive(Debug)]
pub(crate) enum Query {
    /// Keys.
    Keys(Box<KeyQuery>),
    /// How many keys raise which concern.
    Counts,
    /// Users.
    Users(UserQuery),
    /// Sessions.
    Sessions(SessionQuery),
    /// Signing keys.
    SigningKeys,
    /// External issuers.
    Issuers,
    /// Entries of the audit trail.
    Audit(AuditQuery),
    /// What the doctor finds.
    Health,
    /// Security events.
    SecurityEvents(SecurityEventQuery),
}

impl Query {
    /// Where the rows are listed.
    pub(crate) fn section(&self) -> Section {
        match self {
            Query::Keys(_) => Section::Keys,
            Query::Counts => Section::Safety,
            Query::Users(_) => Section::Users,
            Query::Sessions(_) => Section::Sessions,
            Query::SigningKeys => Section::SigningKeys,
            Query::Issuers => Section::Issuers,
            Query::Audit(_) => Section::Audit,
            Query::Health => Section::Health,
            Query::SecurityEvents(_) => Section::SecurityEvents,
        }
    }

    /// Whether it looks at all of the store, so that lists must not wait for it.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self, Query::Counts | Query::Health)
    }
}

/// Rows that were not read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Where they would have been listed.
    pub(crate) section: Section,
    /// What happened, and what to do.
    pub(crate) problem: String,
}

/// Rows that were read.
#[derive(Debug)]
pub(crate) enum Page {
    /// Keys.
    Keys(KeyPage),
    /// How many keys raise which concern.
    Counts(KeyCounts),
    /// Users.
    Users(UserPage),
    /// Sessions.
    Sessions(SessionPage),
    /// Signing keys.
    SigningKeys(Vec<SigningKey>),
    /// External issuers.
    Issuers(IssuerList),
    /// Entries of the audit trail.
    Audit(AuditPage),
    /// What the doctor finds.
    Health(Vec<Finding>),
    /// Security events.
    SecurityEvents(SecurityEventPage),
}

impl Page {
    /// The rows of the page that cannot be read.
    pub(crate) fn unreadable(&self) -> &[UnreadableRow] {
        match self {
            Page::Keys(page) => &page.unreadable,
            Page::Users(page) => &page.unreadable,
            Page::Sessions(page) => &page.unreadable,
            Page::Issuers(list) => &list.unreadable,
            Page::Audit(page) => &page.unreadable,
            Page::SecurityEvents(page) => &page.unreadable,
            Page::Counts(_) | Page::SigningKeys(_) | Page::Health(_) => &[],
        }
    }
}

/// A change that needs no more than a yes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Switch keys off.
    SuspendKeys(Vec<KeyId>),
    /// Switch a key on again.
    ResumeKey(KeyId),
    /// End keys.
    RevokeKeys {
        /// The keys.
        ids: Vec<KeyId>,
        /// Why.
        reason: RevokeReason,
        /// In the operator's words.
        note: Option<String>,
    },
    /// Switch a user off, and end the sessions.
    SuspendUser(UserId),
    /// Switch a user on again.
    ResumeUser(UserId),
    /// Let a user try to log in again.
    UnlockUser(UserId),
    /// Give a user a password that nobody knows yet.
    ResetPassword(UserId),
    /// End all sessions of a user.
    EndSessions(UserId),
    /// End a session.
    EndSession(SessionId),
    /// Make a new signing key.
    RotateSigningKey(SigningKeyRotation),
    /// Let the tokens of an issuer in.
    EnableIssuer(String),
    /// Refuse the tokens of an issuer.
    DisableIssuer(String),
    /// Fetch the keys of an issuer.
    RefreshIssuer(String),
}

/// A credential to try, and what it is tried for.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Comes back with the verdict.
    pub(crate) number: (u64, u64),
    /// The credential.
    pub(crate) credential: Credential,
    /// The environment that is asked for.
    pub(crate) environment: Option<Environment>,
    /// The scopes that are asked for, all of them.
    pub(crate) scopes: Vec<Scope>,
    /// Where the caller is.
    pub(crate) address: Option<IpAddr>,
}

/// A text that is never shown, and wiped when it is over.
pub(crate) struct Credential(pub(crate) Zeroizing<String>);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

impl Effect {
    /// Whether lists must not wait for it: it looks at all of the store, or asks somebody else.
    pub(crate) fn is_long(&self) -> bool {
        match self {
            Effect::Load { query, .. } => query.is_long(),
            // A token may name a key that its issuer has to be asked for.
            Effect::VerifyAudit | Effect::Explain(_) | Effect::Change(Change::RefreshIssuer(_)) => true,
            _ => false,
        }
    }

    /// Whether it changes the store.
    #[cfg(test)]
    pub(crate) fn is_mutating(&self) -> bool {
        match self {
            Effect::MakeStore | Effect::Create(_) | Effect::Rotate { .. } | Effect::Change(_) => true,
            Effect::Open
            | Effect::Load { .. }
            | Effect::Audit(_)
            | Effect::Usage(_)
            | Effect::Explain(_)
            | Effect::VerifyAudit
            | Effect::WriteSecret { .. }
            | Effect::Copy(_)
            | Effect::ClearClipboard => false,
        }
    }
}
