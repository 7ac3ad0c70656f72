//! The step that has audit entries name the rows they leave behind. See `docs/trail.md`.

use rusqlite::Connection;
use serde_json::json;

use crate::audit::{AuditEntry, AuditHash, BOUND, BoundRows, NewEntry, RECHAINED, Redaction, RowKind, THE_STORE};
use crate::store::StoreError;
use crate::store::sqlite::checked::Checked as _;
use crate::store::sqlite::rows::Column;
use crate::store::sqlite::trail::{self, Trail};
use keystile_validator::Timestamp;

/// Chains the old entries anew, without the addresses and names of people, and binds all rows as they are.
pub(super) fn bind_the_rows(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(NONCES).checked()?;
    let old = chain_anew(connection, "NULL", AuditEntry::expected_hash_before_rows)?;
    let Some(old) = old else { return Ok(()) };
    let mut trail = Trail::default();
    old.note_end(connection, &mut trail)?;
    let entry = NewEntry { at: old.at, actor: THE_STORE, action: BOUND, subject: None, detail: "{}" };
    trail::bind_all(connection, &mut trail, &RowKind::ALL, &Default::default(), &entry)
}

/// The end of the old chain.
pub(super) struct OldChain {
    /// `sequence:hash` of its last entry.
    head: String,
    at: Timestamp,
    /// The first entry that did not follow.
    broken_at: Option<u64>,
}

impl OldChain {
    /// Notes in the new chain how the old one ended.
    pub(super) fn note_end(&self, connection: &Connection, trail: &mut Trail) -> Result<(), StoreError> {
        // A migration has no clock: this entry is of the time of the newest old one.
        let detail = json!({ "old_head": self.head, "broken_at": self.broken_at }).to_string();
        let entry = NewEntry { at: self.at, actor: THE_STORE, action: RECHAINED, subject: None, detail: &detail };
        trail.put(connection, &entry, BoundRows::default())
    }
}

/// Copies the entries into a table made anew, each without people and with a new hash. `rows` is where their rows
/// are, in SQL; `expected` the hash that they had. `None`: there are none.
pub(super) fn chain_anew(
    connection: &Connection,
    rows: &str,
    expected: fn(&AuditEntry) -> AuditHash,
) -> Result<Option<OldChain>, StoreError> {
    connection.execute_batch(BEGIN).checked()?;
    let old = copy_entries(connection, rows, expected)?;
    connection.execute_batch(END).checked()?;
    Ok(old)
}

fn copy_entries(
    connection: &Connection,
    rows: &str,
    expected: fn(&AuditEntry) -> AuditHash,
) -> Result<Option<OldChain>, StoreError> {
    let sql = format!(
        "SELECT sequence, at, actor, action, subject, detail, previous, hash, {rows} FROM audit_before ORDER BY sequence"
    );
    let mut statement = connection.prepare(&sql).checked()?;
    let mut rows = statement.query([]).checked()?;
    let mut redaction = Redaction::default();
    let mut before: Option<(u64, AuditHash)> = None;
    let mut previous = AuditHash([0; 32]);
    let mut old: Option<OldChain> = None;
    while let Some(row) = rows.next().checked()? {
        let text = |at| row.get_ref(at).checked().map(|value| value.as_bytes_or_null().ok().flatten().map(lossy));
        // Whatever cannot be read was written by something else, and gives a wrong hash.
        let mut entry = AuditEntry {
            sequence: Column(0, "audit.sequence").number(row)?,
            at: Column(1, "audit.at").time(row).unwrap_or(Timestamp::MAX),
            actor: text(2)?.unwrap_or_default(),
            action: text(3)?.unwrap_or_default(),
            subject: text(4)?,
            detail: text(5)?.unwrap_or_default(),
            rows: BoundRows::from_bytes(Column(8, "audit.rows").optional_blob(row).ok().flatten().unwrap_or_default()),
            previous: AuditHash(Column(6, "audit.previous").bytes(row).unwrap_or_default()),
            hash: AuditHash(Column(7, "audit.hash").bytes(row).unwrap_or_default()),
        };
        let (last, hash) = before.unwrap_or((0, AuditHash([0; 32])));
        let follows =
            entry.sequence == last.saturating_add(1) && entry.previous == hash && entry.hash == expected(&entry);
        let broken_at = old.and_then(|old| old.broken_at).or((!follows).then_some(entry.sequence));
        let head = format!("{}:{}", entry.sequence, entry.hash);
        old = Some(OldChain { head, at: entry.at, broken_at });
        before = Some((entry.sequence, entry.hash));
        if let Some(redacted) = redaction.redact(&entry.action, entry.subject.as_deref(), &entry.detail) {
            entry.detail = redacted;
        }
        entry.previous = previous;
        entry.hash = entry.expected_hash();
        previous = entry.hash;
        trail::insert(connection, &entry)?;
    }
    Ok(old)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Triggers and index come when the entries are there: the old ones have their names until then.
const BEGIN: &str = "
ALTER TABLE audit RENAME TO audit_before;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL CHECK (at >= 0),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    detail TEXT NOT NULL,
    rows BLOB,
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
";

const NONCES: &str = "
CREATE TABLE row_nonces (
    kind INTEGER NOT NULL CHECK (kind > 0),
    id BLOB NOT NULL,
    nonce BLOB NOT NULL CHECK (length(nonce) = 16),
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
";

const END: &str = "
DROP TABLE audit_before;
CREATE INDEX audit_by_subject ON audit (subject) WHERE subject IS NOT NULL;
CREATE TRIGGER audit_is_appended_to BEFORE INSERT ON audit
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever appended to'); END;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never deleted'); END;
";
