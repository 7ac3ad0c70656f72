//! Where the command line finds the key-encryption key of a store.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::failure::Failure;
use crate::{KekError, KeyEncryptionKey, OpenOptions};

/// Where the key-encryption key of a store is.
pub(super) enum KekPlace {
    /// In this file, which was named.
    File(PathBuf),
    /// In the environment.
    Text(Zeroizing<String>),
    /// In the file that `init` makes beside the store, unless it was moved elsewhere.
    Beside(PathBuf),
}

impl KekPlace {
    /// A file that was named comes first, then the environment, then the file beside the store.
    pub(super) fn new(file: Option<PathBuf>, text: Option<String>, db: &Path) -> KekPlace {
        match (file, text) {
            (Some(file), _) => KekPlace::File(file),
            (None, Some(text)) => KekPlace::Text(Zeroizing::new(text)),
            (None, None) => {
                let mut path = db.as_os_str().to_owned();
                path.push(".kek");
                KekPlace::Beside(path.into())
            }
        }
    }

    /// Options that open a store with this key.
    pub(super) fn give_to(&self, options: OpenOptions) -> Result<OpenOptions, Failure> {
        match self {
            KekPlace::File(path) | KekPlace::Beside(path) => Ok(options.key_encryption_key_file(path)),
            KekPlace::Text(text) => Ok(options.key_encryption_key(KeyEncryptionKey::from_text(text)?)),
        }
    }

    /// The key for a new store, which is made when there is none.
    pub(super) fn for_new_store(&self) -> Result<NewKek, Failure> {
        let path = match self {
            KekPlace::Text(text) => return Ok(NewKek { key: KeyEncryptionKey::from_text(text)?, made: None }),
            KekPlace::File(path) | KekPlace::Beside(path) => path,
        };
        match KeyEncryptionKey::read(path) {
            Ok(key) => Ok(NewKek { key, made: None }),
            Err(KekError::Missing { .. }) => {
                let key = KeyEncryptionKey::generate()?;
                key.write_new(path)?;
                Ok(NewKek { key, made: Some(path.clone()) })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The key-encryption key of a new store.
pub(super) struct NewKek {
    /// The key.
    pub(super) key: KeyEncryptionKey,
    /// The file that was made for it.
    pub(super) made: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_comes_before_the_environment_and_that_before_the_default() {
        let place = |file: Option<&str>, text: Option<&str>| match KekPlace::new(
            file.map(PathBuf::from),
            text.map(str::to_owned),
            Path::new("a/b.db"),
        ) {
            KekPlace::File(path) => format!("file {}", path.display()),
            KekPlace::Text(text) => format!("text {}", *text),
            KekPlace::Beside(path) => format!("beside {}", path.display()),
        };
        assert_eq!(place(Some("f"), Some("t")), "file f");
        assert_eq!(place(None, Some("t")), "text t");
        assert_eq!(place(None, None), "beside a/b.db.kek");
    }
}
