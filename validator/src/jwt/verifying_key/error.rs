//! Why a key is not one, and that a signature is bad.

use core::fmt;

use super::{MAX_HMAC_SECRET_LEN, MAX_RSA_MODULUS_BITS, MIN_HMAC_SECRET_LEN, MIN_RSA_EXPONENT, MIN_RSA_MODULUS_BITS};

/// Why something is not a verifying key. Nothing in it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A coordinate has another length than the curve.
    CoordinateLength {
        /// The curve, by its JWK name.
        curve: &'static str,
        /// Bytes of the first coordinate that does not fit.
        length: usize,
        /// Bytes of a coordinate on this curve.
        expected: usize,
    },
    /// The point is not on the curve.
    NotOnCurve {
        /// The curve, by its JWK name.
        curve: &'static str,
    },
    /// An Ed25519 key of another length than 32 bytes.
    Ed25519Length {
        /// Bytes of the key.
        length: usize,
    },
    /// Bytes that are not the canonical encoding of a point of Ed25519.
    NotAPoint,
    /// A point of small order, for which anybody can make signatures.
    SmallOrder,
    /// A number with leading zeros, or none at all.
    LeadingZero,
    /// A modulus that is too small or too large.
    ModulusSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// An even modulus.
    EvenModulus,
    /// A public exponent that is even, too small or too large.
    Exponent,
    /// A modulus with the fingerprint of ROCA (CVE-2017-15361): its primes can be found.
    WeakModulus,
    /// A secret that is shorter than any hash.
    SecretTooShort {
        /// Bytes of the secret.
        length: usize,
    },
    /// A secret that is longer than is of use.
    SecretTooLong {
        /// Bytes of the secret.
        length: usize,
    },
    /// A secret that is a PEM, an OpenSSH public key or a JWK.
    SecretIsKeyText,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::CoordinateLength { curve, length, expected } => write!(
                f,
                "a coordinate of {length} bytes on {curve} · give exactly {expected} bytes, with leading zeros"
            ),
            KeyError::NotOnCurve { curve } => write!(f, "the point is not on {curve} · check x, y and crv of the key"),
            KeyError::Ed25519Length { length } => {
                write!(f, "an Ed25519 key of {length} bytes · give exactly 32 bytes")
            }
            KeyError::NotAPoint => f.write_str("not an Ed25519 key · give the canonical encoding of a point"),
            KeyError::SmallOrder => {
                f.write_str("an Ed25519 key of small order, for which anybody can sign · make a new key")
            }
            KeyError::LeadingZero => {
                f.write_str("an RSA modulus or exponent with leading zeros · give the shortest big-endian form")
            }
            KeyError::ModulusSize { bits } => {
                write!(
                    f,
                    "an RSA modulus of {bits} bits · use a key of {MIN_RSA_MODULUS_BITS} to {MAX_RSA_MODULUS_BITS} bits"
                )
            }
            KeyError::EvenModulus => f.write_str("an even RSA modulus · check n of the key"),
            KeyError::Exponent => write!(
                f,
                "not a public exponent of RSA · use an odd one from {MIN_RSA_EXPONENT} to {}, or allow 3 for this issuer",
                u32::MAX
            ),
            KeyError::WeakModulus => {
                f.write_str("an RSA modulus whose primes can be found (ROCA, CVE-2017-15361) · make a new key")
            }
            KeyError::SecretTooShort { length } => {
                write!(
                    f,
                    "a secret of {length} bytes · use at least {MIN_HMAC_SECRET_LEN}, and as many as the hash has"
                )
            }
            KeyError::SecretTooLong { length } => {
                write!(f, "a secret of {length} bytes · use at most {MAX_HMAC_SECRET_LEN}")
            }
            KeyError::SecretIsKeyText => f.write_str("a key as text is not a shared secret · give random bytes"),
        }
    }
}

impl core::error::Error for KeyError {}

/// The signature is not one of this message by this key and algorithm. It does not say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature is not one of this message by this key · check the key and the algorithm")
    }
}

impl core::error::Error for BadSignature {}
