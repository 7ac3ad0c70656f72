//! The guard of the files: that this process goes on using the store, the write-ahead log and the shared memory
//! that everybody else uses.
//!
//! SQLite takes care of processes that share three files. It cannot when somebody removes one of them, puts another
//! one there, or writes into it: then two processes may each have files of their own, and a revoke that one of them
//! has acknowledged is unknown to the other and lost in the end. So the files are looked at again and again, beside
//! the engine. Once they are not what they were, this process neither reads, writes nor checkpoints any more.
//!
//! | file | holds |
//! | --- | --- |
//! | `mod` | [`Claim`]: what this process has opened, and whether it is still that |
//! | `claims` | which files this process has open |
//! | `content` | whether the store's file still holds what was written to it |
//! | `opening` | whether a file may be opened at all |
//! | `published` | what the processes on a store tell each other of it |
//! | `place` | what the operating system says of a file |
//! | `raw` | the forms of the files |

mod claims;
mod content;
mod opening;
mod place;
mod published;
mod raw;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

pub(super) use content::is_later;
pub(super) use opening::cannot_look_at;
pub(super) use place::network_file_system;
pub(super) use raw::Place;

use claims::Claims;
use content::Verified;
use place::{Identity, read_at, stat, stat_of};
use published::Published;
use raw::{FRAME_HEADER, Index, LOG_HEADER};

use super::file::{FileKey, beside};
use crate::store::{Position, StoreError};

/// The claim of this process on the file of a store that it has open.
///
/// Looking at a file before the engine does is not harmless: on POSIX systems, closing *any* descriptor of a file
/// drops *all* locks that the process holds on it, also those of the engine. So the guard's own descriptors are
/// kept until the last claim on the file ends, and a claim must outlive all connections.
#[derive(Debug)]
pub(super) struct Claim {
    paths: Paths,
    /// The path that was given, when symbolic links lead from it to the store.
    given: Option<PathBuf>,
    /// Whether that path was found to lead elsewhere. Set once.
    is_led_elsewhere: AtomicBool,
    key: FileKey,
    /// `None` only while it is dropped.
    file: Option<Arc<OpenFile>>,
    /// The schema that somebody else has brought the store to. Set once.
    migrated_to: OnceLock<u32>,
}

/// The files of a store.
#[derive(Clone, Debug)]
struct Paths {
    store: PathBuf,
    journal: PathBuf,
    index: PathBuf,
    /// Where the engine would look for a rollback journal.
    rollback: PathBuf,
}

/// A file that this process has open, whatever paths and however many connections lead to it.
#[derive(Debug)]
struct OpenFile {
    store: File,
    identity: Identity,
    beside: Mutex<Beside>,
    verified: Mutex<Option<Verified>>,
    /// The newest position that this process has read or written.
    seen: Mutex<Position>,
    /// Set once, for as long as this process has the file open.
    lost: OnceLock<Lost>,
    /// Whether a write has found no space.
    ran_full: AtomicBool,
    /// Set by the first store that reads and writes through this file and can.
    published: OnceLock<Published>,
}

/// The files beside the store.
#[derive(Debug, Default)]
struct Beside {
    /// Stores of this process that read and write through these files.
    attached: usize,
    journal: Option<Pin>,
    index: Option<Pin>,
    /// What was pinned before. Not closed, because closing would drop locks.
    retired: Vec<Pin>,
}

/// A file that is kept open, so that no other one gets its number.
#[derive(Debug)]
struct Pin {
    file: File,
    identity: Identity,
}

/// What the engine says through a fresh connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logical {
    /// Which store it is, and where it stands.
    pub(super) place: Place,
    /// The page of the file in which that is.
    pub(super) root: u32,
}

/// How the files ceased to be what they were.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// The store's path leads to another file, or to none.
    Store,
    /// The log was removed, exchanged, emptied, or written to by somebody else.
    Journal,
    /// The shared memory was removed, exchanged or emptied.
    Index,
    /// Somebody else has written to the store's file.
    Overwritten,
    /// Somebody has put a rollback journal beside the store.
    Rollback,
}

/// Whether the store's own file was touched since it was last looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Size and times are the same.
    No,
    /// By a checkpoint, by `touch`, or by somebody who wrote to it: [`Claim::verify`] tells.
    Yes,
}

impl Claim {
    /// Makes sure, without a change to anything, that this is the file of a store and may be opened, and claims it.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`], [`StoreError::OtherProgram`] or [`StoreError::Newer`] for what is no store of
    /// ours; [`StoreError::ManyNames`], [`StoreError::MountPoint`], [`StoreError::InUse`],
    /// [`StoreError::Overwritten`] or [`StoreError::RollbackJournal`] for one that two processes could see differently.
    pub(super) fn new(path: &Path) -> Result<Claim, StoreError> {
        let paths = Paths::of(path);
        opening::patiently(|| {
            let mut claims = Claims::lock()?;
            let Claims { held: claims, of_parents, .. } = claims.get_or_insert_default();
            let key = FileKey::of(path)?;
            if of_parents.contains(&key) {
                return Err(StoreError::Forked);
            }
            opening::check_names(path)?;
            let file = match claims.get_mut(&key) {
                Some((count, file)) => {
                    *count += 1;
                    Arc::clone(file)
                }
                None => {
                    // Closed again when it may not be opened: nothing of this process is locked yet.
                    let file = Arc::new(OpenFile::new(path)?);
                    opening::check(&file.store, &paths)?;
                    claims.insert(key.clone(), (1, Arc::clone(&file)));
                    file
                }
            };
            Ok(Claim {
                paths: paths.clone(),
                given: None,
                is_led_elsewhere: AtomicBool::new(false),
                key,
                file: Some(file),
                migrated_to: OnceLock::new(),
            })
        })
    }

    /// Has the claim hold only as long as this path leads to the same file. Whoever comes later is led by it too, and
    /// what is written to another file is unknown here.
    pub(super) fn reached_by(mut self, given: PathBuf) -> Claim {
        self.given = Some(given).filter(|given| *given != self.paths.store);
        self
    }

    /// Whether this is the only claim of this process on the file.
    pub(super) fn is_alone(&self) -> bool {
        let Ok(claims) = Claims::lock() else { return false };
        claims.as_ref().and_then(|claims| claims.held.get(&self.key)).is_none_or(|(count, _)| *count == 1)
    }

    /// Whether another process has the store open.
    pub(super) fn is_held_elsewhere(&self) -> Result<bool, StoreError> {
        let holder = place::holder(&self.file().store).map_err(|error| cannot_read(&self.paths.store, error))?;
        Ok(holder.is_some())
    }

    /// Remembers which files this process uses from now on. For whoever has opened a connection, and keeps one until
    /// [`Claim::detach`].
    /// `writes`: also whether this store may make a file beside the store.
    pub(super) fn attach(&self, writes: bool, ask: impl Fn() -> Result<Logical, StoreError>) -> Result<(), StoreError> {
        let file = self.file();
        let mut beside = lock(&file.beside);
        let is_first = beside.attached == 0;
        beside.attached += 1;
        if is_first {
            beside.pin(&self.paths)?;
            *lock(&file.verified) = None;
        }
        if file.published.get().is_none()
            && let Some(published) = Published::join(&self.paths.store, writes)
        {
            let _ = file.published.set(published);
        }
        drop(beside);
        if lock(&file.verified).is_none() {
            self.begin(&ask)?;
        }
        match self.check()? {
            Touched::No => Ok(()),
            Touched::Yes => self.verify(ask),
        }
    }

    /// Says that this store is about to close its connections.
    pub(super) fn detach(&self) {
        let mut beside = lock(&self.file().beside);
        beside.attached = beside.attached.saturating_sub(1);
    }

    /// Whether the files are still those that were opened, and the log still holds what was committed. Takes some
    /// system calls, a few microseconds.
    ///
    /// # Errors
    /// [`StoreError::Replaced`], [`StoreError::JournalLost`], [`StoreError::Overwritten`] or
    /// [`StoreError::RollbackJournal`]: then, and for as long as this process has the file open, nothing
    /// may be read from it or written to it.
    pub(super) fn check(&self) -> Result<Touched, StoreError> {
        let file = self.file();
        if let Some(lost) = file.lost.get() {
            return Err(self.error(*lost));
        }
        if let Some(given) = &self.given {
            self.check_given(given)?;
        }
        if self.published().is_some_and(Published::is_lost) {
            return Err(self.lose(Lost::Overwritten));
        }
        let stamp = match stat(&self.paths.store).map_err(|error| cannot_read(&self.paths.store, error))? {
            Some(found) if found.identity == file.identity => found.stamp,
            _ => return Err(self.lose(Lost::Store)),
        };
        let beside = lock(&file.beside);
        for (pin, path, lost) in
            [(&beside.journal, &self.paths.journal, Lost::Journal), (&beside.index, &self.paths.index, Lost::Index)]
        {
            let Some(pin) = pin.as_ref().filter(|_| beside.attached > 0) else { continue };
            match stat(path).map_err(|error| cannot_read(path, error))? {
                Some(found) if found.identity == pin.identity => {}
                _ => return Err(self.lose(lost)),
            }
        }
        if let (Some(index), Some(journal), 1..) = (&beside.index, &beside.journal, beside.attached) {
            self.check_journal(&index.file, &journal.file)?;
            // Whoever is the first to open the store the next time would have it replayed.
            if let Err(error) = self.check_rollback_journal() {
                return Err(match error {
                    StoreError::RollbackJournal { .. } => self.lose(Lost::Rollback),
                    other => other,
                });
            }
        }
        drop(beside);
        let touched = lock(&file.verified).is_some_and(|verified| verified.stamp != stamp);
        Ok(if touched { Touched::Yes } else { Touched::No })
    }

    /// Whether the path that was given still leads to the store. One that leads nowhere is looked at again: a link may
    /// be set anew.
    fn check_given(&self, given: &Path) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            if self.is_led_elsewhere.load(Ordering::Acquire) {
                break;
            }
            match stat(given).map_err(|error| cannot_read(given, error))? {
                Some(found) if found.identity == self.file().identity => return Ok(()),
                Some(_) => break,
                None => thread::sleep(PAUSE),
            }
        }
        self.is_led_elsewhere.store(true, Ordering::Release);
        Err(StoreError::Replaced { path: given.to_owned() })
    }

    /// Whether no rollback journal lies beside the store.
    ///
    /// # Errors
    /// [`StoreError::RollbackJournal`].
    pub(super) fn check_rollback_journal(&self) -> Result<(), StoreError> {
        opening::check_rollback_journal(&self.paths)
    }

    /// Whether the log holds what the shared memory says: whatever was committed is found again after everybody has
    /// ended.
    fn check_journal(&self, index_file: &File, journal: &File) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let before = self.read_index(index_file)?;
            let Some(last) = before.last_frame() else { return Ok(()) };
            let (mut log, mut frame) = ([0; LOG_HEADER], [0; FRAME_HEADER]);
            let read = read_at(journal, &mut log, 0).and_then(|()| read_at(journal, &mut frame, last));
            let len = journal.metadata().map(|metadata| metadata.len());
            match (read, len) {
                (Ok(()), Ok(len)) if len >= before.log_len() && before.belongs_to(&log, &frame) => return Ok(()),
                (Err(error), _) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    return Err(cannot_read(&self.paths.journal, error));
                }
                (_, Err(error)) => return Err(cannot_read(&self.paths.journal, error)),
                _ => {}
            }
            // Unless a writer has just begun the log anew.
            if self.read_index(index_file)? == before {
                thread::sleep(PAUSE);
                if self.read_index(index_file)? == before {
                    return Err(self.lose(Lost::Journal));
                }
            }
        }
        Err(cannot_read(&self.paths.journal, io::ErrorKind::WouldBlock.into()))
    }

    fn index(&self) -> Result<Option<Index>, StoreError> {
        let beside = lock(&self.file().beside);
        beside.index.as_ref().map(|index| self.read_index(&index.file)).transpose()
    }

    fn read_index(&self, file: &File) -> Result<Index, StoreError> {
        let mut bytes = [0; Index::LEN];
        for _ in 0..TRIES {
            match read_at(file, &mut bytes, 0) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(self.lose(Lost::Index)),
                Err(error) => return Err(cannot_read(&self.paths.index, error)),
            }
            if let Some(index) = Index::parse(&bytes) {
                return Ok(index);
            }
            // It is being written.
            thread::sleep(PAUSE);
        }
        Err(cannot_read(&self.paths.index, io::ErrorKind::WouldBlock.into()))
    }

    fn published(&self) -> Option<&Published> {
        self.file().published.get()
    }

    /// Whether the log holds at least so many frames, and some that are not in the store's file.
    pub(super) fn has_frames(&self, least: u32) -> bool {
        let beside = lock(&self.file().beside);
        let index = beside.index.as_ref().map(|index| self.read_index(&index.file));
        matches!(index, Some(Ok(index)) if index.frames >= least && index.backfilled < index.frames)
    }

    /// Notes a position that was read or written: whatever is there later is not older.
    pub(super) fn note_position(&self, position: Position) {
        let mut seen = lock(&self.file().seen);
        *seen = position.max(*seen);
    }

    /// Tells others of a place that was committed. To be called before the commit is acknowledged.
    pub(super) fn publish(&self, place: &Place) {
        if let Some(published) = self.published() {
            published.put_store(place);
        }
    }

    /// Why the engine makes no sense of the files, when they do not belong together; else what it says itself.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        // A connection that only reads refuses to replay it, and others are kept from that by the locks on the store.
        if let (StoreError::ReadOnly | StoreError::Busy { .. }, Err(rollback)) = (&error, self.check_rollback_journal())
        {
            return rollback;
        }
        if !matches!(error, StoreError::Corrupt | StoreError::Engine { .. }) {
            return error;
        }
        let mut beside = lock(&self.file().beside);
        if beside.attached == 0 && beside.pin(&self.paths).is_err() {
            return error;
        }
        let (Some(index), Some(journal)) = (&beside.index, &beside.journal) else { return error };
        match self.check_journal(&index.file, &journal.file) {
            Err(lost @ StoreError::JournalLost { .. }) => lost,
            _ => error,
        }
    }

    /// Notes that a write has found no space.
    pub(super) fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::DiskFull) {
            self.file().ran_full.store(true, Ordering::Release);
        }
    }

    /// Whether a write has found no space since this was last asked.
    pub(super) fn ran_full(&self) -> bool {
        self.file().ran_full.swap(false, Ordering::AcqRel)
    }

    /// The schema that somebody else has brought the store to. What `look` finds is kept for good.
    pub(super) fn migrated_to(
        &self,
        look: impl FnOnce() -> Result<Option<u32>, StoreError>,
    ) -> Result<Option<u32>, StoreError> {
        if let Some(found) = self.migrated_to.get() {
            return Ok(Some(*found));
        }
        Ok(look()?.map(|found| *self.migrated_to.get_or_init(|| found)))
    }

    /// The path of the store.
    pub(super) fn path(&self) -> &Path {
        &self.paths.store
    }

    /// Notes, for as long as the file is open, that it must not be used any more.
    fn lose(&self, lost: Lost) -> StoreError {
        self.error(*self.file().lost.get_or_init(|| lost))
    }

    fn error(&self, lost: Lost) -> StoreError {
        match lost {
            Lost::Store => StoreError::Replaced { path: self.paths.store.clone() },
            Lost::Journal => StoreError::JournalLost { path: self.paths.journal.clone() },
            Lost::Index => StoreError::JournalLost { path: self.paths.index.clone() },
            Lost::Overwritten => StoreError::Overwritten { path: self.paths.store.clone() },
            Lost::Rollback => StoreError::RollbackJournal { path: self.paths.rollback.clone() },
        }
    }

    fn file(&self) -> &OpenFile {
        match &self.file {
            Some(file) => file,
            None => unreachable!("a claim has its file until it is dropped"),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Ok(mut claims) = Claims::lock() else { return };
        // Under the lock: the descriptors close before anybody of this process opens the file again.
        drop(self.file.take());
        let Some(Claims { held: claims, .. }) = claims.as_mut() else { return };
        match claims.get_mut(&self.key) {
            Some((count, _)) if *count > 1 => *count -= 1,
            _ => {
                claims.remove(&self.key);
            }
        }
    }
}

impl Paths {
    fn of(store: &Path) -> Paths {
        let [journal, index, rollback] = ["-wal", "-shm", "-journal"].map(|suffix| beside(store, suffix));
        Paths { store: store.to_owned(), journal, index, rollback }
    }
}

impl OpenFile {
    fn new(path: &Path) -> Result<OpenFile, StoreError> {
        // For writing where that is allowed: some file systems make another file of one that is opened for writing
        // for the first time (overlayfs).
        let opened = File::options().read(true).write(true).open(path).or_else(|_| File::open(path));
        let failed = |error| opening::cannot_look_at(path, error);
        let store = opened.map_err(failed)?;
        let identity = stat_of(&store.metadata().map_err(failed)?).identity;
        Ok(OpenFile {
            store,
            identity,
            beside: Mutex::default(),
            verified: Mutex::default(),
            seen: Mutex::default(),
            lost: OnceLock::new(),
            ran_full: AtomicBool::new(false),
            published: OnceLock::new(),
        })
    }
}

impl Beside {
    fn is_complete(&self) -> bool {
        self.journal.is_some() && self.index.is_some()
    }

    /// Pins the files that lie beside the store now. A file without a log has none.
    fn pin(&mut self, paths: &Paths) -> Result<(), StoreError> {
        let pin = |path: &Path| match File::open(path) {
            Ok(file) => {
                let identity = stat_of(&file.metadata().map_err(|error| cannot_read(path, error))?).identity;
                Ok(Some(Pin { file, identity }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_read(path, error)),
        };
        let old = [self.journal.take(), self.index.take()];
        self.retired.extend(old.into_iter().flatten());
        (self.journal, self.index) = (pin(&paths.journal)?, pin(&paths.index)?);
        Ok(())
    }
}

fn cannot_read(path: &Path, source: io::Error) -> StoreError {
    StoreError::System { action: "read", path: path.to_owned(), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often something is read that may be written just then, and the pause in between.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(2);
