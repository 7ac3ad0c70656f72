//! The key formats of the four systems, ready to use: settings, not code.

use keystile_validator::{Checksum, Environment, KeyFormat, KeyFormatError, Separator};

/// A system whose keys Keystile can make: its name, prefix, separator and environments.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// The name, for `--format`.
    pub name: &'static str,
    prefix: &'static str,
    separator: Separator,
    environments: &'static [&'static str],
}

/// Every system, by name.
///
/// ```
/// let coreplexml = keystile::SYSTEMS.iter().find(|system| system.name == "coreplexml");
/// assert_eq!(coreplexml.unwrap().format()?.prefix(), "cpx");
/// # Ok::<(), keystile::KeyFormatError>(())
/// ```
pub const SYSTEMS: &[System] = &[
    System { name: "callcov", prefix: "sk", separator: Separator::Underscore, environments: CALLCOV },
    System { name: "cerevox", prefix: "cvx", separator: Separator::Underscore, environments: LIVE_TEST },
    System { name: "coreplexml", prefix: "cpx", separator: Separator::Dot, environments: LIVE_TEST },
    System { name: "hippocortex", prefix: "hx", separator: Separator::Underscore, environments: LIVE_TEST },
];

const LIVE_TEST: &[&str] = &["live", "test"];
const CALLCOV: &[&str] = &["live", "test", "test_dev", "test_staging", "live_prod"];
/// Length of the body: 30 base-62 characters are 178 bits.
const BODY_LEN: usize = 30;

impl System {
    /// The key format of the system.
    ///
    /// # Errors
    /// [`KeyFormatError`] never comes from a system of [`SYSTEMS`]: a test makes each of them.
    pub fn format(&self) -> Result<KeyFormat, KeyFormatError> {
        let environments = self.environments.iter().filter_map(|name| Environment::new(*name).ok()).collect();
        KeyFormat::new(self.prefix, self.separator, environments, BODY_LEN, Checksum::Crc32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_has_a_format() {
        for system in SYSTEMS {
            let format = system.format().unwrap();
            assert_eq!(format.environments().len(), system.environments.len(), "{}", system.name);
        }
    }
}
