//! How the audit trail binds the rows that a transaction writes. See `docs/trail.md`.
//!
//! [`watch`] makes a connection note every bound row that changes, whatever code changes it. Appending an
//! entry binds the rows noted so far; [`Trail::close`] binds the rest before a commit.

mod kinds;
mod rebuild;
mod states;

use keystile_validator::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

pub(super) use self::kinds::KINDS;
#[cfg(test)]
pub(super) use self::kinds::{BoundTable, UNBOUND_TABLES};
pub(super) use self::rebuild::{bind_all, differing, forget_gone};
pub(super) use self::states::{changed_definition, meddling_definition, row_states, strays};
use super::checked::Checked as _;
use super::rows::{Column, to_integer, to_seconds};
use crate::audit::{
    AuditEntry, AuditHash, BoundRow, BoundRows, MAX_ROWS, NewEntry, ROWS_CHANGED, RowId, RowKind, RowState, THE_STORE,
};
use crate::store::StoreError;

/// Has this connection note the bound rows that it changes, but for those of some kinds. The schema must be up
/// to date.
pub(super) fn watch(connection: &Connection, but: &[RowKind]) -> Result<(), StoreError> {
    // A rowid, so that rows are bound in the order in which they were first changed.
    let mut sql = "CREATE TEMP TABLE touched_rows (kind INTEGER NOT NULL, id BLOB NOT NULL, before TEXT, \
                   PRIMARY KEY (kind, id));\n"
        .to_owned();
    for kind in KINDS.iter().filter(|kind| !but.contains(&kind.kind)) {
        if let Some(forms) = kind.forms(connection)? {
            let view = view_of(kind.kind);
            sql += &format!("CREATE TEMP VIEW {view} AS {forms};\n");
            sql += &kind.triggers(connection, &view)?;
        }
    }
    connection.execute_batch(&sql).checked()
}

/// Undoes [`watch`].
pub(super) fn unwatch(connection: &Connection) -> Result<(), StoreError> {
    // Triggers first, then what they refer to.
    let query = "SELECT type || ' temp.' || name FROM temp.sqlite_schema \
                 WHERE type IN ('trigger', 'view', 'table') ORDER BY type = 'table', type = 'view'";
    let mut statement = connection.prepare(query).checked()?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    names.checked()?.iter().try_for_each(|name| connection.execute_batch(&format!("DROP {name}")).checked())
}

fn view_of(kind: RowKind) -> String {
    format!("{}_forms", kind.as_str())
}

/// The end of the trail, as a transaction knows it.
#[derive(Debug, Default)]
pub(super) struct Trail {
    head: Option<Head>,
    /// When and by whom the newest entry of this transaction was.
    noted: Option<(Timestamp, String)>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    sequence: u64,
    at: Timestamp,
    hash: AuditHash,
}

impl Trail {
    /// Appends an entry. It names the bound rows that were changed since the entry before, as they are now.
    pub(super) fn append(&mut self, connection: &Connection, new: &NewEntry<'_>) -> Result<(), StoreError> {
        let (rows, more) = bind_touched(connection, self.next(connection)?)?;
        self.put(connection, new, rows)?;
        if more {
            let new = NewEntry { action: ROWS_CHANGED, subject: None, detail: "{}", ..*new };
            self.append_if_touched(connection, &new)?;
        }
        Ok(())
    }

    /// [`append`](Trail::append), when any bound row was changed.
    pub(super) fn append_if_touched(&mut self, connection: &Connection, new: &NewEntry<'_>) -> Result<(), StoreError> {
        let mut more = true;
        while more {
            let (rows, rest) = bind_touched(connection, self.next(connection)?)?;
            more = rest;
            if !rows.is_empty() {
                self.put(connection, new, rows)?;
            }
        }
        Ok(())
    }

    /// Appends an entry that names the rows which were changed after the last one, if there are any.
    pub(super) fn close(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if has_noted(connection, 1)? { self.bind_noted(connection) } else { Ok(()) }
    }

    /// [`close`](Trail::close), when so many rows are noted that their notes take up memory.
    pub(super) fn bind_many(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if has_noted(connection, MAX_NOTED)? { self.bind_noted(connection) } else { Ok(()) }
    }

    fn bind_noted(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let (at, actor) = match &self.noted {
            Some(noted) => noted.clone(),
            None => (self.newest(connection)?, THE_STORE.to_owned()),
        };
        let new = NewEntry { at, actor: &actor, action: ROWS_CHANGED, subject: None, detail: "{}" };
        self.append_if_touched(connection, &new)
    }

    /// The time of the newest entry.
    pub(super) fn newest(&mut self, connection: &Connection) -> Result<Timestamp, StoreError> {
        Ok(self.head(connection)?.at)
    }

    /// The sequence of the entry that comes next.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<u64, StoreError> {
        Ok(self.head(connection)?.sequence.saturating_add(1))
    }

    /// Appends an entry that names these rows.
    pub(super) fn put(
        &mut self,
        connection: &Connection,
        new: &NewEntry<'_>,
        rows: BoundRows,
    ) -> Result<(), StoreError> {
        let head = self.head(connection)?;
        let mut entry = AuditEntry {
            sequence: head.sequence.saturating_add(1),
            at: new.at,
            actor: new.actor.to_owned(),
            action: new.action.to_owned(),
            subject: new.subject.map(str::to_owned),
            detail: new.detail.to_owned(),
            rows,
            previous: head.hash,
            hash: AuditHash([0; 32]),
        };
        entry.hash = entry.expected_hash();
        insert(connection, &entry)?;
        self.head = Some(Head { sequence: entry.sequence, at: entry.at, hash: entry.hash });
        self.noted = Some((entry.at, entry.actor));
        Ok(())
    }

    fn head(&mut self, connection: &Connection) -> Result<Head, StoreError> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        let sql = "SELECT sequence, at, hash FROM main.audit ORDER BY sequence DESC LIMIT 1";
        let head = super::reader::first(connection, sql, [], |row| {
            Ok(Head {
                sequence: Column(0, "audit.sequence").number(row)?,
                // No change may fail because something else has written to the newest entry: verifying the trail
                // tells of that.
                at: Column(1, "audit.at").time(row).unwrap_or(EPOCH),
                hash: AuditHash(Column(2, "audit.hash").bytes(row).unwrap_or_default()),
            })
        })?;
        Ok(*self.head.insert(match head {
            Some(head) => head,
            None => Head { sequence: 0, at: EPOCH, hash: AuditHash([0; 32]) },
        }))
    }
}

/// The time of an entry in a trail that has none before it, where nobody says the time.
const EPOCH: Timestamp = match Timestamp::from_unix(0) {
    Ok(epoch) => epoch,
    Err(_) => Timestamp::MAX,
};

/// Writes an entry as it is.
pub(super) fn insert(connection: &Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    let sql = "INSERT INTO main.audit (sequence, at, actor, action, subject, detail, rows, previous, hash) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        to_integer(entry.sequence),
        to_seconds(entry.at),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        Some(entry.rows.as_bytes()).filter(|rows| !rows.is_empty()),
        entry.previous.0,
        entry.hash.0,
    ];
    connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
    Ok(())
}

/// Notes of changed rows that a transaction keeps in memory, about; with more, they are bound by entries of their
/// own, before the entry of the change.
pub(super) const MAX_NOTED: usize = 10 * MAX_ROWS;

/// Whether at least so many rows are noted.
fn has_noted(connection: &Connection, count: usize) -> Result<bool, StoreError> {
    let query = "SELECT 1 FROM temp.touched_rows LIMIT 1 OFFSET ?1";
    let before = to_integer(count.saturating_sub(1) as u64);
    Ok(super::reader::first(connection, query, [before], |_| Ok(()))?.is_some())
}

/// A row that was changed, as a trigger has noted it.
struct Touched {
    row: RowId,
    /// Its canonical form before the first change; `None`: there was no such row.
    before: Option<Vec<u8>>,
}

/// Binds rows that were changed, to the entry that comes next. Whether there may be more than an entry names.
fn bind_touched(connection: &Connection, sequence: u64) -> Result<(BoundRows, bool), StoreError> {
    let touched = take_touched(connection)?;
    let more = touched.len() >= MAX_ROWS;
    let mut rows = BoundRows::default();
    for Touched { row, before } in touched {
        let after = form(connection, &row)?;
        if after == before {
            continue;
        }
        let is_new = before.is_none();
        let known = if is_new { None } else { Nonce::of(connection, &row)? };
        let mut found_changed = match (&before, &known) {
            (Some(before), Some(known)) => !known.is_of(connection, &row, before)?,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let mut previous = known.as_ref().map_or(0, |known| known.sequence);
        let state = match after {
            None => {
                Nonce::forget(connection, &row)?;
                None
            }
            Some(form) => {
                let nonce = new_nonce()?;
                if is_new && !Nonce::insert(connection, &row, &nonce, sequence)? {
                    // One was there, and something else has removed it.
                    found_changed = true;
                    previous = Nonce::of(connection, &row)?.map_or(0, |known| known.sequence);
                    Nonce::set(connection, &row, &nonce, sequence)?;
                } else if !is_new {
                    Nonce::set(connection, &row, &nonce, sequence)?;
                }
                Some(RowState::of(&nonce, &form))
            }
        };
        if !rows.push(&BoundRow { row, found_changed, previous, state }) {
            return Err(StoreError::InvalidValue { column: "the id of a row" });
        }
    }
    Ok((rows, more))
}

fn take_touched(connection: &Connection) -> Result<Vec<Touched>, StoreError> {
    let sql = "DELETE FROM temp.touched_rows WHERE rowid IN (SELECT rowid FROM temp.touched_rows ORDER BY rowid LIMIT ?1) \
               RETURNING kind, id, before";
    super::reader::all(connection, sql, [to_integer(MAX_ROWS as u64)], |row| {
        let kind = Column(0, "touched_rows.kind");
        let kind = RowKind::from_number(kind.number(row)?).ok_or_else(|| kind.invalid())?;
        let id = Column(1, "touched_rows.id").blob(row)?;
        let before = match row.get_ref(2).checked()? {
            rusqlite::types::ValueRef::Text(text) => Some(text.to_vec()),
            _ => None,
        };
        Ok(Touched { row: RowId { kind, id }, before })
    })
}

/// The canonical form of a row as it is now.
fn form(connection: &Connection, row: &RowId) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(kind) = KINDS.iter().find(|kind| kind.kind == row.kind) else { return Ok(None) };
    let sql = format!("SELECT form FROM temp.{} WHERE {}", view_of(row.kind), kind.condition());
    super::reader::first(connection, &sql, params_from_iter(kind.parameters(&row.id)), |found| {
        Column(0, "the form of a row").text_bytes(found).map(<[u8]>::to_vec)
    })
}

fn new_nonce() -> Result<[u8; 16], StoreError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|_| StoreError::NoRandomBytes)?;
    Ok(nonce)
}

/// What the newest state of a row was made with, and the entry that has it.
struct Nonce {
    nonce: [u8; 16],
    sequence: u64,
}

impl Nonce {
    /// One that cannot be read is none: no change may fail because something else has written it.
    fn of(connection: &Connection, row: &RowId) -> Result<Option<Nonce>, StoreError> {
        let sql = "SELECT nonce, sequence FROM main.row_nonces WHERE kind = ?1 AND id = ?2";
        let nonce = super::reader::first(connection, sql, params![row.kind.number(), row.id], |row| {
            let (nonce, sequence) = (Column(0, "row_nonces.nonce"), Column(1, "row_nonces.sequence"));
            Ok(nonce.bytes(row).and_then(|nonce| Ok(Nonce { nonce, sequence: sequence.number(row)? })).ok())
        })?;
        Ok(nonce.flatten())
    }

    /// Whether the entry that has named the row last has its state with this form. That it was the last is
    /// seen when the trail is verified: an entry says which one it follows.
    fn is_of(&self, connection: &Connection, row: &RowId, form: &[u8]) -> Result<bool, StoreError> {
        let mut statement = connection.prepare_cached("SELECT rows FROM main.audit WHERE sequence = ?1").checked()?;
        let rows = statement.query_row([to_integer(self.sequence)], |row| row.get::<_, Option<Vec<u8>>>(0));
        let rows = BoundRows::from_bytes(rows.optional().checked()?.flatten().unwrap_or_default());
        // Several records of one row in one entry: none is written.
        let named = rows.iter().flatten().find(|bound| bound.row == *row);
        Ok(named.is_some_and(|bound| bound.state == Some(RowState::of(&self.nonce, form))))
    }

    /// `false`: the row has one already.
    fn insert(connection: &Connection, row: &RowId, nonce: &[u8; 16], sequence: u64) -> Result<bool, StoreError> {
        let sql = "INSERT INTO main.row_nonces (kind, id, nonce, sequence) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (kind, id) DO NOTHING";
        let values = params![row.kind.number(), row.id, nonce, to_integer(sequence)];
        let inserted = connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
        Ok(inserted > 0)
    }

    fn set(connection: &Connection, row: &RowId, nonce: &[u8; 16], sequence: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO main.row_nonces (kind, id, nonce, sequence) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (kind, id) DO UPDATE SET nonce = excluded.nonce, sequence = excluded.sequence";
        let values = params![row.kind.number(), row.id, nonce, to_integer(sequence)];
        connection.prepare_cached(sql).and_then(|mut set| set.execute(values)).checked()?;
        Ok(())
    }

    fn forget(connection: &Connection, row: &RowId) -> Result<(), StoreError> {
        let sql = "DELETE FROM main.row_nonces WHERE kind = ?1 AND id = ?2";
        let values = params![row.kind.number(), row.id];
        connection.prepare_cached(sql).and_then(|mut delete| delete.execute(values)).checked()?;
        Ok(())
    }
}
