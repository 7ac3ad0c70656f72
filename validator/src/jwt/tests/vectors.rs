//! Published vectors: JWS and key sets of Wycheproof, the examples of the RFCs, and the JSON test
//! suite. What we answer otherwise is listed here with the reason; nothing else is.
//!
//! The files are read from the folder in `KEYSTILE_VECTORS`, or from `shared/vectors` beside the
//! checkout. Where it is absent the tests say so; under `CI=true` they fail.

use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::{env, format, fs, println};

use serde_json::{Value, json};

use super::super::json::Json;
use super::support::parse;
use crate::jwt::*;

fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = env::var_os("KEYSTILE_VECTORS").map_or_else(beside, PathBuf::from);
    if folder.join("wycheproof").is_dir() {
        return Some(folder);
    }
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "no vectors in {} · set KEYSTILE_VECTORS",
        folder.display()
    );
    println!("skipped: no vectors in {} · set KEYSTILE_VECTORS", folder.display());
    None
}

fn read(path: &Path) -> Value {
    parse(&fs::read_to_string(path).unwrap())
}

fn wycheproof(folder: &Path, name: &str) -> Value {
    let direct = folder.join("wycheproof").join(name);
    if direct.is_file() {
        return read(&direct);
    }
    read(&folder.join("wycheproof/testvectors_v1").join(name))
}

fn rules() -> KeyRules {
    KeyRules { secrets: true, ..KeyRules::default() }
}

fn verify_jws(jws: &str, keys: &Result<KeySet, KeySetError>) -> bool {
    let Ok(keys) = keys else { return false };
    UnverifiedJws::parse(jws.as_bytes()).and_then(|jws| jws.verify(keys, Algorithm::ALL)).is_ok()
}

/// Runs the groups of a file; the cases that are answered otherwise than the file says.
fn run(file: &Value, keys: impl Fn(&Value) -> Result<KeySet, KeySetError>) -> (usize, Vec<u64>) {
    let (mut count, mut otherwise) = (0, Vec::new());
    for group in file["testGroups"].as_array().unwrap() {
        let key = if group["public"].is_null() { &group["private"] } else { &group["public"] };
        let keys = keys(key);
        for case in group["tests"].as_array().unwrap() {
            count += 1;
            // A JSON serialization stands in the file as an object.
            let jws = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), String::from);
            if verify_jws(&jws, &keys) != (case["result"] == "valid") {
                otherwise.push(case["tcId"].as_u64().unwrap());
            }
        }
    }
    (count, otherwise)
}

#[test]
fn wycheproof_json_web_signature() {
    let Some(folder) = folder() else { return };
    let file = wycheproof(&folder, "json_web_signature_test.json");
    let (count, otherwise) = run(&file, |jwk| KeySet::from_jwk(jwk.to_string().as_bytes(), rules()));
    println!("wycheproof json_web_signature: {count} cases, {} otherwise {otherwise:?}", otherwise.len());
    assert!(count >= 401, "{count}");
    let exceptions: Vec<u64> = JWS_EXCEPTIONS.iter().flat_map(|(cases, _)| cases.iter().copied()).collect();
    for (cases, reason) in JWS_EXCEPTIONS {
        println!("  {cases:?}: {reason}");
    }
    assert_eq!(otherwise, exceptions);
}

#[test]
fn wycheproof_json_web_key() {
    let Some(folder) = folder() else { return };
    let file = wycheproof(&folder, "json_web_key_test.json");
    let (count, otherwise) = run(&file, |jwks| KeySet::from_jwks(jwks.to_string().as_bytes(), rules()));
    println!("wycheproof json_web_key: {count} cases, {} otherwise {otherwise:?}", otherwise.len());
    assert!(count >= 26, "{count}");
    assert!(otherwise.is_empty(), "{otherwise:?}");
}

#[test]
fn examples_of_the_rfcs() {
    let Some(folder) = folder() else { return };
    let file = read(&folder.join("rfc/rfc_examples.json"));
    let (mut accepted, mut refused) = (0, 0);
    for example in file["tests"].as_array().unwrap() {
        let name = format!("{} {}", example["rfc"], example["alg"]);
        let Some(jws) = example["jws"].as_str() else { continue };
        let mut jwk = example["jwk"].clone();
        // The names that these examples have for people are in no header.
        if let Some(members) = jwk.as_object_mut() {
            members.remove("kid");
        }
        let verified = verify_jws(jws, &KeySet::from_jwk(jwk.to_string().as_bytes(), rules()));
        let alg = example["alg"].as_str().unwrap_or_default();
        let known = Algorithm::from_name(alg).is_some();
        let has_extension = example["rfc"] == "RFC 7797 4.2";
        let valid = example["expect"].as_str().unwrap().starts_with("valid");
        assert_eq!(verified, valid && known && !has_extension, "{name}: {}", example["note"]);
        accepted += usize::from(verified);
        refused += usize::from(!verified);
    }
    println!("RFC examples: {accepted} accepted, {refused} refused");
    assert!(accepted >= 5, "{accepted}");
}

/// What must parse parses and what must not does not, at the outermost level and inside an object.
#[test]
fn json_test_suite() {
    let Some(folder) = folder() else { return };
    let (mut count, mut stricter) = (0, Vec::new());
    for entry in fs::read_dir(folder.join("json-test-suite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        count += 1;
        let answer = Json::read(bytes.clone()).is_ok();
        let inside = Json::read([&b"{\"x\":"[..], &bytes, b"}"].concat()).is_ok();
        match name.split_once('_').unwrap().0 {
            "y" if !answer => stricter.push(name),
            "y" => assert!(inside, "{name}"),
            "n" => assert!(!answer && !inside, "{name}"),
            _ => {}
        }
    }
    stricter.sort();
    println!("json-test-suite: {count} cases, stricter: {stricter:?}");
    assert!(count >= 318, "{count}");
    // RFC 8259, section 4, leaves it open; here a member stands once.
    assert_eq!(stricter, ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);
}

/// RFC 7520, section 4: what is compact and has its payload in it verifies.
#[test]
fn jose_cookbook() {
    let Some(folder) = folder() else { return };
    let mut count = 0;
    for entry in fs::read_dir(folder.join("ietf-cookbook/jws")).unwrap() {
        let example = read(&entry.unwrap().path());
        let Some(compact) = example["output"]["compact"].as_str() else { continue };
        let alg = example["input"]["alg"].as_str().unwrap_or_default().to_owned();
        let mut jwk = example["input"]["key"].clone();
        if jwk.is_null() {
            continue;
        }
        jwk["key_ops"] = json!(["verify"]);
        let detached = compact.contains("..");
        let verified = verify_jws(compact, &KeySet::from_jwk(jwk.to_string().as_bytes(), rules()));
        assert_eq!(verified, Algorithm::from_name(&alg).is_some() && !detached, "{}", example["title"]);
        count += 1;
    }
    assert!(count >= 4, "{count}");
}

/// Cases that are answered otherwise than they are labelled, by number, and why.
const JWS_EXCEPTIONS: &[(&[u64], &str)] = &[
    (
        &[346, 347, 350, 351],
        "the key's `alg` is another than the token's (RFC 8725, section 3.1), or none that we know",
    ),
    (&[367, 370], "the very bytes of case 357, which is labelled valid"),
    (&[372, 373], "a `?` inside a segment, and a MAC over another text"),
];
