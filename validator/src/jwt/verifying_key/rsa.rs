//! RSASSA-PKCS1-v1_5 and RSASSA-PSS (RFC 8017, section 8), as JWS has them (RFC 7518, sections 3.3
//! and 3.5).

use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::rsa_encoding::{is_pkcs1, is_pss};
use super::rsa_power::Power;
use super::{BadSignature, KeyError, SmallExponent, roca};
use crate::jwt::Algorithm;

/// Fewest bits of a modulus (RFC 7518, section 3.3).
pub const MIN_RSA_MODULUS_BITS: usize = 2048;

/// Most bits of a modulus: beyond it, a verification takes longer than any key is worth.
pub const MAX_RSA_MODULUS_BITS: usize = 8192;

/// Least public exponent, but for 3 where [`SmallExponent::AllowThree`] says so.
pub const MIN_RSA_EXPONENT: u32 = 65_537;

/// An RSA public key.
pub(super) struct RsaKey {
    key: RsaPublicKey,
    bits: usize,
    exponent: u32,
    power: Option<Power>,
}

impl RsaKey {
    /// A key from modulus and exponent, big-endian.
    ///
    /// RFC 7518, section 6.3.1, has no leading zeros. A single one before a byte with its highest
    /// bit set is let through: it is the sign of an ASN.1 integer, and key sets in use have it.
    pub(super) fn new(n: &[u8], e: &[u8], small_exponent: SmallExponent) -> Result<RsaKey, KeyError> {
        let n = match n {
            [0, rest @ ..] if rest.first().is_some_and(|first| first & 0x80 != 0) => rest,
            other => other,
        };
        let bits = bit_length(n).ok_or(KeyError::LeadingZero)?;
        if !(MIN_RSA_MODULUS_BITS..=MAX_RSA_MODULUS_BITS).contains(&bits) {
            return Err(KeyError::ModulusSize { bits });
        }
        if n.last().is_none_or(|byte| byte & 1 == 0) {
            return Err(KeyError::EvenModulus);
        }
        let exponent = exponent(e)?;
        let enough = exponent >= MIN_RSA_EXPONENT || (exponent == 3 && small_exponent == SmallExponent::AllowThree);
        if exponent & 1 == 0 || !enough {
            return Err(KeyError::Exponent);
        }
        if roca::is_weak(n) {
            return Err(KeyError::WeakModulus);
        }
        let key = RsaPublicKey::new(BoxedUint::from_be_slice_vartime(n), BoxedUint::from(exponent))
            .map_err(|_| KeyError::ModulusSize { bits })?;
        Ok(RsaKey { key, bits, exponent, power: None })
    }

    /// Computes what powers of the modulus' size need. Sizes beyond 4096 bits are rare, and stay with
    /// the crate.
    pub(super) fn prepare(&mut self) {
        use rsa::traits::PublicKeyParts as _;
        if self.power.is_none() {
            self.power = Power::new(&self.key.n_bytes(), self.exponent);
        }
    }

    /// Bytes that the prepared modulus takes.
    pub(super) fn table_bytes(&self) -> usize {
        self.power.as_ref().map_or(0, Power::bytes)
    }

    /// Verifies a signature of exactly the modulus' length and below the modulus.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &self.power {
            None => self.verify_by_crate(algorithm, message, signature),
            Some(power) => self.verify_by_power(power, algorithm, message, signature),
        }
    }

    fn verify_by_crate(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let key = &self.key;
        match algorithm {
            Algorithm::Rs256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature),
            Algorithm::Rs384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature),
            Algorithm::Rs512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature),
            Algorithm::Ps256 => key.verify(Pss::<Sha256>::new(), &Sha256::digest(message), signature),
            Algorithm::Ps384 => key.verify(Pss::<Sha384>::new(), &Sha384::digest(message), signature),
            Algorithm::Ps512 => key.verify(Pss::<Sha512>::new(), &Sha512::digest(message), signature),
            _ => return Err(BadSignature),
        }
        .map_err(|_| BadSignature)
    }

    /// RFC 8017, sections 8.1.2 and 8.2.2.
    fn verify_by_power(
        &self,
        power: &Power,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let length = self.bits.div_ceil(8);
        if signature.len() != length {
            return Err(BadSignature);
        }
        let encoded = power.of(signature).ok_or(BadSignature)?;
        let good = match algorithm {
            Algorithm::Rs256 => is_pkcs1::<Sha256>(message, &encoded),
            Algorithm::Rs384 => is_pkcs1::<Sha384>(message, &encoded),
            Algorithm::Rs512 => is_pkcs1::<Sha512>(message, &encoded),
            Algorithm::Ps256 => is_pss::<Sha256>(message, &encoded, self.bits),
            Algorithm::Ps384 => is_pss::<Sha384>(message, &encoded, self.bits),
            Algorithm::Ps512 => is_pss::<Sha512>(message, &encoded, self.bits),
            _ => false,
        };
        if good { Ok(()) } else { Err(BadSignature) }
    }
}

/// Bits of a big-endian number without leading zeros.
fn bit_length(number: &[u8]) -> Option<usize> {
    let zeros = match number.first()? {
        0 => return None,
        first => first.leading_zeros(),
    };
    number.len().checked_mul(8)?.checked_sub(usize::try_from(zeros).ok()?)
}

/// The exponent, which has at most 32 bits and no leading zeros.
fn exponent(e: &[u8]) -> Result<u32, KeyError> {
    match e {
        [] | [_, _, _, _, _, ..] => Err(KeyError::Exponent),
        [0, ..] => Err(KeyError::LeadingZero),
        bytes => Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))),
    }
}
