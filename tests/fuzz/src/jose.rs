//! The parts of a token: its compact form, its header, its claims.

use keystile_validator::Code;
use keystile_validator::jwt::{
    Algorithm, Claims, JwtError, MAX_TOKEN_LEN, Part, UnverifiedJws, UnverifiedJwt, looks_like_jws,
};
use serde_json::Value;

use crate::fixtures::{self, AUDIENCE, HMAC_ISSUER, NOW, SECRET, base64url, from_base64url, issuers};

/// The compact form. What is read has three segments in the one right form of base64url; a segment
/// that is refused is refused by an independent reader too.
///
/// # Panics
/// When that does not hold.
pub fn compact(data: &[u8]) {
    let segments: Vec<_> = data.split(|byte| *byte == b'.').map(from_base64url).collect();
    match UnverifiedJws::parse(data) {
        Ok(_) => {
            assert!(looks_like_jws(data) && data.len() <= MAX_TOKEN_LEN);
            assert!(segments.len() == 3 && segments.iter().all(Option::is_some));
        }
        Err(JwtError::Base64 { part: Part::Header }) => assert!(segments[0].is_none()),
        Err(JwtError::Base64 { part: Part::Payload }) => assert!(segments[1].is_none()),
        Err(JwtError::Base64 { part: Part::Signature }) => assert!(segments[2].is_none()),
        Err(JwtError::NoToken) => assert!(![3, 5].contains(&segments.len())),
        Err(JwtError::Encrypted) => assert_eq!(segments.len(), 5),
        Err(JwtError::TooLong { limit }) => assert!(data.len() > limit),
        Err(error) => assert_eq!(error.code(), Code::Malformed),
    }
    match UnverifiedJwt::parse(data) {
        Ok(jwt) => {
            assert!(UnverifiedJws::parse(data).is_ok(), "a token of claims is a JWS");
            assert_eq!(segments[0].as_deref(), Some(jwt.dangerous_header().as_bytes()));
            assert_eq!(segments[1].as_deref(), Some(jwt.dangerous_claims().as_bytes()));
        }
        Err(error) => assert_eq!(error.code(), Code::Malformed),
    }
}

/// A header as JSON. What is read is an object with an `alg` to an independent reader as well, and
/// another way to write the same JSON gets the same answer.
///
/// # Panics
/// When that does not hold.
pub fn header(data: &[u8]) {
    let json: Option<Value> = serde_json::from_slice(data).ok();
    let jwt = format!("{}.e30.", base64url(data));
    let read = UnverifiedJwt::parse(jwt.as_bytes());
    let read_as_jws = UnverifiedJws::parse(jwt.as_bytes());
    if let Ok(read) = &read {
        let json = json.as_ref().expect("what we read is JSON");
        assert!(json.as_object().is_some_and(|members| members["alg"].is_string()));
        assert!(["crit", "b64", "zip", "enc", "cty"].iter().all(|member| json.get(member).is_none()));
        assert_eq!(read.dangerous_header().as_bytes(), data);
        assert!(read_as_jws.is_ok(), "the header of a token of claims is one of a JWS");
    }
    if let (Some(json), false) = (json, is_no_json(&read.as_ref().err())) {
        let rewritten = format!("{}.e30.", base64url(json.to_string().as_bytes()));
        assert_eq!(UnverifiedJwt::parse(rewritten.as_bytes()).is_ok(), read.is_ok());
        assert_eq!(UnverifiedJws::parse(rewritten.as_bytes()).is_ok(), read_as_jws.is_ok());
    }
}

/// Claims as JSON, signed as they are. What is accepted is accepted by `jsonwebtoken`, and every claim
/// is what an independent reader sees; another way to write the same JSON gets the same answer.
///
/// # Panics
/// When that does not hold.
pub fn claims(data: &[u8]) {
    let json: Option<Value> = serde_json::from_slice(data).ok();
    let algorithm = Algorithm::Hs256;
    let verify = |payload: &[u8]| {
        let token = fixtures::sign(algorithm, fixtures::header(algorithm).as_bytes(), payload);
        let verified = UnverifiedJwt::parse(token.as_bytes())?.verify(issuers(), fixtures::request().now, None);
        verified.map(|verified| (token, verified))
    };
    let verified = verify(data);
    if let Ok((token, verified)) = &verified {
        let json = json.as_ref().expect("what we read is JSON");
        assert_eq!(verified.claims().json().as_bytes(), data);
        assert_claims(verified.claims(), json);
        assert_eq!(as_jsonwebtoken_reads(token), *json);
    }
    if let (Some(json), false) = (json, is_no_json(&verified.as_ref().err())) {
        assert_eq!(verify(json.to_string().as_bytes()).is_ok(), verified.is_ok());
    }
}

/// Whether it was refused as JSON, where we are stricter than others.
fn is_no_json(error: &Option<&JwtError>) -> bool {
    matches!(error, Some(JwtError::Json { .. }))
}

/// That claims are what they are in this JSON, and good at [`NOW`].
pub(crate) fn assert_claims(claims: &Claims, json: &Value) {
    let text = |name: &str| json.get(name).map(|value| value.as_str().expect("a claim that is a string"));
    assert_eq!(Some(claims.issuer()), text("iss"));
    assert_eq!(claims.subject(), text("sub"));
    assert_eq!(claims.token_id(), text("jti"));
    assert_eq!(claims.session_id(), text("sid"));
    assert_eq!(claims.client_id(), text("client_id"));
    assert_eq!(claims.organization(), text("org_id"));
    let seconds = |name: &str| json.get(name).map(|value| value.as_f64().expect("a claim that is a number"));
    let ceil = |name: &str| seconds(name).map(|seconds| (seconds.ceil() as u64).min(LAST_SECOND));
    assert_eq!(Some(claims.expires_at().unix()), ceil("exp"));
    assert_eq!(claims.not_before().map(|time| time.unix()), ceil("nbf"));
    assert_eq!(claims.issued_at().map(|time| time.unix()), seconds("iat").map(|seconds| seconds as u64));
    assert!(claims.expires_at().unix() > NOW);
    assert!(claims.not_before().is_none_or(|time| time.unix() <= NOW));
    assert!(claims.issued_at().is_none_or(|time| time.unix() <= NOW));
    assert_eq!(claims.audiences().collect::<Vec<_>>(), strings(json.get("aud")));
    assert!(claims.audiences().any(|audience| audience == AUDIENCE));
    assert_eq!(claims.roles().collect::<Vec<_>>(), strings(json.pointer("/realm_access/roles")));
    let granted: Vec<&str> = text("scope").unwrap_or_default().split(' ').collect();
    for scope in claims.scopes() {
        assert!(granted.contains(&scope) && keystile_validator::Scope::new(scope).is_ok());
    }
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    }
}

/// The claims as `jsonwebtoken` reads them off a token of [`HMAC_ISSUER`]. It would ask the system's
/// clock, so it is not asked about times.
fn as_jsonwebtoken_reads(token: &str) -> Value {
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.validate_exp = false;
    validation.set_issuer(&[HMAC_ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET);
    jsonwebtoken::decode::<Value>(token, &key, &validation).expect("what we accept is accepted").claims
}

/// 9999-12-31T23:59:59Z, the last second that there is a timestamp for.
const LAST_SECOND: u64 = keystile_validator::bounds::MAX_TIMESTAMP;
