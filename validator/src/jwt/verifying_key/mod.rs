//! Verifying keys: what a signature is verified with.
//!
//! The primitives are those of RustCrypto and dalek. A key verifies by its crate's own verification
//! until it is prepared; a prepared key answers the same, faster, from tables that are computed once.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use p256::NistP256;
use p384::NistP384;

use self::comb::Comb;
use self::ecdsa::{EcdsaKey, Weierstrass};
use self::ed25519::{Ed25519Key, Edwards};
use self::hmac::HmacKey;
use self::rsa::RsaKey;
use super::Algorithm;

mod comb;
mod ecdsa;
mod ed25519;
mod error;
mod hmac;
mod roca;
mod rsa;
mod rsa_encoding;
mod rsa_power;

pub use error::{BadSignature, KeyError};
pub use hmac::{MAX_HMAC_SECRET_LEN, MIN_HMAC_SECRET_LEN};
pub use rsa::{MAX_RSA_MODULUS_BITS, MIN_RSA_EXPONENT, MIN_RSA_MODULUS_BITS};

/// A key that verifies signatures: a public key, or a secret shared with who signs.
///
/// Its kind decides which algorithms it supports; nothing in a token can change that. `Debug` shows
/// the kind only.
pub struct VerifyingKey(Kind);

enum Kind {
    P256(Box<EcdsaKey<NistP256>>),
    P384(Box<EcdsaKey<NistP384>>),
    Ed25519(Box<Ed25519Key>),
    Rsa(Box<RsaKey>),
    Hmac(Box<HmacKey>),
}

/// Whether an RSA key may have the public exponent 3, which some old systems still use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmallExponent {
    /// At least 65537.
    #[default]
    Refuse,
    /// At least 65537, or 3.
    AllowThree,
}

impl VerifyingKey {
    /// A P-256 key from its coordinates, 32 bytes each (RFC 7518, section 6.2.1).
    ///
    /// # Errors
    /// [`KeyError`] when a coordinate has another length, or the point is not on the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<VerifyingKey, KeyError> {
        EcdsaKey::new(x, y).map(|key| VerifyingKey(Kind::P256(Box::new(key))))
    }

    /// A P-384 key from its coordinates, 48 bytes each (RFC 7518, section 6.2.1).
    ///
    /// # Errors
    /// [`KeyError`] when a coordinate has another length, or the point is not on the curve.
    pub fn p384(x: &[u8], y: &[u8]) -> Result<VerifyingKey, KeyError> {
        EcdsaKey::new(x, y).map(|key| VerifyingKey(Kind::P384(Box::new(key))))
    }

    /// An Ed25519 key from its 32 bytes (RFC 8037, section 2).
    ///
    /// # Errors
    /// [`KeyError`] when there are not 32 bytes, they are not the canonical encoding of a point, or
    /// the point has a small order.
    pub fn ed25519(x: &[u8]) -> Result<VerifyingKey, KeyError> {
        Ed25519Key::new(x).map(|key| VerifyingKey(Kind::Ed25519(Box::new(key))))
    }

    /// An RSA key from modulus and public exponent, big-endian (RFC 7518, section 6.3.1).
    ///
    /// # Errors
    /// [`KeyError`] when the modulus has fewer than 2048 or more than 8192 bits, is even, or has the
    /// ROCA fingerprint; when the exponent is even, below 65537 (but for an allowed 3) or has more
    /// than 32 bits; when there are leading zeros, save one sign byte before the modulus.
    pub fn rsa(n: &[u8], e: &[u8], small_exponent: SmallExponent) -> Result<VerifyingKey, KeyError> {
        RsaKey::new(n, e, small_exponent).map(|key| VerifyingKey(Kind::Rsa(Box::new(key))))
    }

    /// A secret shared with who signs (RFC 7518, section 3.2). It is wiped when the key is dropped.
    ///
    /// # Errors
    /// [`KeyError`] when the secret has fewer than 32 or more than 1024 bytes, or is a key as text: a
    /// PEM, an OpenSSH key, or a JWK.
    pub fn hmac(secret: &[u8]) -> Result<VerifyingKey, KeyError> {
        HmacKey::new(secret).map(|key| VerifyingKey(Kind::Hmac(Box::new(key))))
    }

    /// Whether signatures of this algorithm can be verified with this key: its kind fits, and a
    /// shared secret is at least as long as the hash.
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Kind::P256(_) => matches!(algorithm, Algorithm::Es256),
            Kind::P384(_) => matches!(algorithm, Algorithm::Es384),
            Kind::Ed25519(_) => matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519),
            Kind::Rsa(_) => matches!(
                algorithm,
                Algorithm::Rs256
                    | Algorithm::Rs384
                    | Algorithm::Rs512
                    | Algorithm::Ps256
                    | Algorithm::Ps384
                    | Algorithm::Ps512
            ),
            Kind::Hmac(key) => key.supports(algorithm),
        }
    }

    /// Computes once what every verification with this key needs: the multiples of the point of an
    /// elliptic curve. The second time it does nothing.
    ///
    /// All keys of a process share one [`BaseTables`].
    pub fn prepare(&mut self, bases: &mut BaseTables) {
        match &mut self.0 {
            Kind::P256(key) => key.prepare(&mut bases.p256),
            Kind::P384(key) => key.prepare(&mut bases.p384),
            Kind::Ed25519(key) => key.prepare(&mut bases.ed25519),
            Kind::Rsa(key) => key.prepare(),
            Kind::Hmac(key) => key.prepare(),
        }
    }

    /// Bytes of memory that preparing this key took, without what it shares in [`BaseTables`].
    pub fn table_bytes(&self) -> usize {
        match &self.0 {
            Kind::P256(key) => key.table_bytes(),
            Kind::P384(key) => key.table_bytes(),
            Kind::Ed25519(key) => key.table_bytes(),
            Kind::Rsa(key) => key.table_bytes(),
            Kind::Hmac(key) => key.table_bytes(),
        }
    }

    /// Verifies the signature of a message, prepared or not, with the same answer.
    ///
    /// # Errors
    /// [`BadSignature`] when the signature is not one of this message by this key and algorithm,
    /// also when the key does not [support](VerifyingKey::supports) the algorithm.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if !self.supports(algorithm) {
            return Err(BadSignature);
        }
        match &self.0 {
            Kind::P256(key) => key.verify(message, signature),
            Kind::P384(key) => key.verify(message, signature),
            Kind::Ed25519(key) => key.verify(message, signature),
            Kind::Rsa(key) => key.verify(algorithm, message, signature),
            Kind::Hmac(key) => key.verify(algorithm, message, signature),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::P256(_) => "VerifyingKey(P-256)",
            Kind::P384(_) => "VerifyingKey(P-384)",
            Kind::Ed25519(_) => "VerifyingKey(Ed25519)",
            Kind::Rsa(_) => "VerifyingKey(RSA)",
            Kind::Hmac(_) => "VerifyingKey(HMAC)",
        })
    }
}

/// Tables of the base points, which all keys of a curve share. Each is computed when the first key
/// of its curve is prepared.
#[derive(Clone, Default)]
pub struct BaseTables {
    p256: Option<Arc<Comb<Weierstrass<NistP256>>>>,
    p384: Option<Arc<Comb<Weierstrass<NistP384>>>>,
    ed25519: Option<Arc<Comb<Edwards>>>,
}

impl BaseTables {
    /// Bytes of memory that these tables take; nothing before the first key is prepared.
    pub fn table_bytes(&self) -> usize {
        let p256 = self.p256.as_ref().map_or(0, |comb| comb.bytes());
        let p384 = self.p384.as_ref().map_or(0, |comb| comb.bytes());
        let ed25519 = self.ed25519.as_ref().map_or(0, |comb| comb.bytes());
        p256.saturating_add(p384).saturating_add(ed25519)
    }
}

impl fmt::Debug for BaseTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseTables({} bytes)", self.table_bytes())
    }
}

/// Most bytes of memory that preparing one key takes, and each table of [`BaseTables`].
pub const MAX_TABLE_BYTES: usize = 640 * 1024;

#[cfg(test)]
mod tests;
