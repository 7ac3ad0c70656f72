//! The store in a SQLite file. All SQL of the product is in this module.
//!
//! | file | holds |
//! | --- | --- |
//! | `file` | the file itself: whether it is ours, new ones, temporary ones |
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

mod backup;
mod checked;
mod clock;
mod connection;
mod erasure;
mod file;
mod imports;
mod inspection;
mod issuers;
mod list;
mod reader;
mod records;
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
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keystile_validator::Timestamp;
use rusqlite::Connection;

#[cfg(test)]
pub(crate) use self::checked::faults;
use self::checked::{Checked as _, opening};
use self::connection::{Purpose, Readers, Writer, check_engine, connect};
pub(crate) use self::file::leftovers_of;
use self::file::{Claim, TemporaryFile, absolute};
use self::schema::{APPLICATION_ID, SCHEMA_VERSION, migrate};
use self::transaction::{Behavior, Transaction};
use super::{ClockRow, Erasure, Inspection, ReadTransaction, Store, StoreError, WriteTransaction};
use crate::fork::Opener;
use crate::key::{NamedFormat, Settings};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To read and write.
    ReadWrite,
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
    _claim: Claim,
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
        let path = absolute(path)?;
        let claim = Claim::new(&path)?;
        let writer = match mode {
            Mode::ReadWrite => {
                let mut connection = connect(&path, Purpose::Write)?;
                check_identity(&connection, &path)?;
                if connection.is_readonly(rusqlite::MAIN_DB).checked()? {
                    return Err(StoreError::ReadOnly);
                }
                set_journal(&connection)?;
                migrate(&mut connection)?;
                watch_writes(&connection)?;
                Some(connection)
            }
            Mode::ReadOnly => None,
        };
        let mut purpose = if writer.is_some() { Purpose::Read } else { Purpose::ReadOnly };
        let mut looked = connect(&path, purpose).and_then(|it| Ok((check_identity(&it, &path)?, it)));
        if matches!(looked, Err(StoreError::ReadOnly | StoreError::Unreadable { .. })) && purpose == Purpose::ReadOnly {
            purpose = Purpose::AsItIs;
            looked = connect(&path, purpose).and_then(|it| Ok((check_identity(&it, &path)?, it)));
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
            _claim: claim,
        };
        if store.writer.is_some() {
            // What an older process could not get out of the file. It stays noted, if this one cannot either.
            let _ = store.erase_for(Duration::ZERO);
        }
        Ok(store)
    }

    /// Whoever replaces the file under us would have us verify against the old one for ever.
    fn check_in_place(&self, connection: &Connection) -> Result<(), StoreError> {
        #[cfg(unix)]
        {
            let mut moved = 0;
            let question = rusqlite::FileControl::HasMoved(&mut moved);
            connection.file_control(Some(rusqlite::MAIN_DB), question).checked()?;
            if moved != 0 {
                return Err(StoreError::Replaced { path: self.path.clone() });
            }
        }
        #[cfg(not(unix))]
        let _ = connection;
        Ok(())
    }
}

impl Store for SqliteStore {
    fn read(&self) -> Result<Box<dyn ReadTransaction + '_>, StoreError> {
        self.opener.check()?;
        let reader = self.readers.take(&self.path, self.purpose)?;
        if self.purpose != Purpose::AsItIs {
            // Asked of the connection that was there first: a reader may be of the new file.
            self.check_in_place(&self.watch.lock().unwrap_or_else(PoisonError::into_inner).connection)?;
        }
        Ok(Box::new(Transaction::begin(reader, Behavior::Read)?))
    }

    fn write(&self) -> Result<Box<dyn WriteTransaction + '_>, StoreError> {
        self.opener.check()?;
        let turn = self.writer.as_ref().ok_or(StoreError::ReadOnly)?.turn();
        let transaction = Transaction::begin(turn, Behavior::Write)?;
        self.check_in_place(transaction.connection())?;
        Ok(Box::new(transaction))
    }

    fn has_changed(&self) -> Result<bool, StoreError> {
        self.opener.check()?;
        if self.purpose == Purpose::AsItIs {
            // Nobody can follow what is only read as it is: whoever wants to must not trust it.
            return Err(StoreError::ReadOnly);
        }
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let version = data_version(&watch.connection)?;
        let changed = version != watch.seen;
        watch.seen = version;
        self.check_in_place(&watch.connection)?;
        Ok(changed)
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.opener.check()?;
        backup::back_up(&self.path, self.purpose, to)
    }

    fn erase(&self, patience: Duration) -> Result<Erasure, StoreError> {
        self.opener.check()?;
        self.erase_for(patience)
    }

    fn erasure(&self) -> Result<Erasure, StoreError> {
        self.opener.check()?;
        let due = erasure::due(&*self.readers.take(&self.path, self.purpose)?)?;
        Ok(if due.is_anything() { Erasure::Waiting } else { Erasure::Done })
    }

    fn inspect(&self) -> Result<Inspection, StoreError> {
        self.opener.check()?;
        let reader = self.readers.take(&self.path, self.purpose)?;
        inspection::inspect(&reader, &self.path)
    }
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
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
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
