//! What went wrong elsewhere, each by the number it was published under.

use std::format;
use std::prelude::rust_2024::*;

use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::attacks::{BOTH, FETCHED, RS256_ONLY, target};
use super::keys;
use super::support::*;
use crate::Code;
use crate::jwt::*;

fn refused(token: impl AsRef<[u8]>, issuers: &Issuers) -> Code {
    verify(token, issuers).unwrap_err().code()
}

/// A token with a MAC made with a public text instead of a secret.
fn mac_with(text: &[u8], issuer: &str, kid: &str) -> String {
    let header = json!({"alg": "HS256", "kid": kid}).to_string();
    let mut claims = claims(Algorithm::Rs256);
    change(&mut claims, json!({"iss": issuer}));
    let key = EncodingKey::from_secret(text);
    sign_segments(Algorithm::Hs256, &key, &b64(header.as_bytes()), &b64(claims.to_string().as_bytes()))
}

fn secrets(k: &[u8]) -> Result<KeySet, KeySetError> {
    let jwk = json!({"kty": "oct", "k": b64(k)}).to_string();
    KeySet::from_jwk(jwk.as_bytes(), KeyRules { secrets: true, ..KeyRules::default() })
}

// Key confusion

#[test]
fn cve_2015_9235_a_public_key_is_no_secret() {
    let token = mac_with(keys::RSA_PUBLIC_PEM.as_bytes(), RS256_ONLY, "rsa");
    assert_eq!(refused(token, &target()), Code::AlgorithmNotAllowed);
}

#[test]
fn cve_2016_10555_the_token_does_not_choose_how_it_is_verified() {
    for kid in ["rsa", "hmac"] {
        for text in [keys::RSA_PUBLIC_PEM, keys::RSA_JWK] {
            let code = refused(mac_with(text.as_bytes(), BOTH, kid), &target());
            assert!([Code::AlgorithmNotAllowed, Code::UnknownSigningKey].contains(&code));
        }
    }
}

#[test]
fn cve_2022_29217_no_public_key_in_any_text_form_is_a_secret() {
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPYYGTbBIFNsVTx8pnFWFf2w7Nx4VB9kfZuaGR5Cq2Fa";
    for text in [keys::RSA_PUBLIC_PEM, ssh] {
        let error = secrets(text.as_bytes()).unwrap_err();
        assert_eq!(error, KeySetError::Key { reason: KeyReason::Key(KeyError::SecretIsKeyText) });
    }
}

#[test]
fn cve_2023_48223_nor_in_a_pem_of_another_label() {
    for label in ["RSA PUBLIC KEY", "PUBLIC KEY", "CERTIFICATE", "EC PUBLIC KEY"] {
        let pem = format!("-----BEGIN {label}-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END {label}-----\n");
        assert!(secrets(pem.as_bytes()).is_err(), "{label}");
    }
}

#[test]
fn cve_2026_34950_nor_with_white_space_in_front() {
    for space in [" ", "\n", "\r\n\t ", "\u{feff}"] {
        assert!(secrets(format!("{space}{}", keys::RSA_PUBLIC_PEM).as_bytes()).is_err(), "{space:?}");
    }
}

#[test]
fn cve_2026_22817_a_key_without_alg_takes_the_issuers_list_not_the_tokens_word() {
    let issuers = issuers_with(|settings| settings.algorithms = Vec::from([Algorithm::Rs256]));
    assert!(verify(token(Algorithm::Rs256), &issuers).is_ok());
    for other in [Algorithm::Rs512, Algorithm::Ps256] {
        assert_eq!(refused(token(other), &issuers), Code::AlgorithmNotAllowed);
    }
    assert_eq!(refused(mac_with(keys::RSA_JWK.as_bytes(), ISSUER, "rsa"), &issuers), Code::AlgorithmNotAllowed);
}

#[test]
fn cve_2026_48526_a_list_of_both_kinds_confuses_nobody() {
    let modulus = parse(&format!("{{{}}}", keys::RSA_JWK))["n"].as_str().unwrap().to_owned();
    for text in [keys::RSA_PUBLIC_PEM, keys::RSA_JWK, &modulus] {
        assert_eq!(refused(mac_with(text.as_bytes(), BOTH, "rsa"), &target()), Code::AlgorithmNotAllowed);
    }
    // Nor is a secret taken from a set that anybody may have written.
    let mut claims = claims(Algorithm::Hs256);
    change(&mut claims, json!({"iss": FETCHED}));
    let token = sign(Algorithm::Hs256, &header(Algorithm::Hs256), &claims);
    assert_eq!(refused(token, &target()), Code::UnknownSigningKey);
}

// Keys and algorithms that the token brings

#[test]
fn cve_2018_0114_a_key_in_the_header_is_not_used() {
    let jwk = parse(&format!("{{{}}}", keys::OTHER_P256_JWK));
    let header = json!({"alg": "ES256", "kid": "p256", "jwk": jwk}).to_string();
    let key = EncodingKey::from_ec_pem(keys::OTHER_P256_PEM.as_bytes()).unwrap();
    let payload = b64(claims(Algorithm::Es256).to_string().as_bytes());
    let token = sign_segments(Algorithm::Es256, &key, &b64(header.as_bytes()), &payload);
    assert_eq!(refused(token, &issuers()), Code::BadSignature);
}

#[test]
fn cve_2015_2951_none_is_no_algorithm() {
    for alg in ["none", "None", "NONE", "nOnE", "non\u{0065}\u{0301}"] {
        let header = json!({"alg": alg}).to_string();
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(claims(Algorithm::EdDsa).to_string().as_bytes()));
        for signature in ["", "AA", "bm9uZQ"] {
            let token = format!("{signed}.{signature}");
            assert_eq!(refused(token, &issuers()), Code::AlgorithmNotAllowed, "{alg}");
        }
    }
    assert!(IssuerSettings::new(ISSUER, []).validate().is_err(), "an issuer that signs with nothing is none");
}

#[test]
fn cve_2025_59420_a_critical_extension_is_not_skipped() {
    for name in ["cork", "b64", "exp", "http://example.invalid/UNDEFINED"] {
        assert_eq!(refused(token_with_header(json!({"crit": [name], name: true})), &issuers()), Code::Malformed);
    }
}

#[test]
fn cve_2026_32597_nor_is_an_unknown_one_or_a_malformed_list() {
    for crit in [json!(["x-unknown"]), json!([]), json!("exp"), json!([1]), json!({}), json!(false)] {
        assert_eq!(refused(token_with_header(json!({"crit": crit})), &issuers()), Code::Malformed);
    }
}

// Empty and short secrets

fn empty_secret_is_refused() {
    for k in [&b""[..], b"\0", b"secret", &SECRET[..31]] {
        let reason = KeyReason::Key(KeyError::SecretTooShort { length: k.len() });
        assert_eq!(secrets(k).unwrap_err(), KeySetError::Key { reason });
    }
}

#[test]
fn cve_2019_20933_an_empty_secret_is_none() {
    empty_secret_is_refused();
}

#[test]
fn cve_2020_28637_an_issuer_with_an_empty_secret_accepts_nothing() {
    let mut settings = settings(HMAC_ISSUER, HMAC);
    settings.secrets = true;
    let issuers = issuers_of([(settings, jwks(&[json!({"kty": "oct", "kid": "hmac", "k": ""})]))]);
    let key = EncodingKey::from_secret(b"");
    let segments = (header(Algorithm::Hs256).to_string(), claims(Algorithm::Hs256).to_string());
    let token = sign_segments(Algorithm::Hs256, &key, &b64(segments.0.as_bytes()), &b64(segments.1.as_bytes()));
    assert_eq!(refused(token, &issuers), Code::UnknownSigningKey);
}

#[test]
fn cve_2026_44351_a_secret_is_as_long_as_the_hash() {
    for (algorithm, length) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        for (length, good) in [(length, true), (length - 1, false)] {
            let key = EncodingKey::from_secret(&SECRET[..length]);
            let jws =
                sign_segments(algorithm, &key, &b64(json!({"alg": algorithm.as_str()}).to_string().as_bytes()), "");
            let verified = secrets(&SECRET[..length])
                .map(|keys| UnverifiedJws::parse(jws.as_bytes()).unwrap().verify(&keys, &[algorithm]).is_ok());
            assert_eq!(verified.unwrap_or(false), good, "{algorithm}, {length}");
        }
    }
}

// Signatures

#[test]
fn cve_2022_21449_a_signature_of_zeros_is_none() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let good = token(algorithm);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let length = signature.len() / 4 * 3 + signature.len() % 4 / 2;
        let psychic = format!("{signed}.{}", b64(&std::vec![0; length]));
        assert_eq!(refused(psychic, &issuers()), Code::BadSignature, "{algorithm}");
    }
}

// Form

#[test]
fn cve_2025_27144_dots_are_not_collected() {
    assert_eq!(refused(".".repeat(MAX_TOKEN_LEN), &issuers()), Code::Malformed);
    assert_eq!(refused("a.".repeat(MAX_TOKEN_LEN / 2), &issuers()), Code::Malformed);
}

#[test]
fn cve_2025_30204_nor_are_millions_of_them() {
    let dots = ".".repeat(10_000_000);
    assert_eq!(verify(&dots, &issuers()).unwrap_err(), JwtError::TooLong { limit: MAX_TOKEN_LEN });
    assert!(!looks_like_jws(dots.as_bytes()));
}

#[test]
fn cve_2023_51774_an_encrypted_token_is_not_verified() {
    let header = json!({"alg": "dir", "enc": "A128CBC-HS256", "kid": "ed25519"}).to_string();
    let jwe = format!("{}..AAAA.AAAA.AAAA", b64(header.as_bytes()));
    assert_eq!(verify(jwe, &issuers()).unwrap_err(), JwtError::Encrypted);
}

#[test]
fn cve_2026_29000_nor_is_a_token_with_the_header_of_an_encrypted_one() {
    for members in [json!({"enc": "A256GCM"}), json!({"zip": "DEF"}), json!({"cty": "JWT"})] {
        assert_eq!(refused(token_with_header(members), &issuers()), Code::Malformed);
    }
    assert_eq!(refused(token_with_header(json!({"alg": "RSA-OAEP-256"})), &issuers()), Code::AlgorithmNotAllowed);
}

// Types of claims

#[test]
fn cve_2026_25537_a_time_of_the_wrong_type_is_not_skipped() {
    for claim in ["exp", "nbf", "iat"] {
        for value in [json!("1800000000"), json!([1]), json!({}), json!(true)] {
            assert_eq!(wrong_claim(&token_with(json!({claim: value})), &issuers()).0, claim);
        }
    }
}

#[test]
fn cve_2025_30144_an_array_is_no_issuer() {
    for iss in [json!([ISSUER]), json!(["https://evil.example", ISSUER]), json!({ISSUER: true})] {
        assert_eq!(wrong_claim(&token_with(json!({"iss": iss})), &issuers()).0, "iss");
    }
}

#[test]
fn cve_2024_53861_a_part_of_the_issuer_is_not_the_issuer() {
    for iss in ["https", "https://id.exampl", "id.example", "", &format!("{ISSUER}x")] {
        assert_eq!(refused(token_with(json!({"iss": iss})), &issuers()), Code::UnknownIssuer, "{iss}");
    }
}

// Caches

/// Two tokens with one key in the cache would be one token for it.
#[test]
fn ghsa_rp9m_7r4c_75qg_no_two_tokens_share_a_place_in_the_cache() {
    let issuers = issuers();
    let mut cache = TokenCache::new(64, 1_000_000);
    let tokens: Vec<String> = (0..32).map(|at| token_with(json!({"sub": format!("usr_{at}")}))).collect();
    for round in 0..2 {
        for (at, token) in tokens.iter().enumerate() {
            let verified = cache.verify(token.as_bytes(), &issuers, now(), None).unwrap();
            assert_eq!(verified.claims().subject(), Some(format!("usr_{at}").as_str()), "round {round}");
        }
    }
    // A token with another's signature, or other claims, is not known because of the rest.
    let (one, two) = (&tokens[0], &tokens[1]);
    let mixed = format!("{}.{}", one.rsplit_once('.').unwrap().0, two.rsplit_once('.').unwrap().1);
    let error = cache.verify(mixed.as_bytes(), &issuers, now(), None).unwrap_err();
    assert_eq!(error, JwtError::BadSignature);
}

/// Whatever `kid` comes, the keys are the ones that were loaded: there is nothing here that could
/// fetch.
#[test]
fn an_unknown_kid_asks_nobody() {
    for at in 0..100 {
        let kid: Value = json!(format!("kid-{at}"));
        assert_eq!(refused(token_with_header(json!({"kid": kid})), &issuers()), Code::UnknownSigningKey);
    }
}
