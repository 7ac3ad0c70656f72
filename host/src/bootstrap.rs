//! The first start, for all front ends: a new store, and the key-encryption key that seals what it keeps secret.
//!
//! Several processes may do this at once on one path. The key comes first, whole, and under its final name; a
//! process that finds one takes it. From then on nobody removes it, whatever fails: a store that another process
//! has just made may be sealed with it. So at most one store is made, and the key that is in the file opens it.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::options::{CreateStoreError, KekChoice, NewStore, OpenOptions, PreparedStore};
use crate::sealing::{KekError, KeyEncryptionKey, Sealing};
use crate::store::SqliteStore;

/// Where the key-encryption key of a store is, as far as an operator has said.
///
/// ```
/// use keystile::KekPlace;
/// let place = KekPlace::new(None, None, "keys/keystile.db".as_ref());
/// assert_eq!(place.file(), Some("keys/keystile.db.kek".as_ref()));
/// ```
pub struct KekPlace(Place);

enum Place {
    File(PathBuf),
    Text(Zeroizing<String>),
}

impl KekPlace {
    /// A file that was named comes first, then a text that was given, then the file beside the store: its path
    /// with `.kek` at the end.
    pub fn new(file: Option<PathBuf>, text: Option<Zeroizing<String>>, store: &Path) -> KekPlace {
        KekPlace(match (file, text) {
            (Some(file), _) => Place::File(file),
            (None, Some(text)) => Place::Text(text),
            (None, None) => Place::File(default_kek_file(store)),
        })
    }

    /// The file, when the key is in one.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::File(path) => Some(path),
            Place::Text(_) => None,
        }
    }
}

/// The file that is made for the key of a store when no other one is named.
pub(crate) fn default_kek_file(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".kek");
    path.into()
}

impl fmt::Debug for KekPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::File(path) => f.debug_tuple("File").field(path).finish(),
            Place::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// What [`OpenOptions::bootstrap`] has made beside the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The file of the key-encryption key, when this call made it; `None` when the key was there.
    pub kek_file: Option<PathBuf>,
}

impl OpenOptions {
    /// Takes the key-encryption key from there.
    ///
    /// # Errors
    /// [`KekError::Form`] when a text was given that is no key.
    pub fn key_encryption_key_at(self, place: &KekPlace) -> Result<OpenOptions, KekError> {
        Ok(match &place.0 {
            Place::File(path) => self.key_encryption_key_file(path),
            Place::Text(text) => self.key_encryption_key(KeyEncryptionKey::from_text(text)?),
        })
    }

    /// Makes a new store, and the key-encryption key in the file of
    /// [`OpenOptions::key_encryption_key_file`] when there is none yet. Of many processes that do this at once
    /// on one path, one makes the store.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Keystile, NewStore};
    ///
    /// let kek = folder.path().join("keystile.db.kek");
    /// let options = || Keystile::options().key_encryption_key_file(&kek);
    /// let made = options().bootstrap(&path, NewStore::default())?;
    /// assert_eq!(made.kek_file.as_deref(), Some(kek.as_path()));
    /// options().open(&path)?;
    /// assert!(options().bootstrap(&path, NewStore::default()).is_err(), "nothing is overwritten");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BootstrapError`]. A key that this call made stays then: the error names its file, and the next start
    /// uses it.
    pub fn bootstrap(mut self, path: impl AsRef<Path>, new: NewStore) -> Result<Bootstrapped, BootstrapError> {
        let path = path.as_ref();
        // What would fail without a race fails before a key is made.
        let prepared = PreparedStore::new(new, self.clock.now()).map_err(BootstrapError::Create)?;
        SqliteStore::check_free(path).map_err(|error| BootstrapError::Create(error.into()))?;
        let (sealing, kek_file) = match std::mem::take(&mut self.kek) {
            KekChoice::None => (Sealing::none(), None),
            KekChoice::Given(key) => (Sealing::given(key), None),
            KekChoice::File(file) => {
                let (key, made) = KeyEncryptionKey::read_or_make(&file).map_err(BootstrapError::Kek)?;
                (Sealing::given(key), made.then_some(file))
            }
        };
        match (self.create_prepared(path, prepared, &sealing), kek_file) {
            (Ok(()), kek_file) => Ok(Bootstrapped { kek_file }),
            (Err(error), None) => Err(BootstrapError::Create(error)),
            (Err(error), Some(kek_file)) => Err(BootstrapError::KeyStays { error, kek_file }),
        }
    }
}

/// Why there was no first start.
#[derive(Debug)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The key-encryption key cannot be read or made. No store was made.
    Kek(KekError),
    /// The store was not made, nor a key.
    Create(CreateStoreError),
    /// The store was not made, and there is a new key.
    KeyStays {
        /// Why there is no store.
        error: CreateStoreError,
        /// The file of the key.
        kek_file: PathBuf,
    },
}

impl fmt::Display for BootstrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootstrapError::Kek(error) => error.fmt(f),
            BootstrapError::Create(error) => error.fmt(f),
            BootstrapError::KeyStays { error, kek_file } => write!(
                f,
                "{error}; keep {}, the key-encryption key that was made: the next start uses it, and another process \
                 may have done so already",
                kek_file.display()
            ),
        }
    }
}

impl std::error::Error for BootstrapError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BootstrapError::Kek(error) => Some(error),
            BootstrapError::Create(error) | BootstrapError::KeyStays { error, .. } => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keystile, Settings, StoreError};

    fn options(kek: &Path) -> OpenOptions {
        Keystile::options().key_encryption_key_file(kek)
    }

    #[test]
    fn a_named_file_comes_before_a_text_and_that_before_the_default() {
        let place = |file: Option<&str>, text: Option<&str>| {
            let text = text.map(|text| Zeroizing::new(text.to_owned()));
            format!("{:?}", KekPlace::new(file.map(PathBuf::from), text, Path::new("a/b.db")))
        };
        assert_eq!(place(Some("f"), Some("t")), "File(\"f\")");
        assert_eq!(place(None, Some("t")), "Text(…)");
        assert_eq!(place(None, None), "File(\"a/b.db.kek\")");
    }

    #[test]
    fn what_does_not_fit_makes_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kek) = (folder.path().join("keystile.db"), folder.path().join("kek"));
        let settings = Settings { max_lifetime: Some(1), ..Settings::default() };
        let refused = options(&kek).bootstrap(&path, NewStore { settings, ..NewStore::default() });
        assert!(matches!(refused, Err(BootstrapError::Create(CreateStoreError::Settings(_)))), "{refused:?}");
        let refused = options(&kek).bootstrap(folder.path().join("no/such.db"), NewStore::default());
        let is_missing = |error: &StoreError| matches!(error, StoreError::System { action: "write", .. });
        assert!(
            matches!(&refused, Err(BootstrapError::Create(CreateStoreError::Store(error))) if is_missing(error)),
            "{refused:?}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_key_stays_when_the_store_fails_and_the_next_start_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kek) = (folder.path().join("keystile.db"), folder.path().join("kek"));
        // A journal of an older store, which is found only when the new one gets its name.
        std::fs::write(folder.path().join("keystile.db-wal"), "left behind").unwrap();
        let error = options(&kek).bootstrap(&path, NewStore::default()).unwrap_err();
        assert!(matches!(&error, BootstrapError::KeyStays { kek_file, .. } if *kek_file == kek), "{error:?}");
        let message = error.to_string();
        assert!(message.split(" · ").count() == 2 && message.contains("kek"), "{message}");
        std::fs::remove_file(folder.path().join("keystile.db-wal")).unwrap();
        let made = options(&kek).bootstrap(&path, NewStore::default()).unwrap();
        assert_eq!(made.kek_file, None);
        let keystile = options(&kek).open(&path).unwrap();
        keystile.signing_keys().rotate(Default::default()).unwrap();
        // A first start that was killed can leave a second name of the key behind.
        let leftover = folder.path().join(".kek.0123456789abcdef.tmp");
        std::fs::hard_link(&kek, &leftover).unwrap();
        let found = keystile.doctor(&path).unwrap().findings;
        assert!(found.iter().any(|finding| finding.message.contains(leftover.to_str().unwrap())), "{found:?}");

        // One of the place where the key is made by default, also when the key lies elsewhere by now.
        let leftover = folder.path().join(".keystile.db.kek.0123456789abcdef.tmp");
        std::fs::hard_link(&kek, &leftover).unwrap();
        let found = keystile.doctor(&path).unwrap().findings;
        assert!(found.iter().any(|finding| finding.message.contains(leftover.to_str().unwrap())), "{found:?}");
    }
}
