//! How other systems write digests.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keystile_validator::{Digest, DigestError};

use crate::key::UnknownName;

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
