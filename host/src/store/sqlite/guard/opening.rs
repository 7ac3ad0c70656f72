//! Whether a file may be opened: before this process has its first connection to it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::place::{holder, is_mount_point, names, read_at, user_of_index};
use super::raw::Header;
use super::{Paths, cannot_read};
use crate::store::StoreError;
use crate::store::sqlite::schema::SCHEMA_VERSION;

/// How long others may take to open or close the store: they hold its lock before they have made the files beside
/// it, and after they have removed them.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Tries again while another process is in the middle of opening or closing the store.
pub(super) fn patiently<T>(attempt: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(StoreError::InUse { .. }) if started.elapsed() < PATIENCE => thread::sleep(PAUSE),
            result => return result,
        }
    }
}

/// The engine finds the files beside the store by its name: two names are two sets of files, and whoever uses the
/// one knows nothing of what was written through the other.
pub(super) fn check_names(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| cannot_look_at(path, error))?;
    let names = names(&metadata);
    if names > 1 {
        return Err(StoreError::ManyNames { path: path.to_owned(), names });
    }
    if is_mount_point(path).map_err(|error| cannot_look_at(path, error))? {
        return Err(StoreError::MountPoint { path: path.to_owned() });
    }
    Ok(())
}

/// Whether this is a store of ours, and whether the files beside it are those that others use.
pub(super) fn check(store: &File, paths: &Paths) -> Result<(), StoreError> {
    let path = || paths.store.clone();
    // In this order: files that were there before the header was read do not come with a change of it.
    let (journal, index) = (len(&paths.journal)?, len(&paths.index)?);
    let rollback = check_rollback_journal(paths);
    let mut bytes = [0; Header::LEN];
    match read_at(store, &mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(StoreError::NotAStore { path: path() });
        }
        Err(error) => return Err(cannot_look_at(&paths.store, error)),
    }
    let Some(header) = Header::parse(&bytes) else { return Err(StoreError::NotAStore { path: path() }) };
    if !header.is_ours() {
        return Err(StoreError::OtherProgram { path: path() });
    }
    // The journal may hold a newer one: it is looked at again when the file is open.
    if header.user_version > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path(), found: header.user_version, supported: SCHEMA_VERSION });
    }
    let holder = || holder(store).map_err(|error| cannot_read(&paths.store, error));
    if header.has_journal {
        rollback?;
        // Whoever has the store open uses a log and shared memory. When they are not these, they are elsewhere.
        let Some(holder) = holder()? else { return Ok(()) };
        let missing = match (journal, index) {
            (Some(_), Some(_)) if is_used(&paths.index)? => return Ok(()),
            (None, _) => &paths.journal,
            (Some(_), _) => &paths.index,
        };
        return Err(StoreError::InUse { path: path(), missing: Some(missing.clone()), process: holder.process });
    }
    // A plain file: a backup. The engine would write a log that lies beside it into it all the same.
    if journal.is_some_and(|len| len > 0) {
        return Err(StoreError::Overwritten { path: path() });
    }
    match holder()? {
        None => rollback,
        Some(_) if journal.or(index).is_some() => Err(StoreError::Overwritten { path: path() }),
        Some(holder) => Err(StoreError::InUse { path: path(), missing: None, process: holder.process }),
    }
}

/// The engine takes the content of a rollback journal beside a file for what the file should hold, and writes it there.
/// No Keystile makes one beside a store.
///
/// # Errors
/// [`StoreError::RollbackJournal`] when there is one with content.
pub(super) fn check_rollback_journal(paths: &Paths) -> Result<(), StoreError> {
    match len(&paths.rollback)? {
        None | Some(0) => Ok(()),
        Some(_) => Err(StoreError::RollbackJournal { path: paths.rollback.clone() }),
    }
}

/// Whether another process uses this shared memory. Closing it again drops no lock: this process has none on it.
fn is_used(index: &Path) -> Result<bool, StoreError> {
    match File::open(index) {
        Ok(file) => Ok(user_of_index(&file).map_err(|error| cannot_read(index, error))?.is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_look_at(index, error)),
    }
}

fn len(path: &Path) -> Result<Option<u64>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        // A name that is too long with its suffix is that of no file.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => Ok(None),
        Err(error) => Err(cannot_look_at(path, error)),
    }
}

/// Why a file cannot be looked at, by what the system says.
pub(in crate::store::sqlite) fn cannot_look_at(path: &Path, error: io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreError::Missing { path },
        io::ErrorKind::PermissionDenied => StoreError::Unreadable { path },
        _ => StoreError::System { action: "open", path, source: error },
    }
}
