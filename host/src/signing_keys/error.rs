//! What can go wrong with signing keys.

use std::fmt;

use keystile_validator::Timestamp;

use super::material::BadKey;
use crate::sealing::KekError;
use crate::store::StoreError;
use crate::text::rfc3339;

/// Why there is no signing key to sign with.
#[derive(Debug)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The key-encryption key is not there, or is not this one.
    Kek(KekError),
    /// The private key in the store does not open, or does not sign.
    Damaged {
        /// The key.
        kid: String,
    },
    /// No key could be made.
    Generator,
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for SigningKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SigningKeyError::Kek(error) => error.fmt(f),
            SigningKeyError::Damaged { kid } => write!(
                f,
                "the signing key {kid} was changed in the store and does not open · replace it with `keystile signing-keys \
                 rotate --now`, and find out who wrote to the store"
            ),
            SigningKeyError::Generator => {
                f.write_str("no signing key could be made · look into the logs of the operating system, and repeat")
            }
            SigningKeyError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SigningKeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SigningKeyError::Kek(error) => Some(error),
            SigningKeyError::Store(error) => Some(error),
            SigningKeyError::Damaged { .. } | SigningKeyError::Generator => None,
        }
    }
}

impl From<StoreError> for SigningKeyError {
    fn from(error: StoreError) -> SigningKeyError {
        SigningKeyError::Store(error)
    }
}

impl From<KekError> for SigningKeyError {
    fn from(error: KekError) -> SigningKeyError {
        match error {
            KekError::Store(error) => SigningKeyError::Store(error),
            error => SigningKeyError::Kek(error),
        }
    }
}

impl From<BadKey> for SigningKeyError {
    fn from(BadKey: BadKey) -> SigningKeyError {
        SigningKeyError::Generator
    }
}

/// Why signing keys were not rotated.
#[derive(Debug)]
#[non_exhaustive]
pub enum RotateSigningKeyError {
    /// The next key is published already.
    Pending {
        /// The key.
        kid: String,
        /// From when on it signs.
        signs_from: Timestamp,
    },
    /// There is no key to seal the new one with, or it could not be made.
    Key(SigningKeyError),
}

impl fmt::Display for RotateSigningKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RotateSigningKeyError::Pending { kid, signs_from } => write!(
                f,
                "the next signing key {kid} is published already and signs from {} on · wait until then, or let it sign at \
                 once with --now",
                rfc3339(*signs_from)
            ),
            RotateSigningKeyError::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RotateSigningKeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RotateSigningKeyError::Key(error) => Some(error),
            RotateSigningKeyError::Pending { .. } => None,
        }
    }
}

impl From<SigningKeyError> for RotateSigningKeyError {
    fn from(error: SigningKeyError) -> RotateSigningKeyError {
        RotateSigningKeyError::Key(error)
    }
}

impl From<StoreError> for RotateSigningKeyError {
    fn from(error: StoreError) -> RotateSigningKeyError {
        RotateSigningKeyError::Key(error.into())
    }
}
