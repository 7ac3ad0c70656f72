//! Digests: all that is ever stored of a secret.

use alloc::string::String;
use core::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The SHA-256 (FIPS 180-4) of a whole secret as presented. It is all that is stored of a secret.
///
/// Fast on purpose: a secret has more than 128 bits. `==` runs in constant time, and `Debug` shows
/// only the first four bytes.
///
/// ```
/// use keystile_validator::Digest;
/// let digest = Digest::of(b"abc");
/// assert_eq!(Digest::from_hex(&digest.to_hex())?, digest);
/// assert_eq!(format!("{digest:?}"), "Digest(ba7816bf…)");
/// # Ok::<(), keystile_validator::DigestError>(())
/// ```
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Length of a digest in bytes.
    pub const LEN: usize = 32;

    /// The digest of a secret.
    pub fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }

    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest from 64 hexadecimal digits, upper or lower case.
    ///
    /// # Errors
    /// [`DigestError`] when there are not exactly 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Digest, DigestError> {
        decode_lower_hex(text.to_ascii_lowercase().as_bytes()).map(Digest).ok_or(DigestError)
    }

    /// The digest as 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        use core::fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// Whether both are the same, in constant time: every bit of both is looked at, and the only
    /// comparison is that of the differences put together, by `subtle`.
    pub(crate) fn matches(&self, other: &[u8; 32]) -> bool {
        let (ours, _) = self.0.as_chunks::<8>();
        let (theirs, _) = other.as_chunks::<8>();
        let differences = ours
            .iter()
            .zip(theirs)
            .fold(0, |all, (ours, theirs)| all | (u64::from_le_bytes(*ours) ^ u64::from_le_bytes(*theirs)));
        differences.ct_eq(&0).into()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.matches(&other.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// Bytes from exactly `2 * N` lower-case hexadecimal digits.
pub(crate) fn decode_lower_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)?.checked_shl(4)? | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10),
        _ => None,
    }
}

/// A text that is not a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DigestError;

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SHA-256 digest · give exactly 64 hexadecimal digits")
    }
}

impl core::error::Error for DigestError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys outlive releases: this digest of this secret may never change (anchor: the hash of
    /// "abc" in FIPS 180-4, appendix B.1).
    #[test]
    fn the_digest_of_a_secret_never_changes() {
        assert_eq!(Digest::of(b"abc").to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn hex_is_exact() {
        let hex = Digest::of(b"x").to_hex();
        assert!(Digest::from_hex(&hex.to_uppercase()).is_ok());
        assert_eq!(Digest::from_hex(&hex[1..]), Err(DigestError));
        assert_eq!(Digest::from_hex(&std::format!("{hex}00")), Err(DigestError));
        assert_eq!(Digest::from_hex(&hex.replace(&hex[..1], "g")), Err(DigestError));
    }

    #[test]
    fn every_bit_counts() {
        let digest = Digest::of(b"x");
        assert!(digest.matches(digest.as_bytes()));
        for bit in 0..256 {
            let mut other = *digest.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!digest.matches(&other), "bit {bit}");
        }
    }
}
