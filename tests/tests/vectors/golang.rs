//! Tokens of golang-jwt: signatures, and what its parser is tested with.

use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings, Issuers, KeySet};
use keystile_validator::{Code, Timestamp};
use serde_json::{Value, json};

use crate::vectors::pem::public_jwk;
use crate::vectors::refusal::{Refusal, rules, verify_jws, verify_jws_with, verify_jwt};
use crate::vectors::signing::{ISSUER, SECRET, secret_jwk, sign};
use crate::vectors::support::{Answers, Exceptions, read, tests, text, to_base64url, vectors};

#[test]
fn golang_jwt_signatures() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("golang-jwt, signatures");
    for (at, case) in tests(&read(&folder.join("golang-jwt/signature_tests.json"))).iter().enumerate() {
        let name = format!("{}. {}", at + 1, text(&case["name"]));
        // The library is given the algorithm beside the token.
        let algorithm = Algorithm::from_name(text(&case["alg"]));
        let answer = match case["keys"].as_array().and_then(|keys| keys.last()) {
            Some(key) => {
                let file = folder.join("golang-jwt/keys").join(text(key).strip_prefix("test/").unwrap());
                let key = std::fs::read(file).unwrap();
                let jwk = str::from_utf8(&key).ok().and_then(public_jwk);
                let jwk = jwk.unwrap_or_else(|| json!({"kty": "oct", "k": to_base64url(&key)}));
                verify_jws(text(&case["token"]), &jwk.to_string(), algorithm.as_slice()).map(|_| ())
            }
            None => verify_jws(text(&case["token"]), NO_KEY, algorithm.as_slice()).map(|_| ()),
        };
        answers.compare(name, case["valid"] == true, answer);
    }
    answers.finish(21, GOLANG_SIGNATURES);
}

/// Those of the parser's tests in which a token is written out.
#[test]
fn golang_jwt_parser() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("golang-jwt, parser");
    let sample = public_jwk(&std::fs::read_to_string(folder.join("golang-jwt/keys/sample_key.pub")).unwrap()).unwrap();
    let file = read(&folder.join("golang-jwt/parser_test.json"));
    for case in tests(&file).iter().filter(|case| case["token"] != "") {
        let accept = case["valid"] == true;
        let name = text(&case["name"]);
        let has_key = match text(&case["keyfunc"]) {
            "defaultKeyFunc" | "multipleLastKeyFunc" | "multipleAltTypedKeyFunc" | "multipleFirstKeyFunc" => true,
            "nilKeyFunc"
            | "emptyKeyFunc"
            | "multipleEmptyKeyFunc"
            | "emptyVerificationKeySetFunc"
            | "multipleZeroKeyFunc"
            | "errorKeyFunc" => false,
            // It is about the type in which the keys are given.
            "multipleVerificationKeysFunc" => {
                answers.except(name, "keys are a set, of whatever type they come in");
                continue;
            }
            other => panic!("{other}"),
        };
        let answer = if has_key {
            verify_jws(text(&case["token"]), &sample.to_string(), Algorithm::ALL).map(|_| ())
        } else {
            let none = KeySet::from_jwks(br#"{"keys": []}"#, rules()).unwrap();
            verify_jws_with(text(&case["token"]), &none, &json!({"keys": []}), Algorithm::ALL).map(|_| ())
        };
        answers.compare(name, accept, answer);
    }
    answers.finish(18, GOLANG_PARSER);
}

/// Those of the parser's tests in which a token is signed when they run, signed here: with `iss` and
/// `exp`, which the library asks for only in the last one, and with a secret, which it takes no notice
/// of. What their claims are is written in the file as an expression.
#[test]
fn golang_jwt_parser_when_run() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("golang-jwt, parser, signed anew");
    let file = read(&folder.join("golang-jwt/parser_test.json"));
    for case in tests(&file).iter().filter(|case| case["token"] == "") {
        let accept = case["valid"] == true;
        let name = text(&case["name"]);
        let parser = text(&case["parser"]);
        let (claims, code) = match name {
            "basic expired" | "JSON Number - basic expired" => (json!({"exp": NOW - 100}), Some(Code::Expired)),
            "basic nbf" | "JSON Number - basic nbf" | "RFC7519 Claims - nbf with 60s skew" => {
                (json!({"nbf": NOW + 100}), Some(Code::NotYetValid))
            }
            "expired and nbf" | "JSON Number - expired and nbf" => {
                (json!({"nbf": NOW + 100, "exp": NOW - 100}), Some(Code::Expired))
            }
            "invalid signing method" | "ECDSA signing method not accepted" => {
                (json!({"foo": "bar"}), Some(Code::AlgorithmNotAllowed))
            }
            "valid RSA signing method" | "valid ECDSA signing method" => (json!({"foo": "bar"}), None),
            "JSON Number" => (json!({"foo": 123.4}), None),
            "RFC7519 Claims" => (json!({"exp": NOW + 10}), None),
            "RFC7519 Claims - single aud" => (json!({"aud": ["test"]}), None),
            "RFC7519 Claims - multiple aud" => (json!({"aud": ["test", "test"]}), None),
            "rejects if exp is required but missing" => (json!({}), Some(Code::InvalidClaim)),
            "SkipClaimsValidation during token parsing" | "RFC7519 Claims - nbf with 120s skew" => {
                (json!({"nbf": NOW + 100}), None)
            }
            other => panic!("{other}"),
        };
        let is_listed = !parser.contains("WithValidMethods") || parser.contains(text(&case["signing_method"]));
        let is_complete = !parser.contains("WithExpirationRequired");
        let leeway = if parser.contains("WithLeeway") { 60 } else { 0 };
        let answer = judge(claims, is_complete, is_listed, leeway);
        if let (Some(code), Err(Refusal::Token(error))) = (code, &answer) {
            assert_eq!(error.code(), code, "{name}");
        }
        answers.compare(name, accept, answer);
    }
    answers.finish(18, GOLANG_WHEN_RUN);
}

fn judge(mut claims: Value, is_complete: bool, is_listed: bool, leeway: u64) -> Result<(), Refusal> {
    claims["iss"] = json!(ISSUER);
    if is_complete && claims["exp"].is_null() {
        claims["exp"] = json!(NOW + 3600);
    }
    let algorithm = if is_listed { Algorithm::Hs256 } else { Algorithm::Hs384 };
    let token = sign(
        algorithm,
        SECRET,
        json!({"alg": algorithm.as_str()}).to_string().as_bytes(),
        claims.to_string().as_bytes(),
    );
    let mut settings = IssuerSettings::new(ISSUER, [Algorithm::Hs256]);
    settings.leeway = leeway;
    settings.any_audience = true;
    settings.secrets = true;
    let jwks = json!({"keys": [secret_jwk(SECRET)]}).to_string();
    let mut issuers = Issuers::default();
    issuers.put(Issuer::new(settings, jwks.as_bytes()).unwrap()).unwrap();
    let now = Timestamp::from_unix(NOW).unwrap();
    verify_jwt(token.as_bytes(), &issuers, now)?;
    Ok(())
}

const NOW: u64 = 1_800_000_000;

/// A key that none of these tokens is signed with.
const NO_KEY: &str = r#"{"kty": "oct", "k": "bm90aGluZyBpcyBzaWduZWQgd2l0aCB0aGlzIHNlY3JldA"}"#;

const GOLANG_SIGNATURES: &Exceptions = &[
    ("`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)", 2, "9. Basic Ed25519, 19. Basic"),
    ("the curve is P-256, P-384 or Ed25519", 1, "7. Basic ES512"),
    (
        "the signature is a good one; the salt of PSS is as long as the hash",
        3,
        "15. Basic PS256, 16. Basic PS384, 17. Basic PS512",
    ),
];

const GOLANG_PARSER: &Exceptions =
    &[("keys are a set, of whatever type they come in", 1, "public keys slice, not allowed")];

const GOLANG_WHEN_RUN: &Exceptions = &[(
    // The second asks for a leeway of two minutes; ours is one at most.
    "`nbf` is not in the future, whatever the options say",
    2,
    "SkipClaimsValidation during token parsing, RFC7519 Claims - nbf with 120s skew",
)];
