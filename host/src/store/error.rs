//! Why the store could not do what it was asked.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use keystile_validator::KeyId;

use crate::ids::UserId;

/// Why the store could not do what it was asked. Nothing was changed then, but for
/// [`StoreError::Unacknowledged`].
///
/// No message holds a value out of the store.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no file at this path.
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// There is a file already where a new one was to be made.
    AlreadyExists {
        /// Its path.
        path: PathBuf,
    },
    /// Not a store at all: a directory, an empty file, or a file of another kind.
    NotAStore {
        /// Its path.
        path: PathBuf,
    },
    /// A database, but of another program.
    OtherProgram {
        /// Its path.
        path: PathBuf,
    },
    /// A newer Keystile has written it.
    Newer {
        /// Its path.
        path: PathBuf,
        /// The version of its schema.
        found: u32,
        /// The newest schema that this program knows.
        supported: u32,
    },
    /// It was brought to another schema while it was open, as a newer Keystile does when it opens it.
    Migrated {
        /// Its path.
        path: PathBuf,
        /// The version of its schema.
        found: u32,
        /// The schema that this program knows.
        supported: u32,
    },
    /// An older Keystile has written it, and it was opened for reading only, so it cannot be migrated.
    Older {
        /// Its path.
        path: PathBuf,
        /// The version of its schema.
        found: u32,
        /// The schema that this program needs.
        needed: u32,
    },
    /// The operating system refuses to open the file, or one beside it.
    Unreadable {
        /// Its path.
        path: PathBuf,
    },
    /// A write to a store that was opened for reading only, or that the system lets nobody write.
    ReadOnly,
    /// No space is left, or a limit on the size of files was reached.
    DiskFull,
    /// Another process has kept the store locked for too long.
    Busy {
        /// How long this one has waited.
        waited: Duration,
    },
    /// The file is damaged.
    Corrupt,
    /// A backup is damaged.
    DamagedBackup {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A backup of another store was to be restored over this one, and nobody has said that it should be.
    OtherStore {
        /// The path of the store.
        path: PathBuf,
        /// The path of the backup.
        backup: PathBuf,
    },
    /// A file was to be restored onto itself.
    SameFile {
        /// Its path.
        path: PathBuf,
    },
    /// The file was moved, deleted or replaced while it was open, or a symbolic link in its path leads elsewhere.
    Replaced {
        /// The path it was opened at.
        path: PathBuf,
    },
    /// One of the files beside the store, which all processes on it share, was removed, replaced or emptied while
    /// the store was open.
    JournalLost {
        /// Its path.
        path: PathBuf,
    },
    /// Something else than Keystile has written over the store's file, such as `cp`; or a journal of another file
    /// lies beside it.
    Overwritten {
        /// The path of the store.
        path: PathBuf,
    },
    /// A rollback journal (`-journal`) lies beside the store. A store has none of its own, and replaying this one would
    /// take changes back that were acknowledged.
    RollbackJournal {
        /// Its path.
        path: PathBuf,
    },
    /// The files of the store were exchanged while a change was written: it may hold or be lost.
    Unacknowledged {
        /// The path of the store.
        path: PathBuf,
    },
    /// Another process has the store open, but not with the files that lie beside it.
    InUse {
        /// The path of the store.
        path: PathBuf,
        /// The file beside the store that it must use and does not: it is not there, or is another one. `None` when
        /// the store is a plain file, as backups are.
        missing: Option<PathBuf>,
        /// The id of that process; `None` when it is not to be seen from here, as in another container.
        process: Option<u32>,
    },
    /// The file has more than one name (hard links), and each would have a journal of its own.
    ManyNames {
        /// The path it was opened at.
        path: PathBuf,
        /// How many names it has.
        names: u64,
    },
    /// The file itself is a mount point, so that its journal lies elsewhere than for those outside.
    MountPoint {
        /// Its path.
        path: PathBuf,
    },
    /// A new store was to be made where locks and shared memory do not reach every process.
    NetworkFileSystem {
        /// The path of the store.
        path: PathBuf,
        /// The name of the file system.
        kind: &'static str,
    },
    /// The thread that follows the store has ended.
    NotFollowed,
    /// This process is a child, by `fork`, of the one that opened the store.
    Forked,
    /// A key that is to be changed is not in the store.
    NoSuchKey {
        /// Its id.
        id: KeyId,
    },
    /// A user that is to be changed is not in the store.
    NoSuchUser {
        /// Its id.
        id: UserId,
    },
    /// The cursor of a page belongs to a list in another order.
    CursorMismatch,
    /// A step of this write has failed before, so the write as a whole is undone.
    RolledBack,
    /// A value in the store is none that this program could have written.
    InvalidValue {
        /// Table and column it is in.
        column: &'static str,
    },
    /// A row that verification needs holds what this program could not have written.
    InvalidRow {
        /// Table and column it is in.
        column: &'static str,
        /// What the row is known by: the id of a key, the name of an issuer, the number of a row.
        row: String,
    },
    /// The store holds less than this process has read from it: an older file has taken its place.
    WentBack {
        /// The generation that was read.
        known: u64,
        /// The generation that is there now.
        found: u64,
    },
    /// The operating system gave no random bytes.
    NoRandomBytes,
    /// The SQLite that this program runs with has known defects.
    EngineTooOld {
        /// Its version.
        found: &'static str,
        /// The oldest one that will do.
        needed: &'static str,
    },
    /// The operating system could not do what was asked.
    System {
        /// What was tried.
        action: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The database engine failed in a way that has no name here. Only its number is kept: no
    /// statement and no value is in it.
    Engine {
        /// The extended result code of SQLite; 0 when the failure has none.
        code: i32,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Missing { path } => {
                write!(f, "there is no store at {} · check the path, or make one with `keystile init`", path.display())
            }
            StoreError::AlreadyExists { path } => {
                write!(f, "{} already exists · nothing is overwritten: give another path, or move it away", path.display())
            }
            StoreError::NotAStore { path } => {
                write!(f, "{} is not a Keystile store · check the path, or move it away; it was left as it is", path.display())
            }
            StoreError::OtherProgram { path } => write!(
                f,
                "{} is a database of another program · check the path, or move it away; it was left as it is",
                path.display()
            ),
            StoreError::Newer { path, found, supported } => write!(
                f,
                "{} was written by a newer Keystile (schema {found}, this one knows {supported}) · run that version or a newer one",
                path.display()
            ),
            StoreError::Migrated { path, found, supported } if found > supported => write!(
                f,
                "{} was migrated by a newer Keystile while it was open (schema {found}, this one knows {supported}), so \
                 nothing is read or written any more · start this process again with that version or a newer one",
                path.display()
            ),
            StoreError::Migrated { path, found, supported } => write!(
                f,
                "something else than Keystile has set the schema of {} from {supported} to {found} while it was open, so \
                 nothing is read or written any more · end every process on this store, and restore the newest backup",
                path.display()
            ),
            StoreError::Older { path, found, needed } => write!(
                f,
                "{} was written by an older Keystile (schema {found}, this one needs {needed}) · open it once for writing, \
                 which brings it up to date",
                path.display()
            ),
            StoreError::Unreadable { path } => write!(
                f,
                "{} cannot be opened · give this user the right to read and write it and its directory",
                path.display()
            ),
            StoreError::ReadOnly => {
                f.write_str("the store can only be read · open it for writing, as a user who may write it and its directory")
            }
            StoreError::DiskFull => f.write_str(
                "the disk is full or a limit on file sizes was reached; nothing was changed · free some space and repeat",
            ),
            StoreError::Busy { waited } => write!(
                f,
                "another process has kept the store locked for {} seconds · end that process and repeat",
                waited.as_secs()
            ),
            StoreError::Corrupt => {
                f.write_str("the store is damaged · keep a copy of it, move it away, and restore the newest backup")
            }
            StoreError::DamagedBackup { path, problem } => {
                write!(f, "the backup {} is damaged ({problem}) · use another backup; nothing was changed", path.display())
            }
            StoreError::OtherStore { path, backup } => write!(
                f,
                "{} is a backup of another store than the one at {}: what is revoked, suspended or deleted there would be \
                 forgotten, and allowed again where the backup allows it; nothing was changed · restore a backup of this \
                 store, or say explicitly that the backup of another one replaces it",
                backup.display(),
                path.display()
            ),
            StoreError::SameFile { path } => {
                write!(f, "{} cannot be restored onto itself · give the path of a backup", path.display())
            }
            StoreError::Replaced { path } => write!(
                f,
                "{} was moved, deleted or replaced while it was open, or a link in its path leads elsewhere now · start this process again",
                path.display()
            ),
            StoreError::JournalLost { path } => write!(
                f,
                "{} was removed, replaced or emptied while the store was open, so nothing is read or written any more · \
                 end every process on this store, start them again, and look it over with `keystile doctor`: of a lost \
                 -wal, the newest changes are missing",
                path.display()
            ),
            StoreError::Overwritten { path } => write!(
                f,
                "something else has written over {}, or its journal is that of another file · end every process on \
                 this store, keep a copy of it with its -wal, move both away, and run `keystile restore` with a backup",
                path.display()
            ),
            StoreError::RollbackJournal { path } => write!(
                f,
                "{} does not belong to the store beside it: a rollback journal, which would take back what was changed \
                 in the store, also revokes · end every process on this store, move that file to another folder, and \
                 start again",
                path.display()
            ),
            StoreError::Unacknowledged { path } => write!(
                f,
                "the files of {} were exchanged while this change was written, so it may be lost · end every process \
                 on this store, start again, and see whether the change is there",
                path.display()
            ),
            StoreError::InUse { path, missing, process } => {
                let who = match process {
                    Some(process) => format!("process {process}"),
                    None => "a process that is not visible from here (in another container?)".to_owned(),
                };
                match missing {
                    Some(missing) => write!(
                        f,
                        "{who} has {} open, but does not use {}: it was removed or replaced, or that process uses another \
                         path · end that process, then repeat",
                        path.display(),
                        missing.display()
                    ),
                    None => write!(f, "{who} has {} open · wait until it has ended, then repeat", path.display()),
                }
            }
            StoreError::ManyNames { path, names } => write!(
                f,
                "{} has {names} names (hard links), and processes that use different ones would not see each other's \
                 changes · keep one of them: `find -samefile` finds them",
                path.display()
            ),
            StoreError::MountPoint { path } => write!(
                f,
                "{} is itself a mount point, and processes outside would not see what is written here · mount the \
                 folder that it lies in",
                path.display()
            ),
            StoreError::NetworkFileSystem { path, kind } => write!(
                f,
                "{} would lie in a network file system ({kind}), where locks and shared memory do not reach every \
                 process · keep the store on a local disk",
                path.display()
            ),
            StoreError::NotFollowed => f.write_str(
                "the thread that follows the store has ended · start this process again, and report what its log says of \
                 a panic",
            ),
            StoreError::Forked => f.write_str(
                "this process was forked from one that had the store open, so it neither follows the store nor holds its \
                 locks · open the store after the fork only, in each process that uses it",
            ),
            StoreError::NoSuchKey { id } => write!(f, "the store has no key {id} · look it up with `keys list`"),
            StoreError::NoSuchUser { id } => write!(f, "the store has no user {id} · look it up with `users list`"),
            StoreError::CursorMismatch => {
                f.write_str("the cursor belongs to another order · repeat the query of the page before, with the same order")
            }
            StoreError::RolledBack => {
                f.write_str("a step of this write has failed, so all of it was undone · repeat the write")
            }
            StoreError::InvalidValue { column } => write!(
                f,
                "the store has a value in {column} that no Keystile writes · run `keystile doctor`, and restore a backup"
            ),
            StoreError::InvalidRow { column, row } => write!(
                f,
                "the store has a value in {column} that no Keystile writes, in the row {row} · run `keystile doctor`, and \
                 restore a backup"
            ),
            StoreError::WentBack { known, found } => write!(
                f,
                "the store went back from generation {known} to {found}, so changes are missing from it · find out who \
                 replaced the file, restore the newest backup with `keystile restore`, and start this process again"
            ),
            StoreError::NoRandomBytes => {
                f.write_str("the operating system gave no random bytes · repeat, and look into its log if it goes on")
            }
            StoreError::EngineTooOld { found, needed } => {
                write!(f, "SQLite {found} has known defects · build with SQLite {needed} or newer")
            }
            StoreError::System { action, path, source } => {
                write!(f, "cannot {action} {}: {source} · check the path and the rights on it", path.display())
            }
            StoreError::Engine { code } => {
                write!(f, "the database engine failed (SQLite result code {code}) · run `keystile doctor`")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
