//! The audit trail: every change, hash-chained, written in the transaction of the change.
//!
//! The hash of an entry covers the hash of the entry before it, so an entry that was changed,
//! removed or put in between breaks the chain from there on. Whoever can write the whole store can
//! also write a new chain: note the head (`audit verify` prints it) somewhere else to notice that.

use std::fmt;

use keystile_validator::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::query::{DEFAULT_PAGE, MAX_PAGE, MAX_SEARCH_LEN};
use crate::store::{ReadTransaction, Store, StoreError, WriteTransaction};

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// 1 for the first entry, and so on without a gap.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `key.revoked`.
    pub action: String,
    /// What it was done to, such as the id of a key.
    pub subject: Option<String>,
    /// What else is worth knowing, as a JSON object. Never a secret.
    pub detail: String,
    /// The hash of the entry before; 32 zeros for the first one.
    pub previous: AuditHash,
    /// The hash of this entry.
    pub hash: AuditHash,
}

/// The hash of an audit entry: SHA-256 over the hash of the entry before and all fields of this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditHash(pub [u8; 32]);

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditHash({self})")
    }
}

impl AuditEntry {
    /// What the hash must be, given the fields.
    pub fn expected_hash(&self) -> AuditHash {
        let mut hasher = Sha256::new();
        hasher.update(b"keystile audit 1\0");
        hasher.update(self.previous.0);
        hasher.update(self.sequence.to_le_bytes());
        hasher.update(self.at.unix().to_le_bytes());
        // Each text with its length, so that no two entries give the same bytes.
        let subject = self.subject.as_deref();
        for text in [Some(self.actor.as_str()), Some(&self.action), subject, Some(&self.detail)] {
            hasher.update([u8::from(text.is_some())]);
            let text = text.unwrap_or_default();
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        AuditHash(hasher.finalize().into())
    }
}

/// Which entries of the trail to list, newest first. The default lists all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only entries about this subject, such as the id of a key.
    pub subject: Option<String>,
    /// Only entries with this text in actor, action, subject or detail; letter case of ASCII does not
    /// matter.
    pub search: Option<String>,
    /// Most entries to return: 1 to [`MAX_PAGE`](crate::bounds::MAX_PAGE).
    pub limit: usize,
    /// Where the page before ended: only entries older than this one.
    pub before: Option<u64>,
}

impl Default for AuditQuery {
    fn default() -> AuditQuery {
        AuditQuery { subject: None, search: None, limit: DEFAULT_PAGE, before: None }
    }
}

/// A page of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<u64>,
}

/// Why entries were not listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListAuditError {
    /// A page holds 1 to [`MAX_PAGE`](crate::bounds::MAX_PAGE) entries.
    Limit {
        /// What was asked for.
        given: usize,
    },
    /// The search text is longer than [`MAX_SEARCH_LEN`](crate::bounds::MAX_SEARCH_LEN) bytes.
    Search,
    /// The store refuses.
    Store(StoreError),
}

impl fmt::Display for ListAuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListAuditError::Limit { given } => {
                write!(f, "{given} entries are no page · ask for 1 to {MAX_PAGE}, then for the next page")
            }
            ListAuditError::Search => {
                write!(f, "the search text is longer than {MAX_SEARCH_LEN} bytes · give a part of it")
            }
            ListAuditError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListAuditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ListAuditError::Store(error) => error.source(),
            ListAuditError::Limit { .. } | ListAuditError::Search => None,
        }
    }
}

impl From<StoreError> for ListAuditError {
    fn from(error: StoreError) -> ListAuditError {
        ListAuditError::Store(error)
    }
}

/// Appends an entry to the trail, in the transaction of the change it tells of.
pub(crate) fn append(
    transaction: &mut dyn WriteTransaction,
    at: Timestamp,
    actor: &str,
    action: &str,
    subject: Option<String>,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    let last = transaction.last_audit()?;
    let mut entry = AuditEntry {
        sequence: last.as_ref().map_or(1, |last| last.sequence.saturating_add(1)),
        at,
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject,
        detail: detail.to_string(),
        previous: last.map_or(AuditHash([0; 32]), |last| last.hash),
        hash: AuditHash([0; 32]),
    };
    entry.hash = entry.expected_hash();
    transaction.append_audit(&entry)
}

/// What a walk over the whole trail found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditReport {
    /// Every entry follows from the one before.
    Intact {
        /// How many entries there are.
        entries: u64,
        /// The hash of the newest one.
        head: AuditHash,
    },
    /// The chain is broken.
    Broken {
        /// The first entry that does not follow.
        sequence: u64,
        /// What is wrong with it.
        problem: AuditProblem,
    },
}

/// What is wrong with an audit entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditProblem {
    /// An entry is missing before it.
    Gap,
    /// It does not continue the entry before.
    WrongPrevious,
    /// Its fields do not give its hash.
    WrongHash,
    /// The entry that was noted elsewhere is not in the trail, or is another one there.
    CheckpointMissing,
}

impl fmt::Display for AuditProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuditProblem::Gap => "an entry is missing before it",
            AuditProblem::WrongPrevious => "it does not continue the entry before",
            AuditProblem::WrongHash => "its content was changed",
            AuditProblem::CheckpointMissing => "the noted entry is missing, or is another one here",
        })
    }
}

/// An entry that was noted outside of the store: it must still be in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The sequence of the entry.
    pub sequence: u64,
    /// Its hash.
    pub hash: AuditHash,
}

/// Entries read at once while walking the trail.
const WALK: usize = 1_000;

/// Walks the whole trail.
pub(crate) fn verify(store: &dyn Store, checkpoint: Option<Checkpoint>) -> Result<AuditReport, StoreError> {
    verify_view(&*store.read()?, checkpoint)
}

fn verify_view(view: &dyn ReadTransaction, checkpoint: Option<Checkpoint>) -> Result<AuditReport, StoreError> {
    let mut last: Option<AuditEntry> = None;
    let mut checkpoint_seen = checkpoint.is_none();
    loop {
        let after = last.as_ref().map_or(0, |last| last.sequence);
        let entries = view.audit(None, after, WALK)?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let (sequence, previous) = match &last {
                None => (1, AuditHash([0; 32])),
                Some(last) => (last.sequence.saturating_add(1), last.hash),
            };
            let problem = if entry.sequence != sequence {
                Some(AuditProblem::Gap)
            } else if entry.previous != previous {
                Some(AuditProblem::WrongPrevious)
            } else if entry.hash != entry.expected_hash() {
                Some(AuditProblem::WrongHash)
            } else {
                None
            };
            if let Some(problem) = problem {
                return Ok(AuditReport::Broken { sequence: entry.sequence, problem });
            }
            checkpoint_seen |= checkpoint.is_some_and(|c| c.sequence == entry.sequence && c.hash == entry.hash);
            last = Some(entry);
        }
    }
    if let (false, Some(checkpoint)) = (checkpoint_seen, checkpoint) {
        return Ok(AuditReport::Broken { sequence: checkpoint.sequence, problem: AuditProblem::CheckpointMissing });
    }
    Ok(AuditReport::Intact {
        entries: last.as_ref().map_or(0, |last| last.sequence),
        head: last.map_or(AuditHash([0; 32]), |last| last.hash),
    })
}
