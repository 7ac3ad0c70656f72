//! What was verified may be remembered; what can change is asked again.

use std::format;
use std::prelude::rust_2024::*;

use serde_json::json;

use super::support::*;
use crate::Code;
use crate::jwt::*;

fn code(
    cache: &mut TokenCache,
    token: &str,
    issuers: &Issuers,
    seconds: u64,
    record: Option<&TokenRecord>,
) -> Option<Code> {
    cache.verify(token.as_bytes(), issuers, at(seconds), record).err().map(|error| error.code())
}

#[test]
fn a_token_that_comes_again_is_the_same_one() {
    let (issuers, mut cache) = (issuers(), TokenCache::new(16, 100_000));
    let token = token(Algorithm::EdDsa);
    let first = cache.verify(token.as_bytes(), &issuers, now(), None).unwrap();
    let again = cache.verify(token.as_bytes(), &issuers, now(), None).unwrap();
    // The very same claims in memory: nothing was read again.
    assert!(core::ptr::eq(first.claims(), again.claims()));
    assert_eq!(cache.len(), 1);
    assert!(cache.bytes() > token.len() / 2);
}

/// What is counted is at least what the token itself takes.
#[test]
fn the_bytes_of_a_token_are_counted() {
    let (issuers, mut cache) = (issuers(), TokenCache::new(16, 1_000_000));
    let plain = token(Algorithm::EdDsa);
    let long = token_with(json!({"pad": "x".repeat(3_000), "escaped": "\n".repeat(500)}));
    let scopes = token_with(json!({"scope": "s"}));
    for token in [plain, long, scopes] {
        let before = cache.bytes();
        let verified = cache.verify(token.as_bytes(), &issuers, now(), None).unwrap();
        let signed = token.rsplit_once('.').unwrap().0.len();
        let least = signed + verified.claims().json().len() + size_of::<Claims>();
        assert!(cache.bytes() - before >= least, "{} {least}", cache.bytes() - before);
    }
}

/// A token is found by its signature. Whatever else is behind a known one is not that token.
#[test]
fn a_known_signature_says_nothing_of_another_token() {
    let (issuers, mut cache) = (issuers(), TokenCache::new(16, 100_000));
    let token = token(Algorithm::EdDsa);
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let admin = token_with(json!({"sub": "admin"}));
    let admin_payload = admin.split('.').nth(1).unwrap();
    for (forged, expected) in [
        (format!("{header}.{admin_payload}.{signature}"), Code::BadSignature),
        (format!("{header}.{payload}A.{signature}"), Code::Malformed),
        (format!("{header}.{}.{signature}", &payload[..payload.len() - 4]), Code::Malformed),
        (format!("{}.{payload}.{signature}", &header[..header.len() - 4]), Code::Malformed),
        (format!("{header}{payload}..{signature}"), Code::Malformed),
        (format!("{header}..{payload}{signature}"), Code::Malformed),
    ] {
        assert_eq!(code(&mut cache, &forged, &issuers, NOW, None), Some(expected), "{forged}");
    }
    // Every single byte of what is signed counts, also at the ends of the words that are compared.
    for at in (0..signed.len()).chain(signed.len() + 1..token.len()) {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(cache.verify(&other, &issuers, now(), None).is_err(), "{at}");
    }
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
    assert_eq!(cache.len(), 1);
}

#[test]
fn time_and_record_are_checked_on_every_hit() {
    let (issuers, mut cache) = (issuers(), TokenCache::new(16, 100_000));
    let token = token_with(json!({"nbf": NOW}));
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
    assert_eq!(code(&mut cache, &token, &issuers, NOW + 299, None), None);
    assert_eq!(code(&mut cache, &token, &issuers, NOW + 300, None), Some(Code::Expired));
    assert_eq!(code(&mut cache, &token, &issuers, NOW - 1, None), Some(Code::NotYetValid));
    let nothing = TokenRecord::default();
    for (record, expected) in [
        (TokenRecord { revoked: true, ..nothing }, Some(Code::Revoked)),
        (TokenRecord { suspended: true, ..nothing }, Some(Code::Suspended)),
        (TokenRecord { not_before: Some(at(NOW)), ..nothing }, Some(Code::Revoked)),
        (TokenRecord { not_before: Some(at(NOW - 10)), ..nothing }, None),
        (nothing, None),
    ] {
        assert_eq!(code(&mut cache, &token, &issuers, NOW, Some(&record)), expected);
    }
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_replaced_or_removed_issuer_is_never_hit_again() {
    let (mut issuers, mut cache) = (issuers(), TokenCache::new(16, 100_000));
    let token = token(Algorithm::EdDsa);
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
    // Another key of the same name.
    let other = jwks(&[named(super::keys::P256_JWK, "ed25519")]);
    issuers.put(Issuer::new(settings(ISSUER, ASYMMETRIC), &other).unwrap()).unwrap();
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), Some(Code::AlgorithmNotAllowed));
    assert_eq!(cache.len(), 0, "what can never be hit again takes up no place");
    issuers.put(Issuer::new(settings(ISSUER, ASYMMETRIC), &public_jwks()).unwrap()).unwrap();
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
    // The same keys, other settings.
    let mut strict = settings(ISSUER, ASYMMETRIC);
    strict.audiences = Vec::from(["other".into()]);
    issuers.put(Issuer::new(strict, &public_jwks()).unwrap()).unwrap();
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), Some(Code::WrongAudience));
    issuers.put(Issuer::new(settings(ISSUER, ASYMMETRIC), &public_jwks()).unwrap()).unwrap();
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
    issuers.remove(ISSUER);
    assert_eq!(code(&mut cache, &token, &issuers, NOW, None), Some(Code::UnknownIssuer));
    // Issuers elsewhere with the same settings are others.
    assert_eq!(code(&mut cache, &token, &super::support::issuers(), NOW, None), None);
}

#[test]
fn what_is_refused_is_not_remembered() {
    let (issuers, mut cache) = (issuers(), TokenCache::new(16, 100_000));
    for token in [
        token_with(json!({"exp": NOW})),
        token_with(json!({"aud": "other"})),
        token_with(json!({"iss": "other"})),
        format!("{}A", token(Algorithm::EdDsa)),
    ] {
        assert!(code(&mut cache, &token, &issuers, NOW, None).is_some());
        assert!(cache.is_empty());
    }
    let revoked = TokenRecord { revoked: true, ..TokenRecord::default() };
    assert_eq!(code(&mut cache, &token(Algorithm::EdDsa), &issuers, NOW, Some(&revoked)), Some(Code::Revoked));
    assert!(cache.is_empty());
}

#[test]
fn it_is_bounded_by_count_and_by_bytes() {
    let issuers = issuers();
    let tokens: Vec<String> = (0..100)
        .map(|at| {
            let mut claims = claims(Algorithm::Hs256);
            change(&mut claims, json!({"sub": format!("usr_{at}")}));
            sign(Algorithm::Hs256, &header(Algorithm::Hs256), &claims)
        })
        .collect();
    let mut by_count = TokenCache::new(8, 10_000_000);
    let mut by_bytes = TokenCache::new(1_000, 8_000);
    for token in &tokens {
        for cache in [&mut by_count, &mut by_bytes] {
            assert_eq!(code(cache, token, &issuers, NOW, None), None);
            assert_eq!(code(cache, token, &issuers, NOW, None), None);
        }
        assert!(by_count.len() <= 8);
        assert!(by_bytes.bytes() <= 8_000);
    }
    assert!(by_count.len() > 4, "{by_count:?}");
    assert!(by_bytes.len() > 3, "{by_bytes:?}");
    assert_eq!(format!("{by_count:?}"), format!("TokenCache({} tokens, {} bytes)", by_count.len(), by_count.bytes()));
    by_count.clear();
    assert_eq!((by_count.len(), by_count.bytes()), (0, 0));
    for mut nothing in [
        TokenCache::new(0, 1_000_000),
        TokenCache::new(1_000, 0),
        TokenCache::new(3, 1_000_000),
        TokenState::empty().cache,
    ] {
        assert_eq!(code(&mut nothing, &tokens[0], &issuers, NOW, None), None);
        assert!(nothing.is_empty());
    }
}

#[test]
fn a_token_may_take_all_the_bytes_and_not_one_more() {
    let (issuers, token) = (issuers(), token(Algorithm::EdDsa));
    let bytes_within = |max_bytes: usize| {
        let mut cache = TokenCache::new(4, max_bytes);
        assert_eq!(code(&mut cache, &token, &issuers, NOW, None), None);
        cache.bytes()
    };
    let size = bytes_within(100_000);
    assert_eq!(bytes_within(size), size);
    assert_eq!(bytes_within(size - 1), 0);
}

#[test]
fn with_and_without_a_cache_every_attack_has_the_same_answer() {
    let issuers = super::attacks::target();
    let mut cache = TokenCache::new(1_000, 10_000_000);
    for attack in super::attacks::attacks() {
        for _ in 0..2 {
            let answer = cache.verify(&attack.token, &issuers, now(), None);
            assert_eq!(answer.unwrap_err().code(), attack.code, "{}", attack.name);
        }
    }
    assert!(cache.is_empty());
}

// The judgement: what is verified, and then what is asked for

mod judgement {
    use super::*;
    use crate::jwt::judgement::judge_token;
    use crate::wire::{RequestView, encode_request};
    use crate::{Environment, Request, Scope};

    fn judge(token: &str, issuers: &Issuers, change: impl Fn(&mut Request)) -> Option<Code> {
        let mut request = Request::at(now());
        change(&mut request);
        let mut bytes = Vec::new();
        encode_request(&request, &mut bytes).unwrap();
        let request = RequestView::read(&bytes).unwrap();
        let mut cache = TokenCache::new(16, 100_000);
        let alone = judge_token(token.as_bytes(), issuers, &mut TokenCache::new(0, 0), None, &request)
            .err()
            .map(|denial| denial.code);
        for _ in 0..2 {
            let cached = judge_token(token.as_bytes(), issuers, &mut cache, None, &request);
            assert_eq!(cached.err().map(|denial| denial.code), alone);
        }
        alone
    }

    fn scope(name: &str) -> Scope {
        Scope::new(name).unwrap()
    }

    #[test]
    fn scopes_are_granted_as_the_settings_say() {
        let token = token_with(json!({"scope": "read invoices:*"}));
        // Without the setting a wildcard is a name like any other.
        let literal = |name: &'static str| move |request: &mut Request| request.all_of = Vec::from([scope(name)]);
        assert_eq!(judge(&token, &issuers(), literal("invoices:read")), Some(Code::InsufficientScope));
        assert_eq!(judge(&token, &issuers(), literal("invoices:*")), None);
        let issuers = issuers_with(|settings| settings.wildcard_scopes = true);
        assert_eq!(judge(&token, &issuers, |_| ()), None);
        assert_eq!(judge(&token, &issuers, |request| request.all_of = Vec::from([scope("read")])), None);
        assert_eq!(judge(&token, &issuers, |request| request.all_of = Vec::from([scope("invoices:read")])), None);
        let both = |request: &mut Request| request.all_of = Vec::from([scope("read"), scope("write")]);
        assert_eq!(judge(&token, &issuers, both), Some(Code::InsufficientScope));
        let any = |request: &mut Request| request.any_of = Vec::from([scope("read"), scope("write")]);
        assert_eq!(judge(&token, &issuers, any), None);
        let none = |request: &mut Request| request.any_of = Vec::from([scope("write")]);
        assert_eq!(judge(&token, &issuers, none), Some(Code::InsufficientScope));
        assert_eq!(judge(&token_with(json!({})), &issuers, any), Some(Code::InsufficientScope));
    }

    #[test]
    fn the_environment_is_checked_before_scopes() {
        let token = token_with(json!({}));
        let ask = |name: &'static str| {
            move |request: &mut Request| {
                request.environment = Some(Environment::new(name).unwrap());
            }
        };
        assert_eq!(judge(&token, &issuers(), ask("live")), Some(Code::WrongEnvironment), "it belongs to none");
        assert_eq!(judge(&token, &issuers(), |_| ()), None);
        let any = issuers_with(|settings| settings.any_environment = true);
        assert_eq!(judge(&token, &any, ask("live")), None);
        let live = issuers_with(|settings| settings.environment = Some(live()));
        assert_eq!(judge(&token, &live, ask("live")), None);
        assert_eq!(judge(&token, &live, ask("test")), Some(Code::WrongEnvironment));
        let both = |request: &mut Request| {
            ask("test")(request);
            request.all_of = Vec::from([scope("read")]);
        };
        assert_eq!(judge(&token, &live, both), Some(Code::WrongEnvironment));
        assert_eq!(judge(&token_with(json!({"exp": NOW})), &live, both), Some(Code::Expired));
    }
}
