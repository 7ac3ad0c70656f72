//! The store in a SQLite file. All SQL of the product is in this module.
//!
//! | file | holds |
//! | --- | --- |
//! | `file` | the file itself: new ones, temporary ones |
//! | `guard` | whether a file may be opened, and whether it still is what was opened |
//! | `connection` | how the engine is set up; the one writer, the pool of readers |
//! | `schema` | tables, and the steps that brought them there |
//! | `transaction` | one transaction: both faces of it, [`ReadTransaction`] and [`WriteTransaction`] |
//! | `reader`, `list`, `records`, `writer` | what is done inside one |
//! | `tokens` | signing keys and revocations, read and written |
//! | `issuers` | external issuers and their key sets, read and written |
//! | `clock` | what the store knows of the time, and what ends by it |
//! | `imports` | imports of keys, staged and completed |
//! | `users` | users, sessions and attempts to log in, read and written |
//! | `erasure` | getting what was deleted out of the file |
//! | `trail` | how the audit trail binds the rows that are written |
//! | `rows` | from rows to data and back |
//! | `unreadable` | pages that go on without rows that cannot be read; a look at every row |
//! | `backup`, `restore`, `inspection` | the whole file |
//! | `reserve` | room on the disk that is kept for a revoke |

mod backup;
mod checked;
mod clock;
mod connection;
mod containment;
mod erasure;
mod file;
mod guard;
mod imports;
mod inspection;
mod issuers;
mod list;
mod reader;
mod records;
mod reserve;
mod restore;
mod rows;
mod schema;
mod security_events;
#[cfg(test)]
mod tests;
mod tokens;
mod trail;
mod transaction;
mod unreadable;
mod users;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keystile_validator::Timestamp;
use rusqlite::Connection;

#[cfg(test)]
pub(crate) use self::checked::faults;
use self::checked::{Checked as _, opening};
use self::connection::{Purpose, Reader, Readers, Writer, check_engine, checkpoint_on_close, connect};
use self::file::{TemporaryFile, absolute, absolute_as_given, check_file_system};
pub(crate) use self::file::{leftovers_of, network_file_system_of, rename_without_replacing};
use self::guard::{Claim, Logical, Place, Touched, is_later};
use self::reserve::Reserve;
pub(crate) use self::reserve::{RESERVE, reserve_of};
pub(crate) use self::restore::OtherStores;
use self::schema::{APPLICATION_ID, SCHEMA_VERSION, migrate};
use self::transaction::{Behavior, Transaction};
use super::{
    ClockRow, Erasure, Generation, Inspection, Position, ReadTransaction, Store, StoreError, WriteTransaction,
};
use crate::fork::Opener;
use crate::key::{NamedFormat, Settings};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To read and write. On a full disk, opening may take of the room that is kept for a revoke.
    ReadWrite,
    /// To read and write, unless that takes of the room that is kept.
    Sparing,
    /// To read: nothing in the file changes, and it must be of the current version.
    ReadOnly,
}

/// A store in a SQLite file.
///
/// Many of them, in this process and in others, can have the same file open at once.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    // In this order: the connections close before the claim on their file ends.
    writer: Option<Writer>,
    readers: Readers,
    watch: Mutex<Watch>,
    path: PathBuf,
    /// What the connections that read are for.
    purpose: Purpose,
    /// The process whose locks are on the file.
    opener: Opener,
    claim: Arc<Claim>,
    /// Filled up when all descriptors are closed, and have given back what the files beside the store took.
    reserve: Reserve,
}

/// Tells whether anybody has committed. Its connection never writes, so every commit is by another
/// connection, which is what `data_version` counts.
#[derive(Debug)]
struct Watch {
    connection: Connection,
    seen: i64,
}

impl SqliteStore {
    /// Makes a new store and opens it. Either all of it is there afterwards, or nothing is.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when there is anything at this path.
    #[cfg(test)]
    pub(crate) fn create(
        path: &Path,
        settings: &Settings,
        formats: &[NamedFormat],
        now: Timestamp,
    ) -> Result<SqliteStore, StoreError> {
        SqliteStore::create_with(path, settings, formats, now, |transaction| {
            crate::audit::append(transaction, now, "tests", "store.created", None, &serde_json::json!({}))
        })?;
        SqliteStore::open(path, Mode::ReadWrite)
    }

    /// Whether a new store could get this path.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when there is anything at it, and [`StoreError::System`] when its folder is
    /// not there.
    pub(crate) fn check_free(path: &Path) -> Result<(), StoreError> {
        let path = absolute(path)?;
        if path.symlink_metadata().is_ok() {
            return Err(StoreError::AlreadyExists { path });
        }
        match path.parent().map(std::fs::metadata) {
            Some(Err(source)) => Err(StoreError::System { action: "write", path, source }),
            _ => Ok(()),
        }
    }

    /// Makes a new store with something more in it from the start, such as an audit entry. Either all of it is
    /// there afterwards, or nothing is.
    pub(crate) fn create_with<E: From<StoreError>>(
        path: &Path,
        settings: &Settings,
        formats: &[NamedFormat],
        now: Timestamp,
        fill: impl FnOnce(&mut dyn WriteTransaction) -> Result<(), E>,
    ) -> Result<(), E> {
        check_engine()?;
        let path = absolute(path)?;
        SqliteStore::check_free(&path)?;
        check_file_system(&path)?;
        let temporary = TemporaryFile::beside(&path)?;
        let mut connection = connect(temporary.path(), Purpose::Write)?;
        // The journal comes last: until then everything is in the file itself.
        connection.pragma_update(None, "application_id", APPLICATION_ID.cast_signed()).checked()?;
        migrate(&mut connection)?;
        watch_writes(&connection)?;
        writer::insert_position(&connection, new_store_id(&path)?, now)?;
        let mut transaction = Transaction::begin(&connection, Behavior::Write)?;
        transaction.set_clock(ClockRow { newest: now, clock: now, steady_since: now, accepted: 0 })?;
        transaction.set_settings(settings)?;
        for format in formats {
            transaction.insert_format(format)?;
        }
        fill(&mut transaction)?;
        Box::new(transaction).commit()?;
        set_journal(&connection)?;
        connection.close().map_err(|(_, error)| error).checked()?;
        Ok(temporary.publish(&path)?)
    }

    /// Opens a store, and brings its schema up to date when it may be written.
    ///
    /// A file that is no store of ours is refused without the least change to it.
    ///
    /// # Errors
    /// One variant of [`StoreError`] for each way in which a file can be no store for us.
    pub(crate) fn open(path: &Path, mode: Mode) -> Result<SqliteStore, StoreError> {
        check_engine()?;
        let (given, path) = (absolute_as_given(path)?, absolute(path)?);
        match SqliteStore::open_once(&given, &path, mode) {
            // The shared memory could not be made, without which nobody can read what others write.
            Err(StoreError::DiskFull) if mode != Mode::Sparing && Reserve::of(&path, false).lend(&path) => {
                SqliteStore::open_once(&given, &path, mode)
            }
            opened => opened,
        }
    }

    fn open_once(given: &Path, path: &Path, mode: Mode) -> Result<SqliteStore, StoreError> {
        let path = path.to_owned();
        let claim = Arc::new(Claim::new(&path)?.reached_by(given.to_owned()));
        // This process may have lost it already.
        claim.check()?;
        SqliteStore::open_claimed(path, mode, &claim).map_err(|error| claim.explain(error))
    }

    fn open_claimed(path: PathBuf, mode: Mode, claim: &Arc<Claim>) -> Result<SqliteStore, StoreError> {
        let reserve = Reserve::of(&path, mode != Mode::ReadOnly);
        let writer = match mode {
            Mode::ReadWrite | Mode::Sparing => {
                let first = connect(&path, Purpose::ReadOnly)?;
                let before = begin_view(&first, &path, claim)?;
                let mut connection = connect(&path, Purpose::Write)?;
                check_identity(&connection, &path)?;
                if connection.is_readonly(rusqlite::MAIN_DB).checked()? {
                    return Err(StoreError::ReadOnly);
                }
                first.execute_batch("COMMIT").checked()?;
                set_journal(&connection)?;
                // For a plain file, such as a backup, the lock has ended just now.
                claim.check_rollback_journal()?;
                if !is_later(&before.place, &ask(&connection)?.place) {
                    return Err(StoreError::Overwritten { path });
                }
                migrate(&mut connection)?;
                watch_writes(&connection)?;
                Some(connection)
            }
            Mode::ReadOnly => None,
        };
        let mut purpose = if writer.is_some() { Purpose::Read } else { Purpose::ReadOnly };
        let mut looked = connect(&path, purpose).and_then(|it| Ok((check_identity(&it, &path)?, it)));
        if matches!(looked, Err(StoreError::ReadOnly | StoreError::Unreadable { .. } | StoreError::DiskFull))
            && purpose == Purpose::ReadOnly
            && may_be_read_as_it_is(claim)?
        {
            purpose = Purpose::AsItIs;
            let why = looked.err();
            looked = connect(&path, purpose).and_then(|it| Ok((check_identity(&it, &path)?, it)));
            if matches!((&why, &looked), (Some(StoreError::DiskFull), Err(StoreError::ReadOnly))) {
                // There is a log, which must be read too: that takes some room.
                return Err(StoreError::DiskFull);
            }
        }
        let (found, connection) = looked?;
        if found < SCHEMA_VERSION {
            return Err(StoreError::Older { path, found, needed: SCHEMA_VERSION });
        }
        let watch = Mutex::new(Watch { seen: data_version(&connection)?, connection });
        let store = SqliteStore {
            writer: writer.map(Writer::new),
            readers: Readers::default(),
            watch,
            path,
            purpose,
            opener: Opener::here(),
            reserve,
            claim: Arc::clone(claim),
        };
        if purpose != Purpose::AsItIs {
            store.claim.attach(store.writer.is_some(), || {
                ask(&store.watch.lock().unwrap_or_else(PoisonError::into_inner).connection)
            })?;
        }
        store.reserve.fill();
        if store.writer.is_some() {
            // What an older process could not get out of the file. It stays noted, if this one cannot either.
            let _ = store.erase_for(Duration::ZERO);
        }
        Ok(store)
    }

    /// A connection to read through.
    fn reader(&self) -> Result<Reader<'_>, StoreError> {
        self.opener.check()?;
        check_files(&self.claim)?;
        let reader = self.readers.take(&self.path, self.purpose)?;
        // A new connection may have found other files than those that were there before.
        check_files(&self.claim)?;
        Ok(reader)
    }

    /// A consistent view, of a store that still has the schema that this program knows.
    fn view(&self) -> Result<Transaction<Reader<'_>>, StoreError> {
        let view = Transaction::begin(self.reader()?, Behavior::Read)?.guarded_by(&self.claim);
        check_schema(view.connection(), &self.claim)?;
        Ok(view)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.opener.check().is_err() {
            // A child of a fork: the locks that the engine believes in are those of its parent.
            return;
        }
        let intact = self.purpose != Purpose::AsItIs && check_files(&self.claim).is_ok();
        self.claim.detach();
        if intact {
            // Whichever is the last to close finds nobody else, and leaves one plain file.
            let watch = self.watch.get_mut().unwrap_or_else(PoisonError::into_inner);
            self.readers.connections().chain([&watch.connection]).for_each(checkpoint_on_close);
            if let Some(writer) = &mut self.writer {
                checkpoint_on_close(writer.connection());
            }
        }
    }
}

impl Store for SqliteStore {
    fn read(&self) -> Result<Box<dyn ReadTransaction + '_>, StoreError> {
        Ok(Box::new(self.view()?))
    }

    fn write(&self) -> Result<Box<dyn WriteTransaction + '_>, StoreError> {
        self.opener.check()?;
        let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        // Before anything that waits for a lock.
        check_files(&self.claim)?;
        let transaction = Transaction::begin(writer.turn(), Behavior::Write);
        let transaction = transaction.inspect_err(|error| self.claim.note(error))?;
        check_schema(transaction.connection(), &self.claim)?;
        Ok(Box::new(transaction.guarded_by(&self.claim)))
    }

    fn has_changed(&self) -> Result<bool, StoreError> {
        self.opener.check()?;
        if self.purpose == Purpose::AsItIs {
            // Nobody can follow what is only read as it is: whoever wants to must not trust it.
            return Err(StoreError::ReadOnly);
        }
        check_files(&self.claim)?;
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let version = data_version(&watch.connection)?;
        let changed = version != watch.seen;
        watch.seen = version;
        Ok(changed)
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.opener.check()?;
        check_files(&self.claim)?;
        backup::back_up(&self.path, self.purpose, to, |copy| check_schema(copy, &self.claim))?;
        // A copy of other files than everybody uses would be one of nothing that was promised.
        check_files(&self.claim)
    }

    fn spend_reserve(&self) -> bool {
        self.opener.is_here() && self.claim.ran_full() && self.reserve.spend()
    }

    fn fill_reserve(&self) {
        if self.opener.check().is_err() {
            return;
        }
        if let (Some(writer), Ok(())) = (&self.writer, check_files(&self.claim)) {
            // The next write then begins the log anew, instead of making it longer.
            let _ = writer.turn().execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        }
        self.reserve.fill();
    }

    fn erase(&self, patience: Duration) -> Result<Erasure, StoreError> {
        self.opener.check()?;
        self.erase_for(patience)
    }

    fn erasure(&self) -> Result<Erasure, StoreError> {
        let due = erasure::due(self.view()?.connection())?;
        Ok(if due.is_anything() { Erasure::Waiting } else { Erasure::Done })
    }

    fn inspect(&self) -> Result<Inspection, StoreError> {
        inspection::inspect(self.view()?.connection(), &self.path, self.purpose)
    }
}

/// Whether the files are still those that everybody uses: asked before whatever is read from them or written to
/// them, and after whatever is written.
///
/// # Errors
/// [`StoreError::Replaced`], [`StoreError::JournalLost`], [`StoreError::Overwritten`] or
/// [`StoreError::RollbackJournal`], from then on every time.
fn check_files(claim: &Claim) -> Result<(), StoreError> {
    match claim.check()? {
        Touched::No => Ok(()),
        Touched::Yes => claim.verify(|| ask_afresh(claim)),
    }
}

/// Whether the store still has the schema that this program knows. Asked at the beginning of every transaction, inside
/// it: a newer Keystile may migrate the store while others have it open, and what these then read and wrote would have
/// another meaning. It reads two numbers of the file's header.
///
/// # Errors
/// [`StoreError::Migrated`], from then on every time: nobody knows what has changed meanwhile, also when the number is
/// put back. [`StoreError::OtherProgram`] when the mark of this program is gone.
fn check_schema(connection: &Connection, claim: &Claim) -> Result<(), StoreError> {
    let found = claim.migrated_to(|| {
        let found = schema::version(connection)?;
        Ok((found != SCHEMA_VERSION).then_some(found))
    })?;
    if let Some(found) = found {
        return Err(StoreError::Migrated { path: claim.path().to_owned(), found, supported: SCHEMA_VERSION });
    }
    if schema::application_id(connection)? != APPLICATION_ID {
        return Err(StoreError::OtherProgram { path: claim.path().to_owned() });
    }
    Ok(())
}

/// Which store this is, and where it stands, through a connection that has nothing in its cache.
fn ask_afresh(claim: &Claim) -> Result<Logical, StoreError> {
    let connection = connect(claim.path(), Purpose::ReadOnly)?;
    check_schema(&connection, claim)?;
    ask(&connection)
}

/// Begins a read transaction on the first connection to the store. It only reads, and so does not replay a rollback
/// journal; and the lock that it takes keeps every other connection from that, until the transaction ends, or, for a
/// store with a write-ahead log, until the connection closes. A look at the files beside the store before it is opened
/// cannot say what lies there when it is.
fn begin_view(first: &Connection, path: &Path, claim: &Claim) -> Result<Logical, StoreError> {
    first.execute_batch("BEGIN").checked()?;
    check_identity(first, path)?;
    let logical = ask(first)?;
    claim.check_rollback_journal()?;
    Ok(logical)
}

fn ask(connection: &Connection) -> Result<Logical, StoreError> {
    let query = "SELECT store_id, epoch, generation,
        (SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'position') FROM position";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (store_id, epoch, generation, root): (_, i64, i64, _) = connection.query_row(query, [], read).checked()?;
    let position = Position { epoch: epoch.cast_unsigned(), generation: Generation(generation.cast_unsigned()) };
    Ok(Logical { place: Place { store_id, position }, root })
}

/// Without locks and shared memory a file may be read only while nobody else has it open. Neither may this process:
/// closing such a connection drops the locks of the others.
fn may_be_read_as_it_is(claim: &Claim) -> Result<bool, StoreError> {
    Ok(claim.is_alone() && !claim.is_held_elsewhere()?)
}

/// Has a connection that writes note what it changes and what it deletes. The schema must be up to date.
fn watch_writes(connection: &Connection) -> Result<(), StoreError> {
    trail::watch(connection, &[])?;
    erasure::watch(connection)
}

/// Looks once more, through the engine, at what the header has told: now with the journal.
fn check_identity(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let path = || path.to_owned();
    if schema::application_id(connection)? != APPLICATION_ID {
        return Err(StoreError::OtherProgram { path: path() });
    }
    let found = schema::version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path(), found, supported: SCHEMA_VERSION });
    }
    Ok(found)
}

/// A journal that lets readers read while somebody writes. It is kept in the file.
fn set_journal(connection: &Connection) -> Result<(), StoreError> {
    let path = connection.path().map(PathBuf::from).unwrap_or_default();
    let name = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    if connection.pragma_query_value(None, "journal_mode", name).checked()? != "wal" {
        // Without a rollback journal beside the file, which would be left there by a process that is killed now. None
        // is needed: all that is written is some bytes at the beginning of the first page.
        connection.pragma_update_and_check(None, "journal_mode", "memory", name).checked()?;
    }
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", name);
    match opening(&path, mode)?.as_str() {
        "wal" => Ok(()),
        // A file system without shared memory: not fit for a store with many processes.
        _ => Err(StoreError::System {
            action: "keep a write-ahead log beside",
            path,
            source: io::ErrorKind::Unsupported.into(),
        }),
    }
}

fn data_version(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA data_version").checked()?;
    statement.query_row([], |row| row.get(0)).checked()
}

/// Tells a store from others for good: its backups have the same one.
fn new_store_id(path: &Path) -> Result<[u8; 16], StoreError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::System {
        action: "draw a random id for",
        path: path.to_owned(),
        source: io::Error::other(error),
    })?;
    Ok(id)
}
