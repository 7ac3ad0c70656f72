//! The rules that accept something, and where their bounds are. What they refuse is among the
//! attacks too; here each rule stands by its name.

use std::format;
use std::prelude::rust_2024::*;
use std::vec;

use serde_json::{Value, json};

use super::support::*;
use crate::jwt::*;
use crate::wire::{Item, MAX_MESSAGE_LEN, Message, check_message, decode_verdict, encode_formats};
use crate::{Code, Request, check_batch};

fn code(token: impl AsRef<[u8]>, issuers: &Issuers) -> Option<Code> {
    verify(token, issuers).err().map(|error| error.code())
}

// Form

#[test]
fn a_token_is_three_segments_of_base64url() {
    let good = token(Algorithm::EdDsa);
    assert_eq!(code(&good, &issuers()), None);
    assert!(looks_like_jws(good.as_bytes()));
    for other in ["", "hx_live_abc", "cpx_live.abc", "a.b.c.d", "a.b.c.d.e", &".".repeat(1_000)] {
        assert!(!looks_like_jws(other.as_bytes()), "{other:?}");
    }
    assert_eq!(verify("a.b", &issuers()).unwrap_err(), JwtError::NoToken);
    assert_eq!(verify("a.b.c.d.e", &issuers()).unwrap_err(), JwtError::Encrypted);
}

#[test]
fn a_token_is_as_long_as_the_issuer_allows() {
    let token = token(Algorithm::EdDsa);
    let allowing = |longest_token| issuers_with(|settings| settings.longest_token = longest_token);
    assert_eq!(code(&token, &allowing(token.len())), None);
    let limit = token.len() - 1;
    assert_eq!(verify(&token, &allowing(limit)).unwrap_err(), JwtError::TooLong { limit });
    let longest = token_with(json!({"pad": "x".repeat(48_000)}));
    assert!(longest.len() > DEFAULT_TOKEN_LEN && longest.len() < MAX_TOKEN_LEN);
    assert_eq!(code(&longest, &issuers()), Some(Code::Malformed));
    assert_eq!(code(&longest, &allowing(MAX_TOKEN_LEN)), None);
}

#[test]
fn json_may_nest_as_deeply_as_16_and_no_deeper() {
    let nested = |depth: usize| (1..depth).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(code(token_with(json!({"x": nested(MAX_JSON_DEPTH)})), &issuers()), None);
    assert_eq!(code(token_with(json!({"x": nested(MAX_JSON_DEPTH + 1)})), &issuers()), Some(Code::Malformed));
    assert_eq!(code(token_with_header(json!({"x": nested(MAX_JSON_DEPTH)})), &issuers()), None);
    assert_eq!(code(token_with_header(json!({"x": nested(MAX_JSON_DEPTH + 1)})), &issuers()), Some(Code::Malformed));
}

#[test]
fn members_that_nobody_reads_are_ignored_but_read_strictly() {
    assert_eq!(code(token_with(json!({"x": {"y": [1.5, true, "é\n\u{1f511}"]}})), &issuers()), None);
    assert_eq!(code(token_with_header(json!({"x": {"y": -1}, "url": "https://id.example"})), &issuers()), None);
    for error in [JsonError::DuplicateMember, JsonError::Encoding, JsonError::Syntax, JsonError::TooDeep] {
        let payload: &[u8] = match error {
            JsonError::DuplicateMember => br#"{"x":{"y":1,"y":1}}"#,
            JsonError::Encoding => b"{\"x\":\"\xff\"}",
            JsonError::TooDeep => br#"{"x":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}"#,
            _ => br#"{"x":"\udead"}"#,
        };
        let token = sign_text(Algorithm::EdDsa, &header(Algorithm::EdDsa).to_string(), payload);
        let expected = JwtError::Json { part: Part::Payload, error };
        assert_eq!(verify(token, &issuers()).unwrap_err(), expected);
    }
}

// Header

#[test]
fn every_algorithm_verifies_what_aws_lc_signs() {
    for algorithm in Algorithm::ALL.iter().copied() {
        let verified = verify(token(algorithm), &issuers()).unwrap();
        assert_eq!(verified.claims().subject(), Some("usr_1"), "{algorithm}");
    }
}

#[test]
fn alg_is_compared_exactly_with_the_list_of_the_issuer() {
    let only = |algorithm: Algorithm| issuers_with(|settings| settings.algorithms = Vec::from([algorithm]));
    assert_eq!(code(token(Algorithm::EdDsa), &only(Algorithm::EdDsa)), None);
    // The same signatures, by two names.
    assert_eq!(code(token(Algorithm::EdDsa), &only(Algorithm::Ed25519)), Some(Code::AlgorithmNotAllowed));
    assert_eq!(code(token(Algorithm::Ed25519), &only(Algorithm::EdDsa)), Some(Code::AlgorithmNotAllowed));
    assert_eq!(code(token(Algorithm::Rs256), &only(Algorithm::Rs384)), Some(Code::AlgorithmNotAllowed));
}

#[test]
fn crit_is_refused_whatever_it_says() {
    for crit in [json!([]), json!(["exp"]), json!("exp"), json!(["b64", "b64"]), json!(0), json!([1]), json!({})] {
        let error = verify(token_with_header(json!({"crit": crit})), &issuers()).unwrap_err();
        assert_eq!(error, JwtError::Header { member: "crit" });
    }
    let null = r#"{"alg":"EdDSA","kid":"ed25519","crit":null}"#;
    let token = sign_text(Algorithm::EdDsa, null, claims(Algorithm::EdDsa).to_string().as_bytes());
    assert_eq!(verify(token, &issuers()).unwrap_err(), JwtError::Header { member: "crit" });
}

#[test]
fn kid_is_a_string_of_at_most_256_bytes() {
    let kid = "é".repeat(MAX_KEY_ID_LEN / 2);
    let keys = jwks(&[jwk_with(Algorithm::EdDsa, json!({"kid": kid}))]);
    let issuers = issuers_of([(settings(ISSUER, ASYMMETRIC), keys)]);
    assert_eq!(code(token_with_header(json!({"kid": kid})), &issuers), None);
    let longer = format!("{kid}x");
    let error = verify(token_with_header(json!({"kid": longer})), &issuers).unwrap_err();
    assert_eq!(error, JwtError::Header { member: "kid" });
}

#[test]
fn typ_is_that_of_a_token_and_the_one_that_is_asked_for() {
    let typed = |typ: Value| token_with_header(json!({"typ": typ}));
    let asking = |asked| issuers_with(|settings| settings.token_type = asked);
    for typ in ["JWT", "jwt", "application/JWT", "APPLICATION/jwt"] {
        assert_eq!(code(typed(json!(typ)), &asking(None)), None, "{typ}");
        assert_eq!(code(typed(json!(typ)), &asking(Some(TokenType::Jwt))), None, "{typ}");
        let refused = wrong_claim(&typed(json!(typ)), &asking(Some(TokenType::AccessToken)));
        assert_eq!(refused, ("typ".into(), ClaimProblem::WrongKind), "{typ}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert_eq!(code(typed(json!(typ)), &asking(None)), None, "{typ}");
        assert_eq!(code(typed(json!(typ)), &asking(Some(TokenType::AccessToken))), None, "{typ}");
        assert_eq!(code(typed(json!(typ)), &asking(Some(TokenType::Jwt))), Some(Code::InvalidClaim), "{typ}");
    }
    assert_eq!(code(typed(Value::Null), &asking(None)), None);
    let refused = wrong_claim(&typed(Value::Null), &asking(Some(TokenType::Jwt)));
    assert_eq!(refused, ("typ".into(), ClaimProblem::Missing));
    assert_eq!(code(typed(json!("dpop+jwt")), &asking(None)), Some(Code::Malformed));
}

#[test]
fn keys_that_a_token_brings_are_never_used_and_must_be_well_formed() {
    let well_formed = [
        json!({"jwk": parse(&format!("{{{}}}", super::keys::OTHER_RSA_JWK))}),
        json!({"jwk": {"kty": "AKP", "pub": "AA", "key_ops": ["verify"], "x5c": ["AA"]}}),
        json!({"jku": "https://evil.example/jwks.json"}),
        json!({"x5u": "https://evil.example/chain.pem"}),
        json!({"x5c": ["MIIB+/=="]}),
        json!({"x5t": "AAAA", "x5t#S256": "AAAA"}),
    ];
    for members in well_formed {
        assert_eq!(code(token_with_header(members.clone()), &issuers()), None, "{members}");
    }
    for (member, value) in [
        ("jwk", json!([])),
        ("jwk", json!({"kty": "EC", "key_ops": "verify"})),
        ("jwk", json!({"kty": "EC", "key_ops": ["verify", 1]})),
        ("jwk", json!({"kty": "EC", "x5c": [{}]})),
        ("jwk", json!({"kty": 1})),
        ("jwk", json!({"kty": "EC", "x": 1})),
        ("jwk", json!({"kty": "EC", "d": "AA"})),
        ("jwk", json!({"kty": "oct", "k": "AA"})),
        ("jku", json!(["https://id.example/"])),
        ("jku", json!("id.example")),
        ("x5u", json!("https:")),
        ("x5c", json!([1])),
        ("x5c", json!("MIIB")),
        ("x5t", json!(1)),
    ] {
        let error = verify(token_with_header(json!({member: value})), &issuers()).unwrap_err();
        assert_eq!(error, JwtError::Header { member }, "{value}");
    }
}

// Choosing the key

#[test]
fn the_issuer_is_chosen_by_iss_and_compared_exactly() {
    assert_eq!(code(token_with(json!({"iss": "https://id.example."})), &issuers()), Some(Code::UnknownIssuer));
    assert_eq!(wrong_claim(&token_with(json!({"iss": null})), &issuers()), ("iss".into(), ClaimProblem::Missing));
    assert_eq!(wrong_claim(&token_with(json!({"iss": [ISSUER]})), &issuers()), ("iss".into(), ClaimProblem::WrongType));
}

#[test]
fn without_kid_there_must_be_exactly_one_key_that_fits() {
    let token = token_with_header(json!({"kid": null}));
    assert_eq!(code(&token, &issuers()), None, "one key of four is an Ed25519 key");
    let two = [jwk(Algorithm::EdDsa), jwk_with(Algorithm::EdDsa, json!({"kid": "again"}))];
    let issuers = issuers_of([(settings(ISSUER, ASYMMETRIC), jwks(&two))]);
    assert_eq!(code(&token, &issuers), Some(Code::UnknownSigningKey));
    // One of the two is for the other name of the algorithm.
    let two = [jwk(Algorithm::EdDsa), jwk_with(Algorithm::EdDsa, json!({"kid": "again", "alg": "Ed25519"}))];
    let issuers = issuers_of([(settings(ISSUER, ASYMMETRIC), jwks(&two))]);
    assert_eq!(code(&token, &issuers), None);
}

#[test]
fn one_key_one_algorithm() {
    let pinned = jwks(&[jwk_with(Algorithm::Rs256, json!({"alg": "RS256"}))]);
    let issuers = issuers_of([(settings(ISSUER, ASYMMETRIC), pinned)]);
    assert_eq!(code(token(Algorithm::Rs256), &issuers), None);
    for other in [Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256] {
        assert_eq!(code(token(other), &issuers), Some(Code::AlgorithmNotAllowed), "{other}");
    }
}

#[test]
fn use_and_key_ops_must_allow_verifying() {
    let verdict = |members: Value| {
        let keys = jwks(&[jwk_with(Algorithm::EdDsa, members)]);
        code(token(Algorithm::EdDsa), &issuers_of([(settings(ISSUER, ASYMMETRIC), keys)]))
    };
    for good in [json!({"use": "sig"}), json!({"key_ops": ["verify"]}), json!({"key_ops": ["sign", "verify"]})] {
        assert_eq!(verdict(good.clone()), None, "{good}");
    }
    let bad = [
        json!({"use": "enc"}),
        json!({"use": "SIG"}),
        json!({"use": 1}),
        json!({"key_ops": []}),
        json!({"key_ops": "verify"}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": ["verify", 1]}),
        json!({"use": "sig", "key_ops": ["encrypt"]}),
    ];
    for bad in bad {
        assert_eq!(verdict(bad.clone()), Some(Code::UnknownSigningKey), "{bad}");
    }
}

// Claims

#[test]
fn exp_is_required_and_a_token_is_expired_from_that_second_on() {
    let expires = |exp: Value, leeway: u64| {
        code(token_with(json!({"exp": exp, "iat": null})), &issuers_with(|settings| settings.leeway = leeway))
    };
    assert_eq!(expires(json!(NOW + 1), 0), None);
    assert_eq!(expires(json!(NOW), 0), Some(Code::Expired));
    assert_eq!(expires(json!(NOW as f64 + 0.5), 0), None);
    assert_eq!(expires(json!(NOW as f64 - 0.5), 0), Some(Code::Expired));
    assert_eq!(expires(json!(NOW as f64 + 1.0), 0), None, "a whole number as a fraction");
    assert_eq!(expires(json!(NOW - 59), 60), None);
    assert_eq!(expires(json!(NOW - 60), 60), Some(Code::Expired));
    assert_eq!(expires(json!((1_u64 << 53) - 1), 60), None);
    assert_eq!(expires(json!(1_u64 << 53), 0), Some(Code::InvalidClaim));
    let far = verify(token_with(json!({"exp": (1_u64 << 53) - 1})), &issuers()).unwrap();
    assert_eq!(far.claims().expires_at(), crate::Timestamp::MAX);
    assert_eq!(
        verify(token_with(json!({"exp": NOW - 5})), &issuers()).unwrap_err(),
        JwtError::Expired { expired_at: at(NOW - 5) }
    );
}

#[test]
fn nbf_and_iat_are_not_in_the_future_beyond_leeway() {
    for claim in ["nbf", "iat"] {
        let starts = |value: Value, leeway: u64| {
            code(token_with(json!({claim: value})), &issuers_with(|settings| settings.leeway = leeway))
        };
        assert_eq!(starts(json!(NOW), 0), None);
        assert_eq!(starts(json!(NOW + 1), 0), Some(Code::NotYetValid));
        assert_eq!(starts(json!(NOW as f64 + 0.25), 0), Some(Code::NotYetValid));
        assert_eq!(starts(json!(NOW + 60), 60), None);
        assert_eq!(starts(json!(NOW + 61), 60), Some(Code::NotYetValid));
        assert_eq!(starts(json!("now"), 0), Some(Code::InvalidClaim));
        let valid_from = at(NOW + 7);
        let error = verify(token_with(json!({claim: NOW + 7})), &issuers()).unwrap_err();
        assert_eq!(error, JwtError::NotYetValid { claim: if claim == "nbf" { "nbf" } else { "iat" }, valid_from });
    }
}

#[test]
fn aud_is_required_where_the_settings_name_one() {
    let asking = |audiences: &[&str]| {
        issuers_with(|settings| {
            settings.audiences = audiences.iter().map(|name| (*name).into()).collect();
            settings.any_audience = audiences.is_empty();
        })
    };
    // Where the settings do not say whom tokens are for, none is let in.
    let unsaid = issuers_with(|settings| settings.audiences.clear());
    for aud in [json!("api"), json!(["web"]), json!(null), json!([]), json!(1)] {
        assert_eq!(verify(token_with(json!({"aud": aud})), &unsaid).unwrap_err(), JwtError::AudienceNotSet, "{aud}");
    }
    assert_eq!(JwtError::AudienceNotSet.code(), Code::WrongAudience);
    for aud in [json!("api"), json!(["api"]), json!(["web", "api"])] {
        assert_eq!(code(token_with(json!({"aud": aud})), &asking(&["api"])), None, "{aud}");
        assert_eq!(code(token_with(json!({"aud": aud})), &asking(&["x", "api"])), None, "{aud}");
        assert_eq!(code(token_with(json!({"aud": aud})), &asking(&["x"])), Some(Code::WrongAudience), "{aud}");
        assert_eq!(code(token_with(json!({"aud": aud})), &asking(&[])), None, "{aud}");
    }
    assert_eq!(wrong_claim(&token_with(json!({"aud": null})), &asking(&["api"])).0, "aud");
    assert_eq!(code(token_with(json!({"aud": null})), &asking(&[])), None);
    // Also where nobody is asked for, it must be one.
    for aud in [json!([]), json!(1), json!({}), json!(["api", null])] {
        assert_eq!(code(token_with(json!({"aud": aud})), &asking(&[])), Some(Code::InvalidClaim), "{aud}");
    }
}

/// Whatever their value: an ID token has them, and an access token has not.
#[test]
fn forbidden_claims_are_those_of_the_settings() {
    for (name, value) in [("nonce", json!("n")), ("nonce", json!(1)), ("at_hash", json!("a")), ("c_hash", json!({}))] {
        let token = token_with(json!({name: value}));
        assert_eq!(wrong_claim(&token, &issuers()), (name.to_owned(), ClaimProblem::WrongKind));
        assert_eq!(code(token, &issuers_with(|settings| settings.forbidden_claims.clear())), None, "{name}");
    }
    let null = claims(Algorithm::EdDsa).to_string().replace("\"jti\":\"t1\"", "\"nonce\":null");
    let token = sign_text(Algorithm::EdDsa, &header(Algorithm::EdDsa).to_string(), null.as_bytes());
    assert_eq!(wrong_claim(&token, &issuers()), ("nonce".to_owned(), ClaimProblem::WrongKind));
    let forbids = issuers_with(|settings| settings.forbidden_claims = Vec::from(["act".into()]));
    assert_eq!(wrong_claim(&token_with(json!({"act": {}})), &forbids).0, "act");
    assert_eq!(code(token_with(json!({"nonce": "n"})), &forbids), None);
}

/// A token that no operator could name could not be revoked.
#[test]
fn what_a_token_is_revoked_by_can_be_named() {
    let longest = "x".repeat(MAX_REVOCABLE_LEN);
    let too_long = "x".repeat(MAX_REVOCABLE_LEN + 1);
    for claim in ["sub", "jti", "sid"] {
        for good in ["a", "auth0|1", "a b", longest.as_str()] {
            assert_eq!(code(token_with(json!({claim: good})), &issuers()), None, "{claim} {good}");
        }
        for bad in ["", " a", "a ", "a\nb", "a\u{202e}b", "a\u{200b}", too_long.as_str()] {
            let (name, problem) = wrong_claim(&token_with(json!({claim: bad})), &issuers());
            assert_eq!((name.as_str(), problem), (claim, ClaimProblem::OutOfRange), "{bad:?}");
        }
    }
}

#[test]
fn a_claim_of_the_wrong_type_is_named_and_never_coerced() {
    for claim in ["sub", "jti", "sid", "client_id", "org_id", "scope"] {
        assert_eq!(code(token_with(json!({claim: "text"})), &issuers()), None, "{claim}");
        for value in [json!(1), json!(true), json!(["text"]), json!({})] {
            let (name, problem) = wrong_claim(&token_with(json!({claim: value})), &issuers());
            assert_eq!((name.as_str(), problem), (claim, ClaimProblem::WrongType), "{value}");
        }
        let null = claims(Algorithm::EdDsa).to_string().replace("\"jti\":\"t1\"", &format!("\"{claim}\":null"));
        let null = if claim == "sub" { null.replace(",\"sub\":\"usr_1\"", "") } else { null };
        let token = sign_text(Algorithm::EdDsa, &header(Algorithm::EdDsa).to_string(), null.as_bytes());
        assert_eq!(wrong_claim(&token, &issuers()).0, claim);
    }
}

#[test]
fn accessors_give_what_the_token_says() {
    let token = token_with(json!({
        "aud": ["web", "api"], "org_id": "org_1", "scope": "read invoices:* * write",
        "sid": "ses_1", "client_id": "app", "nbf": NOW - 20, "iat": NOW as f64 - 9.5, "exp": NOW as f64 + 9.5,
    }));
    let verified = verify(&token, &issuers()).unwrap();
    let claims = verified.claims();
    assert_eq!(claims.issuer(), ISSUER);
    assert_eq!(claims.subject(), Some("usr_1"));
    assert_eq!(claims.organization(), Some("org_1"));
    assert_eq!(claims.scopes().collect::<Vec<_>>(), ["read", "invoices:*", "write"], "`*` is no scope");
    assert_eq!(claims.roles().count(), 0);
    assert_eq!(claims.audiences().collect::<Vec<_>>(), ["web", "api"]);
    assert_eq!(claims.session_id(), Some("ses_1"));
    assert_eq!(claims.client_id(), Some("app"));
    assert_eq!(claims.token_id(), Some("t1"));
    assert_eq!(claims.not_before(), Some(at(NOW - 20)));
    assert_eq!(claims.issued_at(), Some(at(NOW - 10)), "the second in which it was issued");
    assert_eq!(claims.expires_at(), at(NOW + 10), "the first second in which it is expired");
    assert_eq!(verified.token_type(), None);
    let typed = verify(token_with_header(json!({"typ": "at+jwt"})), &issuers()).unwrap();
    assert_eq!(typed.token_type(), Some(TokenType::AccessToken));
    assert_eq!(verified.environment(), None);
    let payload = token.split('.').nth(1).unwrap();
    assert_eq!(b64(claims.json().as_bytes()), payload);
}

#[test]
fn scopes_organization_and_roles_are_where_the_settings_say() {
    let issuers = issuers_with(|settings| {
        settings.claims.scopes = Vec::from([ScopeClaim::Scope, ScopeClaim::Permissions]);
        settings.claims.organization = Some("/o/id".into());
        settings.claims.roles = Some("/https:~1~1id.example~1roles/app~0s".into());
        settings.environment = Some(live());
    });
    let verified = verify(
        token_with(json!({
            "scope": "read", "permissions": ["write", "invoices:*"], "scp": 1, "o": {"id": "org_1"}, "org_id": "org_2",
            "https://id.example/roles": {"app~s": ["admin", "member"]},
        })),
        &issuers,
    )
    .unwrap();
    let claims = verified.claims();
    assert_eq!(claims.scopes().collect::<Vec<_>>(), ["read", "write", "invoices:*"]);
    assert_eq!(claims.organization(), Some("org_1"));
    assert_eq!(claims.roles().collect::<Vec<_>>(), ["admin", "member"]);
    assert_eq!(verified.environment(), Some("live"));
    // What is not there is not there; a role can be a string.
    let issuers = issuers_with(|settings| settings.claims.roles = Some("role".into()));
    let verified = verify(token_with(json!({"role": "admin", "scope": ""})), &issuers).unwrap();
    assert_eq!(verified.claims().roles().collect::<Vec<_>>(), ["admin"]);
    assert_eq!(verified.claims().organization(), None);
    assert_eq!(verified.claims().scopes().count(), 0);
}

/// What is no object has no members, and what is not there cannot be read as something else.
#[test]
fn a_path_leads_through_objects_and_org_id_is_a_string_wherever_it_counts() {
    let issuers = issuers_with(|settings| {
        settings.claims.organization = Some("/o/id".into());
        settings.claims.roles = Some("/a/b/c".into());
    });
    for (claims, claim) in [
        (json!({"o": "org_1"}), "/o/id"),
        (json!({"o": 7}), "/o/id"),
        (json!({"o": [{"id": "org_1"}]}), "/o/id"),
        (json!({"a": {"b": 7}}), "/a/b/c"),
        (json!({"a": {"b": null}}), "/a/b/c"),
        (json!({"org_id": 1}), "org_id"),
        (json!({"org_id": {}, "o": {"id": "org_1"}}), "org_id"),
    ] {
        assert_eq!(wrong_claim(&token_with(claims), &issuers), (claim.into(), ClaimProblem::WrongType));
    }
    for absent in [json!({}), json!({"o": {}}), json!({"a": {}}), json!({"a": {"b": {}}}), json!({"org_id": "org_1"})] {
        let verified = verify(token_with(absent), &issuers).unwrap();
        assert_eq!(verified.claims().organization(), None);
        assert_eq!(verified.claims().roles().count(), 0);
    }
    let nowhere = issuers_with(|settings| settings.claims.organization = None);
    let refused = wrong_claim(&token_with(json!({"org_id": ["org_1"]})), &nowhere);
    assert_eq!(refused, ("org_id".into(), ClaimProblem::WrongType));
}

#[test]
fn a_token_brings_at_most_128_scopes() {
    let scopes = |count: usize| (0..count).map(|at| format!("s{at}")).collect::<Vec<_>>().join(" ");
    let verified = verify(token_with(json!({"scope": scopes(MAX_TOKEN_SCOPES)})), &issuers()).unwrap();
    assert_eq!(verified.claims().scopes().count(), MAX_TOKEN_SCOPES);
    let (claim, problem) = wrong_claim(&token_with(json!({"scope": scopes(MAX_TOKEN_SCOPES + 1)})), &issuers());
    assert_eq!((claim.as_str(), problem), ("scope", ClaimProblem::OutOfRange));
}

#[test]
fn a_token_of_another_kind_is_none_of_this_kind() {
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (claim, value) in
        [("events", events), ("at_hash", json!("AA")), ("token_use", json!("id")), ("typ", json!("ID"))]
    {
        let refused = wrong_claim(&token_with(json!({claim: value})), &issuers());
        assert_eq!(refused, (claim.into(), ClaimProblem::WrongKind));
    }
    assert_eq!(code(token_with(json!({"token_use": "access", "typ": "Bearer"})), &issuers()), None);
}

// What a host knows of a token

#[test]
fn a_record_revokes_and_suspends() {
    let issuers = issuers();
    let verdict = |record: TokenRecord, token: &str| {
        let verified = UnverifiedJwt::parse(token.as_bytes()).unwrap().verify(&issuers, now(), Some(&record));
        verified.err().map(|error| error.code())
    };
    let token = token(Algorithm::EdDsa);
    let nothing = TokenRecord::default();
    assert_eq!(verdict(nothing, &token), None);
    assert_eq!(verdict(TokenRecord { revoked: true, ..nothing }, &token), Some(Code::Revoked));
    assert_eq!(verdict(TokenRecord { suspended: true, ..nothing }, &token), Some(Code::Suspended));
    assert_eq!(verdict(TokenRecord { suspended: true, revoked: true, ..nothing }, &token), Some(Code::Revoked));
    // The token was issued at NOW - 10.
    let before = |seconds| TokenRecord { not_before: Some(at(seconds)), ..nothing };
    assert_eq!(verdict(before(NOW - 10), &token), None);
    assert_eq!(verdict(before(NOW - 9), &token), Some(Code::Revoked));
    let fraction = token_with(json!({"iat": NOW as f64 - 9.5}));
    assert_eq!(verdict(before(NOW - 9), &fraction), Some(Code::Revoked));
    for untold in [token_with(json!({"iat": null})), token_with(json!({"iat": "today"}))] {
        assert_eq!(verdict(before(1), &untold), Some(Code::Revoked), "nobody knows when it was issued");
    }
}

#[test]
fn what_is_checked_first_is_told_first() {
    let issuers = issuers_with(|settings| settings.audiences = Vec::from(["other".into()]));
    let verdict = |members: Value, record: TokenRecord, break_it: bool| {
        let mut token = token_with(members);
        if break_it {
            token.replace_range(token.len() - 4.., "AAAA");
        }
        let jwt = UnverifiedJwt::parse(token.as_bytes()).unwrap();
        jwt.verify(&issuers, now(), Some(&record)).unwrap_err().code()
    };
    let revoked = TokenRecord { revoked: true, suspended: true, not_before: None };
    let suspended = TokenRecord { suspended: true, ..TokenRecord::default() };
    let late = json!({"exp": NOW - 1, "nbf": NOW + 1});
    assert_eq!(verdict(late.clone(), revoked, true), Code::BadSignature);
    assert_eq!(verdict(late.clone(), revoked, false), Code::Revoked);
    assert_eq!(verdict(late.clone(), suspended, false), Code::Suspended);
    assert_eq!(verdict(late, TokenRecord::default(), false), Code::Expired);
    assert_eq!(verdict(json!({"nbf": NOW + 1}), TokenRecord::default(), false), Code::NotYetValid);
    assert_eq!(verdict(json!({"sub": 1}), TokenRecord::default(), false), Code::WrongAudience);
}

#[test]
fn lookup_gives_what_is_written_and_vouches_for_nothing() {
    let token = token_with(json!({"sid": "ses_1", "exp": 1}));
    let jwt = UnverifiedJwt::parse(token.as_bytes()).unwrap();
    let expected =
        TokenLookup { issuer: Some(ISSUER), subject: Some("usr_1"), token_id: Some("t1"), session_id: Some("ses_1") };
    assert_eq!(jwt.lookup(), expected);
    assert_eq!(jwt.key_id(), Some("ed25519"));
    assert_eq!(parse(jwt.dangerous_header()), header(Algorithm::EdDsa));
    assert_eq!(parse(jwt.dangerous_claims())["exp"], json!(1));
    let odd = token_with(json!({"iss": 1, "sub": ["x"], "jti": {}, "sid": true}));
    let lookup = UnverifiedJwt::parse(odd.as_bytes()).unwrap();
    let nameless = token_with_header(json!({"kid": null}));
    assert_eq!(UnverifiedJwt::parse(nameless.as_bytes()).unwrap().key_id(), None);
    let nothing = TokenLookup { issuer: None, subject: None, token_id: None, session_id: None };
    assert_eq!(lookup.lookup(), nothing);
}

#[test]
fn errors_and_debug_show_no_token() {
    let token = token(Algorithm::EdDsa);
    let verified = verify(&token, &issuers()).unwrap();
    let broken = format!("{}AAAA", &token[..token.len() - 4]);
    let error = verify(broken, &issuers()).unwrap_err();
    let jws = UnverifiedJws::parse(token.as_bytes()).unwrap();
    let key = KeySet::from_jwk(jwk(Algorithm::EdDsa).to_string().as_bytes(), KeyRules::default()).unwrap();
    let jws = jws.verify(&key, &[Algorithm::EdDsa]).unwrap();
    assert!(format!("{verified:?}").contains("usr_1") && format!("{jws:?}").contains("ed25519"));
    for shown in [format!("{verified:?}"), format!("{error:?} {error}"), format!("{jws:?}")] {
        for segment in token.split('.') {
            assert!(!shown.contains(segment), "{shown}");
        }
    }
}

// The JWS level

#[test]
fn a_jws_of_any_payload_is_verified_with_a_chosen_key() {
    for algorithm in Algorithm::ALL.iter().copied() {
        let rules = KeyRules { secrets: true, ..KeyRules::default() };
        let key = |members: Value| {
            let mut jwk = jwk(algorithm);
            change(&mut jwk, members);
            KeySet::from_jwk(jwk.to_string().as_bytes(), rules).unwrap()
        };
        for payload in [&b""[..], b"foo", b"\xff\0", b"{\"a\":1,\"a\":2}"] {
            let header = header(algorithm).to_string();
            let jws = sign_text(algorithm, &header, payload);
            let unverified = UnverifiedJws::parse(jws.as_bytes()).unwrap();
            assert_eq!((unverified.dangerous_header(), unverified.dangerous_payload()), (&*header, payload));
            let verified = unverified.verify(&key(json!({})), &[algorithm]).unwrap();
            assert_eq!((verified.header(), verified.payload()), (&*header, payload));
            let nameless =
                UnverifiedJws::parse(jws.as_bytes()).unwrap().verify(&key(json!({"kid": null})), &[algorithm]);
            assert!(nameless.is_ok(), "a key chosen by hand needs no name");
            let other = UnverifiedJws::parse(jws.as_bytes()).unwrap().verify(&key(json!({"kid": "x"})), &[algorithm]);
            assert_eq!(other.unwrap_err(), JwtError::UnknownSigningKey);
            let none = UnverifiedJws::parse(jws.as_bytes()).unwrap().verify(&key(json!({})), &[]);
            assert_eq!(none.unwrap_err(), JwtError::AlgorithmNotAllowed);
        }
    }
}

#[test]
fn a_jws_may_say_what_its_payload_is_and_has_no_extensions_either() {
    let verdict = |members: Value| {
        let mut header = header(Algorithm::EdDsa);
        change(&mut header, members);
        UnverifiedJws::parse(sign_text(Algorithm::EdDsa, &header.to_string(), b"foo").as_bytes()).map(|_| ())
    };
    for good in [json!({"typ": "JOSE", "cty": "text/plain"}), json!({"typ": "JWT"})] {
        assert_eq!(verdict(good), Ok(()));
    }
    for member in ["crit", "b64", "zip", "enc", "typ", "cty"] {
        assert_eq!(verdict(json!({member: [1]})), Err(JwtError::Header { member }));
    }
}

/// Two claims that are one text count twice in a verdict, whose length is 16 bits.
#[test]
fn a_token_too_long_for_a_verdict_is_unavailable_by_every_way() {
    let mut settings = settings(ISSUER, ASYMMETRIC);
    settings.claims.roles = Some("client_id".into());
    settings.longest_token = MAX_TOKEN_LEN;
    let mut state = TokenState { issuers: issuers_of([(settings, public_jwks())]), ..TokenState::default() };
    let request = Request::at(now());
    let mut formats = Vec::new();
    encode_formats(&[], &mut formats).unwrap();
    for (len, allowed) in [(32_000, true), (40_000, false)] {
        let token = token_with(json!({"client_id": "s".repeat(len)}));
        let owned = check_batch(&[(token.as_bytes(), None)], &request, &[], &mut state).remove(0);
        let (mut message, mut answer) = (vec![0; MAX_MESSAGE_LEN], vec![0; MAX_MESSAGE_LEN]);
        let items = [Item { credential: token.as_bytes(), record: None }];
        let len = Message { request: &request, formats: &formats, items: &items }.write_to(&mut message).unwrap();
        let len = check_message(&message[..len], &mut state, &mut answer).unwrap();
        assert_eq!(decode_verdict(&answer[..len]).unwrap().0, owned);
        assert_eq!(owned.code(), if allowed { None } else { Some(Code::Unavailable) });
    }
}
