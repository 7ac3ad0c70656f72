//! Encrypted tokens (JWE, RFC 7516) and what else is not signed in the compact form: all of it is
//! malformed, in every form and with every key.

use std::fs;
use std::path::{Path, PathBuf};

use keystile_validator::Code;
use keystile_validator::jwt::{JwtError, UnverifiedJws, UnverifiedJwt};
use serde_json::Value;

use crate::vectors::support::{Answers, Exceptions, read, tests, text, vectors};

/// Whether a text is malformed, as a token and as a JWS.
fn assert_malformed(token: &str, case: &str) {
    let as_jws = UnverifiedJws::parse(token.as_bytes()).err().unwrap_or_else(|| panic!("{case} is taken as a JWS"));
    let as_jwt = UnverifiedJwt::parse(token.as_bytes()).err().unwrap_or_else(|| panic!("{case} is taken as a token"));
    assert_eq!((as_jws.code(), as_jwt.code()), (Code::Malformed, Code::Malformed), "{case}");
    if token.bytes().filter(|byte| *byte == b'.').count() == 4 {
        assert_eq!((as_jws, as_jwt), (JwtError::Encrypted, JwtError::Encrypted), "{case}");
    }
}

fn assert_all_malformed<'a>(tokens: impl IntoIterator<Item = &'a Value>, path: &Path) {
    for token in tokens {
        assert_malformed(&serialized(token), &path.display().to_string());
    }
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What the name of a file starts with: the section, mostly.
fn number(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.split('.').next().unwrap().to_owned()
}

/// A token stands in a file as a text, or as the object of a JSON serialization.
fn serialized(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

#[test]
fn wycheproof_encryption() {
    let Some(folder) = vectors() else { return };
    for (source, file, count, valid) in [
        ("wycheproof, json_web_encryption", "json_web_encryption_test", 139, VALID_ENCRYPTION),
        ("wycheproof, json_web_crypto, JWE", "json_web_crypto_test", 34, VALID_CRYPTO),
    ] {
        let mut answers = Answers::new(source);
        for group in read(&folder.join(format!("wycheproof/{file}.json")))["testGroups"].as_array().unwrap() {
            for case in tests(group).iter().filter(|case| !case["jwe"].is_null()) {
                assert_malformed(&serialized(&case["jwe"]), &case["tcId"].to_string());
                if case["result"] == "valid" {
                    answers.except(&case["tcId"], ENCRYPTED);
                } else {
                    answers.agree();
                }
            }
        }
        answers.finish(count, valid);
    }
}

/// RFC 7520, sections 5 and 6, and ECDH with Curve25519: every form of each.
#[test]
fn cookbook_encryption() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("ietf-cookbook, encrypted");
    let mut paths = files(&folder.join("ietf-cookbook/jwe"));
    paths.push(folder.join("ietf-cookbook/curve25519/ecdh-es.json"));
    paths.push(folder.join("ietf-cookbook/6.nesting_signatures_and_encryption.json"));
    for path in paths {
        let file = read(&path);
        let example = if file["encrypt"].is_null() { &file } else { &file["encrypt"] };
        assert_all_malformed(example["output"].as_object().unwrap().values(), &path);
        answers.except(number(&path), ENCRYPTED);
    }
    answers.finish(15, COOKBOOK_ENCRYPTED);
}

/// RFC 7797: the payload as it is, not in base64url.
#[test]
fn cookbook_unencoded_payloads() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("ietf-cookbook, unencoded payload");
    for path in files(&folder.join("ietf-cookbook/rfc7797")) {
        let output = &read(&path)["output"];
        assert_all_malformed(output.as_object().unwrap().values(), &path);
        // Nor is it with a payload in base64url, where the header alone says that it is not.
        let flat = &output["json_flat"];
        let token = format!("{}.Zm9v.{}", text(&flat["protected"]), text(&flat["signature"]));
        let error = UnverifiedJws::parse(token.as_bytes()).err().unwrap();
        assert!(matches!(error, JwtError::Header { member: "b64" | "crit" }), "{error:?}");
        answers.except(path.file_stem().unwrap().display(), UNENCODED);
    }
    answers.finish(2, COOKBOOK_UNENCODED);
}

/// RFC 7520, section 4, and RFC 8037: what is signed, in the forms of JSON.
#[test]
fn cookbook_json_serializations() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("ietf-cookbook, JSON serialization");
    let mut paths = files(&folder.join("ietf-cookbook/jws"));
    paths.push(folder.join("ietf-cookbook/curve25519/jws.json"));
    for path in paths {
        let output = &read(&path)["output"];
        let forms: Vec<_> = ["json", "json_flat"].into_iter().filter_map(|form| output.get(form)).collect();
        assert!(!forms.is_empty(), "{}", path.display());
        assert_all_malformed(forms, &path);
        answers.except(number(&path), SERIALIZED);
    }
    answers.finish(9, COOKBOOK_SERIALIZED);
}

/// Seeds of a fuzzer of parsers of JWE.
#[test]
fn go_jose_encrypted_seeds() {
    let Some(folder) = vectors() else { return };
    let mut answers = Answers::new("go-jose, seeds of JWE");
    for seed in tests(&read(&folder.join("go-jose/fuzz_jwe_seeds.json"))) {
        assert_malformed(text(&seed["input"]), &seed.to_string());
        answers.agree();
    }
    answers.finish(36, &[]);
}

const ENCRYPTED: &str = "an encrypted token is refused";
const UNENCODED: &str = "`b64` is refused";
const SERIALIZED: &str = "three segments; no JSON serialization";

const VALID_ENCRYPTION: &Exceptions = &[(ENCRYPTED, 65, "1, 23, 28-35, 52-62, 66-93, 100-105, 112, 121, 128-135")];
const VALID_CRYPTO: &Exceptions = &[(ENCRYPTED, 2, "50, 67")];
const COOKBOOK_ENCRYPTED: &Exceptions =
    &[(ENCRYPTED, 15, "5_1, 5_10, 5_11, 5_12, 5_13, 5_2, 5_3, 5_4, 5_5, 5_6, 5_7, 5_8, 5_9, ecdh-es, 6")];
const COOKBOOK_UNENCODED: &Exceptions = &[(UNENCODED, 2, "4.2.hmac-sha2_b64_false, hmac-sha2_b64_false")];
const COOKBOOK_SERIALIZED: &Exceptions = &[(SERIALIZED, 9, "4_1, 4_2, 4_3, 4_4, 4_5, 4_6, 4_7, 4_8, jws")];
