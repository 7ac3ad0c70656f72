//! Signature algorithms: the closed list of what a token may be signed with.

use core::fmt;
use core::str::FromStr;

/// A signature algorithm for JWS (RFC 7518, section 3; RFC 8037, section 3.1; RFC 9864).
///
/// There is no `none`, no way to add an algorithm, and names are compared exactly. `EdDSA` and
/// `Ed25519` are two names for the same signatures; a list of allowed algorithms names each by
/// itself.
///
/// ```
/// use keystile_validator::jwt::Algorithm;
/// assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
/// assert_eq!(Algorithm::from_name("es256"), None);
/// assert_eq!(Algorithm::from_name("none"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    Ps256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519, by the name of RFC 8037.
    EdDsa,
    /// Ed25519, by the name of RFC 9864.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &'static [Algorithm] = &[
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Ed25519,
    ];

    /// The name, as `alg` of a header or of a JWK has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Ed25519 => "Ed25519",
        }
    }

    /// Whether it signs and verifies with one shared secret (RFC 7518, section 3.2).
    ///
    /// ```
    /// use keystile_validator::jwt::Algorithm;
    /// assert!(Algorithm::Hs256.is_hmac() && !Algorithm::Es256.is_hmac());
    /// ```
    pub const fn is_hmac(self) -> bool {
        matches!(self, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512)
    }

    /// The algorithm of exactly this name; names differ by case.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.iter().copied().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(name: &str) -> Result<Algorithm, AlgorithmError> {
        Algorithm::from_name(name).ok_or(AlgorithmError)
    }
}

/// A text that is not the name of an [`Algorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlgorithmError;

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a signature algorithm · give one of ")?;
        for (index, algorithm) in Algorithm::ALL.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(algorithm.as_str())?;
        }
        Ok(())
    }
}

impl core::error::Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn names_go_both_ways_and_are_exact() {
        for algorithm in Algorithm::ALL {
            let name = algorithm.as_str();
            assert_eq!(Algorithm::from_name(name), Some(*algorithm));
            assert_eq!(name.parse(), Ok(*algorithm));
            assert_eq!(algorithm.to_string(), name);
            assert_eq!(Algorithm::from_name(&std::format!("{name} ")), None);
            assert_eq!(Algorithm::from_name(&name.to_ascii_lowercase()), None, "{name}");
        }
        for unknown in ["none", "None", "NONE", "", "ES256K", "ES512", "Ed448", "HS1", "RS1", "A128KW", "dir", "null"] {
            assert_eq!(Algorithm::from_name(unknown), None, "{unknown}");
            assert!(unknown.parse::<Algorithm>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn no_name_stands_for_two_algorithms() {
        for (index, algorithm) in Algorithm::ALL.iter().enumerate() {
            assert!(Algorithm::ALL[index + 1..].iter().all(|other| other.as_str() != algorithm.as_str()));
        }
    }

    #[test]
    fn the_error_says_what_is_possible() {
        assert_eq!(
            AlgorithmError.to_string(),
            "not a signature algorithm · give one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, \
             ES256, ES384, EdDSA, Ed25519",
        );
    }
}
