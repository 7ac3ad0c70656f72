//! The file of a store, before and beside the engine: what it is, new ones, temporary ones.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::guard::{cannot_look_at, network_file_system};
use crate::store::StoreError;

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

/// The path from the root, without symbolic links: the engine keeps the journal beside the file that
/// a link points to, and would read a relative `file:…` as a URI with options.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    absolute_as_given(path)
}

/// The path from the root, with the symbolic links in it.
pub(super) fn absolute_as_given(path: &Path) -> Result<PathBuf, StoreError> {
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
        match rename_without_replacing(&self.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(failed(error)),
            // A file system that cannot: take the name with an empty file, which nobody takes for a store,
            // then replace that. Not with a hard link: a store has one name.
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

/// A new store must be where all processes that will use it share locks and memory.
///
/// # Errors
/// [`StoreError::NetworkFileSystem`].
pub(super) fn check_file_system(path: &Path) -> Result<(), StoreError> {
    // A folder that is not there is told of by whoever makes the file.
    match path.parent().map(network_file_system) {
        Some(Ok(Some(kind))) => Err(StoreError::NetworkFileSystem { path: path.to_owned(), kind }),
        _ => Ok(()),
    }
}

/// The name of the network file system that a store lies in, if any.
///
/// # Errors
/// [`StoreError::System`] when the system does not tell.
pub(crate) fn network_file_system_of(path: &Path) -> Result<Option<&'static str>, StoreError> {
    let path = absolute(path)?;
    let folder = path.parent().unwrap_or(&path);
    network_file_system(folder).map_err(|source| StoreError::System {
        action: "ask for the file system of",
        path: folder.to_owned(),
        source,
    })
}

/// Renames a file, unless there is one at the new name.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]; and another error where the system or the file system has no such call.
pub(crate) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
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
