//! Sealing: what the store keeps secret is encrypted under a key that is not in the store.
//!
//! The key-encryption key is 32 random bytes, written in base64 (RFC 4648, section 4) in a file or in
//! an environment variable. What it seals is bound to its place, so that a sealed value that somebody
//! moved to another row, column, table or store does not open there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile_validator::Timestamp;
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use crate::keystile::Inner;
use crate::store::{ReadTokens, StoreError, WriteTransaction};

/// The key under which a store seals its signing keys, and what refresh tokens are made with: 32 bytes.
///
/// It exists in memory only while a store is open: no `Clone`, no `Serialize`, a `Debug` without
/// content, wiped when dropped.
///
/// ```
/// use keystile::KeyEncryptionKey;
/// let key = KeyEncryptionKey::from_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")?;
/// assert_eq!(format!("{key:?}"), "KeyEncryptionKey(…)");
/// assert!(KeyEncryptionKey::from_text("too short").is_err());
/// # Ok::<(), keystile::KekError>(())
/// ```
pub struct KeyEncryptionKey(Zeroizing<[u8; KEY_LEN]>);

impl KeyEncryptionKey {
    /// A new key, from the generator of the operating system.
    ///
    /// # Errors
    /// [`KekError::Generator`] when it gives no random bytes.
    pub fn generate() -> Result<KeyEncryptionKey, KekError> {
        let mut key = KeyEncryptionKey(Zeroizing::new([0; KEY_LEN]));
        getrandom::fill(key.0.as_mut_slice()).map_err(|_| KekError::Generator)?;
        Ok(key)
    }

    /// Reads the text form: 32 bytes in base64, as `openssl rand -base64 32` prints them. White space
    /// at the end is passed over.
    ///
    /// # Errors
    /// [`KekError::Form`] when it is something else.
    pub fn from_text(text: &str) -> Result<KeyEncryptionKey, KekError> {
        let mut key = KeyEncryptionKey(Zeroizing::new([0; KEY_LEN]));
        // Room for what is too long to be one, so that it is seen as such.
        let mut bytes = Zeroizing::new([0; 2 * KEY_LEN]);
        let text = text.trim_end();
        if text.len() > LONGEST_TEXT {
            return Err(KekError::Form);
        }
        match STANDARD.decode_slice(text, bytes.as_mut_slice()) {
            Ok(KEY_LEN) => key.0.copy_from_slice(&bytes[..KEY_LEN]),
            _ => return Err(KekError::Form),
        }
        Ok(key)
    }

    /// The text form, with a line feed at its end.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(LONGEST_TEXT));
        STANDARD.encode_string(self.0.as_slice(), &mut text);
        text.push('\n');
        text
    }

    /// Encrypts what only this place may hold: a version byte, a random nonce, the ciphertext with its
    /// tag.
    pub(crate) fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, KekError> {
        let mut sealed = Zeroizing::new(Vec::with_capacity(plain.len() + OVERHEAD));
        sealed.extend_from_slice(plain);
        let key = self.cipher()?;
        let nonce = key.seal_in_place_append_tag(Aad::from(place.associated_data()), &mut *sealed);
        let nonce = nonce.map_err(|_| KekError::Generator)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), sealed.as_slice()].concat())
    }

    /// Decrypts what was sealed for this place; `None` when it was sealed under another key, for
    /// another place, or was changed.
    pub(crate) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.strip_prefix(&[VERSION])?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from(place.associated_data());
        let len = self.cipher().ok()?.open_in_place(nonce, aad, &mut plain).ok()?.len();
        plain.as_mut_slice().get_mut(len..)?.zeroize();
        plain.truncate(len);
        Some(plain)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, KekError> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice()).map_err(|_| KekError::Generator)
    }

    /// Something sealed in this store that says nothing, by which a wrong key is told.
    fn check_value(&self, store_id: [u8; 16]) -> Result<Vec<u8>, KekError> {
        self.seal(&Place::check(store_id), b"")
    }

    fn fits(&self, store_id: [u8; 16], check: &[u8]) -> bool {
        self.open(&Place::check(store_id), check).is_some()
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey(…)")
    }
}

/// Where a sealed value lies, and where alone it opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The id of the store.
    pub(crate) store_id: [u8; 16],
    /// The table.
    pub(crate) table: &'static str,
    /// The column.
    pub(crate) column: &'static str,
    /// What the row is known by.
    pub(crate) row: &'a str,
}

impl Place<'_> {
    const fn check(store_id: [u8; 16]) -> Place<'static> {
        Place { store_id, table: "sealing", column: "check_value", row: "" }
    }

    /// Each text with its length, so that no two places give the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = b"keystile sealed 1\0".to_vec();
        data.extend_from_slice(&self.store_id);
        for text in [self.table, self.column, self.row] {
            data.extend_from_slice(&(text.len() as u64).to_le_bytes());
            data.extend_from_slice(text.as_bytes());
        }
        data
    }
}

/// The key-encryption key of an open store, or why there is none.
pub(crate) struct Sealing {
    key: Option<KeyEncryptionKey>,
    source: KekSource,
}

/// Where the key-encryption key of a store comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum KekSource {
    /// Nobody gave one.
    #[default]
    None,
    /// It was handed in.
    Given,
    /// This file, which may be missing: many operations need no key.
    File(PathBuf),
}

impl Sealing {
    pub(crate) fn given(key: KeyEncryptionKey) -> Sealing {
        Sealing { key: Some(key), source: KekSource::Given }
    }

    pub(crate) fn none() -> Sealing {
        Sealing { key: None, source: KekSource::None }
    }

    /// The key in a file. That there is none, or that this user may not read it, is told when it is
    /// needed.
    pub(crate) fn file(path: &Path) -> Result<Sealing, KekError> {
        let key = match KeyEncryptionKey::read(path) {
            Ok(key) => Some(key),
            Err(KekError::Missing { .. } | KekError::File { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Sealing { key, source: KekSource::File(path.to_owned()) })
    }

    pub(crate) fn is_given(&self) -> bool {
        self.key.is_some()
    }

    pub(crate) fn source(&self) -> &KekSource {
        &self.source
    }

    /// A wrong key is told before anything is done with the store.
    pub(crate) fn check(&self, view: &(impl ReadTokens + ?Sized)) -> Result<(), KekError> {
        match (&self.key, view.sealing_check()?) {
            (Some(key), Some(check)) if !key.fits(view.store_id()?, &check) => Err(KekError::Wrong),
            _ => Ok(()),
        }
    }

    /// The key, to open what was sealed with it.
    pub(crate) fn key(&self) -> Result<&KeyEncryptionKey, KekError> {
        match (&self.key, &self.source) {
            (Some(key), _) => Ok(key),
            (None, KekSource::File(path)) => match KeyEncryptionKey::read(path) {
                // It has come since; whoever opened the store before goes on without it.
                Ok(_) => Err(KekError::NotGiven),
                Err(error) => Err(error),
            },
            (None, _) => Err(KekError::NotGiven),
        }
    }

    /// Makes this the key of the store.
    pub(crate) fn begin(&self, transaction: &mut dyn WriteTransaction) -> Result<(), KekError> {
        let check = self.key()?.check_value(transaction.store_id()?)?;
        Ok(transaction.set_sealing_check(&check)?)
    }

    /// The key, to seal with it in this store: what is sealed first decides which key it is.
    pub(crate) fn key_to_seal(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        actor: &str,
    ) -> Result<&KeyEncryptionKey, KekError> {
        let key = self.key()?;
        match transaction.sealing_check()? {
            Some(_) => self.check(transaction)?,
            None => {
                self.begin(transaction)?;
                crate::audit::append(transaction, now, actor, "sealing.begun", None, &json!({}))?;
            }
        }
        Ok(key)
    }
}

impl Inner {
    /// The key-encryption key, to seal something in this write.
    pub(crate) fn key_to_seal(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
    ) -> Result<&KeyEncryptionKey, KekError> {
        self.sealing.key_to_seal(transaction, now, self.actor())
    }
}

/// Why there is no key-encryption key, or not this one.
#[derive(Debug)]
#[non_exhaustive]
pub enum KekError {
    /// None was given, and something is or must be sealed.
    NotGiven,
    /// There is no file at this path.
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// There is a file already where a new one was to be written.
    AlreadyExists {
        /// Its path.
        path: PathBuf,
    },
    /// It is not 32 bytes in base64.
    Form,
    /// The store was sealed under another key.
    Wrong,
    /// The operating system could not read or write the file.
    File {
        /// What was tried.
        action: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The operating system gave no random bytes, or the cipher does not work here.
    Generator,
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for KekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KekError::NotGiven => f.write_str(
                "signing keys and sessions are sealed under a key-encryption key, and none was given · give it with --kek FILE or in \
                 KEYSTILE_KEK; `openssl rand -base64 32` makes one for a store that has none yet",
            ),
            KekError::Missing { path } => write!(
                f,
                "there is no key-encryption key at {} · check the path, or give it with --kek FILE or in KEYSTILE_KEK; \
                 `openssl rand -base64 32` makes one for a store that has none yet",
                path.display()
            ),
            KekError::AlreadyExists { path } => {
                write!(f, "{} already exists · nothing is overwritten: give another path, or move it away", path.display())
            }
            KekError::Form => {
                f.write_str("this is not a key-encryption key · give 32 random bytes in base64, and nothing else")
            }
            KekError::Wrong => f.write_str(
                "this is not the key-encryption key of this store · give the one that the store was made with; without it \
                 its signing keys and sessions cannot be used",
            ),
            KekError::File { action, path, source } => {
                write!(f, "cannot {action} {}: {source} · check the path and the rights on it", path.display())
            }
            KekError::Generator => {
                f.write_str("the operating system gave no random bytes · look into its logs, and repeat")
            }
            KekError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KekError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KekError::File { source, .. } => Some(source),
            KekError::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for KekError {
    fn from(error: StoreError) -> KekError {
        KekError::Store(error)
    }
}

/// Bytes of a key-encryption key.
const KEY_LEN: usize = 32;
/// Longest text that is looked at: that of a key has 44 characters.
const LONGEST_TEXT: usize = 64;
/// How sealed values begin: AES-256-GCM with a random nonce of 96 bits.
const VERSION: u8 = 1;
/// What a sealed value is longer than what is in it.
const OVERHEAD: usize = 1 + NONCE_LEN + 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> KeyEncryptionKey {
        KeyEncryptionKey(Zeroizing::new([byte; KEY_LEN]))
    }

    const PLACE: Place<'static> = Place { store_id: [1; 16], table: "signing_keys", column: "sealed_key", row: "a" };

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let sealed = key(7).seal(&PLACE, b"private").unwrap();
        assert_eq!(sealed.len(), b"private".len() + OVERHEAD);
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        assert_eq!(key(7).open(&PLACE, &sealed).unwrap().as_slice(), b"private");
        for elsewhere in [
            Place { store_id: [2; 16], ..PLACE },
            Place { table: "other", ..PLACE },
            Place { column: "other", ..PLACE },
            Place { row: "b", ..PLACE },
            Place { table: "signing_key", column: "ssealed_key", ..PLACE },
        ] {
            assert!(key(7).open(&elsewhere, &sealed).is_none(), "{elsewhere:?}");
        }
        assert!(key(8).open(&PLACE, &sealed).is_none());
    }

    #[test]
    fn a_changed_bit_does_not_open() {
        let sealed = key(7).seal(&PLACE, b"private").unwrap();
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[index] ^= 1 << bit;
                assert!(key(7).open(&PLACE, &changed).is_none(), "byte {index}, bit {bit}");
            }
        }
        for len in 0..sealed.len() {
            assert!(key(7).open(&PLACE, &sealed[..len]).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn no_two_seals_are_the_same() {
        assert_ne!(key(7).seal(&PLACE, b"x").unwrap(), key(7).seal(&PLACE, b"x").unwrap());
    }

    #[test]
    fn the_text_form_is_exact() {
        let text = STANDARD.encode([7; 32]);
        for good in [text.clone(), format!("{text}\n"), format!("{text}\r\n")] {
            assert_eq!(*KeyEncryptionKey::from_text(&good).unwrap().0, [7; 32]);
        }
        for bad in [
            String::new(),
            STANDARD.encode([7; 31]),
            STANDARD.encode([7; 33]),
            STANDARD.encode([7; 64]),
            format!(" {text}"),
            text.replace('=', ""),
            text.replace('B', "-"),
            "07".repeat(32),
            "x".repeat(10_000),
        ] {
            assert!(matches!(KeyEncryptionKey::from_text(&bad), Err(KekError::Form)), "{bad}");
        }
    }

    #[test]
    fn the_key_is_never_printed() {
        let text = STANDARD.encode([7; 32]);
        let new = KeyEncryptionKey::from_text(&text).unwrap();
        assert_eq!(format!("{new:?}"), "KeyEncryptionKey(…)");
        let told = KeyEncryptionKey::from_text(&format!("{text}x")).unwrap_err();
        assert!(!format!("{told} {told:?}").contains(&text[..8]));
    }

    #[test]
    fn messages_say_what_happened_and_what_to_do() {
        let path = || PathBuf::from("/x");
        for error in [
            KekError::NotGiven,
            KekError::Missing { path: path() },
            KekError::AlreadyExists { path: path() },
            KekError::Form,
            KekError::Wrong,
            KekError::File { action: "read", path: path(), source: io::ErrorKind::PermissionDenied.into() },
            KekError::Generator,
        ] {
            let message = error.to_string();
            assert_eq!(message.split(" · ").count(), 2, "{message}");
        }
    }
}
