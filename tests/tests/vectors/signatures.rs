//! Wycheproof's signatures and key sets, and the examples of the RFCs, as whole JWS.

use std::fs;
use std::path::Path;

use keystile_validator::jwt::{Algorithm, KeySet};
use serde_json::{Value, json};

use crate::vectors::refusal::{Refusal, rules, verify_jws_with};
use crate::vectors::support::{read, text, vectors};

fn wycheproof(folder: &Path, name: &str) -> Value {
    let direct = folder.join("wycheproof").join(name);
    if direct.is_file() {
        return read(&direct);
    }
    read(&folder.join("wycheproof/testvectors_v1").join(name))
}

/// Whether a JWS verifies with a JWK or a JWK Set and any algorithm.
fn verifies(jws: &str, key: &Value) -> bool {
    let bytes = key.to_string();
    let keys = match key["keys"] {
        Value::Null => KeySet::from_jwk(bytes.as_bytes(), rules()),
        _ => KeySet::from_jwks(bytes.as_bytes(), rules()),
    };
    keys.map_err(Refusal::from).and_then(|keys| verify_jws_with(jws, &keys, key, Algorithm::ALL)).is_ok()
}

/// Runs the groups of a file; the cases that are answered otherwise than the file says.
fn run(file: &Value) -> (usize, Vec<u64>) {
    let (mut count, mut otherwise) = (0, Vec::new());
    for group in file["testGroups"].as_array().unwrap() {
        let key = if group["public"].is_null() { &group["private"] } else { &group["public"] };
        for case in group["tests"].as_array().unwrap() {
            count += 1;
            // A JSON serialization stands in the file as an object.
            let jws = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), String::from);
            if verifies(&jws, key) != (case["result"] == "valid") {
                otherwise.push(case["tcId"].as_u64().unwrap());
            }
        }
    }
    (count, otherwise)
}

#[test]
fn wycheproof_json_web_signature() {
    let Some(folder) = vectors() else { return };
    let file = wycheproof(&folder, "json_web_signature_test.json");
    let (count, otherwise) = run(&file);
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
    let Some(folder) = vectors() else { return };
    let file = wycheproof(&folder, "json_web_key_test.json");
    let (count, otherwise) = run(&file);
    println!("wycheproof json_web_key: {count} cases, {} otherwise {otherwise:?}", otherwise.len());
    assert!(count >= 26, "{count}");
    assert!(otherwise.is_empty(), "{otherwise:?}");
}

#[test]
fn examples_of_the_rfcs() {
    let Some(folder) = vectors() else { return };
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
        let verified = verifies(jws, &jwk);
        let alg = example["alg"].as_str().unwrap_or_default();
        let known = Algorithm::from_name(alg).is_some();
        let has_extension = example["rfc"] == "RFC 7797 4.2";
        let valid = text(&example["expect"]).starts_with("valid");
        assert_eq!(verified, valid && known && !has_extension, "{name}: {}", example["note"]);
        accepted += usize::from(verified);
        refused += usize::from(!verified);
    }
    println!("RFC examples: {accepted} accepted, {refused} refused");
    assert!(accepted >= 5, "{accepted}");
}

/// RFC 7520, section 4: what is compact and has its payload in it verifies.
#[test]
fn jose_cookbook() {
    let Some(folder) = vectors() else { return };
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
        let verified = verifies(compact, &jwk);
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
