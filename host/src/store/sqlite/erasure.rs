//! Getting what was deleted out of the file.
//!
//! Three things keep the bytes of a row that was deleted or overwritten:
//!
//! * the place where it lay: every connection has `secure_delete`, which writes zeros there;
//! * the journal, which holds older pages until it is truncated;
//! * the unused part of other pages: when SQLite moves rows between pages, it may leave a copy of one behind.
//!   Writing the whole file anew leaves such copies out.
//!
//! So a write that deletes notes that in the table `erasure`, in its own transaction, and [`SqliteStore::erase`]
//! truncates the journal and, after the deletion of a user and after some steps of the schema, writes the file
//! anew. What could not be done, because somebody was reading or the process ended, is still noted, and whoever
//! opens the store next does it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::backup::Backup;
use rusqlite::{Connection, Row};

use super::backup::{finish, step};
use super::checked::Checked as _;
use super::connection::{Purpose, connect, patience};
use super::file::TemporaryFile;
use super::reader::first;
use super::rows::{Column, to_integer};
use super::transaction::{Behavior, Transaction};
use super::{SqliteStore, check_files, check_schema, data_version};
use crate::store::{Erasure, StoreError, Urgency, WriteTransaction as _};

/// A store of at most so many bytes is written anew when a user was deleted: 32 MiB, about 60,000 keys. Other
/// writers wait until the new file is in place, so a large one is not.
pub(super) const REWRITTEN_AT_ONCE: u64 = 32 << 20;

/// How often writing the file anew begins again when somebody writes to the store meanwhile.
const ATTEMPTS: usize = 5;

/// How long to wait for readers that are in the way, before another look.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Has this connection note the writes that delete people or secrets, whatever code does it: in triggers in its
/// own memory, as the trail notes rows.
///
/// Not noted are counts that go by their age (attempts, uses, security events): their bytes go with the next
/// truncation.
pub(super) fn watch(connection: &Connection) -> Result<(), StoreError> {
    // No `OR IGNORE`: what a statement says of conflicts holds in its triggers too.
    let mut sql = "CREATE TEMP TABLE erasing (urgency INTEGER NOT NULL PRIMARY KEY);\n".to_owned();
    for (at, (urgency, table, event, condition)) in ERASING.iter().enumerate() {
        sql += &format!(
            "CREATE TEMP TRIGGER erasing_{at} AFTER {event} ON main.{table} WHEN {condition} \
             BEGIN INSERT INTO erasing SELECT {urgency} WHERE NOT EXISTS (SELECT 1 FROM erasing WHERE urgency = {urgency}); \
             END;\n",
            urgency = *urgency as u8
        );
    }
    connection.execute_batch(&sql).checked()
}

/// What deletes: how urgent it is, the table, the event, and under which condition.
const ERASING: &[(Urgency, &str, &str, &str)] = &[
    (Urgency::Person, "users", "UPDATE OF deleted_at", "NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL"),
    (
        Urgency::Soon,
        "users",
        "UPDATE OF email, name, organization, password",
        "OLD.email IS NOT NEW.email OR OLD.name IS NOT NEW.name OR OLD.organization IS NOT NEW.organization \
         OR OLD.password IS NOT NEW.password",
    ),
    (Urgency::Soon, "keys", "UPDATE OF owner", "OLD.owner IS NOT NULL AND OLD.owner IS NOT NEW.owner"),
    (Urgency::Soon, "signing_keys", "UPDATE OF sealed_key", "OLD.sealed_key IS NOT NULL AND NEW.sealed_key IS NULL"),
    (Urgency::Soon, "signing_keys", "DELETE", "true"),
    // Sessions are forgotten a few at every login, staged keys in many short writes.
    (Urgency::Later, "sessions", "DELETE", "true"),
    (Urgency::Later, "keys", "DELETE", "true"),
];

/// Notes in the store that this transaction deletes something, if it does. The last thing before a commit.
pub(super) fn note(connection: &Connection) -> Result<(), StoreError> {
    let Some(urgency) = urgency(connection)? else { return Ok(()) };
    ask(connection, urgency == Urgency::Person)?;
    connection.prepare_cached("DELETE FROM temp.erasing").and_then(|mut done| done.execute([])).checked()?;
    Ok(())
}

/// How urgent it is to get out of the file what this transaction deletes; `None`: it deletes nothing.
pub(super) fn urgency(connection: &Connection) -> Result<Option<Urgency>, StoreError> {
    let query = "SELECT max(urgency) FROM temp.erasing";
    let column = Column(0, "erasing.urgency");
    let number = first(connection, query, [], |row| column.optional_number::<u8>(row))?.flatten();
    Ok(number.and_then(|number| Urgency::ALL.into_iter().find(|urgency| *urgency as u8 == number)))
}

/// Notes that something is deleted, and whether a small file is to be written anew for it. A count that is none must
/// not keep anybody from deleting.
pub(super) fn ask(connection: &Connection, rewrite: bool) -> Result<(), StoreError> {
    let rewrite = rewrite && size(connection)? <= REWRITTEN_AT_ONCE;
    let sql = "INSERT INTO main.erasure (one, erased, truncated, rewrite_asked, rewritten) VALUES (1, 1, 0, ?1, 0) \
               ON CONFLICT (one) DO UPDATE SET erased = max(erased, 0) + 1, rewrite_asked = max(rewrite_asked, 0) + ?1";
    connection.prepare_cached(sql).and_then(|mut ask| ask.execute([rewrite])).checked()?;
    Ok(())
}

/// The size of the store in bytes, without its journal.
fn size(connection: &Connection) -> Result<u64, StoreError> {
    let query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let column = Column(0, "the size of the store");
    Ok(first(connection, query, [], |row| column.number(row))?.unwrap_or_default())
}

/// What is still to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Writes that have deleted something, so far.
    erased: u64,
    /// Whether the journal is to be truncated.
    truncate: bool,
    /// Whether the file is to be written anew.
    rewrite: bool,
}

impl Due {
    pub(super) fn is_anything(self) -> bool {
        self.truncate || self.rewrite
    }
}

pub(super) fn due(connection: &Connection) -> Result<Due, StoreError> {
    let query = "SELECT erased, truncated < erased, rewritten < rewrite_asked FROM erasure";
    Ok(first(connection, query, [], read_due)?.unwrap_or_default())
}

pub(super) fn read_due(row: &Row<'_>) -> Result<Due, StoreError> {
    Ok(Due {
        erased: Column(0, "erasure.erased").number(row)?,
        truncate: Column(1, "erasure.truncated").flag(row)?,
        rewrite: Column(2, "erasure.rewritten").flag(row)?,
    })
}

impl SqliteStore {
    /// Gets out of the file and its journal what was deleted; waits this long for readers that are in the way.
    pub(super) fn erase_for(&self, patience: Duration) -> Result<Erasure, StoreError> {
        let started = Instant::now();
        loop {
            let due = due(self.view()?.connection())?;
            if !due.is_anything() {
                return Ok(Erasure::Done);
            }
            if self.writer.is_none() {
                return Ok(Erasure::Waiting);
            }
            let is_rewritten = !due.rewrite || self.rewrite()?;
            if is_rewritten && self.truncate_journal()? {
                continue;
            }
            if started.elapsed() >= patience {
                return Ok(Erasure::Waiting);
            }
            thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Moves the journal into the file and empties it. `false`: somebody reads an older state, or writes.
    fn truncate_journal(&self) -> Result<bool, StoreError> {
        let Some(writer) = &self.writer else { return Ok(false) };
        let mut turn = writer.turn();
        check_files(&self.claim)?;
        // What is deleted from here on is of a later number.
        let due = due(&turn)?;
        // While it waited for readers it would keep writers waiting: it does not wait.
        turn.busy_handler(None::<fn(i32) -> bool>).checked()?;
        let busy = turn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        turn.busy_handler(Some(patience())).checked()?;
        match busy.checked() {
            Ok(false) => {}
            Ok(true) | Err(StoreError::Busy { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        let mut transaction = Transaction::begin(&*turn, Behavior::Write)?.guarded_by(&self.claim);
        check_schema(transaction.connection(), &self.claim)?;
        transaction.step(|connection, _| {
            let sql = "UPDATE erasure SET truncated = max(truncated, ?1)";
            connection.prepare_cached(sql).and_then(|mut done| done.execute([to_integer(due.erased)])).checked()
        })?;
        Box::new(transaction).commit()?;
        Ok(true)
    }

    /// Writes the file anew, without the unused parts of its pages: into a private file, then from there over
    /// the store, in one transaction. `false`: others have written meanwhile, every time.
    fn rewrite(&self) -> Result<bool, StoreError> {
        let Some(writer) = &self.writer else { return Ok(false) };
        let source = connect(&self.path, Purpose::Write)?;
        for _ in 0..ATTEMPTS {
            if !due(&source)?.rewrite {
                return Ok(true);
            }
            let file = TemporaryFile::beside(&self.path)?;
            // From here on every commit shows in the next answer.
            let before = data_version(&source)?;
            check_schema(&source, &self.claim)?;
            copy_rows(&source, file.path())?;
            let copy = connect(file.path(), Purpose::Write)?;
            // The pages of old are in the journal then, and in the file until that is truncated.
            let sql = "UPDATE erasure SET rewritten = rewrite_asked, erased = erased + 1";
            copy.execute(sql, []).checked()?;
            let mut turn = writer.turn();
            check_files(&self.claim)?;
            let transfer = Backup::new(&copy, &mut turn).checked()?;
            // The first page comes with the lock: from here on nobody else can write.
            step(&transfer, 1)?;
            if data_version(&source)? != before {
                // Dropped, the transfer is undone.
                continue;
            }
            finish(&transfer)?;
            check_files(&self.claim)?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// Copies the rows of a database, and nothing that lies between them, into a file that is empty or is made by
/// this. Whatever the journal of the original, the copy is one plain file.
pub(super) fn copy_rows(from: &Connection, to: &Path) -> Result<(), StoreError> {
    let name = to.to_str().ok_or_else(|| StoreError::System {
        action: "write (its path is not UTF-8)",
        path: to.to_owned(),
        source: std::io::ErrorKind::InvalidFilename.into(),
    })?;
    from.execute("VACUUM main INTO ?1", [name]).checked()?;
    Ok(())
}
