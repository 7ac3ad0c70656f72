//! Why a case is refused here, and the rule that this is.

use keystile_validator::Timestamp;
use keystile_validator::jwt::{
    Algorithm, ClaimProblem, Issuers, JsonError, JwtError, KeyError, KeyReason, KeyRules, KeySet, KeySetError, Part,
    UnverifiedJws, UnverifiedJwt, VerifiedJwt,
};
use serde_json::Value;

use crate::vectors::sandbox;
use crate::vectors::support::from_base64;

/// Why a case is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Token(JwtError),
    Key(KeyReason),
    /// It has no key, so that no issuer has one.
    NoKey,
    /// What was given for a token is no text.
    NoText,
    /// It asks for a setting that cannot be: the rule.
    Setting(&'static str),
}

impl From<JwtError> for Refusal {
    fn from(error: JwtError) -> Refusal {
        Refusal::Token(error)
    }
}

impl From<KeySetError> for Refusal {
    fn from(error: KeySetError) -> Refusal {
        match error {
            KeySetError::Key { reason } => Refusal::Key(reason),
            KeySetError::Json(_) => Refusal::Setting("a key is a JSON object"),
            other => panic!("{other}"),
        }
    }
}

impl Refusal {
    /// The rule that refuses it.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Refusal::Token(error) => token_rule(error),
            Refusal::Key(reason) => key_rule(reason),
            Refusal::NoKey => "no key is recorded",
            Refusal::NoText => "a token is a text",
            Refusal::Setting(rule) => rule,
        }
    }
}

fn token_rule(error: &JwtError) -> &'static str {
    match error {
        JwtError::NoToken => "three segments; no JSON serialization",
        JwtError::Json { part: Part::Payload, error: JsonError::Syntax | JsonError::NoObject } => {
            "the claims are a JSON object"
        }
        JwtError::Header { member: "crit" } => "`crit` is refused, whatever it says",
        JwtError::Header { member: "b64" } => "`b64` is refused",
        JwtError::AlgorithmNotAllowed => "`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)",
        JwtError::UnknownIssuer | JwtError::WrongAudience => NO_PATTERN,
        JwtError::UnknownSigningKey => "the key is one of the set",
        JwtError::BadSignature => "the signature is a good one; the salt of PSS is as long as the hash",
        JwtError::Expired { .. } => "expired from `exp` on, whatever the options say",
        JwtError::NotYetValid { claim: "iat", .. } => "`iat` is not in the future",
        JwtError::NotYetValid { .. } => "`nbf` is not in the future, whatever the options say",
        JwtError::InvalidClaim { claim, problem: ClaimProblem::Missing } => match claim.as_str() {
            "exp" => "`exp` is required",
            "iss" => "`iss` is required: it chooses the key",
            "aud" => "`aud` is required where one is asked for",
            other => panic!("{other} is missing"),
        },
        JwtError::InvalidClaim { .. } => "a claim is of its type and never coerced",
        other => panic!("no rule for {other:?}"),
    }
}

fn key_rule(reason: &KeyReason) -> &'static str {
    match reason {
        KeyReason::Key(KeyError::SecretTooShort { .. }) => "an HMAC secret is as long as the hash",
        KeyReason::Key(KeyError::SecretIsKeyText) => "a key as text is no HMAC secret",
        KeyReason::Key(KeyError::ModulusSize { .. }) => "an RSA key has 2048 to 8192 bits",
        KeyReason::UnknownCurve => "the curve is P-256, P-384 or Ed25519",
        KeyReason::UnknownKeyType => "the key type is EC, OKP, RSA or oct",
        KeyReason::UnknownAlgorithm => "the key's `alg` is one of ours",
        KeyReason::OtherAlgorithm => "one key, one algorithm: the key's `alg` is the token's",
        KeyReason::OtherUse => "the key is for verifying: `use`, `key_ops`",
        other => panic!("no rule for {other:?}"),
    }
}

/// What the signature alone is answered, with a key chosen by hand. Secrets may be keys here.
pub(crate) fn verify_jws(jws: &str, jwk: &str, algorithms: &[Algorithm]) -> Result<Vec<u8>, Refusal> {
    UnverifiedJws::parse(jws.as_bytes())?;
    let keys = KeySet::from_jwk(jwk.as_bytes(), rules())?;
    verify_jws_with(jws, &keys, &serde_json::from_str(jwk).unwrap(), algorithms)
}

/// What the signature alone is answered, with the keys of this JWK or JWK Set, in the sandbox too.
pub(crate) fn verify_jws_with(
    jws: &str,
    keys: &KeySet,
    json: &Value,
    algorithms: &[Algorithm],
) -> Result<Vec<u8>, Refusal> {
    let verified = UnverifiedJws::parse(jws.as_bytes()).and_then(|jws| jws.verify(keys, algorithms));
    sandbox::assert_same_signature(jws, json, algorithms, verified.as_ref().err());
    match verified {
        Ok(verified) => Ok(verified.payload().to_vec()),
        // It is on the list, so it is the key that is for another one.
        Err(JwtError::AlgorithmNotAllowed) if algorithm(jws).is_some_and(|own| algorithms.contains(&own)) => {
            Err(Refusal::Key(KeyReason::OtherAlgorithm))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a token is answered, in the sandbox too.
pub(crate) fn verify_jwt(token: &[u8], issuers: &Issuers, now: Timestamp) -> Result<VerifiedJwt, JwtError> {
    let verified = UnverifiedJwt::parse(token).and_then(|jwt| jwt.verify(issuers, now, None));
    sandbox::assert_same_token(token, issuers, now, verified.as_ref().err());
    verified
}

/// The algorithm that the header names, when it is one of ours.
pub(crate) fn algorithm(jws: &str) -> Option<Algorithm> {
    let header: Value = serde_json::from_slice(&from_base64(jws.split('.').next()?)).ok()?;
    Algorithm::from_name(header["alg"].as_str()?)
}

/// The sets of these tests are read by nobody else.
pub(crate) fn rules() -> KeyRules {
    KeyRules { secrets: true, ..KeyRules::default() }
}

/// Said where a pattern is asked for, and so nobody's name.
pub(crate) const NO_PATTERN: &str = "an issuer and an audience have names, compared exactly; no pattern";
