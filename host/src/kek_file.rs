//! The file of a key-encryption key: read whole, and written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::sealing::{KekError, KeyEncryptionKey};
use crate::store::{leftovers_of, rename_without_replacing};

impl KeyEncryptionKey {
    /// Reads the text form from a file.
    ///
    /// # Errors
    /// [`KekError`] when there is no such file, or it holds something else.
    pub fn read(path: impl AsRef<Path>) -> Result<KeyEncryptionKey, KekError> {
        let bytes = read_whole(path.as_ref())?;
        KeyEncryptionKey::from_text(str::from_utf8(&bytes).map_err(|_| KekError::Form)?)
    }

    /// Writes the text form into a new file that only this user may read. The file has its name only once
    /// all of it is on disk, so no other process reads a part of it.
    ///
    /// # Errors
    /// [`KekError`] when there is something at the path, or it cannot be written; nothing is left
    /// behind then.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), KekError> {
        for _ in 0..TRIES {
            match self.try_write_new(path.as_ref()) {
                // Another first start has taken the temporary file for one that was left behind.
                Err(KekError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
        }
        self.try_write_new(path.as_ref())
    }

    fn try_write_new(&self, path: &Path) -> Result<(), KekError> {
        let cannot_write = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KekError::AlreadyExists { path: path.to_owned() },
            _ => KekError::File { action: "write", path: path.to_owned(), source },
        };
        if path.symlink_metadata().is_ok() {
            return Err(KekError::AlreadyExists { path: path.to_owned() });
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| KekError::Generator)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{:016x}.tmp", u64::from_le_bytes(random)));
        let temporary = Temporary(path.with_file_name(name));
        let mut file = create_new(&temporary.0).map_err(cannot_write)?;
        // Says to others that it is in use. Where files cannot be locked, nobody else can lock it either.
        let _ = file.lock();
        file.write_all(self.to_text().as_bytes()).and_then(|()| file.sync_all()).map_err(cannot_write)?;
        let is_final =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound);
        // Renamed: the key never has two names, whenever this process ends. A hard link is for systems that replace
        // what is at the new name.
        let moved = match rename_without_replacing(&temporary.0, path) {
            Err(error) if !is_final(&error) => fs::hard_link(&temporary.0, path),
            result => result,
        };
        match moved {
            Ok(()) => {}
            Err(error) if is_final(&error) => return Err(cannot_write(error)),
            // Neither is possible: an empty file takes the name, and is replaced. Whoever reads it meanwhile waits
            // for that.
            Err(_) => {
                create_new(path).map_err(cannot_write)?;
                if let Err(error) = fs::rename(&temporary.0, path) {
                    let _ = fs::remove_file(path);
                    return Err(cannot_write(error));
                }
            }
        }
        sync_folder(path).map_err(cannot_write)
    }

    /// The key in this file, or a new one that is written there when there is no file. Many processes may do
    /// this at once: all of them get the key that is in the file. Whether this call made it. What first starts that
    /// were killed have left beside it is removed.
    pub(crate) fn read_or_make(path: &Path) -> Result<(KeyEncryptionKey, bool), KekError> {
        let found = KeyEncryptionKey::find_or_make(path)?;
        remove_leftovers(path);
        Ok(found)
    }

    fn find_or_make(path: &Path) -> Result<(KeyEncryptionKey, bool), KekError> {
        match KeyEncryptionKey::read(path) {
            Err(KekError::Missing { .. }) => {}
            found => return found.map(|key| (key, false)),
        }
        let key = KeyEncryptionKey::generate()?;
        match key.write_new(path) {
            Ok(()) => Ok((key, true)),
            Err(KekError::AlreadyExists { path }) => match KeyEncryptionKey::read(&path) {
                // Something that can neither be read nor replaced, such as a link to nowhere.
                Err(KekError::Missing { .. }) => Err(KekError::AlreadyExists { path }),
                found => found.map(|key| (key, false)),
            },
            Err(error) => Err(error),
        }
    }
}

/// Removes temporary files of this key that nobody is writing: each may be a copy of the key, or another name of its
/// file. One that cannot be removed is named by the doctor.
fn remove_leftovers(path: &Path) {
    for leftover in leftovers_of(path) {
        // Whoever writes one has it locked.
        if File::open(&leftover).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(&leftover);
        }
    }
}

/// The content of a file, or as much of it as shows that it is no key. An empty file is read again for a while.
fn read_whole(path: &Path) -> Result<Zeroizing<Vec<u8>>, KekError> {
    let cannot_read = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => KekError::Missing { path: path.to_owned() },
        _ => KekError::File { action: "read", path: path.to_owned(), source },
    };
    for _ in 0..EMPTY_READS {
        // Of its final size from the start: growing would leave copies behind.
        let mut bytes = Zeroizing::new(vec![0; LONGEST_FILE]);
        let mut file = File::open(path).map_err(cannot_read)?;
        let mut len = 0;
        while len < bytes.len() {
            match file.read(bytes.get_mut(len..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot_read(error)),
            }
        }
        if len > 0 {
            bytes.truncate(len);
            return Ok(bytes);
        }
        thread::sleep(EMPTY_WAIT);
    }
    Err(KekError::Form)
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A new name is on disk only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A file under a name that nobody looks for; dropped, it is gone.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename it is not there; and there is nobody left to tell of a failure.
        let _ = fs::remove_file(&self.0);
    }
}

/// How often a new file is begun again.
const TRIES: usize = 3;
/// Longest file that is looked at, in bytes.
const LONGEST_FILE: usize = 1_024;
/// How often an empty file is read before it is taken for one that holds no key.
const EMPTY_READS: usize = 20;
/// How long a process that has taken the name of the file gets before it is read again.
const EMPTY_WAIT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        assert!(matches!(KeyEncryptionKey::read(&path), Err(KekError::Missing { .. })));
        let new = KeyEncryptionKey::generate().unwrap();
        new.write_new(&path).unwrap();
        assert_eq!(*KeyEncryptionKey::read(&path).unwrap().to_text(), *new.to_text());
        assert!(matches!(new.write_new(&path), Err(KekError::AlreadyExists { .. })));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
        fs::write(&path, vec![b'A'; 100_000]).unwrap();
        assert!(matches!(KeyEncryptionKey::read(&path), Err(KekError::Form)));
        fs::write(&path, b"").unwrap();
        assert!(matches!(KeyEncryptionKey::read(&path), Err(KekError::Form)), "empty, and stays so");
    }

    #[test]
    fn everybody_gets_the_key_that_is_in_the_file() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("kek");
            let start = std::sync::Barrier::new(8);
            let got: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            KeyEncryptionKey::read_or_make(&path).unwrap()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(got.iter().filter(|(_, made)| *made).count(), 1);
            let there = KeyEncryptionKey::read(&path).unwrap().to_text();
            assert!(got.iter().all(|(key, _)| key.to_text() == there));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_read_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &path).unwrap();
        assert!(matches!(KeyEncryptionKey::read_or_make(&path), Err(KekError::AlreadyExists { .. })));
        assert!(path.symlink_metadata().unwrap().is_symlink());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something of mine").unwrap();
        assert!(matches!(KeyEncryptionKey::read_or_make(&path), Err(KekError::Form)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "something of mine");
    }

    /// Other names of the key, and copies that were not finished; but not what another process is writing now.
    #[test]
    fn what_killed_first_starts_have_left_is_removed_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        KeyEncryptionKey::generate().unwrap().write_new(&path).unwrap();
        let name = |number: u64| folder.path().join(format!(".kek.{number:016x}.tmp"));
        fs::hard_link(&path, name(1)).unwrap();
        fs::write(name(2), "half of a k").unwrap();
        fs::write(name(3), "being written").unwrap();
        let writing = File::open(name(3)).unwrap();
        writing.lock().unwrap();
        fs::write(folder.path().join(".kek.old.tmp"), "something of mine").unwrap();
        let (key, made) = KeyEncryptionKey::read_or_make(&path).unwrap();
        assert!(!made && *KeyEncryptionKey::read(&path).unwrap().to_text() == *key.to_text());
        assert!(!name(1).exists() && !name(2).exists());
        assert!(name(3).exists() && folder.path().join(".kek.old.tmp").exists());
        drop(writing);
        KeyEncryptionKey::read_or_make(&path).unwrap();
        assert!(!name(3).exists());
    }
}
