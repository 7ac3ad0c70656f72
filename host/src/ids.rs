//! Ids of what only the host knows: UUIDs with a type prefix, one type each.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_validator::Timestamp;

use crate::secret::GenerateError;

macro_rules! ids {
    ($($(#[$doc:meta])* $type:ident, $error:ident, $prefix:literal, $what:literal, $list:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type([u8; 16]);

        impl $type {
            /// What the text form starts with.
            pub const PREFIX: &str = $prefix;

            /// The id of these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> $type {
                $type(bytes)
            }

            /// The 16 bytes of the UUID.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// A new id.
            pub(crate) fn generate(now: Timestamp) -> Result<$type, GenerateError> {
                new_uuid(now).map($type)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($type::PREFIX)?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<$type, $error> {
                text.strip_prefix($type::PREFIX).and_then(read_hex).map($type).ok_or($error)
            }
        }

        #[doc = concat!("A text that is not the id of ", $what, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $error;

        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(
                    "not the id of ", $what, " · give `", $prefix,
                    "` and 32 lower-case hexadecimal digits, as `", $list, "` shows them"
                ))
            }
        }

        impl std::error::Error for $error {}
    )*};
}

ids! {
    /// The id of a user: a UUIDv7, written `usr_` and 32 hexadecimal digits. It is public; it proves
    /// nothing.
    ///
    /// ```
    /// use keystile::UserId;
    /// let id: UserId = "usr_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f".parse()?;
    /// assert_eq!(id.to_string(), "usr_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f");
    /// assert!("ses_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f".parse::<UserId>().is_err());
    /// # Ok::<(), keystile::UserIdError>(())
    /// ```
    UserId, UserIdError, "usr_", "a user", "users list";

    /// The id of a session: a UUIDv7, written `ses_` and 32 hexadecimal digits. It is public; it
    /// proves nothing.
    SessionId, SessionIdError, "ses_", "a session", "sessions list";

    /// The id of an import of keys: a UUIDv7, written `imp_` and 32 hexadecimal digits. It is public; it
    /// proves nothing.
    ImportId, ImportIdError, "imp_", "an import", "audit list";
}

/// 32 lower-case hexadecimal digits.
fn read_hex(digits: &str) -> Option<[u8; 16]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 32 || !digits.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// A new UUIDv7 (RFC 9562, section 5.7). Inside of one second the ids of a process are in the order in
/// which they were made: a counter stands in for the milliseconds and for `rand_a` (section 6.2).
pub(crate) fn new_uuid(now: Timestamp) -> Result<[u8; 16], GenerateError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| GenerateError::Generator)?;
    let [_, _, _, _, _, _, middle, low] = count.to_be_bytes();
    (random[0], random[1]) = (middle & 0x0f, low);
    let millis = now.unix().saturating_mul(1_000).saturating_add((count >> 12) % 1_000);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_were_written() {
        let now = Timestamp::from_unix(1_700_000_000).unwrap();
        let ids: Vec<SessionId> = (0..100).map(|_| SessionId::generate(now).unwrap()).collect();
        assert!(ids.is_sorted());
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.as_bytes()[6] >> 4, 7);
        }
        let good = "usr_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f";
        assert!(good.parse::<UserId>().is_ok());
        for bad in ["", "usr_", &good[..35], &good.to_uppercase(), &good.replace("0f", "+f"), &format!("{good}0")] {
            assert_eq!(bad.parse::<UserId>(), Err(UserIdError), "{bad}");
        }
    }
}
