//! Key records: what a validator knows of one secret.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::address::AddressRange;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::id::KeyId;
use crate::scope::Scope;
use crate::time::Timestamp;

/// Most scopes a key can have.
pub const MAX_SCOPES: usize = 64;
/// Most address ranges a key can have.
pub const MAX_ADDRESSES: usize = 32;
/// Longest owner, in bytes.
pub const MAX_OWNER_LEN: usize = 254;
/// Longest record in its binary form, in bytes: room for every bound above at once.
pub const MAX_RECORD_LEN: usize = 10_240;

/// The state an operator has given a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// In use.
    Active,
    /// Switched off; can be resumed.
    Suspended,
    /// Ended for good.
    Revoked,
}

/// How many calls a key may make in a window of time.
///
/// ```
/// use keystile_validator::Rate;
/// assert_eq!(Rate::new(600, 60)?.to_string(), "600/60s");
/// assert!(Rate::new(0, 60).is_err());
/// # Ok::<(), keystile_validator::RateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    limit: u32,
    window: u32,
}

impl Rate {
    /// The longest window: 31 days, in seconds.
    pub const MAX_WINDOW: u32 = 31 * 86_400;

    /// `limit` calls in `window` seconds.
    ///
    /// # Errors
    /// [`RateError`] when either is 0, or the window is longer than [`Rate::MAX_WINDOW`].
    pub const fn new(limit: u32, window: u32) -> Result<Rate, RateError> {
        if limit == 0 || window == 0 || window > Rate::MAX_WINDOW {
            return Err(RateError);
        }
        Ok(Rate { limit, window })
    }

    /// Calls in a window.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// Length of the window in seconds.
    pub const fn window(self) -> u32 {
        self.window
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.limit, self.window)
    }
}

/// What a validator knows of one secret: the secret's digest, and all of its key that a verdict
/// depends on. A key in rotation has a record for each of its secrets.
///
/// The fields are open; [`check`](crate::check) reads the binary form, which
/// [`encode_record`](crate::wire::encode_record) refuses to write when a bound is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key.
    pub key_id: KeyId,
    /// The digest of the secret.
    pub digest: Digest,
    /// The state of the key.
    pub state: KeyState,
    /// Who the key acts for; at most [`MAX_OWNER_LEN`] bytes, without control characters.
    pub owner: Option<String>,
    /// The environment of the key.
    pub environment: Environment,
    /// What the key may do; at most [`MAX_SCOPES`]. A key without scopes may do nothing that needs one.
    pub scopes: Vec<Scope>,
    /// From this second on the key is valid.
    pub not_before: Option<Timestamp>,
    /// From this second on the key is expired.
    pub expires_at: Option<Timestamp>,
    /// From this second on this secret, replaced by a rotation, is refused as `rotated`.
    pub retires_at: Option<Timestamp>,
    /// Where the key may be used from; at most [`MAX_ADDRESSES`]. Empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// How often the key may be used.
    pub rate: Option<Rate>,
    /// Whether the first use of this secret starts the grace period of its predecessor. For hosts;
    /// no verdict depends on it.
    pub starts_grace: bool,
}

impl KeyRecord {
    /// The record of an active key without owner, scopes or limits.
    pub fn new(key_id: KeyId, digest: Digest, environment: Environment) -> KeyRecord {
        KeyRecord {
            key_id,
            digest,
            state: KeyState::Active,
            owner: None,
            environment,
            scopes: Vec::new(),
            not_before: None,
            expires_at: None,
            retires_at: None,
            addresses: Vec::new(),
            rate: None,
            starts_grace: false,
        }
    }

    /// Whether every bound holds.
    ///
    /// # Errors
    /// [`KeyRecordError`] names the field that is out of bounds.
    pub fn validate(&self) -> Result<(), KeyRecordError> {
        if self.owner.as_deref().is_some_and(|owner| !is_owner(owner)) {
            return Err(KeyRecordError::Owner);
        }
        if self.scopes.len() > MAX_SCOPES {
            return Err(KeyRecordError::Scopes { given: self.scopes.len() });
        }
        if self.addresses.len() > MAX_ADDRESSES {
            return Err(KeyRecordError::Addresses { given: self.addresses.len() });
        }
        Ok(())
    }
}

/// Whether this can be the owner of a key.
pub(crate) fn is_owner(owner: &str) -> bool {
    let plain = |byte: u8| matches!(byte, 0x20..=0x7e);
    // Most owners are plain ASCII, which needs no decoding.
    !owner.is_empty()
        && owner.len() <= MAX_OWNER_LEN
        && (owner.bytes().all(plain) || !owner.chars().any(char::is_control))
}

/// A rate that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateError;

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a rate · give at least one call in a window of 1 second to 31 days, such as 600/60s")
    }
}

impl core::error::Error for RateError {}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRecordError {
    /// The owner is empty, too long, or holds control characters.
    Owner,
    /// Too many scopes.
    Scopes {
        /// How many there are.
        given: usize,
    },
    /// Too many address ranges.
    Addresses {
        /// How many there are.
        given: usize,
    },
}

impl fmt::Display for KeyRecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyRecordError::Owner => {
                write!(f, "not an owner · give 1 to {MAX_OWNER_LEN} bytes without control characters")
            }
            KeyRecordError::Scopes { given } => {
                write!(f, "{given} scopes are too many · give at most {MAX_SCOPES}, or a wildcard such as invoices:*")
            }
            KeyRecordError::Addresses { given } => {
                write!(f, "{given} address ranges are too many · give at most {MAX_ADDRESSES}, or wider ones")
            }
        }
    }
}

impl core::error::Error for KeyRecordError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold() {
        let base = KeyRecord::new(KeyId::from_bytes([0; 16]), Digest::of(b""), Environment::new("live").unwrap());
        let scope = Scope::new("read").unwrap();
        let range: AddressRange = "::/0".parse().unwrap();
        let with = |change: &dyn Fn(&mut KeyRecord)| {
            let mut record = base.clone();
            change(&mut record);
            record.validate()
        };
        assert_eq!(with(&|_| ()), Ok(()));
        assert_eq!(with(&|r| r.scopes = std::vec![scope.clone(); MAX_SCOPES]), Ok(()));
        assert_eq!(
            with(&|r| r.scopes = std::vec![scope.clone(); MAX_SCOPES + 1]),
            Err(KeyRecordError::Scopes { given: 65 })
        );
        assert_eq!(with(&|r| r.addresses = std::vec![range; MAX_ADDRESSES]), Ok(()));
        assert_eq!(
            with(&|r| r.addresses = std::vec![range; MAX_ADDRESSES + 1]),
            Err(KeyRecordError::Addresses { given: 33 })
        );
        assert_eq!(with(&|r| r.owner = Some("o".repeat(MAX_OWNER_LEN))), Ok(()));
        for bad in ["o".repeat(MAX_OWNER_LEN + 1), String::new(), "a\0b".into(), "a\u{85}b".into()] {
            assert_eq!(with(&|r| r.owner = Some(bad.clone())), Err(KeyRecordError::Owner));
        }
        assert!(Rate::new(1, Rate::MAX_WINDOW).is_ok());
        assert_eq!(Rate::new(1, Rate::MAX_WINDOW + 1), Err(RateError));
        assert_eq!(Rate::new(1, 0), Err(RateError));
    }
}
