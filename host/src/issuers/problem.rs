//! Why keys of an issuer could not be had: categories that can be stored and shown. None holds a part
//! of a URL or of what was answered.

use std::fmt;
use std::str::FromStr;

use super::fetch::{MAX_JWKS_LEN, MAX_REDIRECTS};
use super::key_set::MAX_JWKS_KEYS;

/// What is wrong with a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySetProblem {
    /// It is larger than [`MAX_JWKS_LEN`](crate::bounds::MAX_JWKS_LEN).
    TooLarge,
    /// It is not a JSON object with an array of keys.
    Malformed,
    /// It has more keys than [`MAX_JWKS_KEYS`](crate::bounds::MAX_JWKS_KEYS).
    TooManyKeys,
    /// No key in it fits an algorithm of the issuer.
    NoUsableKey,
    /// It holds private or secret keys.
    SecretKeys,
}

/// Why keys were not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchProblem {
    /// The name has no address, or nobody listens there.
    Unreachable,
    /// The certificate is not trusted, or no encryption could be agreed on.
    Tls,
    /// It took too long.
    TimedOut,
    /// An HTTP status other than 200.
    Status(u16),
    /// A redirect to another host, scheme or port.
    RedirectElsewhere,
    /// More redirects than [`MAX_REDIRECTS`](crate::bounds::MAX_REDIRECTS).
    TooManyRedirects,
    /// A redirect without a target that can be understood.
    BadRedirect,
    /// What was answered is not HTTP.
    BadAnswer,
    /// What was answered is not a key set that can be used.
    KeySet(KeySetProblem),
}

impl FetchProblem {
    /// The name for programs, and in the store: see [`fmt::Display`] for people.
    pub fn code(self) -> String {
        match self {
            FetchProblem::Status(status) => format!("{STATUS}{status}"),
            other => NAMES.iter().find(|(_, known)| *known == other).map_or("unknown", |(name, _)| name).to_owned(),
        }
    }
}

/// Names in the store never change.
const NAMES: [(&str, FetchProblem); 12] = [
    ("unreachable", FetchProblem::Unreachable),
    ("tls", FetchProblem::Tls),
    ("timed_out", FetchProblem::TimedOut),
    ("redirect_elsewhere", FetchProblem::RedirectElsewhere),
    ("too_many_redirects", FetchProblem::TooManyRedirects),
    ("bad_redirect", FetchProblem::BadRedirect),
    ("bad_answer", FetchProblem::BadAnswer),
    ("too_large", FetchProblem::KeySet(KeySetProblem::TooLarge)),
    ("malformed", FetchProblem::KeySet(KeySetProblem::Malformed)),
    ("too_many_keys", FetchProblem::KeySet(KeySetProblem::TooManyKeys)),
    ("no_usable_key", FetchProblem::KeySet(KeySetProblem::NoUsableKey)),
    ("secret_keys", FetchProblem::KeySet(KeySetProblem::SecretKeys)),
];
const STATUS: &str = "http_status_";

impl FromStr for FetchProblem {
    type Err = UnknownProblem;

    /// Reads what [`FetchProblem::code`] has written.
    fn from_str(code: &str) -> Result<FetchProblem, UnknownProblem> {
        if let Some(status) = code.strip_prefix(STATUS) {
            return status.parse().map(FetchProblem::Status).map_err(|_| UnknownProblem);
        }
        NAMES.iter().find(|(name, _)| *name == code).map(|(_, problem)| *problem).ok_or(UnknownProblem)
    }
}

/// A text that is not the code of a [`FetchProblem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownProblem;

impl fmt::Display for UnknownProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the code of a problem · give one that `issuers list --json` prints")
    }
}

impl std::error::Error for UnknownProblem {}

impl From<KeySetProblem> for FetchProblem {
    fn from(problem: KeySetProblem) -> FetchProblem {
        FetchProblem::KeySet(problem)
    }
}

impl fmt::Display for KeySetProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySetProblem::TooLarge => {
                write!(
                    f,
                    "the key set is larger than {} KiB · give one with the signing keys only",
                    MAX_JWKS_LEN / 1024
                )
            }
            KeySetProblem::Malformed => f.write_str(
                "not a key set · give a JSON object with an array `keys`, as RFC 7517 says, without duplicate members",
            ),
            KeySetProblem::TooManyKeys => {
                write!(f, "the key set has more than {MAX_JWKS_KEYS} keys · give one with the signing keys only")
            }
            KeySetProblem::NoUsableKey => {
                f.write_str("no key in the set fits an algorithm of the issuer · compare `alg` and `kty` of its keys")
            }
            KeySetProblem::SecretKeys => {
                f.write_str("the set holds private or secret keys · give public keys only; nothing of it was kept")
            }
        }
    }
}

impl fmt::Display for FetchProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchProblem::Unreachable => f.write_str("nobody answers at its URL · check the URL and the network"),
            FetchProblem::Tls => {
                f.write_str("its certificate is not trusted here · check the URL, and the certificates of this system")
            }
            FetchProblem::TimedOut => f.write_str("it took too long · check the URL and the network"),
            FetchProblem::Status(status) => write!(f, "it answers with HTTP status {status} · check the URL"),
            FetchProblem::RedirectElsewhere => {
                f.write_str("it redirects to another host, scheme or port · give the URL it redirects to")
            }
            FetchProblem::TooManyRedirects => {
                write!(f, "it redirects more than {MAX_REDIRECTS} times · give the URL where the redirects end")
            }
            FetchProblem::BadRedirect => f.write_str("it redirects to what is no URL · give the URL it should be"),
            FetchProblem::BadAnswer => f.write_str("it does not answer as HTTP says · check the URL"),
            FetchProblem::KeySet(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for KeySetProblem {}

impl std::error::Error for FetchProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_as_they_were_written() {
        for problem in NAMES.map(|(_, problem)| problem).into_iter().chain([FetchProblem::Status(503)]) {
            assert_eq!(problem.code().parse(), Ok(problem));
            assert_eq!(problem.to_string().split(" · ").count(), 2, "{problem}");
        }
        for bad in ["", "unknown", "http_status_", "http_status_x", "TLS"] {
            assert_eq!(bad.parse::<FetchProblem>(), Err(UnknownProblem), "{bad}");
        }
    }
}
