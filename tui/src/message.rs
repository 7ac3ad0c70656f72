//! What happens to the program, and what it asks for.

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::Event;
use keystile::{
    AuditEntry, CreateKeyError, CreatedKey, Key, KeyId, KeyPage, KeyQuery, NamedFormat, NewKey, RevokeReason,
    RotateKeyError, RotatedKey, Rotation, Secret, Timestamp,
};

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
    /// Keys that were asked for.
    Loaded {
        /// The request.
        request: u64,
        /// The row that the first one goes to.
        start: usize,
        /// The keys.
        page: Result<KeyPage, String>,
    },
    /// A key was made, or not.
    Created(Box<Result<CreatedKey, CreateKeyError>>),
    /// A key was rotated, or not.
    Rotated(Box<Result<RotatedKey, RotateKeyError>>),
    /// A key was suspended, resumed or revoked, or not.
    StateChanged {
        /// What was done, in the past tense.
        done: &'static str,
        /// The key after it.
        result: Box<Result<Key, String>>,
    },
    /// What was done to a key, newest first.
    Audited {
        /// The key.
        id: KeyId,
        /// The entries of the audit trail.
        entries: Result<Vec<AuditEntry>, String>,
    },
    /// The screen has shown long enough that the secret was taken.
    SecretSeen,
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
    /// Read keys.
    Load {
        /// Comes back with the answer.
        request: u64,
        /// Comes back with the answer.
        start: usize,
        /// Which keys.
        query: Box<KeyQuery>,
    },
    /// Read what was done to a key.
    Audit(KeyId),
    /// Make a key.
    Create(Box<NewKey>),
    /// Give a key a new secret.
    Rotate {
        /// The key.
        id: KeyId,
        /// How.
        rotation: Rotation,
    },
    /// Switch a key off.
    Suspend(KeyId),
    /// Switch a key on again.
    Resume(KeyId),
    /// End a key.
    Revoke {
        /// The key.
        id: KeyId,
        /// Why.
        reason: RevokeReason,
        /// In the operator's words.
        note: Option<String>,
    },
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

impl Effect {
    /// Whether it changes the store.
    #[cfg(test)]
    pub(crate) fn is_mutating(&self) -> bool {
        match self {
            Effect::MakeStore
            | Effect::Create(_)
            | Effect::Rotate { .. }
            | Effect::Suspend(_)
            | Effect::Resume(_)
            | Effect::Revoke { .. } => true,
            Effect::Open
            | Effect::Load { .. }
            | Effect::Audit(_)
            | Effect::WriteSecret { .. }
            | Effect::Copy(_)
            | Effect::ClearClipboard => false,
        }
    }
}
