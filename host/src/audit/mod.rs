//! The audit trail: every change, hash-chained, written in the transaction of the change.
//!
//! The hash of an entry covers the hash of the entry before it, so an entry that was changed,
//! removed or put in between breaks the chain from there on. An entry also names the rows that the
//! change left behind, with a hash of each, so that a row that something else has written differs from
//! its newest entry. `docs/trail.md` is the whole format. Whoever can write the whole store can also
//! write a new chain: note the head (`audit verify` prints it) somewhere else to notice that.

mod redact;
mod rows;
#[cfg(test)]
mod story;
mod verify;

use std::fmt;

use keystile_validator::Timestamp;
use sha2::{Digest as _, Sha256};

pub(crate) use redact::{CHANGED, Redaction, owner};
pub use rows::MAX_ROWS;
pub use rows::{BoundRow, BoundRows, RowId, RowKind, RowState};

#[cfg(test)]
pub(crate) use story::do_everything;
pub use verify::MAX_DIFFERENCES;
pub(crate) use verify::verify;
#[cfg(test)]
pub(crate) use verify::verify_view;
pub use verify::{AuditProblem, AuditReport, Checkpoint, Difference, DifferenceKind, EntryName};

use crate::query::{DEFAULT_PAGE, MAX_PAGE, MAX_SEARCH_LEN};
use crate::store::{StoreError, UnreadableRow, WriteTransaction};

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
    /// What else is worth knowing, as a JSON object. Never a secret, and people only by their ids.
    pub detail: String,
    /// The rows that it leaves behind.
    pub rows: BoundRows,
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
        let rows = Some(self.rows.as_bytes()).filter(|rows| !rows.is_empty());
        let fields = [
            Some(self.actor.as_bytes()),
            Some(self.action.as_bytes()),
            self.subject.as_deref().map(str::as_bytes),
            Some(self.detail.as_bytes()),
            rows,
        ];
        hash_entry(b"keystile audit 2\0", self, &fields)
    }

    /// What the hash was before entries named rows.
    pub(crate) fn expected_hash_before_rows(&self) -> AuditHash {
        let fields = [
            Some(self.actor.as_bytes()),
            Some(self.action.as_bytes()),
            self.subject.as_deref().map(str::as_bytes),
            Some(self.detail.as_bytes()),
        ];
        hash_entry(b"keystile audit 1\0", self, &fields)
    }
}

/// Each field is hashed with its length, so that no two entries give the same bytes.
fn hash_entry(domain: &[u8], entry: &AuditEntry, fields: &[Option<&[u8]>]) -> AuditHash {
    let mut hasher = Sha256::new();
    hasher.update(domain);
    hasher.update(entry.previous.0);
    hasher.update(entry.sequence.to_le_bytes());
    hasher.update(entry.at.unix().to_le_bytes());
    for field in fields {
        hasher.update([u8::from(field.is_some())]);
        let field = field.unwrap_or_default();
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    AuditHash(hasher.finalize().into())
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
    /// Entries that cannot be read.
    pub unreadable: Vec<UnreadableRow>,
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

/// An entry before it has its place in the trail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEntry<'a> {
    /// When it happened.
    pub(crate) at: Timestamp,
    /// Who did it.
    pub(crate) actor: &'a str,
    /// What was done.
    pub(crate) action: &'a str,
    /// What it was done to.
    pub(crate) subject: Option<&'a str>,
    /// What else is worth knowing, as a JSON object.
    pub(crate) detail: &'a str,
}

/// Appends an entry to the trail, in the transaction of the change it tells of. It names the rows that
/// were written before it in this transaction, so append it after the change.
pub(crate) fn append(
    transaction: &mut dyn WriteTransaction,
    at: Timestamp,
    actor: &str,
    action: &str,
    subject: Option<String>,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    let (subject, detail) = (subject.as_deref(), detail.to_string());
    transaction.append_audit(&NewEntry { at, actor, action, subject, detail: &detail })
}

/// What an entry says that names the rows which the entries of their change had no room for, or were
/// appended before.
pub(crate) const ROWS_CHANGED: &str = "rows.changed";
/// What the entry says that ends a trail of the time before entries named rows.
pub(crate) const RECHAINED: &str = "audit.rechained";
/// What an entry says that names rows which were there before entries named rows.
pub(crate) const BOUND: &str = "audit.bound";
/// What an entry says that names rows which a step of the schema has changed.
pub(crate) const MIGRATED: &str = "store.migrated";
/// What an entry says of a grace that began with the first use of a newer secret.
pub(crate) const GRACE_STARTED: &str = "key.grace_started";
/// Who did it when it was no operator: the store itself.
pub(crate) const THE_STORE: &str = "keystile";
