//! Why a token is refused.

use alloc::string::String;
use core::fmt;

use super::json::JsonError;
use crate::time::Timestamp;
use crate::verdict::Code;

/// Why a token is refused: the first rule it breaks, with what an operator needs to find out why.
///
/// [`JwtError::code`] is the verdict. No variant holds anything of the token but the names of
/// claims and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwtError {
    /// Longer than the issuer, or the validator, looks at.
    TooLong {
        /// Longest token in bytes.
        limit: usize,
    },
    /// Not three segments between two dots.
    NoToken,
    /// Five segments: an encrypted token (JWE).
    Encrypted,
    /// A segment that is not base64url without padding, or not the one text its bytes have.
    Base64 {
        /// The segment.
        part: Part,
    },
    /// A segment that is not a JSON object as it must be.
    Json {
        /// The segment.
        part: Part,
        /// What is wrong with it.
        error: JsonError,
    },
    /// A member of the header that must not be there, must be, or is of another form.
    Header {
        /// The member.
        member: &'static str,
    },
    /// Nobody known has issued it.
    UnknownIssuer,
    /// The issuer does not sign with this algorithm, or not with this key.
    AlgorithmNotAllowed,
    /// The issuer has no such key, or the token leaves open which one.
    UnknownSigningKey,
    /// The signature is wrong.
    BadSignature,
    /// It was revoked: itself, its session, or all that was issued before a time.
    Revoked,
    /// Who it was issued to is suspended.
    Suspended,
    /// Past its expiry.
    Expired {
        /// From this second on it is expired, leeway not counted.
        expired_at: Timestamp,
    },
    /// Before its time.
    NotYetValid {
        /// The claim that says so, `nbf` or `iat`.
        claim: &'static str,
        /// From this second on it is valid, leeway not counted.
        valid_from: Timestamp,
    },
    /// For somebody else.
    WrongAudience,
    /// The issuer's settings name no audience, and do not say that any will do.
    AudienceNotSet,
    /// A claim is missing, of the wrong type, or out of range.
    InvalidClaim {
        /// The claim, as the token or the issuer's settings name it.
        claim: String,
        /// What is wrong with it.
        problem: ClaimProblem,
    },
}

impl JwtError {
    /// The code of the verdict.
    pub const fn code(&self) -> Code {
        match self {
            JwtError::TooLong { .. }
            | JwtError::NoToken
            | JwtError::Encrypted
            | JwtError::Base64 { .. }
            | JwtError::Json { .. }
            | JwtError::Header { .. } => Code::Malformed,
            JwtError::UnknownIssuer => Code::UnknownIssuer,
            JwtError::AlgorithmNotAllowed => Code::AlgorithmNotAllowed,
            JwtError::UnknownSigningKey => Code::UnknownSigningKey,
            JwtError::BadSignature => Code::BadSignature,
            JwtError::Revoked => Code::Revoked,
            JwtError::Suspended => Code::Suspended,
            JwtError::Expired { .. } => Code::Expired,
            JwtError::NotYetValid { .. } => Code::NotYetValid,
            JwtError::WrongAudience | JwtError::AudienceNotSet => Code::WrongAudience,
            JwtError::InvalidClaim { .. } => Code::InvalidClaim,
        }
    }

    /// A claim of this name with this problem.
    pub(crate) fn claim(claim: &str, problem: ClaimProblem) -> JwtError {
        JwtError::InvalidClaim { claim: claim.into(), problem }
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JwtError::TooLong { limit } => {
                write!(f, "the token is longer than {limit} bytes · put less into it, or let the issuer's be longer")
            }
            JwtError::NoToken => f.write_str("not a token · give three base64url segments with dots between them"),
            JwtError::Encrypted => f.write_str("the token is encrypted · give a signed one"),
            JwtError::Base64 { part } => {
                write!(f, "the {part} of the token is not base64url without padding · give the token as it was issued")
            }
            JwtError::Json { part, error } => write!(f, "in the {part} of the token: {error}"),
            JwtError::Header { member } => {
                write!(f, "the header's `{member}` is not as it must be · have the token issued without extensions")
            }
            JwtError::UnknownIssuer => f.write_str("nobody known has issued the token · add its issuer first"),
            JwtError::AlgorithmNotAllowed => {
                f.write_str("the issuer does not sign like this · allow the algorithm, if the issuer means it")
            }
            JwtError::UnknownSigningKey => {
                f.write_str("the issuer has no such signing key · fetch its keys again, or look up its `kid`")
            }
            JwtError::BadSignature => f.write_str("the signature is wrong · give the token as it was issued"),
            JwtError::Revoked => f.write_str("the token was revoked · log in again"),
            JwtError::Suspended => f.write_str("who the token was issued to is suspended · ask an operator"),
            JwtError::Expired { expired_at } => {
                write!(f, "the token has expired at {} · log in again, or refresh it", expired_at.unix())
            }
            JwtError::NotYetValid { claim, valid_from } => {
                write!(f, "the token is valid from {} on, by its `{claim}` · set the clocks", valid_from.unix())
            }
            JwtError::WrongAudience => {
                f.write_str("the token is for another audience · ask for one that names this one")
            }
            JwtError::AudienceNotSet => f.write_str(
                "its issuer's settings do not say whom its tokens are for · set the audiences, or that any will do",
            ),
            JwtError::InvalidClaim { claim, problem } => {
                write!(f, "the claim `{claim}` {problem} · have the issuer put it right")
            }
        }
    }
}

impl core::error::Error for JwtError {}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The header.
    Header,
    /// The claims, or any other payload.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Payload => "payload",
            Part::Signature => "signature",
        })
    }
}

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimProblem {
    /// It must be there.
    Missing,
    /// It is of another type.
    WrongType,
    /// It has the right type and no value that can be.
    OutOfRange,
    /// The token is of another kind: its `typ` is not the one asked for, or it has a claim that only
    /// tokens of another kind have, or that its issuer's settings forbid.
    WrongKind,
}

impl fmt::Display for ClaimProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClaimProblem::Missing => "is missing",
            ClaimProblem::WrongType => "is of the wrong type",
            ClaimProblem::OutOfRange => "is out of range",
            ClaimProblem::WrongKind => "is that of another kind of token",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn an_error_names_the_part_and_what_is_wrong_with_the_claim() {
        for (part, name) in [(Part::Header, "header"), (Part::Payload, "payload"), (Part::Signature, "signature")] {
            let error = JwtError::Base64 { part }.to_string();
            assert!(error.starts_with(&std::format!("the {name} of the token is not base64url")), "{error}");
        }
        for (problem, words) in [
            (ClaimProblem::Missing, "is missing"),
            (ClaimProblem::WrongType, "is of the wrong type"),
            (ClaimProblem::OutOfRange, "is out of range"),
            (ClaimProblem::WrongKind, "is that of another kind of token"),
        ] {
            let error = JwtError::claim("exp", problem).to_string();
            assert!(error.starts_with(&std::format!("the claim `exp` {words} · ")), "{error}");
        }
    }
}
