//! Explaining: a verdict, step by step, for operators. Callers never see it: it says more than they may
//! know.

use std::fmt;
use std::str::FromStr;

use keystile_validator::jwt::looks_like_jws;
use keystile_validator::{Code, FormatMatch, Request, RequestError, Verdict};

use crate::key::{Key, UnknownName, names};
use crate::keystile::Keystile;
use crate::store::StoreError;
use crate::tokens::UnverifiedToken;
use crate::verify::{bounded, digest_of};

names! {
    /// One thing that is checked of a credential.
    Check {
        /// Something was presented, and it looks like a key or a token.
        Form = "form",
        /// The checksum of a key is right, where its format has one.
        Checksum = "checksum",
        /// The store has the digest of the secret.
        Known = "known",
        /// The issuer of a token is known.
        Issuer = "issuer",
        /// The issuer signs with this algorithm.
        Algorithm = "algorithm",
        /// The issuer has published this signing key.
        SigningKey = "signing_key",
        /// The signature is right.
        Signature = "signature",
        /// It was not revoked.
        NotRevoked = "not_revoked",
        /// It is not suspended, nor is who it was issued to.
        NotSuspended = "not_suspended",
        /// The secret was not rotated away.
        NotRotated = "not_rotated",
        /// It is neither expired nor before its time.
        Time = "time",
        /// The token is within its time, for this audience, and its claims are as they must be.
        Claims = "claims",
        /// It is of the environment that was asked for.
        Environment = "environment",
        /// It comes from an address that the key allows.
        Address = "address",
        /// It has the scopes that were asked for.
        Scope = "scope",
    }
}

names! {
    /// What came of a check.
    Outcome {
        /// As it must be.
        Passed = "passed",
        /// The verdict is a deny because of this.
        Failed = "failed",
        /// It was not looked at any more.
        NotReached = "not_reached",
    }
}

/// A verdict, step by step.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The verdict, as the sandbox gave it.
    pub verdict: Verdict,
    /// The checks in the order in which they are made; none when nobody could look (`unavailable`).
    pub steps: Vec<(Check, Outcome)>,
    /// The key that the credential proves, whatever its state.
    pub key: Option<Key>,
}

/// The checks of a key in their order, each with the codes of its failure.
const OF_KEYS: &[(Check, &[Code])] = &[
    (Check::Form, &[Code::MissingCredential, Code::Malformed]),
    (Check::Checksum, &[]),
    (Check::Known, &[Code::UnknownKey]),
    (Check::NotRevoked, &[Code::Revoked]),
    (Check::NotSuspended, &[Code::Suspended]),
    (Check::NotRotated, &[Code::Rotated]),
    (Check::Time, &[Code::Expired, Code::NotYetValid]),
    (Check::Environment, &[Code::WrongEnvironment]),
    (Check::Address, &[Code::AddressNotAllowed]),
    (Check::Scope, &[Code::InsufficientScope]),
];

/// The same of a token.
const OF_TOKENS: &[(Check, &[Code])] = &[
    (Check::Form, &[Code::MissingCredential, Code::Malformed]),
    (Check::Issuer, &[Code::UnknownIssuer]),
    (Check::Algorithm, &[Code::AlgorithmNotAllowed]),
    (Check::SigningKey, &[Code::UnknownSigningKey]),
    (Check::Signature, &[Code::BadSignature]),
    (Check::NotRevoked, &[Code::Revoked]),
    (Check::NotSuspended, &[Code::Suspended]),
    (Check::Claims, &[Code::Expired, Code::NotYetValid, Code::WrongAudience, Code::InvalidClaim]),
    (Check::Environment, &[Code::WrongEnvironment]),
    (Check::Scope, &[Code::InsufficientScope]),
];

impl Keystile {
    /// Judges a credential as [`Keystile::preview`] does, and says at which check the verdict was made.
    ///
    /// For operators only: to a caller, an unknown key and a wrong checksum are the same.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Check, Keystile, NewKey, NewStore, Outcome};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// let created = keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() })?;
    /// keystile.keys().suspend(created.key.id)?;
    /// let explained = keystile.explain(created.secret.expose_secret(), &keystile.request())?;
    /// assert!(explained.steps.contains(&(Check::Known, Outcome::Passed)));
    /// assert!(explained.steps.contains(&(Check::NotSuspended, Outcome::Failed)));
    /// assert!(explained.steps.contains(&(Check::Scope, Outcome::NotReached)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ExplainError`] when the request breaks a bound, or the store refuses.
    pub fn explain(&self, credential: impl AsRef<[u8]>, request: &Request) -> Result<Explanation, ExplainError> {
        let credential = bounded(credential.as_ref());
        let verdict = self.try_preview(credential, request)?;
        let key = match digest_of(credential) {
            Some(digest) => self.inner.store().read()?.key_by_digest(&digest)?,
            None => None,
        };
        let is_token = key.is_none() && looks_like_jws(credential) && verdict.code() != Some(Code::UnknownKey);
        let checks = if is_token { OF_TOKENS } else { OF_KEYS };
        let failed = match verdict.code() {
            Some(Code::UnknownKey) if self.has_wrong_checksum(credential)? => Some(Check::Checksum),
            // Without an issuer that can be read, nothing after it was looked at.
            Some(Code::InvalidClaim) if is_token && !names_issuer(credential) => Some(Check::Issuer),
            code => code.and_then(|code| check_of(checks, code)),
        };
        if failed.is_none() && !verdict.is_allow() {
            // Anything may have been checked before the sandbox or the store failed, or nothing.
            return Ok(Explanation { verdict, steps: Vec::new(), key });
        }
        let mut reached = true;
        let steps = checks
            .iter()
            .map(|(check, _)| {
                let outcome = match (reached, Some(*check) == failed) {
                    (true, true) => Outcome::Failed,
                    (true, false) => Outcome::Passed,
                    (false, _) => Outcome::NotReached,
                };
                reached &= outcome == Outcome::Passed;
                (*check, outcome)
            })
            .collect();
        Ok(Explanation { verdict, steps, key })
    }

    fn has_wrong_checksum(&self, credential: &[u8]) -> Result<bool, StoreError> {
        let mut read = self.formats()?.into_iter().map(|named| named.format.read(credential));
        let mut wrong = false;
        Ok(read.all(|read| {
            wrong |= read == FormatMatch::WrongChecksum;
            read != FormatMatch::Match
        }) && wrong)
    }
}

/// Why a verdict was not explained.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExplainError {
    /// The request breaks a bound.
    Request(RequestError),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExplainError::Request(error) => error.fmt(f),
            ExplainError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExplainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ExplainError::Request(error) => Some(error),
            ExplainError::Store(error) => Some(error),
        }
    }
}

impl From<RequestError> for ExplainError {
    fn from(error: RequestError) -> ExplainError {
        ExplainError::Request(error)
    }
}

impl From<StoreError> for ExplainError {
    fn from(error: StoreError) -> ExplainError {
        ExplainError::Store(error)
    }
}

fn check_of(checks: &[(Check, &[Code])], code: Code) -> Option<Check> {
    checks.iter().find(|(_, codes)| codes.contains(&code)).map(|(check, _)| *check)
}

fn names_issuer(token: &[u8]) -> bool {
    let claims = std::str::from_utf8(token).ok().and_then(|token| UnverifiedToken::read(token).ok());
    let claims = claims.and_then(|token| serde_json::from_str::<serde_json::Value>(&token.claims).ok());
    claims.is_some_and(|claims| claims.get("iss").is_some_and(serde_json::Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that a check of keys or tokens can give belongs to a check of its list, or is one after
    /// which nothing can be said.
    #[test]
    fn every_code_has_its_check() {
        let limits = [Code::RateLimited, Code::QuotaExceeded];
        let cannot_say = [Code::Unavailable, Code::StaleBundle];
        for code in Code::ALL {
            let known = check_of(OF_KEYS, *code).or(check_of(OF_TOKENS, *code)).is_some();
            assert_eq!(known, !limits.contains(code) && !cannot_say.contains(code), "{code}");
        }
    }
}
