//! Connections to the file: how each is set up, and who waits for whom.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checked::{Checked as _, opening};
use super::file::beside;
use super::guard::Claim;
use super::transaction::Size;
use crate::store::StoreError;

/// The longest wait for a lock that another process holds. Long: a writer holds it for
/// milliseconds, so whoever waits for a minute waits for a process that hangs.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(60);

/// The oldest SQLite without the defects that matter here: 3.51.3 fixed a race between a writer
/// and a checkpoint that could damage a database in WAL mode.
const OLDEST_ENGINE: (i32, &str) = (3_051_003, "3.51.3");

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read and write.
    Write,
    /// To read, in a store that this process also writes.
    Read,
    /// To read, in a store that this process was told not to write.
    ReadOnly,
    /// To read a file that no journal belongs to, in a folder where this user cannot make the files
    /// that readers share: as it is now, without following later changes.
    AsItIs,
}

/// Whether the engine is one that we trust.
pub(super) fn check_engine() -> Result<(), StoreError> {
    let (number, needed) = OLDEST_ENGINE;
    if rusqlite::version_number() < number {
        return Err(StoreError::EngineTooOld { found: rusqlite::version(), needed });
    }
    Ok(())
}

/// Opens a file that is known to be ours. `path` starts at the root.
pub(super) fn connect(path: &Path, purpose: Purpose) -> Result<Connection, StoreError> {
    // Never `CREATE`: files are made by `TemporaryFile`, with the rights they need.
    let access = match purpose {
        Purpose::Write | Purpose::Read => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Purpose::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Purpose::AsItIs => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    };
    let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // With a journal the file alone is not the store, and a revoke could be missing from it.
    if purpose == Purpose::AsItIs {
        match fs::metadata(beside(path, "-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(journal) if journal.len() == 0 => {}
            _ => return Err(StoreError::ReadOnly),
        }
    }
    let opened = match purpose {
        Purpose::AsItIs => Connection::open_with_flags(as_it_is(path), access),
        _ => Connection::open_with_flags(path, access),
    };
    let mut connection = opening(path, opened)?;
    let (rollback, mut wait) = (beside(path, "-journal"), patience());
    // A connection that finds a rollback journal waits for everybody else to end, in order to replay it.
    let has_rollback = move || fs::metadata(&rollback).is_ok_and(|journal| journal.len() > 0);
    connection.busy_handler(Some(move |tries| !has_rollback() && wait(tries))).checked()?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // The content of the file is not trusted: it cannot make the engine call functions or change
    // its own schema.
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true),
        // What the log holds goes into the store's file only when somebody has made sure that they belong
        // together: see `checkpoint` and `SqliteStore::drop`.
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
    ] {
        connection.set_db_config(setting, value).checked()?;
    }
    opening(path, connection.execute_batch(PRAGMAS))?;
    if purpose != Purpose::Write {
        connection.execute_batch("PRAGMA query_only = ON").checked()?;
    }
    Ok(connection)
}

/// Writes what the log holds to the store's file, as far as no reader is in the way, when it has become long and the
/// files still belong together. A failure is no matter: it is done after a later commit.
///
/// It takes as long as the disk needs for all that the log holds, whoever has written it. So small writes leave it to
/// large ones and to the background threads, unless the log has become very long: a revoke must not wait for the disk
/// because somebody imports keys meanwhile.
pub(super) fn checkpoint(connection: &Connection, claim: &Claim, after: Size) {
    let frames = match after {
        Size::Large => FRAMES_LEFT_BY_LARGE_WRITES,
        Size::Small => FRAMES_LEFT_BY_SMALL_WRITES,
    };
    if claim.has_frames(frames) {
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
    }
}

/// Frames of the log, of 4 KiB each, from which on large writes write it to the store's file: 4 MB.
const FRAMES_LEFT_BY_LARGE_WRITES: u32 = 1_000;
/// The same of small writes: 32 MB.
const FRAMES_LEFT_BY_SMALL_WRITES: u32 = 8_000;

/// Lets the engine write the log to the store's file when this connection is the last one to close.
pub(super) fn checkpoint_on_close(connection: &Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
}

/// The file as a URI that tells SQLite to look for neither journal nor locks.
fn as_it_is(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            // Writing to a String cannot fail.
            other => drop(write!(uri, "%{other:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// `secure_delete`: what is deleted is overwritten with zeros.
/// `recursive_triggers`: without it, `REPLACE` deletes without asking the triggers.
/// `journal_size_limit`: a journal that a restore has made large shrinks again.
/// `secure_delete`: what is deleted is overwritten, also in pages that become free.
const PRAGMAS: &str = "
PRAGMA mmap_size = 0;
PRAGMA cell_size_check = ON;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA recursive_triggers = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
PRAGMA journal_size_limit = 67108864;
PRAGMA secure_delete = ON;
PRAGMA wal_autocheckpoint = 0;
";

/// Statements that a connection keeps prepared: all of ours, with room for the variants of lists.
const CACHED_STATEMENTS: usize = 64;

/// Sleeps a little while the store is locked: a random time, so that those who wait do not all come
/// back at once, and short, so that none of them is late when it is free.
pub(super) fn patience() -> impl FnMut(i32) -> bool + Send {
    let mut started = Instant::now();
    let mut random = RandomState::new().build_hasher().finish() | 1;
    move |tries| {
        if tries == 0 {
            started = Instant::now();
        }
        // Xorshift: good enough to keep processes apart.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        thread::sleep(Duration::from_micros(1_000 + random % 4_000));
        started.elapsed() < BUSY_LIMIT
    }
}

/// The one connection that writes. Writers of this process get it in the order they asked.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Mutex<Connection>,
    tickets: Mutex<Tickets>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    serving: u64,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Writer {
        Writer { connection: Mutex::new(connection), tickets: Mutex::default(), changed: Condvar::new() }
    }

    /// Its connection, for whoever has nobody to wait for.
    pub(super) fn connection(&mut self) -> &Connection {
        self.connection.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn.
    pub(super) fn turn(&self) -> Turn<'_> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = tickets.next;
        tickets.next += 1;
        while tickets.serving != mine {
            tickets = self.changed.wait(tickets).unwrap_or_else(PoisonError::into_inner);
        }
        drop(tickets);
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { connection, _next: CallNext(self) }
    }
}

/// A turn at writing. The fields drop in this order: the connection is free before the next is called.
pub(super) struct Turn<'a> {
    connection: MutexGuard<'a, Connection>,
    _next: CallNext<'a>,
}

struct CallNext<'a>(&'a Writer);

impl Drop for CallNext<'_> {
    fn drop(&mut self) {
        self.0.tickets.lock().unwrap_or_else(PoisonError::into_inner).serving += 1;
        self.0.changed.notify_all();
    }
}

impl Deref for Turn<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Connections that read, opened when they are first needed and kept for the next reader.
#[derive(Debug, Default)]
pub(super) struct Readers {
    slots: [OnceLock<Mutex<Connection>>; KEPT_READERS],
}

/// Readers that are kept open. More can read at once; theirs close behind them.
const KEPT_READERS: usize = 8;

impl Readers {
    /// The connections that are kept, for whoever has nobody to wait for.
    pub(super) fn connections(&mut self) -> impl Iterator<Item = &Connection> {
        let kept = self.slots.iter_mut().filter_map(OnceLock::get_mut);
        kept.map(|connection| &*connection.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// A connection that nobody else reads through, until it is dropped.
    pub(super) fn take(&self, path: &Path, purpose: Purpose) -> Result<Reader<'_>, StoreError> {
        if purpose == Purpose::AsItIs {
            // A kept one would never see a change.
            return connect(path, purpose).map(Reader::Extra);
        }
        for slot in &self.slots {
            if slot.get().is_none() {
                // Lost to another reader, the new connection closes again, and the next slot is tried.
                let _ = slot.set(Mutex::new(connect(path, purpose)?));
            }
            match slot.get().map(Mutex::try_lock) {
                Some(Ok(connection)) => return Ok(Reader::Kept(connection)),
                Some(Err(TryLockError::Poisoned(poisoned))) => return Ok(Reader::Kept(poisoned.into_inner())),
                Some(Err(TryLockError::WouldBlock)) | None => {}
            }
        }
        Ok(Reader::Extra(connect(path, purpose)?))
    }
}

/// A connection to read through.
#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack of a reader")]
pub(super) enum Reader<'a> {
    Kept(MutexGuard<'a, Connection>),
    Extra(Connection),
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Reader::Kept(connection) => connection,
            Reader::Extra(connection) => connection,
        }
    }
}
