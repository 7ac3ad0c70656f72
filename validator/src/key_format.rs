//! Key formats: how a secret is written. Data, not code.
//!
//! A secret is `<prefix>_<environment><separator><body><checksum>`. It is read from the right: the
//! body holds no separator, so everything before the last one must be exactly a prefix and one of
//! its environments. Reading from the left would cut `sk_live_…` at its first underscore.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use crate::base62;
use crate::crc32::crc32;
use crate::environment::Environment;

/// Longest prefix, in bytes.
pub const MAX_PREFIX_LEN: usize = 32;
/// Shortest body, in characters: 22 base-62 characters are 130 bits, and never fewer than 128.
pub const MIN_BODY_LEN: usize = 22;
/// Longest body, in characters.
pub const MAX_BODY_LEN: usize = 128;
/// Length of a CRC-32 checksum, in characters.
pub const CHECKSUM_LEN: usize = 6;
/// Most environments a format can have.
pub const MAX_FORMAT_ENVIRONMENTS: usize = 16;
/// Most formats a validator knows at once.
pub const MAX_FORMATS: usize = 32;
/// Characters of the body that the display form of a secret shows.
const DISPLAY_BODY_LEN: usize = 4;

/// How the secrets of one system are written.
///
/// ```
/// use keystile_validator::{Checksum, Environment, FormatMatch, KeyFormat, Separator};
/// let live = Environment::new("live")?;
/// let format = KeyFormat::new("cpx", Separator::Dot, vec![live.clone()], 30, Checksum::Crc32)?;
/// let secret = format.assemble(&live, "0123456789abcdefghijABCDEFGHIJ")?;
/// assert!(secret.starts_with("cpx_live.0123"));
/// assert_eq!(format.read(secret.as_bytes()), FormatMatch::Match);
/// assert_eq!(format.read(&secret.as_bytes()[..secret.len() - 1]), FormatMatch::NoMatch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    prefix: String,
    separator: Separator,
    environments: Vec<Environment>,
    body_len: u8,
    checksum: Checksum,
}

/// The character between the environment and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// `_`, as in `hx_live_…`.
    Underscore,
    /// `.`, as in `cpx_live.…`.
    Dot,
}

impl Separator {
    /// The separator that is this character.
    pub const fn from_byte(byte: u8) -> Option<Separator> {
        match byte {
            b'_' => Some(Separator::Underscore),
            b'.' => Some(Separator::Dot),
            _ => None,
        }
    }

    /// The character.
    pub const fn as_byte(self) -> u8 {
        match self {
            Separator::Underscore => b'_',
            Separator::Dot => b'.',
        }
    }
}

/// What lets a typo be refused before any look-up, and a scanner find leaked keys without false
/// alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// No checksum.
    None,
    /// The CRC-32 of everything before it, as six base-62 characters.
    Crc32,
}

impl Checksum {
    /// Length in characters.
    pub const fn len(self) -> usize {
        match self {
            Checksum::None => 0,
            Checksum::Crc32 => CHECKSUM_LEN,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        matches!(self, Checksum::None)
    }
}

/// What a format says of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormatMatch {
    /// Not of this format.
    NoMatch,
    /// Of this format, but the checksum is wrong: a typo, or a guess.
    WrongChecksum,
    /// Of this format, with the right checksum where the format has one.
    Match,
}

impl KeyFormat {
    /// A format.
    ///
    /// # Errors
    /// [`KeyFormatError`] names the part that does not fit.
    pub fn new(
        prefix: impl Into<String>,
        separator: Separator,
        environments: Vec<Environment>,
        body_len: usize,
        checksum: Checksum,
    ) -> Result<KeyFormat, KeyFormatError> {
        let prefix = prefix.into();
        if !is_prefix(&prefix) {
            return Err(KeyFormatError::Prefix);
        }
        let body_len = match u8::try_from(body_len) {
            Ok(len) if (MIN_BODY_LEN..=MAX_BODY_LEN).contains(&body_len) => len,
            _ => return Err(KeyFormatError::BodyLength { given: body_len }),
        };
        if environments.is_empty() || environments.len() > MAX_FORMAT_ENVIRONMENTS {
            return Err(KeyFormatError::EnvironmentCount { given: environments.len() });
        }
        for (index, environment) in environments.iter().enumerate() {
            if environments.iter().skip(index.saturating_add(1)).any(|other| other == environment) {
                return Err(KeyFormatError::DuplicateEnvironment { environment: environment.clone() });
            }
        }
        Ok(KeyFormat { prefix, separator, environments, body_len, checksum })
    }

    /// The default format for a prefix: `<prefix>_live_` and `<prefix>_test_`, 30 characters of
    /// body (178 bits) and a CRC-32.
    ///
    /// # Errors
    /// [`KeyFormatError::Prefix`] when the prefix is not one.
    pub fn with_defaults(prefix: &str) -> Result<KeyFormat, KeyFormatError> {
        let environments = ["live", "test"].into_iter().filter_map(|name| Environment::new(name).ok()).collect();
        KeyFormat::new(prefix, Separator::Underscore, environments, 30, Checksum::Crc32)
    }

    /// The prefix, such as `hx`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The separator between environment and body.
    pub const fn separator(&self) -> Separator {
        self.separator
    }

    /// The environments, in the order they were given.
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }

    /// Length of the body in characters, without the checksum.
    pub const fn body_len(&self) -> usize {
        self.body_len as usize
    }

    /// The checksum.
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// What this format says of a credential.
    pub fn read(&self, credential: &[u8]) -> FormatMatch {
        self.as_parts().read(credential)
    }

    /// The secret with this body: everything before it and the checksum behind it.
    ///
    /// The caller draws the body from a cryptographic generator, uniformly, and wipes the result.
    ///
    /// # Errors
    /// [`KeyFormatError::BodyLength`] when the body is not base 62 of the right length, and
    /// [`KeyFormatError::UnknownEnvironment`] when the format does not have the environment.
    pub fn assemble(&self, environment: &Environment, body: &str) -> Result<String, KeyFormatError> {
        if !self.environments.contains(environment) {
            return Err(KeyFormatError::UnknownEnvironment { environment: environment.clone() });
        }
        if body.len() != self.body_len() || !base62::is_base62(body.as_bytes()) {
            return Err(KeyFormatError::BodyLength { given: body.len() });
        }
        // One allocation of the final size: growing would leave copies of the secret behind.
        let mut secret = String::with_capacity(self.secret_len(environment));
        secret.push_str(&self.prefix);
        secret.push('_');
        secret.push_str(environment.as_str());
        secret.push(char::from(self.separator.as_byte()));
        secret.push_str(body);
        if self.checksum == Checksum::Crc32 {
            for byte in base62::encode_u32(crc32(secret.as_bytes())) {
                secret.push(char::from(byte));
            }
        }
        Ok(secret)
    }

    /// What lists may show of a secret: prefix, environment and the first four characters of the
    /// body (`hx_live_abc1…`). `None` when the secret is not of this format.
    pub fn display(&self, secret: &str) -> Option<String> {
        if self.read(secret.as_bytes()) == FormatMatch::NoMatch {
            return None;
        }
        let (_, body) = secret.rsplit_once(char::from(self.separator.as_byte()))?;
        let hidden = body.len().saturating_sub(DISPLAY_BODY_LEN);
        let shown = secret.get(..secret.len().saturating_sub(hidden))?;
        let mut display = shown.to_string();
        display.push('…');
        Some(display)
    }

    /// Length of a secret of this environment, in bytes.
    fn secret_len(&self, environment: &Environment) -> usize {
        self.prefix
            .len()
            .saturating_add(environment.as_str().len())
            .saturating_add(self.body_len())
            .saturating_add(self.checksum.len())
            .saturating_add(2)
    }

    fn as_parts(&self) -> FormatParts<'_, impl Iterator<Item = &'_ [u8]> + Clone> {
        FormatParts {
            prefix: &self.prefix,
            separator: self.separator.as_byte(),
            body_len: self.body_len(),
            checksum: self.checksum,
            environments: self.environments.iter().map(|environment| environment.as_str().as_bytes()),
        }
    }
}

/// A borrowed format: the one place that reads a credential, for owned formats and for those in a
/// message alike.
pub(crate) struct FormatParts<'a, E: Iterator<Item = &'a [u8]>> {
    pub(crate) prefix: &'a str,
    pub(crate) separator: u8,
    pub(crate) body_len: usize,
    pub(crate) checksum: Checksum,
    pub(crate) environments: E,
}

impl<'a, E: Iterator<Item = &'a [u8]>> FormatParts<'a, E> {
    pub(crate) fn read(self, credential: &[u8]) -> FormatMatch {
        self.try_read(credential).unwrap_or(FormatMatch::NoMatch)
    }

    fn try_read(mut self, credential: &[u8]) -> Option<FormatMatch> {
        let tail_len = self.body_len.saturating_add(self.checksum.len());
        let (head, tail) = credential.split_at_checked(credential.len().checked_sub(tail_len)?)?;
        let (separator, head) = head.split_last()?;
        if *separator != self.separator || !base62::is_base62(tail) {
            return None;
        }
        let environment = head.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b"_")?;
        if !self.environments.any(|known| known == environment) {
            return None;
        }
        match self.checksum {
            Checksum::None => Some(FormatMatch::Match),
            Checksum::Crc32 => {
                let (covered, checksum) = credential.split_at_checked(credential.len().checked_sub(CHECKSUM_LEN)?)?;
                if base62::encode_u32(crc32(covered)) == checksum {
                    Some(FormatMatch::Match)
                } else {
                    Some(FormatMatch::WrongChecksum)
                }
            }
        }
    }
}

/// Whether this is a prefix: letters, digits, `_` and `-`, starting and ending with a letter or digit.
pub(crate) fn is_prefix(prefix: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    prefix.len() <= MAX_PREFIX_LEN
        && prefix.starts_with(alphanumeric)
        && prefix.ends_with(alphanumeric)
        && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Why something is not a key format, or a secret cannot be made with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFormatError {
    /// The prefix is not 1 to 32 letters, digits, `_` and `-`, with a letter or digit at both ends.
    Prefix,
    /// The body is too short to be safe, too long, or not what the format asks for.
    BodyLength {
        /// The length that was given, in characters.
        given: usize,
    },
    /// No environment, or too many.
    EnvironmentCount {
        /// How many were given.
        given: usize,
    },
    /// An environment is named twice.
    DuplicateEnvironment {
        /// That environment.
        environment: Environment,
    },
    /// The format does not have this environment.
    UnknownEnvironment {
        /// That environment.
        environment: Environment,
    },
}

impl fmt::Display for KeyFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFormatError::Prefix => write!(
                f,
                "not a prefix · give 1 to {MAX_PREFIX_LEN} letters, digits, `_` and `-`, with a letter or digit at both ends"
            ),
            KeyFormatError::BodyLength { given } => write!(
                f,
                "a body of {given} characters does not fit · give {MIN_BODY_LEN} to {MAX_BODY_LEN} base-62 characters \
                 ({MIN_BODY_LEN} are 130 bits)"
            ),
            KeyFormatError::EnvironmentCount { given } => {
                write!(f, "{given} environments do not fit · give 1 to {MAX_FORMAT_ENVIRONMENTS}")
            }
            KeyFormatError::DuplicateEnvironment { environment } => {
                write!(f, "the environment {environment} is named twice · name it once")
            }
            KeyFormatError::UnknownEnvironment { environment } => {
                write!(
                    f,
                    "the format has no environment {environment} · use one of its environments, see `formats list`"
                )
            }
        }
    }
}

impl core::error::Error for KeyFormatError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const BODY: &str = "0123456789abcdefghijABCDEFGHIJ";

    fn env(name: &str) -> Environment {
        Environment::new(name).unwrap()
    }

    fn format(prefix: &str, separator: Separator, environments: &[&str]) -> KeyFormat {
        KeyFormat::new(prefix, separator, environments.iter().map(|name| env(name)).collect(), 30, Checksum::Crc32)
            .unwrap()
    }

    #[test]
    fn a_secret_is_assembled_in_one_allocation_of_its_size() {
        for checksum in [Checksum::None, Checksum::Crc32] {
            let format = KeyFormat::new("cpx", Separator::Dot, vec![env("live")], 30, checksum).unwrap();
            let secret = format.assemble(&env("live"), BODY).unwrap();
            assert_eq!(secret.capacity(), secret.len());
            let characters = checksum.len();
            assert_eq!(checksum.is_empty(), characters == 0);
            assert_eq!(secret.len(), "cpx_live.".len() + 30 + checksum.len());
        }
    }

    /// Unkey read `sk_live_…` from the left and rotated it into `sk_…`.
    #[test]
    fn trap_1_prefixes_and_environments_hold_separators() {
        let callcov = format("sk", Separator::Underscore, &["live", "test", "test_dev", "test_staging", "live_prod"]);
        for name in ["live", "test", "test_dev", "test_staging", "live_prod"] {
            let secret = callcov.assemble(&env(name), BODY).unwrap();
            assert!(secret.starts_with(&std::format!("sk_{name}_0123")), "{secret}");
            assert_eq!(callcov.read(secret.as_bytes()), FormatMatch::Match);
            assert_eq!(callcov.display(&secret).unwrap(), std::format!("sk_{name}_0123…"));
        }
        let nested = format("my_company", Separator::Underscore, &["live"]);
        let secret = nested.assemble(&env("live"), BODY).unwrap();
        assert_eq!(nested.read(secret.as_bytes()), FormatMatch::Match);
        assert_eq!(format("my", Separator::Underscore, &["live"]).read(secret.as_bytes()), FormatMatch::NoMatch);
    }

    #[test]
    fn a_dot_separates_the_body_only() {
        let coreplexml = format("cpx", Separator::Dot, &["live", "test"]);
        let secret = coreplexml.assemble(&env("test"), BODY).unwrap();
        assert!(secret.starts_with("cpx_test.0123"));
        assert_eq!(coreplexml.read(secret.as_bytes()), FormatMatch::Match);
        assert_eq!(coreplexml.read(secret.replace('.', "_").as_bytes()), FormatMatch::NoMatch);
        // So no secret is ever taken for a JWS.
        assert_eq!(coreplexml.read(secret.replace('_', ".").as_bytes()), FormatMatch::NoMatch);
        assert_eq!(coreplexml.read(secret.replace("01", ".1").as_bytes()), FormatMatch::NoMatch);
    }

    #[test]
    fn bounds_hold() {
        let live = || vec![env("live")];
        let new = |prefix: &str, environments, body| {
            KeyFormat::new(prefix, Separator::Underscore, environments, body, Checksum::None)
        };
        assert!(new("hx", live(), MIN_BODY_LEN).is_ok());
        assert!(new("hx", live(), MAX_BODY_LEN).is_ok());
        assert_eq!(new("hx", live(), MIN_BODY_LEN - 1), Err(KeyFormatError::BodyLength { given: 21 }));
        assert_eq!(new("hx", live(), MAX_BODY_LEN + 1), Err(KeyFormatError::BodyLength { given: 129 }));
        assert!(new(&"p".repeat(MAX_PREFIX_LEN), live(), 30).is_ok());
        for bad in ["", "_hx", "hx_", "h x", "hx.", "hé", &"p".repeat(MAX_PREFIX_LEN + 1)] {
            assert_eq!(new(bad, live(), 30), Err(KeyFormatError::Prefix), "{bad}");
        }
        let many = |n: usize| (0..n).map(|i| env(&std::format!("e{i}"))).collect::<Vec<_>>();
        assert!(new("hx", many(MAX_FORMAT_ENVIRONMENTS), 30).is_ok());
        assert_eq!(
            new("hx", many(MAX_FORMAT_ENVIRONMENTS + 1), 30),
            Err(KeyFormatError::EnvironmentCount { given: 17 })
        );
        assert_eq!(new("hx", vec![], 30), Err(KeyFormatError::EnvironmentCount { given: 0 }));
        assert!(matches!(new("hx", vec![env("a"), env("a")], 30), Err(KeyFormatError::DuplicateEnvironment { .. })));
    }

    #[test]
    fn a_secret_is_of_one_length() {
        let hx = KeyFormat::with_defaults("hx").unwrap();
        let secret = hx.assemble(&env("live"), BODY).unwrap();
        for other in
            [&secret[1..], &secret[..secret.len() - 1], &(secret.clone() + "0"), &std::format!(" {secret}"), ""]
        {
            assert_eq!(hx.read(other.as_bytes()), FormatMatch::NoMatch, "{other}");
        }
        assert!(hx.assemble(&env("dev"), BODY).is_err());
        assert!(hx.assemble(&env("live"), &BODY[1..]).is_err());
        assert!(hx.assemble(&env("live"), &BODY.replace('0', "-")).is_err());
    }

    proptest! {
        /// The law: what a format assembles it reads, and no single changed character passes.
        #[test]
        fn one_changed_character_is_caught(body in "[0-9A-Za-z]{30}", position in 0_usize..44, replacement in "[0-9A-Za-z_.]") {
            let hx = KeyFormat::with_defaults("hx").unwrap();
            let secret = hx.assemble(&env("live"), &body).unwrap();
            prop_assert_eq!(hx.read(secret.as_bytes()), FormatMatch::Match);
            let mut changed = secret.clone().into_bytes();
            changed[position] = replacement.as_bytes()[0];
            prop_assert_eq!(hx.read(&changed) == FormatMatch::Match, changed == secret.as_bytes());
        }

        #[test]
        fn reading_anything_is_safe(bytes: std::vec::Vec<u8>) {
            let _ = KeyFormat::with_defaults("hx").unwrap().read(&bytes);
        }
    }
}
