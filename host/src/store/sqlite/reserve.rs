//! Room on the disk that is kept for changes that can only take away: a revoke must be possible when no space is
//! left for anything else.
//!
//! Its first page stays: the guard of the files keeps there what the processes on a store tell each other.
//!
//! It is a file beside the store whose space is really taken. Somebody who revokes gives the space back first, and
//! takes what is left of it again afterwards.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::file::beside;

/// The room that is kept, in bytes: a revoke of one key takes some 100 KiB, with the shared memory of the engine and
/// a log that is begun anew.
pub(crate) const RESERVE: u64 = 1 << 20;

/// Bytes at its beginning that are never given back.
pub(super) const KEPT: usize = 4 << 10;

/// Space is taken in steps of so many bytes, as long as there is some.
const STEP: usize = 64 << 10;

/// The room that opening a store takes: shared memory of 32 KiB, and as much again for each 16 MiB of its log.
const OPENING: u64 = 64 << 10;

/// The reserve of a store. Dropped, it is filled up again.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    is_kept: bool,
}

impl Reserve {
    /// The reserve of the store at this path; `is_kept`: by this process, which may write.
    pub(super) fn of(store: &Path, is_kept: bool) -> Reserve {
        Reserve { path: beside(store, SUFFIX), is_kept }
    }

    /// Fills it up, as far as there is space. That there is none is no failure of whoever asks.
    pub(super) fn fill(&self) {
        if !self.is_kept || fs::metadata(&self.path).is_ok_and(|metadata| taken(&metadata) >= RESERVE) {
            return;
        }
        let Ok(file) = open_at(&self.path, true) else { return };
        let has_first_page = file.metadata().is_ok_and(|metadata| taken(&metadata) >= KEPT as u64);
        // What is there already costs nothing.
        for at in (0..RESERVE).step_by(STEP) {
            let from = if has_first_page { at.max(KEPT as u64) } else { at };
            if take(&file, from, at + STEP as u64 - from).is_err() {
                return;
            }
        }
    }

    /// Gives all of it back to the disk but its first page; whether there was anything.
    pub(super) fn spend(&self) -> bool {
        self.shrink_to(KEPT as u64)
    }

    /// Gives back what opening the store takes; whether there was so much. The rest stays for a revoke.
    pub(super) fn lend(&self, store: &Path) -> bool {
        let log = fs::metadata(beside(store, "-wal")).map_or(0, |log| log.len());
        let room = OPENING.saturating_add(log / 256);
        let rest = self.len().checked_sub(room);
        rest.filter(|rest| *rest >= KEPT as u64).is_some_and(|rest| self.shrink_to(rest))
    }

    fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn shrink_to(&self, len: u64) -> bool {
        let file = OpenOptions::new().write(true).open(&self.path);
        file.and_then(|file| {
            let had_more = file.metadata()?.len() > len;
            if had_more {
                file.set_len(len)?;
            }
            Ok(had_more)
        })
        .unwrap_or(false)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.fill();
    }
}

/// The file itself, for what is kept in its first page; only to be read, where this user may not write it.
///
/// # Errors
/// It is not there and `may_create` is false, or it cannot be opened.
pub(super) fn open_reserve(store: &Path, may_create: bool) -> io::Result<File> {
    let path = beside(store, SUFFIX);
    open_at(&path, may_create).or_else(|_| File::open(path))
}

fn open_at(path: &Path, may_create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(may_create);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// How much of the reserve of a store is there, in bytes.
pub(crate) fn reserve_of(store: &Path) -> u64 {
    fs::metadata(beside(store, SUFFIX)).map_or(0, |metadata| taken(&metadata))
}

/// The space that a file really takes.
fn taken(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512).min(metadata.len());
    #[cfg(not(unix))]
    metadata.len()
}

/// Takes so much space for the file.
fn take(file: &File, at: u64, wanted: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), at, wanted) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        result => return Ok(result?),
    }
    write_noise(file, at, wanted)
}

/// Takes space by writing: random bytes, because a file system may compress others to nothing.
fn write_noise(mut file: &File, at: u64, wanted: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    let mut noise = vec![0; usize::try_from(wanted).unwrap_or(STEP)];
    getrandom::fill(&mut noise).map_err(io::Error::other)?;
    file.seek(io::SeekFrom::Start(at))?;
    file.write_all(&noise)?;
    file.sync_data()
}

const SUFFIX: &str = "-reserve";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_lent_spent_and_filled_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        let reserve = Reserve::of(&store, true);
        assert!(!reserve.spend() && !reserve.lend(&store), "nothing is there yet");
        reserve.fill();
        assert_eq!(reserve_of(&store), RESERVE);
        assert!(reserve.lend(&store));
        assert_eq!(reserve_of(&store), RESERVE - OPENING);
        let file = open_reserve(&store, false).unwrap();
        let first = [0xa5; KEPT];
        std::os::unix::fs::FileExt::write_all_at(&file, &first, 0).unwrap();
        assert!(reserve.spend() && !reserve.spend() && !reserve.lend(&store));
        assert_eq!(reserve_of(&store), KEPT as u64);
        drop(reserve);
        assert_eq!(reserve_of(&store), RESERVE);
        assert!(fs::read(beside(&store, SUFFIX)).unwrap().starts_with(&first));
        drop(Reserve::of(&store.with_extension("other"), false));
        assert_eq!(reserve_of(&store.with_extension("other")), 0, "whoever only reads keeps none");
    }

    /// A long log needs more shared memory.
    #[test]
    fn what_is_lent_goes_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        let reserve = Reserve::of(&store, true);
        reserve.fill();
        File::create(beside(&store, "-wal")).unwrap().set_len(64 << 20).unwrap();
        assert!(reserve.lend(&store));
        assert_eq!(reserve_of(&store), RESERVE - OPENING - (256 << 10));
    }

    #[test]
    fn a_file_that_takes_no_space_is_no_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        File::create(beside(&store, SUFFIX)).unwrap().set_len(RESERVE).unwrap();
        assert_eq!(reserve_of(&store), 0);
        drop(Reserve::of(&store, true));
        assert_eq!(reserve_of(&store), RESERVE);
    }

    #[test]
    fn noise_takes_space_where_the_system_takes_none_by_itself() {
        let file = tempfile::tempfile().unwrap();
        write_noise(&file, 0, RESERVE).unwrap();
        assert_eq!(taken(&file.metadata().unwrap()), RESERVE);
    }
}
