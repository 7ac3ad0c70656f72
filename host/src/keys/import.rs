//! Importing digests from other systems: their keys go on working, and nobody learns a secret.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keystile_validator::{AddressRange, Digest, DigestError, Environment, KeyState, Rate, Scope, Timestamp};

use super::create::{describe, new_key_id, without_duplicates};
use super::error::ImportKeysError;
use super::field::{KeyFieldError, check_expiry, check_fields};
use super::{Keys, within_lifetime};
use crate::key::{Key, MAX_DISPLAY_LEN, Origin, SecretInfo, UnknownName};
use crate::text::is_line;

/// Most keys in one import.
pub const MAX_IMPORT: usize = 1_000_000;

/// A key of another system, known by the digest of its secret.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    /// The SHA-256 of the whole secret.
    pub digest: Digest,
    /// What people call it.
    pub name: String,
    /// What lists may show of the secret, such as its first characters.
    pub display: Option<String>,
    /// Who it acts for.
    pub owner: Option<String>,
    /// Its environment.
    pub environment: Environment,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where it may be used from; empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// How often it may be used.
    pub rate: Option<Rate>,
    /// What the operator wants to remember with it.
    pub metadata: BTreeMap<String, String>,
    /// From when on it is valid; `None`: at once.
    pub not_before: Option<Timestamp>,
    /// From when on it is expired; `None`: never, or at the longest lifetime of the store.
    pub expires_at: Option<Timestamp>,
}

/// How a digest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestEncoding {
    /// 64 hexadecimal digits.
    Hex,
    /// Base64 (RFC 4648, section 4), with or without padding.
    Base64,
    /// Base64url (RFC 4648, section 5), with or without padding.
    Base64Url,
}

impl DigestEncoding {
    /// Reads a digest.
    ///
    /// # Errors
    /// [`DigestError`] when the text is not exactly a SHA-256 in this encoding.
    ///
    /// ```
    /// use keystile::{Digest, DigestEncoding};
    /// let digest = DigestEncoding::Base64.decode("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")?;
    /// assert_eq!(digest, Digest::of(b"abc"));
    /// # Ok::<(), keystile::DigestError>(())
    /// ```
    pub fn decode(self, text: &str) -> Result<Digest, DigestError> {
        let alphabet = match self {
            DigestEncoding::Hex => return Digest::from_hex(text),
            DigestEncoding::Base64 => &alphabet::STANDARD,
            DigestEncoding::Base64Url => &alphabet::URL_SAFE,
        };
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let bytes = GeneralPurpose::new(alphabet, config).decode(text).unwrap_or_default();
        match <[u8; Digest::LEN]>::try_from(bytes) {
            Ok(bytes) => Ok(Digest::from_bytes(bytes)),
            // The error of the validator, which says what a digest is.
            Err(_) => Digest::from_hex(""),
        }
    }
}

impl FromStr for DigestEncoding {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<DigestEncoding, UnknownName> {
        match name {
            "hex" => Ok(DigestEncoding::Hex),
            "base64" => Ok(DigestEncoding::Base64),
            "base64url" => Ok(DigestEncoding::Base64Url),
            _ => Err(UnknownName { known: &["hex", "base64", "base64url"] }),
        }
    }
}

impl fmt::Display for DigestEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DigestEncoding::Hex => "hex",
            DigestEncoding::Base64 => "base64",
            DigestEncoding::Base64Url => "base64url",
        })
    }
}

impl Keys<'_> {
    /// Imports keys by their digests, all of them or none.
    ///
    /// # Errors
    /// [`ImportKeysError`] names the first key that does not fit; nothing was imported then.
    pub fn import(&self, imported: Vec<ImportedKey>) -> Result<Vec<Key>, ImportKeysError> {
        if imported.is_empty() || imported.len() > MAX_IMPORT {
            return Err(ImportKeysError::Count { given: imported.len() });
        }
        let mut digests = HashSet::with_capacity(imported.len());
        for (index, key) in imported.iter().enumerate() {
            if !digests.insert(*key.digest.as_bytes()) {
                return Err(ImportKeysError::DuplicateDigest { index });
            }
        }
        let imported = self.inner.change(|transaction, now| {
            let max_lifetime = transaction.settings()?.max_lifetime;
            let mut keys = Vec::with_capacity(imported.len());
            for (index, imported) in imported.into_iter().enumerate() {
                let field = |error| ImportKeysError::Field { index, error };
                check_expiry(imported.expires_at, now).map_err(field)?;
                let expires_at = within_lifetime(imported.expires_at, now, max_lifetime).map_err(field)?;
                let display = imported.display.unwrap_or_else(|| "(imported)".to_owned());
                if !is_line(&display, MAX_DISPLAY_LEN) {
                    return Err(field(KeyFieldError::Display));
                }
                let key = Key {
                    id: new_key_id(now).map_err(|_| ImportKeysError::Generator)?,
                    name: imported.name,
                    owner: imported.owner,
                    format: None,
                    environment: imported.environment,
                    scopes: without_duplicates(imported.scopes),
                    addresses: without_duplicates(imported.addresses),
                    rate: imported.rate,
                    metadata: imported.metadata,
                    created_at: now,
                    created_by: self.inner.actor().to_owned(),
                    updated_at: now,
                    not_before: imported.not_before,
                    expires_at,
                    state: KeyState::Active,
                    suspended_at: None,
                    revocation: None,
                    secrets: vec![SecretInfo {
                        number: 1,
                        digest: imported.digest,
                        display,
                        origin: Origin::Imported,
                        created_at: now,
                        retires_at: None,
                        pending_grace: None,
                        uses: 0,
                        first_used_at: None,
                        last_used_at: None,
                    }],
                };
                check_fields(&key).map_err(field)?;
                if !transaction.insert_key(&key)? {
                    return Err(ImportKeysError::DuplicateDigest { index });
                }
                self.inner.audit(transaction, now, "key.imported", Some(key.id.to_string()), &describe(&key))?;
                keys.push(key);
            }
            Ok(keys)
        });
        self.inner.load_new_keys();
        imported
    }
}
