//! `jsonwebtoken` on aws-lc as oracle: what it refuses, we refuse. What we refuse and it accepts is
//! on a list here, with the rule.

use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use super::attacks::*;
use super::support::*;
use crate::jwt::*;

/// What `jsonwebtoken` says, asked as well as it can be: the algorithms of the issuer that the key
/// can have, issuer and audience required. It reads the system's clock, so times are not asked.
fn oracle_accepts(token: &[u8], issuer: &Issuer) -> bool {
    let Ok(header) = jsonwebtoken::decode_header(token) else { return false };
    let jwks = parse(&issuer.to_json())["jwks"]["keys"].clone();
    let fits = |jwk: &&Value| header.kid.is_none() || jwk["kid"].as_str() == header.kid.as_deref();
    let Some(jwk) = jwks.as_array().unwrap().iter().find(fits) else { return false };
    let Ok(jwk) = serde_json::from_value::<jsonwebtoken::jwk::Jwk>(jwk.clone()) else { return false };
    let Ok(key) = DecodingKey::from_jwk(&jwk) else { return false };
    let mut algorithms: Vec<jsonwebtoken::Algorithm> =
        issuer.settings().algorithms.iter().filter_map(|algorithm| algorithm.as_str().parse().ok()).collect();
    algorithms.retain(|algorithm| *algorithm == header.alg);
    let mut validation = Validation::new(header.alg);
    validation.algorithms = algorithms;
    validation.validate_exp = false;
    validation.set_issuer(&[issuer.name()]);
    validation.set_audience(&issuer.settings().audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

/// The issuer an attack is made on: the one it names, or the one of most tests.
fn issuer_of<'i>(token: &[u8], issuers: &'i Issuers) -> &'i Issuer {
    let named = UnverifiedJwt::parse(token).ok().and_then(|jwt| issuers.get(jwt.lookup().issuer?));
    named.unwrap_or_else(|| issuers.get(ISSUER).unwrap())
}

#[test]
fn what_the_oracle_refuses_is_refused() {
    let issuers = target();
    let mut tokens: Vec<Vec<u8>> = attacks().into_iter().map(|attack| attack.token).collect();
    for algorithm in FAMILIES.iter().copied() {
        let good = token(algorithm).into_bytes();
        tokens.extend((0..good.len()).step_by(7).map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        }));
        tokens.push(good);
    }
    let (mut both_accept, mut both_refuse) = (0, 0);
    for token in &tokens {
        let ours = verify(token, &issuers).is_ok();
        if oracle_accepts(token, issuer_of(token, &issuers)) {
            both_accept += usize::from(ours);
        } else {
            assert!(!ours, "{}", String::from_utf8_lossy(token));
            both_refuse += 1;
        }
    }
    assert_eq!(both_accept, FAMILIES.len(), "the oracle is asked in a way that it can answer");
    assert!(both_refuse > 124, "{both_refuse}");
}

#[test]
fn what_is_refused_and_the_oracle_accepts_is_on_the_list() {
    let issuers = target();
    let list: BTreeMap<&str, &str> =
        STRICTER.iter().flat_map(|(rule, names)| names.iter().map(move |name| (*name, *rule))).collect();
    let accepted: BTreeMap<String, ()> = attacks()
        .into_iter()
        .filter(|attack| oracle_accepts(&attack.token, issuer_of(&attack.token, &issuers)))
        .map(|attack| (attack.name, ()))
        .collect();
    let unlisted: Vec<_> = accepted.keys().filter(|name| !list.contains_key(name.as_str())).collect();
    let stale: Vec<_> = list.keys().filter(|name| !accepted.contains_key(**name)).collect();
    assert!(unlisted.is_empty() && stale.is_empty(), "not listed: {unlisted:#?}; listed in vain: {stale:#?}");
}

/// The RSA signature `s` and `s + n` are the same number modulo `n`; only one of them is a signature
/// (RFC 8017, section 8.1.2, step 2a). The oracle accepts both wherever the second one fits.
#[test]
fn a_pss_signature_is_smaller_than_the_modulus() {
    let jwk = jwk(Algorithm::Ps256);
    let modulus = super::super::base64url::decode(jwk["n"].as_str().unwrap().as_bytes()).unwrap();
    let keys = KeySet::from_jwk(jwk.to_string().as_bytes(), KeyRules::default()).unwrap();
    let mut tried = 0;
    for at in 0..64 {
        let jws = sign(Algorithm::Ps256, &header(Algorithm::Ps256), &json!({"at": at}));
        let (signed, signature) = jws.rsplit_once('.').unwrap();
        let mut sum = super::super::base64url::decode(signature.as_bytes()).unwrap();
        let mut carry = 0;
        for (byte, more) in sum.iter_mut().zip(&modulus).rev() {
            let total = u16::from(*byte) + u16::from(*more) + carry;
            *byte = total as u8;
            carry = total >> 8;
        }
        if carry != 0 {
            continue;
        }
        tried += 1;
        let forged = std::format!("{signed}.{}", b64(&sum));
        let verified = UnverifiedJws::parse(forged.as_bytes()).unwrap().verify(&keys, &[Algorithm::Ps256]);
        assert_eq!(verified.unwrap_err(), JwtError::BadSignature);
    }
    assert!(tried > 0, "of 64 signatures some leave room for the modulus");
}

/// The rules that `jsonwebtoken` does not know, and the attacks that it lets through for that.
const STRICTER: &[(&str, &[&str])] = &[
    (
        "no member stands twice in an object, at any level",
        &[
            "claims: a member twice",
            "claims: a member twice among many",
            "claims: a member twice, deep inside",
            "claims: a member twice, once escaped",
            "header: a member twice",
            "header: a member twice among many",
            "header: a member twice, deep inside",
            "header: a member twice, once escaped",
        ],
    ),
    ("JSON nests at most 16 deep", &["claims: nested too deeply", "header: nested too deeply"]),
    ("a token is as long as the issuer allows", &["form: longer than the issuer allows, signed"]),
    (
        "crit is refused, and b64 with it (RFC 7515, section 4.1.11; RFC 7797)",
        &[
            "header: b64 is false",
            "header: b64 is true",
            "header: crit is a list",
            "header: crit is b64",
            "header: crit is empty",
        ],
    ),
    ("a token is neither encrypted nor compressed nor nested", &["header: cty", "header: enc", "header: zip"]),
    (
        "typ, when present, is JWT or at+jwt (RFC 8725, section 3.11)",
        &[
            "header: typ is `JWE`",
            "header: typ is `JWT `",
            "header: typ is ``",
            "header: typ is `application/`",
            "header: typ is `application/logout+jwt`",
            "header: typ is `dpop+jwt`",
            "header: typ is `logout+jwt`",
            "header: typ is `secevent+jwt`",
        ],
    ),
    (
        "a key in the header is refused when it is malformed",
        &[
            "header: jku is no address",
            "header: jwk has no kty",
            "header: jwk is a private key",
            "header: jwk is a secret",
            "header: x5c is empty",
            "header: x5c is no base64",
        ],
    ),
    (
        "a secret is a key only where it is allowed, and not beside public keys",
        &["key: a secret beside public keys", "key: a secret of a set that was fetched"],
    ),
    (
        "iss is one string (RFC 7519, section 4.1.1)",
        &["key: an array of issuers", "key: an array of issuers, an evil one first"],
    ),
    (
        "one key, one algorithm, one use (RFC 8725, section 3.1; RFC 7517, sections 4.2 to 4.4)",
        &[
            "key: another algorithm than the JWK's",
            "key: one that cannot be used, enc",
            "key: one that cannot be used, es512",
            "key: one that cannot be used, oaep",
            "key: one that cannot be used, sign-only",
            "key: one that cannot be used, wrong-curve",
        ],
    ),
    (
        "the key must be certain: one of its kid, or one that fits",
        &["key: two keys of no kid that fit", "key: two keys of the same kid"],
    ),
    (
        "a token of one kind is not accepted as another (RFC 8725, section 3.12)",
        &[
            "kind: a logout token",
            "kind: a plain JWT where an access token is asked for",
            "kind: a refresh token by its type",
            "kind: a refresh token by its use",
            "kind: an id token by its type",
            "kind: an id token by its use",
            "kind: an id token with at_hash",
            "kind: an id token with c_hash",
            "kind: no type where one is asked for",
        ],
    ),
    (
        "times are checked, here on a clock that is handed in",
        &[
            "times: exp is now",
            "times: exp is now, as a fraction",
            "times: exp is past",
            "times: exp is zero",
            "times: iat is to come",
            "times: nbf is to come",
            "times: nbf is to come, by a fraction",
        ],
    ),
    (
        "a time is a number from 0 to 2^53 (RFC 7519, section 2), iat too",
        &[
            "times: exp is 2^53",
            "times: iat is a string",
            "times: iat is an array",
            "times: iat is an object",
            "times: iat is negative",
            "times: iat is true",
            "times: nbf is a string",
            "times: nbf is negative",
            "times: nbf is true",
        ],
    ),
    (
        "a claim has its type, and is never coerced",
        &[
            "claims: client_id is a number",
            "claims: client_id is an array",
            "claims: client_id is an object",
            "claims: jti is a number",
            "claims: jti is an array",
            "claims: jti is an object",
            "claims: org_id is a number",
            "claims: org_id is an array",
            "claims: org_id is an object",
            "claims: permissions is an object",
            "claims: roles holds a number",
            "claims: roles is a number",
            "claims: scope is a number",
            "claims: scope is an array",
            "claims: scope is an object",
            "claims: scp holds a number",
            "claims: scp is a string",
            "claims: sid is a number",
            "claims: sid is an array",
            "claims: sid is an object",
            "claims: sub is a number",
            "claims: the organization by its path is a number",
        ],
    ),
    (
        "scopes are scope tokens (RFC 6749, section 3.3), 128 at most",
        &[
            "claims: scope has a line feed",
            "claims: scope has a quote",
            "claims: scope has two spaces",
            "claims: scp holds an empty one",
            "claims: scp holds two scopes in one",
            "claims: too many scopes",
        ],
    ),
];
