//! Issuers and their key sets: strictly read, bounded, and one bad key does not spoil the others.

use std::format;
use std::prelude::rust_2024::*;

use serde_json::{Value, json};

use super::keys;
use super::support::*;
use crate::Code;
use crate::jwt::*;

fn document() -> Value {
    json!({
        "issuer": ISSUER, "algorithms": ["EdDSA", "RS256"], "audiences": ["api"], "typ": "at+jwt", "leeway": 5,
        "claims": {"scopes": ["scp"], "organization": "/o/id", "roles": null, "environment": null}, "environment": "live",
        "any_environment": false, "any_audience": false, "forbidden_claims": ["nonce"], "wildcard_scopes": true,
        "longest_token": 4096, "small_exponent": true, "tables": false, "secrets": false, "mixed_keys": false,
        "jwks": parse(core::str::from_utf8(&public_jwks()).unwrap()),
    })
}

fn read(document: &Value) -> Result<Issuer, IssuerError> {
    Issuer::from_json(document.to_string().as_bytes())
}

#[test]
fn the_document_is_read_and_written_as_it_is() {
    let issuer = read(&document()).unwrap();
    let settings = issuer.settings();
    assert_eq!(settings.algorithms, [Algorithm::EdDsa, Algorithm::Rs256]);
    assert_eq!((settings.token_type, settings.leeway), (Some(TokenType::AccessToken), 5));
    assert_eq!(settings.claims.scopes, [ScopeClaim::Scp]);
    assert_eq!((settings.claims.organization.as_deref(), &settings.claims.roles), (Some("/o/id"), &None));
    assert_eq!((settings.environment.as_ref(), settings.longest_token), (Some(&live()), 4096));
    assert_eq!((settings.small_exponent, settings.tables), (SmallExponent::AllowThree, false));
    assert_eq!((issuer.keys().len(), issuer.problems().len()), (4, 0));
    assert_eq!(parse(&issuer.to_json()), document());
    assert_eq!((&settings.forbidden_claims, settings.wildcard_scopes), (&Vec::from(["nonce".into()]), true));
    let mut most = document();
    most["forbidden_claims"] = json!(vec!["x".repeat(MAX_CLAIM_NAME_LEN); MAX_FORBIDDEN_CLAIMS]);
    assert_eq!(read(&most).unwrap().settings().forbidden_claims.len(), MAX_FORBIDDEN_CLAIMS);
    // Only three members are needed.
    let short = json!({"issuer": "a\"\\\u{1}é", "algorithms": ["ES256"], "jwks": {"keys": []}});
    let issuer = read(&short).unwrap();
    assert_eq!(issuer.settings(), &IssuerSettings::new("a\"\\\u{1}é", [Algorithm::Es256]));
    let again = Issuer::from_json(issuer.to_json().as_bytes()).unwrap();
    assert_eq!((again.settings(), again.to_json()), (issuer.settings(), issuer.to_json()));
}

#[test]
fn settings_are_read_strictly() {
    let wrong = |member: &str, value: Value| {
        let mut document = document();
        document[member] = value;
        read(&document).map(|_| ()).unwrap_err()
    };
    let long = "x".repeat(MAX_NAME_LEN + 1);
    let many: Vec<String> = (0..=MAX_AUDIENCES).map(|at| at.to_string()).collect();
    for (setting, value) in [
        ("issuer", json!("")),
        ("issuer", json!(1)),
        ("issuer", json!(long)),
        ("algorithms", json!([])),
        ("algorithms", json!("RS256")),
        ("algorithms", json!(["none"])),
        ("algorithms", json!(["rs256"])),
        ("audiences", json!("api")),
        ("audiences", json!([""])),
        ("audiences", json!(many)),
        ("any_audience", json!(true)),
        ("any_audience", json!("api")),
        ("forbidden_claims", json!("nonce")),
        ("forbidden_claims", json!([""])),
        ("forbidden_claims", json!(["x".repeat(MAX_CLAIM_NAME_LEN + 1)])),
        ("forbidden_claims", json!(vec!["x"; MAX_FORBIDDEN_CLAIMS + 1])),
        ("wildcard_scopes", json!(1)),
        ("typ", json!("refresh")),
        ("leeway", json!(61)),
        ("leeway", json!(-1)),
        ("leeway", json!(1.5)),
        ("claims", json!([])),
        ("claims", json!({"scopes": ["roles"]})),
        ("claims", json!({"roles": ""})),
        ("claims", json!({"environment": "x".repeat(MAX_CLAIM_NAME_LEN + 1)})),
        ("claims", json!({"environment": ["env"]})),
        ("environment", json!("Live")),
        ("any_environment", json!(null)),
        ("any_environment", json!("live")),
        ("longest_token", json!(0)),
        ("longest_token", json!(MAX_TOKEN_LEN + 1)),
        ("small_exponent", json!("yes")),
        ("tables", json!(1)),
        ("secrets", json!(null)),
    ] {
        let error = wrong(setting, value.clone());
        assert_eq!(error, IssuerError::Setting { setting }, "{value}");
        assert!(error.to_string().contains(setting) && error.to_string().contains(" · "), "{error}");
    }
    assert_eq!(wrong("audience", json!(["api"])), IssuerError::UnknownSetting { setting: "audience".into() });
    assert_eq!(wrong("claims", json!({"role": "x"})), IssuerError::UnknownSetting { setting: "role".into() });
    for jwks in [json!([]), json!(null), json!({}), json!({"keys": {}})] {
        assert_eq!(wrong("jwks", jwks), IssuerError::KeySet(KeySetError::NoKeys));
    }
    for (missing, setting) in [("issuer", "issuer"), ("algorithms", "algorithms"), ("jwks", "jwks")] {
        let mut document = document();
        change(&mut document, json!({missing: null}));
        assert_eq!(read(&document).map(|_| ()).unwrap_err(), IssuerError::Setting { setting });
    }
    let twice = document().to_string().replacen('{', "{\"leeway\":0,", 1);
    let error = Issuer::from_json(twice.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error, IssuerError::Json(JsonError::DuplicateMember));
    assert_eq!(Issuer::from_json(b"[]").map(|_| ()).unwrap_err(), IssuerError::Json(JsonError::NoObject));
}

#[test]
fn what_does_not_fit_has_words_of_its_own() {
    let words = |setting| IssuerError::Setting { setting }.to_string().replace(setting, "");
    for setting in [
        "issuer",
        "algorithms",
        "audiences",
        "any_audience",
        "forbidden_claims",
        "typ",
        "leeway",
        "claims",
        "environment",
        "any_environment",
        "longest_token",
        "jwks",
    ] {
        assert_ne!(words(setting), words("tables"), "{setting}");
    }
}

/// A set and one key: nobody could say which of them counts.
#[test]
fn an_issuer_has_a_key_set_or_one_key() {
    let key = jwk(Algorithm::EdDsa).to_string();
    let set = String::from_utf8(public_jwks()).unwrap();
    let read = |keys: &str| {
        Issuer::from_json(format!(r#"{{"issuer": "{ISSUER}", "algorithms": ["EdDSA"], {keys}}}"#).as_bytes())
    };
    assert!(read(&format!(r#""jwk": {key}"#)).is_ok() && read(&format!(r#""jwks": {set}"#)).is_ok());
    for both in [format!(r#""jwk": {key}, "jwks": {set}"#), format!(r#""jwks": {set}, "jwk": {key}"#)] {
        assert_eq!(read(&both).map(|_| ()).unwrap_err(), IssuerError::Setting { setting: "jwks" });
    }
}

/// Written and read again, it is still one key that was chosen by hand.
#[test]
fn one_key_needs_no_name_also_after_its_document_was_read() {
    let key = jwk_with(Algorithm::EdDsa, json!({"kid": null})).to_string();
    let issuer = Issuer::with_key(settings(ISSUER, ASYMMETRIC), key.as_bytes()).unwrap();
    let again = Issuer::from_json(issuer.to_json().as_bytes()).unwrap();
    assert_eq!(again.to_json(), issuer.to_json());
    for issuer in [issuer, again] {
        let mut issuers = Issuers::default();
        issuers.put(issuer).unwrap();
        assert!(verify(token_with_header(json!({"kid": "whatever"})), &issuers).is_ok());
    }
    let padded = |len: usize| format!("{key}{}", " ".repeat(len - key.len())).into_bytes();
    assert!(Issuer::with_key(settings(ISSUER, ASYMMETRIC), &padded(MAX_KEY_SET_LEN)).is_ok());
    let given = MAX_KEY_SET_LEN + 1;
    let error = Issuer::with_key(settings(ISSUER, ASYMMETRIC), &padded(given)).map(|_| ()).unwrap_err();
    assert_eq!(error, IssuerError::KeySet(KeySetError::TooLong { given }));
}

#[test]
fn an_environment_is_said_once() {
    let with = |fixed: Value, any: bool, claim: Value| {
        let mut document = document();
        document["environment"] = fixed;
        document["any_environment"] = any.into();
        document["claims"]["environment"] = claim;
        read(&document).map(|issuer| assert_eq!(parse(&issuer.to_json()), document))
    };
    let (live, claim, none) = (json!("live"), json!("env"), Value::Null);
    for (fixed, any, claim) in [
        (&none, false, &none),
        (&none, true, &none),
        (&none, false, &claim),
        (&none, true, &claim),
        (&live, false, &none),
    ] {
        assert_eq!(with(fixed.clone(), any, claim.clone()), Ok(()), "{fixed} {any} {claim}");
    }
    let refused = |setting| Err(IssuerError::Setting { setting });
    assert_eq!(with(live.clone(), true, none), refused("any_environment"));
    assert_eq!(with(live.clone(), false, claim.clone()), refused("environment"));
    assert_eq!(with(live, true, claim), refused("environment"));
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let good = jwk(Algorithm::EdDsa);
    let ec = |members: Value| jwk_with(Algorithm::Es256, members);
    let rsa = |members: Value| jwk_with(Algorithm::Rs256, members);
    let member = |member| KeyReason::Member { member };
    let cases = [
        (json!(1), KeyReason::NoObject),
        (json!({}), member("kty")),
        (json!({"kty": 1}), member("kty")),
        (json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}), KeyReason::UnknownAlgorithm),
        (json!({"kty": "AKP", "pub": "AA"}), KeyReason::UnknownKeyType),
        (json!({"kty": "OKP", "crv": "X25519", "x": "AA"}), KeyReason::UnknownCurve),
        (json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), KeyReason::UnknownCurve),
        (json!({"kty": "EC", "x": "AA", "y": "AA"}), member("crv")),
        (ec(json!({"kid": 1})), member("kid")),
        (ec(json!({"kid": "k".repeat(MAX_KEY_ID_LEN + 1)})), member("kid")),
        (ec(json!({"y": null})), member("y")),
        (ec(json!({"y": "A"})), member("y")),
        (ec(json!({"x": format!("{}=", ec(json!({}))["x"].as_str().unwrap())})), member("x")),
        (ec(json!({"kty": "RSA"})), member("n")),
        (ec(json!({"alg": "ES384"})), KeyReason::OtherAlgorithm),
        (ec(json!({"alg": "ES521"})), KeyReason::UnknownAlgorithm),
        (ec(json!({"alg": 1})), member("alg")),
        (ec(json!({"use": "enc"})), KeyReason::OtherUse),
        (ec(json!({"key_ops": ["sign"]})), KeyReason::OtherUse),
        (ec(json!({"key_ops": "verify"})), member("key_ops")),
        (rsa(json!({"e": "Aw"})), KeyReason::Key(KeyError::Exponent)),
        (rsa(json!({"n": b64(&[0xff; 128])})), KeyReason::Key(KeyError::ModulusSize { bits: 1024 })),
    ];
    for (bad, reason) in cases {
        let set = KeySet::from_jwks(&jwks(&[bad.clone(), good.clone()]), KeyRules::default()).unwrap();
        assert_eq!(set.len(), 1, "{bad}");
        assert_eq!(
            set.problems().iter().map(|problem| (problem.index, problem.reason)).collect::<Vec<_>>(),
            [(0, reason)]
        );
        let text = set.problems()[0].to_string();
        assert!(text.starts_with("key 0") && text.contains(" · "), "{text}");
        let issuer = Issuer::new(settings(ISSUER, ASYMMETRIC), &jwks(&[bad.clone(), good.clone()])).unwrap();
        assert_eq!(issuer.problems(), set.problems());
        let issuers = issuers_of([(settings(ISSUER, ASYMMETRIC), jwks(&[bad, good.clone()]))]);
        assert!(verify(token(Algorithm::EdDsa), &issuers).is_ok());
    }
}

#[test]
fn a_kid_that_two_keys_have_is_nobodys() {
    let three = [jwk(Algorithm::EdDsa), named(keys::RSA_JWK, "two"), named(keys::P256_JWK, "two")];
    let set = KeySet::from_jwks(&jwks(&three), KeyRules::default()).unwrap();
    assert_eq!((set.len(), set.is_empty()), (1, false));
    let problems: Vec<_> =
        set.problems().iter().map(|problem| (problem.index, problem.key_id.as_deref(), problem.reason)).collect();
    let twice = KeyReason::DuplicateKeyId;
    assert_eq!(problems, [(1, Some("two"), twice), (2, Some("two"), twice)]);
    // Also when one of them could not be used anyway.
    let pair = [jwk(Algorithm::EdDsa), json!({"kty": "AKP", "kid": "ed25519"})];
    assert!(KeySet::from_jwks(&jwks(&pair), KeyRules::default()).unwrap().is_empty());
}

#[test]
fn secrets_are_keys_only_where_they_are_allowed_and_among_themselves() {
    let reasons_by = |keys: &[Value], rules: KeyRules| {
        let set = KeySet::from_jwks(&jwks(keys), rules).unwrap();
        (set.len(), set.problems().iter().map(|problem| problem.reason).collect::<Vec<_>>())
    };
    let reasons = |keys: &[Value], secrets: bool| reasons_by(keys, KeyRules { secrets, ..KeyRules::default() });
    let (secret, public) = (jwk(Algorithm::Hs256), jwk(Algorithm::EdDsa));
    assert_eq!(reasons(std::slice::from_ref(&secret), true), (1, Vec::new()));
    assert_eq!(reasons(std::slice::from_ref(&secret), false), (0, Vec::from([KeyReason::SecretNotAllowed])));
    let both = [secret, public];
    assert_eq!(reasons(&both, true), (1, Vec::from([KeyReason::SecretAmongPublicKeys])));
    let mixed = KeyRules { mixed: true, ..KeyRules::default() };
    assert_eq!(reasons_by(&both, KeyRules { secrets: true, ..mixed }), (2, Vec::new()));
    assert_eq!(reasons_by(&both, mixed), (1, Vec::from([KeyReason::SecretNotAllowed])));
}

#[test]
fn counts_and_sizes_are_bounded() {
    let keys = |count: usize| -> Vec<u8> {
        jwks(&(0..count).map(|at| json!({"kty": "AKP", "kid": at.to_string()})).collect::<Vec<_>>())
    };
    let set = |text: &[u8]| KeySet::from_jwks(text, KeyRules::default()).map(|set| set.problems().len());
    assert_eq!(set(&keys(MAX_KEYS)), Ok(MAX_KEYS));
    assert_eq!(set(&keys(MAX_KEYS + 1)), Err(KeySetError::TooManyKeys { given: MAX_KEYS + 1 }));
    assert_eq!(set(&keys(5_000)), Err(KeySetError::TooManyKeys { given: 5_000 }));
    let many = keys(10_000);
    assert_eq!(set(&many), Err(KeySetError::TooLong { given: many.len() }));
    let padded = |len: usize| {
        let mut text = keys(1);
        text.resize(len, b' ');
        text
    };
    assert_eq!(set(&padded(MAX_KEY_SET_LEN)), Ok(1));
    let given = MAX_KEY_SET_LEN + 1;
    assert_eq!(set(&padded(given)), Err(KeySetError::TooLong { given }));
    assert_eq!(set(&padded(10 << 20)), Err(KeySetError::TooLong { given: 10 << 20 }));
    let error = Issuer::new(settings(ISSUER, ASYMMETRIC), &padded(given)).map(|_| ()).unwrap_err();
    assert_eq!(error, IssuerError::KeySet(KeySetError::TooLong { given }));
    let mut document = document().to_string().into_bytes();
    document.resize(MAX_ISSUER_LEN, b' ');
    assert!(Issuer::from_json(&document).is_ok());
    let given = MAX_ISSUER_LEN + 1;
    assert_eq!(Issuer::from_json(&padded(given)).map(|_| ()).unwrap_err(), IssuerError::TooLong { given });
    let mut issuers = Issuers::default();
    assert!(issuers.is_empty());
    let issuer = |name: &str| Issuer::new(settings(name, ASYMMETRIC), br#"{"keys":[]}"#).unwrap();
    for at in 0..MAX_ISSUERS {
        assert!(issuers.put(issuer(&format!("i{at}"))).unwrap().is_none());
    }
    assert_eq!(issuers.put(issuer("one more")).map(|_| ()).unwrap_err(), IssuerError::TooManyIssuers);
    assert!(issuers.put(issuer("i0")).unwrap().is_some(), "in place of another");
    assert_eq!((issuers.len(), issuers.iter().count(), issuers.is_empty()), (MAX_ISSUERS, MAX_ISSUERS, false));
    assert!(issuers.remove("i0").is_some() && issuers.remove("i0").is_none());
    assert!(issuers.put(issuer("one more")).is_ok());
}

#[test]
fn tables_are_for_keys_that_can_be_asked_for_and_as_large_as_is_allowed() {
    let issuers = |limit: usize, algorithms: &[Algorithm], tables: bool| {
        let mut settings = settings(ISSUER, algorithms);
        settings.tables = tables;
        let mut issuers = Issuers::with_table_limit(limit);
        issuers.put(Issuer::new(settings, &public_jwks()).unwrap()).unwrap();
        issuers
    };
    let all = issuers(DEFAULT_TABLE_BYTES, ASYMMETRIC, true);
    let one = issuers(DEFAULT_TABLE_BYTES, &[Algorithm::EdDsa], true);
    assert!(one.table_bytes() > 0 && one.table_bytes() < all.table_bytes());
    assert_eq!(issuers(DEFAULT_TABLE_BYTES, ASYMMETRIC, false).table_bytes(), 0);
    assert_eq!(issuers(0, ASYMMETRIC, true).table_bytes(), 0);
    assert!(issuers(1, ASYMMETRIC, true).table_bytes() < all.table_bytes(), "the first key reached the limit");
    // With or without, the answer is the same.
    for algorithm in ASYMMETRIC.iter().copied() {
        let good = token(algorithm);
        let mut bad = good.clone();
        bad.replace_range(bad.len() - 8..bad.len() - 4, "AAAA");
        for limit in [0, 1, DEFAULT_TABLE_BYTES] {
            let issuers = issuers(limit, &[algorithm], true);
            assert!(verify(&good, &issuers).is_ok(), "{algorithm}");
            assert_eq!(verify(&bad, &issuers).unwrap_err().code(), Code::BadSignature, "{algorithm}");
        }
    }
}

/// Written again a set can be longer than it came; what would not fit is refused when it is read.
#[test]
fn a_key_set_is_short_as_it_is_written_too() {
    let padded = |count: usize| format!(r#"{{"keys": [], "x": "{}"}}"#, r"\n".repeat(count));
    let new = |text: &str| Issuer::new(settings(ISSUER, ASYMMETRIC), text.as_bytes()).map(|issuer| issuer.to_json());
    // Two bytes as it comes, six as it is written.
    let short = new(&padded(MAX_KEY_SET_LEN / 6 - 10)).unwrap();
    assert!(short.len() > MAX_KEY_SET_LEN - 100 && short.len() <= MAX_ISSUER_LEN);
    let exact = |extra: usize| {
        let frame = r#"{"keys":[],"x":""}"#.len();
        format!(r#"{{"keys": [], "x": "{}"}}"#, "y".repeat(MAX_KEY_SET_LEN - frame + extra))
    };
    assert!(new(&exact(0).replace(' ', "")).is_ok());
    assert!(new(&exact(1).replace(' ', "")).is_err());
    let long = padded(MAX_KEY_SET_LEN / 6 + 1);
    assert!(long.len() < MAX_KEY_SET_LEN / 2);
    assert!(matches!(new(&long), Err(IssuerError::KeySet(KeySetError::TooLong { given })) if given > MAX_KEY_SET_LEN));
    let document = json!({"issuer": ISSUER, "algorithms": ["ES256"], "jwks": parse(&long)}).to_string();
    assert!(matches!(Issuer::from_json(document.as_bytes()), Err(IssuerError::KeySet(KeySetError::TooLong { .. }))));
}

#[test]
fn the_first_keys_of_a_set_get_tables() {
    let keys: Vec<Value> =
        (0..MAX_KEYS_WITH_TABLES + 1).map(|at| named(super::keys::ED25519_JWK, &at.to_string())).collect();
    let bytes = |count: usize| {
        let mut issuers = Issuers::default();
        let with_tables = IssuerSettings { tables: true, ..settings(ISSUER, ASYMMETRIC) };
        issuers.put(Issuer::new(with_tables, &jwks(&keys[..count])).unwrap()).unwrap();
        issuers.table_bytes()
    };
    let one = bytes(1);
    assert!(one > 0);
    assert_eq!(bytes(MAX_KEYS_WITH_TABLES), one * MAX_KEYS_WITH_TABLES);
    assert_eq!(bytes(MAX_KEYS_WITH_TABLES + 1), one * MAX_KEYS_WITH_TABLES);
}

#[test]
fn a_small_exponent_is_allowed_by_a_setting() {
    let jwk = jwk_with(Algorithm::Rs256, json!({"e": "Aw"}));
    let count = |small_exponent| {
        KeySet::from_jwks(&jwks(std::slice::from_ref(&jwk)), KeyRules { small_exponent, ..KeyRules::default() })
            .unwrap()
            .len()
    };
    assert_eq!((count(SmallExponent::Refuse), count(SmallExponent::AllowThree)), (0, 1));
}

#[test]
fn debug_shows_no_secret() {
    let mut settings = settings(HMAC_ISSUER, HMAC);
    settings.secrets = true;
    let issuer = Issuer::new(settings, &hmac_jwks()).unwrap();
    let encoded = b64(SECRET);
    assert!(issuer.to_json().contains(&encoded), "the document does: a validator needs it");
    let mut issuers = Issuers::default();
    let shown = format!("{issuer:?} {issuer:#?}");
    assert!(shown.contains(HMAC_ISSUER));
    issuers.put(issuer).unwrap();
    for text in [shown, format!("{issuers:?}")] {
        assert!(!text.contains(&encoded[..16]) && !text.contains("0123456789"), "{text}");
    }
}

/// RFC 7638, section 3.1; RFC 8037, appendix A.3.
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let rsa = br#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    assert_eq!(thumbprint(rsa).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let okp = br#"{"crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kty":"OKP","d":"AA"}"#;
    assert_eq!(thumbprint(okp).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // Computed beside this code, in Python.
    let ec = named(keys::P256_JWK, "p256").to_string();
    assert_eq!(thumbprint(ec.as_bytes()).unwrap(), "88BkxptfpPYyNRnkNr0NntFuU-A7vMExsMvdfOiU8tE");
    for bad in [&br#"{"kty":"oct","k":"AA"}"#[..], br#"{"kty":"EC","crv":"P-256"}"#, b"[]", b""] {
        assert!(thumbprint(bad).is_err());
    }
}
