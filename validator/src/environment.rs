//! Environments: `live` and `test` keys that cannot stand in for each other.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Longest environment name, in bytes.
pub const MAX_ENVIRONMENT_LEN: usize = 32;

/// The environment of a key: `live`, `test`, or nested ones such as `test_dev`.
///
/// Compared exactly: a key of `test_dev` is no key of `test`. Lower-case ASCII letters, digits and
/// single underscores, starting with a letter.
///
/// ```
/// use keystile_validator::Environment;
/// assert_eq!(Environment::new("test_dev")?.as_str(), "test_dev");
/// assert!(Environment::new("Live").is_err());
/// # Ok::<(), keystile_validator::EnvironmentError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(String);

impl Environment {
    /// An environment of this name.
    ///
    /// # Errors
    /// [`EnvironmentError`] when the name is not one.
    pub fn new(name: impl Into<String>) -> Result<Environment, EnvironmentError> {
        let name = name.into();
        if is_environment(name.as_bytes()) { Ok(Environment(name)) } else { Err(EnvironmentError) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether this is the name of an environment. On the hot path: one pass over the bytes.
pub(crate) fn is_environment(name: &[u8]) -> bool {
    let Some((first, rest)) = name.split_first() else { return false };
    let mut previous = *first;
    for byte in rest {
        let fits = byte.is_ascii_lowercase() || byte.is_ascii_digit() || (*byte == b'_' && previous != b'_');
        if !fits {
            return false;
        }
        previous = *byte;
    }
    first.is_ascii_lowercase() && previous != b'_' && name.len() <= MAX_ENVIRONMENT_LEN
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Environment {
    type Err = EnvironmentError;

    fn from_str(name: &str) -> Result<Environment, EnvironmentError> {
        Environment::new(name)
    }
}

/// A text that is not the name of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvironmentError;

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not an environment · give 1 to {MAX_ENVIRONMENT_LEN} lower-case letters, digits and single underscores, \
             starting with a letter, such as live, test or test_dev"
        )
    }
}

impl core::error::Error for EnvironmentError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        for good in ["live", "test_dev", "a", "e2e"] {
            assert!(Environment::new(good).is_ok(), "{good}");
        }
        let longest = "a".repeat(MAX_ENVIRONMENT_LEN);
        assert!(Environment::new(longest.clone()).is_ok());
        for bad in ["", "Live", "_live", "live_", "te__st", "live.eu", "1st", "läve", "li ve", &(longest + "a")] {
            assert!(Environment::new(bad).is_err(), "{bad}");
        }
    }
}
