//! Ids: UUIDs with a type prefix.

use core::fmt;
use core::str::FromStr;

/// The id of a key: a UUID (version 7 when Keystile made it), written `key_` and 32 hexadecimal
/// digits. It is public; it proves nothing.
///
/// ```
/// use keystile_validator::KeyId;
/// let id: KeyId = "key_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f".parse()?;
/// assert_eq!(id.to_string(), "key_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f");
/// assert!("0192f8e0a1b27c3d8e4f5a6b7c8d9e0f".parse::<KeyId>().is_err());
/// # Ok::<(), keystile_validator::KeyIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// What the text form of a key id starts with.
    pub const PREFIX: &str = "key_";

    /// The id of these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> KeyId {
        KeyId(bytes)
    }

    /// The 16 bytes of the UUID.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KeyId::PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<KeyId, KeyIdError> {
        let digits = text.strip_prefix(KeyId::PREFIX).ok_or(KeyIdError)?;
        crate::digest::decode_lower_hex(digits.as_bytes()).map(KeyId).ok_or(KeyIdError)
    }
}

/// A text that is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyIdError;

impl fmt::Display for KeyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key id · give `key_` and 32 lower-case hexadecimal digits, as `keys list` shows them")
    }
}

impl core::error::Error for KeyIdError {}
