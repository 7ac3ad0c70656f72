//! A backup takes the place of a store.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::backup::{copy_all, finish, step, without_journal};
use super::checked::Checked as _;
use super::connection::{BUSY_LIMIT, Purpose, check_engine, connect};
use super::file::{FileKey, TemporaryFile, absolute, check_file_system};
use super::guard::Claim;
use super::inspection::problems;
use super::schema::migrate;
use super::trail;
use super::transaction::{Behavior, Transaction};
use super::{Mode, SqliteStore, ask, check_files, check_identity, erasure, issuers, reader, set_journal, watch_writes};
use crate::store::{Generation, Position, ReadTransaction, Store as _, StoreError, WriteTransaction, undecided};

/// How long a restore waits for readers that keep the replaced rows in the journal.
const ERASE_PATIENCE: Duration = Duration::from_secs(2);

/// How often a restore begins again when somebody writes to the store meanwhile.
const ATTEMPTS: usize = 10;

/// Whether a backup may take the place of another store than the one that it was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OtherStores {
    /// It may not: nothing of what that store refuses would be carried over.
    #[default]
    Refused,
    /// It may.
    Replaced,
}

impl SqliteStore {
    /// Puts the backup `from` in the place of the store `to`, in a new epoch.
    ///
    /// The work is done on a private copy. `prepare` gets a write on it, in the position that the
    /// store will have, and a view of the store that is replaced, when there is one and the backup
    /// was made of it: this is where later revocations are carried over. When somebody writes to the
    /// store meanwhile, all of it is done again with a new copy and a new view, so nothing that was
    /// acknowledged before the restore is missed.
    ///
    /// In the end the copy goes into the live file as one transaction: whoever has the store open
    /// sees either the one or the other, and so does whoever opens it after a crash.
    ///
    /// # Errors
    /// [`StoreError::OtherStore`] when the backup was made of another store, unless `others` says so,
    /// [`StoreError::DamagedBackup`] when the backup does not pass a full check,
    /// [`StoreError::NotAStore`] or [`StoreError::OtherProgram`] when `from` is no backup or `to`
    /// is no store, [`StoreError::Corrupt`] when `to` is a damaged one, and what `prepare` returns.
    pub(crate) fn restore<E: From<StoreError>>(
        from: &Path,
        to: &Path,
        others: OtherStores,
        mut prepare: impl FnMut(&mut dyn WriteTransaction, Option<&dyn ReadTransaction>) -> Result<(), E>,
    ) -> Result<Position, E> {
        check_engine()?;
        let given = to;
        let (from, to) = (absolute(from)?, absolute(to)?);
        let _claim = Claim::new(&from)?;
        let current = match to.symlink_metadata() {
            Err(_) => None,
            Ok(_) if FileKey::of(&to)? == FileKey::of(&from)? => return Err(StoreError::SameFile { path: from }.into()),
            // Also one in which something else has defined something: it goes, and what the store refuses is carried over.
            Ok(_) => Some(SqliteStore::open_as_defined(given, Mode::ReadWrite)?),
        };
        let backup = connect(&from, Purpose::ReadOnly).map_err(|error| blame_backup(error, &from))?;
        let Some(current) = current else {
            check_file_system(&to)?;
            let PrivateCopy { connection, file } = PrivateCopy::new(&backup, &from, &to)?;
            let position = fill(&connection, None::<(&Transaction<&Connection>, bool)>, &mut prepare)?;
            set_journal(&connection)?;
            connection.close().map_err(|(_, error)| error).checked()?;
            file.publish(&to)?;
            return Ok(position);
        };
        check_health(&current)?;
        // A link in it may lead to another store by now.
        let to = current.path.clone();
        let mut live = connect(&to, Purpose::Write)?;
        for _ in 0..ATTEMPTS {
            let copy = PrivateCopy::new(&backup, &from, &to)?;
            // From here on every commit shows in the next answer.
            current.has_changed()?;
            let view = current.view()?;
            let is_same = undecided(reader::store_id(view.connection()))? == reader::store_id(&copy.connection)?;
            if !is_same && others == OtherStores::Refused {
                return Err(StoreError::OtherStore { path: to, backup: from }.into());
            }
            let position = fill(&copy.connection, Some((&view, is_same)), &mut prepare)?;
            drop(view);
            let transfer = Backup::new(&copy.connection, &mut live).checked()?;
            // The first page comes with the lock: from here on nobody else can write.
            step(&transfer, 1)?;
            if current.has_changed()? {
                // Dropped, the transfer is undone.
                continue;
            }
            finish(&transfer)?;
            drop(transfer);
            if let Ok(restored) = ask(&live) {
                current.claim.publish(&restored.place);
            }
            check_files(&current.claim).map_err(|_| StoreError::Unacknowledged { path: to })?;
            // The journal now holds the whole store. If readers are in the way, it shrinks later.
            let _ = live.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
            drop(live);
            // The journal holds both stores. What cannot be done now is noted, and done later.
            let _ = current.erase_for(ERASE_PATIENCE);
            return Ok(position);
        }
        Err(StoreError::Busy { waited: BUSY_LIMIT }.into())
    }
}

/// A checked copy of the backup, of the current schema, in a file that nobody else knows of.
struct PrivateCopy {
    // In this order: the connection closes before the file goes.
    connection: Connection,
    file: TemporaryFile,
}

impl PrivateCopy {
    fn new(backup: &Connection, from: &Path, to: &Path) -> Result<PrivateCopy, StoreError> {
        let file = TemporaryFile::beside(to)?;
        let mut connection = connect(file.path(), Purpose::Write)?;
        let problems = copy_all(backup, &mut connection)
            .and_then(|()| without_journal(&connection))
            .and_then(|()| check_identity(&connection, from))
            .and_then(|_| problems(&connection));
        let problems = problems.map_err(|error| blame_backup(error, from))?;
        if let Some(problem) = problems.into_iter().next() {
            return Err(StoreError::DamagedBackup { path: from.to_owned(), problem });
        }
        migrate(&mut connection)?;
        // A trigger in it could undo what is carried over, and every revoke after that.
        if let Some(name) = trail::changed_definition(&connection)? {
            return Err(StoreError::ForeignDefinition { path: from.to_owned(), name });
        }
        watch_writes(&connection)?;
        Ok(PrivateCopy { connection, file })
    }
}

/// What is damaged here is the backup, not the store.
fn blame_backup(error: StoreError, from: &Path) -> StoreError {
    match error {
        StoreError::Corrupt => {
            StoreError::DamagedBackup { path: from.to_owned(), problem: "it cannot be read to the end".to_owned() }
        }
        other => other,
    }
}

/// What is replaced must be whole: nobody could say which revocations in it are lost.
fn check_health(store: &SqliteStore) -> Result<(), StoreError> {
    let view = store.view()?;
    let answer = view.connection().pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0)).checked()?;
    if answer == "ok" { Ok(()) } else { Err(StoreError::Corrupt) }
}

/// Moves the copy into its new position and has it prepared. With the store that is replaced, and whether it is the
/// one that the backup was made of.
fn fill<C: Deref<Target = Connection>, E: From<StoreError>>(
    copy: &Connection,
    replaced: Option<(&Transaction<C>, bool)>,
    prepare: &mut impl FnMut(&mut dyn WriteTransaction, Option<&dyn ReadTransaction>) -> Result<(), E>,
) -> Result<Position, E> {
    let mut transaction = Transaction::begin(copy, Behavior::Write)?;
    let mut last = transaction.position()?;
    let mut clock = transaction.clock()?;
    let mut original: Option<&dyn ReadTransaction> = None;
    if let Some((view, is_same)) = replaced {
        let current = undecided(view.position())?;
        last.epoch = last.epoch.max(current.epoch);
        last.generation = last.generation.max(current.generation);
        let current = undecided(view.clock())?;
        let accepted = clock.accepted.max(current.accepted);
        if is_same {
            original = Some(view);
            // Also when it is earlier than that of the backup: it was accepted since.
            clock = current;
        }
        clock.accepted = accepted;
    }
    if original.is_none() {
        // Another store: processes that have this one open take its time over. Of the same one they keep the newest
        // time that they know.
        clock.accepted = clock.accepted.saturating_add(1);
    }
    let generation = Generation(last.generation.0.saturating_add(1));
    // The file will have pages of the replaced store, and of what the backup has and the store refuses.
    transaction.step(|connection, _| erasure::ask(connection, true))?;
    transaction.move_to(Position { epoch: last.epoch.saturating_add(1), generation })?;
    transaction.set_clock(clock)?;
    prepare(&mut transaction, original)?;
    // An answer that was asked for before is older than what the restore has put here.
    transaction.step(|connection, _| issuers::end_leases(connection))?;
    Ok(Box::new(transaction).commit()?)
}
