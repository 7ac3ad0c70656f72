//! Published tokens and keys at the level of signatures: what is signed well verifies with the key
//! that stands beside it, and nothing else does.

use keystile_validator::jwt::{Algorithm, JwtError, KeySet, UnverifiedJws, UnverifiedJwt, thumbprint};
use serde_json::{Value, json};

use crate::vectors::pem::public_key_info;
use crate::vectors::refusal::{Refusal, algorithm, rules, verify_jws, verify_jws_with};
use crate::vectors::support::{Answers, Exceptions, from_base64, from_hex, read, tests, text, to_base64url, vectors};

#[test]
fn go_jose_jws() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("go-jose, JWS");
    for (at, case) in tests(&read(&folder.join("go-jose/jws_parse.json"))).iter().enumerate() {
        if let Some(jws) = case["input"].as_str() {
            let answer = UnverifiedJws::parse(jws.as_bytes()).map(|_| ()).map_err(Refusal::from);
            answers.compare(at + 1, case["parse_ok"] == true, answer);
            continue;
        }
        // Tokens that another library has signed: one key for all of them, or one for each.
        assert_eq!(case["valid"], true);
        let keys = keys_of_source(text(&case["raw_key"]));
        for (number, token) in case["tokens"].as_array().unwrap().iter().enumerate() {
            let key = keys.get(number).unwrap_or(&keys[0]).to_string();
            let payload = verify_jws(text(token), &key, Algorithm::ALL);
            if let Ok(payload) = &payload {
                assert_eq!(payload, b"Lorem ipsum dolor sit amet");
            }
            answers.compare(format!("{} {}", text(&case["test"]), number + 1), true, payload.map(|_| ()));
        }
    }
    answers.finish(29, GO_JOSE_JWS);
}

/// The public keys that stand in a test as base64 of DER.
fn keys_of_source(source: &str) -> Vec<Value> {
    let bases = source.split("fromBase64Bytes(").skip(1);
    bases.map(|rest| public_key_info(&from_base64(rest.split(')').next().unwrap())).unwrap()).collect()
}

#[test]
fn go_jose_jwk() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("go-jose, JWK");
    let mut thumbprints = 0;
    for (at, case) in tests(&read(&folder.join("go-jose/jwk_vectors.json"))).iter().enumerate() {
        let jwk = text(&case["input"]);
        answers.compare(at + 1, case["valid"] == true, load(jwk));
        if let Some(hex) = case["thumbprint_sha256_hex"].as_str() {
            assert_eq!(thumbprint(jwk.as_bytes()).unwrap(), to_base64url(&from_hex(hex)), "{case}");
            thumbprints += 1;
        }
    }
    assert_eq!(thumbprints, 6);
    answers.finish(24, GO_JOSE_JWK);
}

/// Seeds of fuzzers: nothing is said of them but that no reader may panic. None of them is signed
/// with this key.
#[test]
fn go_jose_seeds() {
    let Some(folder) = vectors() else { return };
    let key = KeySet::from_jwk(RFC_7515_A1.as_bytes(), rules()).unwrap();
    let jwk = serde_json::from_str(RFC_7515_A1).unwrap();
    for (source, file, count) in
        [("go-jose, seeds of JWS", "fuzz_jws_seeds", 91), ("go-jose, seeds of JWT", "fuzz_jwt_seeds", 21)]
    {
        let mut answers = Answers::new(source);
        for seed in tests(&read(&folder.join(format!("go-jose/{file}.json")))) {
            // Some are written as expressions; as texts they are seeds as good as any.
            let input = seed["input"].as_str().map_or_else(|| seed["input"].to_string(), str::to_owned);
            for input in [input.as_str(), input.trim_matches('"'), input.split('"').nth(1).unwrap_or_default()] {
                let verified = verify_jws_with(input, &key, &jwk, Algorithm::ALL);
                let input = input.as_bytes();
                let claims = UnverifiedJwt::parse(input).map(|jwt| jwt.lookup().issuer.map(str::len));
                let key = (KeySet::from_jwk(input, rules()).is_ok(), KeySet::from_jwks(input, rules()).is_ok());
                assert!(verified.is_err() && key == (false, false) && thumbprint(input).is_err(), "{seed}: {claims:?}");
            }
            answers.agree();
        }
        answers.finish(count, &[]);
    }
}

/// Tokens and keys of the runtimes' WebCrypto, and what two services really publish.
#[test]
fn jwt_simple() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("jwt-simple, tokens");
    let mut others = Answers::new("jwt-simple, other keys");
    let data = &read(&folder.join("jwt-simple/jwk_test_vectors.json"))["data"];
    for runtime in ["NODE", "DENO", "BUN"] {
        for (name, pair) in data[runtime]["keys"].as_object().unwrap() {
            let jwk = pair["public"].to_string();
            let name = format!("{runtime} {name}");
            match pair["jwt"].as_str() {
                Some(jwt) => answers.compare(name, true, verify_jws(jwt, &jwk, Algorithm::ALL).map(|_| ())),
                // Keys of anything but signatures, and of signatures that no token here is made with.
                None => others.compare(name, false, load(&jwk)),
            }
        }
    }
    for example in data["RFC9964_JOSE"].as_array().unwrap() {
        let answer = verify_jws(text(&example["jws"]), &example["jwk"].to_string(), Algorithm::ALL);
        answers.compare(format!("RFC 9964 {}", text(&example["jwk"]["alg"])), true, answer.map(|_| ()));
    }
    for service in ["PAYPAL", "YAHOO"] {
        let jwks = &data[format!("{service}_JWKS")];
        let set = KeySet::from_jwks(jwks.to_string().as_bytes(), rules()).unwrap();
        for index in 0..jwks["keys"].as_array().unwrap().len() {
            let problem = set.problems().iter().find(|problem| problem.index == index);
            let answer = problem.map_or(Ok(()), |problem| Err(Refusal::Key(problem.reason)));
            others.compare(format!("{service} {}", index + 1), true, answer);
        }
    }
    answers.finish(20, JWT_SIMPLE);
    others.finish(18, JWT_SIMPLE_OTHERS);
}

#[test]
fn jwt_compact() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("jwt-compact");
    let rfc = read(&folder.join("rfc/rfc_examples.json"));
    let a3 = tests(&rfc).iter().find(|example| example["rfc"] == "RFC 7515 A.3").unwrap();
    for case in tests(&read(&folder.join("jwt-compact/reference_tokens.json"))) {
        let name = text(&case["test"]);
        let token = text(&case["constants"]["TOKEN"]);
        let key = &case["constants"]["KEY"];
        let jwk = match name {
            "hs256_reference" => Some(json!({"kty": "oct", "k": key})),
            "hs384_reference" | "hs512_reference" => {
                Some(json!({"kty": "oct", "k": to_base64url(text(key).as_bytes())}))
            }
            "ed25519_reference" => {
                Some(json!({"kty": "OKP", "crv": "Ed25519", "x": to_base64url(&from_hex(text(key)))}))
            }
            "es256_reference" => Some(a3["jwk"].clone()),
            _ => None,
        };
        let answer = match jwk {
            Some(jwk) => verify_jws(token, &jwk.to_string(), Algorithm::ALL).map(|_| ()),
            None if algorithm(token).is_none() => Err(JwtError::AlgorithmNotAllowed.into()),
            None => Err(Refusal::NoKey),
        };
        answers.compare(name, true, answer);
    }
    answers.finish(8, JWT_COMPACT);
}

/// The signed half of the file; the encrypted one is among what is encrypted.
#[test]
fn wycheproof_json_web_crypto() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("wycheproof, json_web_crypto");
    for group in read(&folder.join("wycheproof/json_web_crypto_test.json"))["testGroups"].as_array().unwrap() {
        let key = if group["public"].is_null() { &group["private"] } else { &group["public"] };
        let bytes = key.to_string();
        let keys = match key["keys"] {
            Value::Null => KeySet::from_jwk(bytes.as_bytes(), rules()),
            _ => KeySet::from_jwks(bytes.as_bytes(), rules()),
        };
        for case in tests(group).iter().filter(|case| !case["jws"].is_null()) {
            let jws = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), str::to_owned);
            let answer = match &keys {
                Ok(keys) => verify_jws_with(&jws, keys, key, Algorithm::ALL).map(|_| ()),
                Err(error) => Err((*error).into()),
            };
            answers.compare(&case["tcId"], case["result"] == "valid", answer);
        }
    }
    answers.finish(49, &[]);
}

/// RFC 7520, sections 3 and 6, and RFC 8037: the keys, the signed half of a nested token, Ed25519.
#[test]
fn cookbook_keys_and_tokens() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("ietf-cookbook");
    let mut answers = Answers::new("ietf-cookbook, keys and tokens");
    for name in [
        "3_1.ec_public_key",
        "3_2.ec_private_key",
        "3_3.rsa_public_key",
        "3_4.rsa_private_key",
        "3_5.symmetric_key_mac_computation",
        "3_6.symmetric_key_encryption",
    ] {
        answers.compare(name, true, load(&read(&folder.join(format!("jwk/{name}.json"))).to_string()));
    }
    let nested = read(&folder.join("6.nesting_signatures_and_encryption.json"));
    for (name, example) in [("6. nested", &nested["sign"]), ("RFC 8037", &read(&folder.join("curve25519/jws.json")))] {
        let algorithm = Algorithm::from_name(text(&example["input"]["alg"])).unwrap();
        let jws = text(&example["output"]["compact"]);
        let payload = verify_jws(jws, &example["input"]["key"].to_string(), &[algorithm]).unwrap();
        assert_eq!(payload, text(&example["input"]["payload"]).as_bytes(), "{name}");
        answers.agree();
    }
    answers.finish(8, COOKBOOK_KEYS);
}

/// Whether a key can be used.
fn load(jwk: &str) -> Result<(), Refusal> {
    Ok(KeySet::from_jwk(jwk.as_bytes(), rules()).map(|_| ())?)
}

/// The key of RFC 7515, appendix A.1.
const RFC_7515_A1: &str = r#"{"kty": "oct", "k":
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;

const GO_JOSE_JWS: &Exceptions = &[
    ("the curve is P-256, P-384 or Ed25519", 1, "TestSampleNimbusJWSMessagesEC 3"),
    ("three segments; no JSON serialization", 1, "20"),
];
const GO_JOSE_JWK: &Exceptions =
    &[("the curve is P-256, P-384 or Ed25519", 2, "19, 21"), ("the key is for verifying: `use`, `key_ops`", 1, "23")];
const JWT_COMPACT: &Exceptions = &[
    (
        "`alg` is one of ours and of the list, exactly (no ES512, no ES256K, no none)",
        2,
        "es256k_reference, high_s_in_signature_is_successfully_validated",
    ),
    ("an HMAC secret is as long as the hash", 2, "hs384_reference, hs512_reference"),
    ("no key is recorded", 1, "wso2_reference"),
];
const COOKBOOK_KEYS: &Exceptions = &[
    ("the curve is P-256, P-384 or Ed25519", 2, "3_1.ec_public_key, 3_2.ec_private_key"),
    ("the key is for verifying: `use`, `key_ops`", 1, "3_6.symmetric_key_encryption"),
];
const JWT_SIMPLE: &Exceptions = &[
    ("one key, one algorithm: the key's `alg` is the token's", 1, "NODE Ed25519"),
    (
        "the key's `alg` is one of ours",
        5,
        "NODE ML-DSA-44, DENO ML-DSA-44, RFC 9964 ML-DSA-44, RFC 9964 ML-DSA-65, RFC 9964 ML-DSA-87",
    ),
];
const JWT_SIMPLE_OTHERS: &Exceptions =
    &[("an RSA key has 2048 to 8192 bits", 1, "YAHOO 1"), ("the curve is P-256, P-384 or Ed25519", 1, "PAYPAL 4")];
