//! Whole tokens, against fixed issuers.

use jsonwebtoken::DecodingKey;
use keystile_validator::jwt::{Algorithm, JwtError, TokenRecord, TokenState, UnverifiedJwt, VerifiedJwt};
use keystile_validator::{Code, Record, Verdict};
use serde_json::Value;

use crate::everywhere::judge_everywhere;
use crate::fixtures::{self, from_base64url, issuers, jwk, oracle_algorithm, request, with_state};
use crate::jose::assert_claims;

/// A whole token. What is accepted has a signature that `jsonwebtoken` accepts, by the key that the
/// header names; the cache changes no answer; and every way to ask gives the same one.
///
/// # Panics
/// When that does not hold.
pub fn token(data: &[u8]) {
    let now = request().now;
    let verified = UnverifiedJwt::parse(data).and_then(|jwt| jwt.verify(issuers(), now, None));
    if verified.is_ok() {
        assert!(is_signed(data), "a signature that is none");
    }
    with_state(|state| assert_everywhere(data, &verified, state));
}

fn assert_everywhere(data: &[u8], verified: &Result<VerifiedJwt, JwtError>, state: &mut TokenState) {
    let now = request().now;
    let first = state.cache.verify(data, &state.issuers, now, None);
    let again = state.cache.verify(data, &state.issuers, now, None);
    for cached in [&first, &again] {
        assert_eq!(cached.as_ref().err(), verified.as_ref().err());
    }
    assert_eq!(state.cache.len(), usize::from(verified.is_ok()), "only what is good is remembered");

    let verdict = judge_everywhere(data, None, state);
    match (verified, &verdict) {
        (Ok(verified), Verdict::Allow(principal)) => {
            assert_claims(verified.claims(), &segment_json(data, 1));
            assert_eq!(principal.issuer(), Some(verified.claims().issuer()));
            assert_eq!(principal.subject(), verified.claims().subject().filter(|subject| !subject.is_empty()));
            assert_eq!(principal.expires_at(), Some(verified.claims().expires_at()));
            assert!(principal.scopes().eq(verified.claims().scopes()));
            assert!(principal.roles().eq(verified.claims().roles()));
        }
        (Err(error), Verdict::Deny(denial)) => {
            let no_token = [Code::Malformed, Code::UnknownKey, Code::MissingCredential];
            assert!(
                denial.code == error.code() || (error.code() == Code::Malformed && no_token.contains(&denial.code))
            );
        }
        _ => panic!("{verified:?} and {verdict:?}"),
    }
    let revoked = TokenRecord { revoked: true, ..TokenRecord::default() };
    assert!(!judge_everywhere(data, Some(Record::Token(&revoked)), state).is_allow());
}

/// Whether `jsonwebtoken` takes the signature, by the key and the algorithm that the header names.
fn is_signed(token: &[u8]) -> bool {
    let header = segment_json(token, 0);
    let algorithm = header["alg"].as_str().and_then(Algorithm::from_name).expect("an algorithm that we know");
    if let Some(kid) = header.get("kid") {
        assert_eq!(kid, fixtures::key_id(algorithm));
    }
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&jwk(algorithm)).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let token = std::str::from_utf8(token).expect("a token is ASCII");
    let (signed, signature) = token.rsplit_once('.').expect("a token has dots");
    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, oracle_algorithm(algorithm)).unwrap()
}

fn segment_json(token: &[u8], number: usize) -> Value {
    let segment = token.split(|byte| *byte == b'.').nth(number).expect("a token has three segments");
    serde_json::from_slice(&from_base64url(segment).expect("base64url")).expect("JSON")
}
