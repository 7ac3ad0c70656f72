//! The file of a store, before and beside the engine: what it is, new ones, temporary ones.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

use super::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::fork::forks;
use crate::store::StoreError;

/// The claim of this process on the file of a store that it has open.
///
/// Looking at a file before the engine does is not harmless: on POSIX systems, closing *any*
/// descriptor of a file drops *all* locks that the process holds on it, also those of the engine.
/// So a file is looked at only while this process has no claim on it, and never without the lock on
/// the list of claims.
#[derive(Debug)]
pub(super) struct Claim(FileKey);

static CLAIMS: Mutex<Option<Claims>> = Mutex::new(None);

/// The files that this process has open, and how often.
#[derive(Default)]
struct Claims {
    held: HashMap<FileKey, usize>,
    /// How many forks lay before this process when this was last looked at.
    forks: u32,
    /// The files that a process had open from which this one was forked. For the engine they are open, and locked,
    /// here too; for the system they are not.
    of_parents: HashSet<FileKey>,
}

impl Claims {
    /// Takes the lock on the list of claims.
    fn lock() -> Result<MutexGuard<'static, Option<Claims>>, StoreError> {
        let mut tries = 0;
        let mut claims = loop {
            match CLAIMS.try_lock() {
                Ok(claims) => break claims,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                // A thread that was not forked along may hold it for ever.
                Err(TryLockError::WouldBlock) if forks() > 0 && tries >= MAX_TRIES => return Err(StoreError::Forked),
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
            }
            tries += 1;
        };
        let known = claims.get_or_insert_default();
        if known.forks != forks() {
            known.forks = forks();
            let held = std::mem::take(&mut known.held);
            known.of_parents.extend(held.into_keys());
        }
        Ok(claims)
    }
}

/// How often the lock on the list of claims is tried in a child of a fork, for some seconds: it is held for as long
/// as it takes to read the header of a file.
const MAX_TRIES: u32 = 5_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

impl Claim {
    /// Makes sure, without a change to anything, that this is the file of a store, and claims it.
    pub(super) fn new(path: &Path) -> Result<Claim, StoreError> {
        let mut claims = Claims::lock()?;
        let Claims { held: claims, of_parents, .. } = claims.get_or_insert_default();
        let key = FileKey::of(path)?;
        if of_parents.contains(&key) {
            return Err(StoreError::Forked);
        }
        let count = claims.entry(key.clone()).or_insert(0);
        if *count == 0
            && let Err(error) = look_at(path)
        {
            claims.remove(&key);
            return Err(error);
        }
        *count += 1;
        Ok(Claim(key))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Ok(mut claims) = Claims::lock() else { return };
        let Some(Claims { held: claims, .. }) = claims.as_mut() else { return };
        match claims.get_mut(&self.0) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                claims.remove(&self.0);
            }
        }
    }
}

/// What makes two paths the same file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileKey {
    /// The file at this path.
    pub(super) fn of(path: &Path) -> Result<FileKey, StoreError> {
        let metadata = fs::metadata(path).map_err(|error| cannot_look_at(path, error))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAStore { path: path.to_owned() });
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            Ok(FileKey((metadata.dev(), metadata.ino())))
        }
        #[cfg(not(unix))]
        Ok(FileKey(fs::canonicalize(path).map_err(|error| cannot_look_at(path, error))?))
    }
}

/// Reads the header of a database file ("Database File Format", section 1.3).
fn look_at(path: &Path) -> Result<(), StoreError> {
    let mut header = [0; 100];
    let mut file = File::open(path).map_err(|error| cannot_look_at(path, error))?;
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(StoreError::NotAStore { path: path.to_owned() });
        }
        Err(error) => return Err(cannot_look_at(path, error)),
    }
    let number = |at: usize| {
        let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(StoreError::NotAStore { path: path.to_owned() });
    }
    if number(68) != APPLICATION_ID {
        return Err(StoreError::OtherProgram { path: path.to_owned() });
    }
    // The journal may hold a newer one: it is looked at again when the file is open.
    let found = number(60);
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, supported: SCHEMA_VERSION });
    }
    Ok(())
}

fn cannot_look_at(path: &Path, error: io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreError::Missing { path },
        io::ErrorKind::PermissionDenied => StoreError::Unreadable { path },
        _ => StoreError::System { action: "open", path, source: error },
    }
}

/// The path from the root, without symbolic links: the engine keeps the journal beside the file that
/// a link points to, and would read a relative `file:…` as a URI with options.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    std::path::absolute(path).map_err(|source| StoreError::System { action: "find", path: path.to_owned(), source })
}

/// A new file that only this user may read, under a temporary name. Dropped, it is gone, with
/// whatever the engine has put beside it.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    path: PathBuf,
}

impl TemporaryFile {
    /// An empty file in the directory of `path`.
    pub(super) fn beside(path: &Path) -> Result<TemporaryFile, StoreError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| StoreError::System {
            action: "draw a random name beside",
            path: path.to_owned(),
            source: io::Error::other(error),
        })?;
        let mut name = temporary_prefix(path);
        name.push(format!("{:016x}{TEMPORARY}", u64::from_le_bytes(random)));
        let temporary = path.with_file_name(name);
        // The path that was asked for says more than the temporary one.
        create_new(&temporary).map_err(|error| cannot_write(path, error))?;
        Ok(TemporaryFile { path: temporary })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, once all of it is on disk. Nothing is ever replaced.
    pub(super) fn publish(self, path: &Path) -> Result<(), StoreError> {
        // A journal that an older file of this name has left behind would be replayed into this one,
        // and bring its keys back.
        for leftover in ["-wal", "-shm", "-journal"].map(|suffix| beside(path, suffix)) {
            if leftover.symlink_metadata().is_ok() {
                return Err(StoreError::AlreadyExists { path: leftover });
            }
        }
        let failed = |error| cannot_write(path, error);
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        match fs::hard_link(&self.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(failed(error)),
            // A file system without hard links: take the name with an empty file, which nobody takes
            // for a store, then replace that.
            Err(_) => {
                create_new(path).map_err(failed)?;
                if let Err(error) = fs::rename(&self.path, path) {
                    let _ = fs::remove_file(path);
                    return Err(failed(error));
                }
            }
        }
        sync_directory(path).map_err(failed)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        for suffix in SUFFIXES {
            // Most of them are not there; and there is nobody left to tell of a failure.
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

/// The temporary files of this store that whoever made them could not remove, by name. They may also be in
/// use: of another process, nobody can tell.
pub(crate) fn leftovers_of(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = absolute(path) else { return Vec::new() };
    let prefix = temporary_prefix(&path);
    let is_leftover = |name: &OsStr| {
        let rest = name.to_str().and_then(|name| name.strip_prefix(prefix.to_str()?));
        let parts = rest.and_then(|rest| rest.split_once(TEMPORARY));
        parts.is_some_and(|(random, suffix)| {
            random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()) && SUFFIXES.contains(&suffix)
        })
    };
    // A folder that cannot be read has told so when the store was opened.
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.file_name().is_some_and(is_leftover)).collect();
    found.sort();
    found
}

/// How the names of the temporary files of this store begin; 16 hexadecimal digits and [`TEMPORARY`] follow.
fn temporary_prefix(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name
}

const TEMPORARY: &str = ".tmp";

/// What the engine puts behind the name of a file for those beside it, and nothing for the file itself.
const SUFFIXES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// A file that the engine puts beside the store, such as `-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn cannot_write(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::AlreadyExists => StoreError::AlreadyExists { path },
        _ if is_full(&source) => StoreError::DiskFull,
        _ => StoreError::System { action: "write", path, source },
    }
}

/// Whether there is no space left, for the system, for this user, or in this file.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// A new name is on disk only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
