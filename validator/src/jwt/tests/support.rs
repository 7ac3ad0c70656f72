//! Tokens for these tests, signed by aws-lc through `jsonwebtoken`; and the issuers that know them.

use std::prelude::rust_2024::*;

use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value, json};
use std::format;

use super::keys;
use crate::jwt::*;
use crate::{Environment, Timestamp};

/// The time of all these tests.
pub(super) const NOW: u64 = 1_800_000_000;

/// The issuer of most of these tests: every asymmetric algorithm, a key for each family.
pub(super) const ISSUER: &str = "https://id.example";
/// An issuer that signs with a shared secret.
pub(super) const HMAC_ISSUER: &str = "https://hmac.example";

pub(super) const SECRET: &[u8; 64] = b"0123456789abcdef0123456789ABCDEF-123456789abcdef0123456789ABCDE-";

pub(super) const ASYMMETRIC: &[Algorithm] = &[
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
pub(super) const HMAC: &[Algorithm] = &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
/// One algorithm of each family.
pub(super) const FAMILIES: &[Algorithm] =
    &[Algorithm::Hs256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

pub(super) fn now() -> Timestamp {
    at(NOW)
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

/// The name of the key for an algorithm.
pub(super) fn key_id(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => "hmac",
        Algorithm::Es256 => "p256",
        Algorithm::Es384 => "p384",
        Algorithm::EdDsa | Algorithm::Ed25519 => "ed25519",
        _ => "rsa",
    }
}

/// The private key for an algorithm.
pub(super) fn private_key(algorithm: Algorithm) -> EncodingKey {
    match key_id(algorithm) {
        "hmac" => EncodingKey::from_secret(SECRET),
        "p256" => EncodingKey::from_ec_pem(keys::P256_PEM.as_bytes()).unwrap(),
        "p384" => EncodingKey::from_ec_pem(keys::P384_PEM.as_bytes()).unwrap(),
        "ed25519" => EncodingKey::from_ed_pem(keys::ED25519_PEM.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(keys::RSA_PEM.as_bytes()).unwrap(),
    }
}

/// The JWK for an algorithm, with its `kid` and nothing that is not needed.
pub(super) fn jwk(algorithm: Algorithm) -> Value {
    let key_id = key_id(algorithm);
    let members = match key_id {
        "hmac" => format!(r#""kty":"oct","k":"{}""#, b64(SECRET)),
        "p256" => keys::P256_JWK.into(),
        "p384" => keys::P384_JWK.into(),
        "ed25519" => keys::ED25519_JWK.into(),
        _ => String::from(keys::RSA_JWK),
    };
    parse(&format!(r#"{{"kid":"{key_id}",{members}}}"#))
}

/// A JWK with other members.
pub(super) fn jwk_with(algorithm: Algorithm, members: Value) -> Value {
    let mut jwk = jwk(algorithm);
    change(&mut jwk, members);
    jwk
}

/// A JWK out of one of the texts of [`keys`], with this name.
pub(super) fn named(members: &str, key_id: &str) -> Value {
    parse(&format!(r#"{{"kid":"{key_id}",{members}}}"#))
}

pub(super) fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A set with a public key for each family.
pub(super) fn public_jwks() -> Vec<u8> {
    jwks(&[Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa].map(jwk))
}

pub(super) fn hmac_jwks() -> Vec<u8> {
    jwks(&[jwk(Algorithm::Hs256)])
}

/// Settings of an issuer of this name, for tests: without tables, which take long to build.
pub(super) fn settings(issuer: &str, algorithms: &[Algorithm]) -> IssuerSettings {
    let mut settings = IssuerSettings::new(issuer, algorithms);
    settings.audiences.push("api".into());
    settings.tables = false;
    settings
}

pub(super) fn issuers_of(list: impl IntoIterator<Item = (IssuerSettings, Vec<u8>)>) -> Issuers {
    let mut issuers = Issuers::default();
    for (settings, jwks) in list {
        issuers.put(Issuer::new(settings, &jwks).unwrap()).unwrap();
    }
    issuers
}

/// The two issuers most tests need.
pub(super) fn issuers() -> Issuers {
    let mut hmac = settings(HMAC_ISSUER, HMAC);
    hmac.secrets = true;
    issuers_of([(settings(ISSUER, ASYMMETRIC), public_jwks()), (hmac, hmac_jwks())])
}

/// An issuer with these changes to its settings.
pub(super) fn issuers_with(change: impl FnOnce(&mut IssuerSettings)) -> Issuers {
    let mut settings = settings(ISSUER, ASYMMETRIC);
    change(&mut settings);
    issuers_of([(settings, public_jwks())])
}

/// The header of a plain token.
pub(super) fn header(algorithm: Algorithm) -> Value {
    json!({"alg": algorithm.as_str(), "kid": key_id(algorithm)})
}

/// Claims that every issuer here takes.
pub(super) fn claims(algorithm: Algorithm) -> Value {
    let issuer = if HMAC.contains(&algorithm) { HMAC_ISSUER } else { ISSUER };
    json!({"iss": issuer, "aud": "api", "sub": "usr_1", "iat": NOW - 10, "exp": NOW + 300, "jti": "t1"})
}

/// A good token with these members of its claims changed; `null` takes one out.
pub(super) fn token_with(members: Value) -> String {
    let mut claims = claims(Algorithm::EdDsa);
    change(&mut claims, members);
    sign(Algorithm::EdDsa, &header(Algorithm::EdDsa), &claims)
}

/// A good token with these members of its header changed; `null` takes one out.
pub(super) fn token_with_header(members: Value) -> String {
    let mut header = header(Algorithm::EdDsa);
    change(&mut header, members);
    sign(Algorithm::EdDsa, &header, &claims(Algorithm::EdDsa))
}

/// A good token.
pub(super) fn token(algorithm: Algorithm) -> String {
    sign(algorithm, &header(algorithm), &claims(algorithm))
}

pub(super) fn sign(algorithm: Algorithm, header: &Value, claims: &Value) -> String {
    sign_text(algorithm, &header.to_string(), claims.to_string().as_bytes())
}

/// Signs texts as they are, whatever they are.
pub(super) fn sign_text(algorithm: Algorithm, header: &str, payload: &[u8]) -> String {
    sign_segments(algorithm, &private_key(algorithm), &b64(header.as_bytes()), &b64(payload))
}

pub(super) fn sign_segments(algorithm: Algorithm, key: &EncodingKey, header: &str, payload: &str) -> String {
    let signed = format!("{header}.{payload}");
    // Ed25519 has one name there; the signatures are the same.
    let name = if algorithm == Algorithm::Ed25519 { "EdDSA" } else { algorithm.as_str() };
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, name.parse().unwrap()).unwrap();
    format!("{signed}.{signature}")
}

pub(super) fn verify(token: impl AsRef<[u8]>, issuers: &Issuers) -> Result<VerifiedJwt, JwtError> {
    UnverifiedJwt::parse(token.as_ref())?.verify(issuers, now(), None)
}

/// The claim that is refused, and what is wrong with it.
pub(super) fn wrong_claim(token: &str, issuers: &Issuers) -> (String, ClaimProblem) {
    match verify(token, issuers) {
        Err(JwtError::InvalidClaim { claim, problem }) => (claim, problem),
        other => std::panic!("{other:?}"),
    }
}

pub(super) fn live() -> Environment {
    Environment::new("live").unwrap()
}

pub(super) fn b64(bytes: &[u8]) -> String {
    super::super::base64url::encode(bytes)
}

pub(super) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Sets members of an object, or takes them out where the new value is `null`.
pub(super) fn change(object: &mut Value, members: Value) {
    let object: &mut Map<String, Value> = object.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}
