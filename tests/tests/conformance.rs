//! The same verdict everywhere: `vectors/verdicts.json` runs natively, through both core modules and
//! the component in wasmtime, and through the JavaScript package in Node. Whatever remembers tokens
//! judges each case twice, because a token that comes again takes another way.

mod component;
mod core_module;
mod javascript;
mod native;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use keystile_tests::artifacts;
use keystile_validator::jwt::{TokenRecord, TokenState};
use keystile_validator::wire::{
    Item, Message, decode_verdict, encode_formats, encode_record, encode_token_record, put_issuer,
};
use keystile_validator::{Code, KeyFormat, KeyRecord, Record, Request, Verdict, check, check_batch};
use serde_json::{Value, json};
use wasmtime::component::{Component, Linker, ResourceAny, Val};
use wasmtime::{Config, Engine, Instance, Memory, Module, Store, TypedFunc};

struct Case {
    name: String,
    credential: Vec<u8>,
    record: Option<CredentialRecord>,
    request: Request,
    formats: String,
    issuers: String,
    verdict: Value,
    /// As in the file, for the faces that take JSON.
    json: Value,
}

impl Case {
    fn item(&self) -> (&[u8], Option<Record<'_>>) {
        let record = self.record.as_ref().map(|record| match record {
            CredentialRecord::Key(record) => Record::Key(record),
            CredentialRecord::Token(record) => Record::Token(record),
        });
        (&self.credential, record)
    }
}

enum CredentialRecord {
    Key(Box<KeyRecord>),
    Token(TokenRecord),
}

struct Vectors {
    formats: BTreeMap<String, Vec<KeyFormat>>,
    /// The documents of the issuers that are known.
    issuers: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
}

impl Vectors {
    /// What a validator keeps that knows these issuers.
    fn state(&self, issuers: &str) -> TokenState {
        let mut state = TokenState::default();
        for document in &self.issuers[issuers] {
            put_issuer(document.to_string().as_bytes(), &mut state).unwrap();
        }
        state
    }

    /// Some cases for these issuers that have request and formats (`all`) in common, and are short.
    fn alike(&self, issuers: &str) -> Vec<&Case> {
        let is_one = |case: &&Case| case.formats == "all" && case.issuers == issuers && case.credential.len() < 2_000;
        let request = &self.cases.iter().find(is_one).unwrap().request;
        let alike: Vec<_> = self.cases.iter().filter(is_one).filter(|case| case.request == *request).take(50).collect();
        assert!(alike.len() > 10, "{} cases for the issuers {issuers}", alike.len());
        alike
    }

    /// How many keys of each issuer can be used.
    fn usable_keys(&self, issuers: &str) -> Vec<i32> {
        let mut state = TokenState::default();
        let put = |document: &Value| put_issuer(document.to_string().as_bytes(), &mut state).unwrap();
        self.issuers[issuers].iter().map(put).collect()
    }
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/verdicts.json");

fn vectors() -> Vectors {
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap();
    let formats = serde_json::from_value(file["formats"].take()).unwrap();
    let issuers = serde_json::from_value(file["issuers"].take()).unwrap();
    let cases = file["cases"].as_array().unwrap().iter().map(read_case).collect();
    Vectors { formats, issuers, cases }
}

fn read_case(json: &Value) -> Case {
    let credential = if let Some(text) = json["credential"].as_str() {
        text.as_bytes().to_vec()
    } else if let Some(hex) = json["credential_hex"].as_str() {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    } else {
        let repeat = &json["credential_repeat"];
        repeat["text"].as_str().unwrap().repeat(repeat["times"].as_u64().unwrap() as usize).into_bytes()
    };
    let text = |member: &str| json[member].as_str().unwrap().to_owned();
    Case {
        name: text("name"),
        credential,
        record: read_record(&json["record"]),
        request: serde_json::from_value(json["request"].clone()).unwrap(),
        formats: text("formats"),
        issuers: text("issuers"),
        verdict: json["verdict"].clone(),
        json: json.clone(),
    }
}

fn read_record(json: &Value) -> Option<CredentialRecord> {
    if json.is_null() {
        None
    } else if json.get("key_id").is_some() {
        Some(CredentialRecord::Key(serde_json::from_value(json.clone()).unwrap()))
    } else {
        Some(CredentialRecord::Token(serde_json::from_value(json.clone()).unwrap()))
    }
}

/// The JSON form without the message, which the vectors leave to the code.
fn without_message(verdict: &Verdict) -> Value {
    let mut json = serde_json::to_value(verdict).unwrap();
    if let (Some(code), Some(members)) = (verdict.code(), json.as_object_mut()) {
        assert_eq!(members.remove("message"), Some(json!(code.message())));
    }
    json
}

fn assert_all_equal(face: &str, cases: &[Case], verdicts: &[Value]) {
    assert_eq!(cases.len(), verdicts.len(), "{face}");
    let different: Vec<_> = cases
        .iter()
        .zip(verdicts)
        .filter(|(case, verdict)| case.verdict != **verdict)
        .map(|(case, verdict)| format!("{}: expected {}, got {verdict}", case.name, case.verdict))
        .collect();
    assert!(different.is_empty(), "{face}: {} of {} differ\n{}", different.len(), cases.len(), different.join("\n"));
    println!("{face}: {} verdicts, all as expected", cases.len());
}

#[test]
fn the_vectors_cover_every_code() {
    let vectors = vectors();
    assert!(vectors.cases.len() >= 300);
    let seen: BTreeSet<_> = vectors.cases.iter().filter_map(|case| case.verdict["code"].as_str()).collect();
    // Nothing of this version gives them.
    let not_yet = [Code::QuotaExceeded, Code::StaleBundle];
    for code in Code::ALL.iter().filter(|code| !not_yet.contains(code)) {
        assert!(seen.contains(code.as_str()), "no case gives {code}");
    }
    let kinds: BTreeSet<_> =
        vectors.cases.iter().filter_map(|case| case.verdict["principal"]["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["api_key", "jwt"]));
}

/// The verdict without its message, which must be that of its code.
fn check_message(verdict: &mut Value) -> Value {
    let mut verdict = verdict.take();
    if let Some(code) = verdict["code"].as_str().map(str::to_owned) {
        let known = Code::ALL.iter().find(|known| known.as_str() == code).unwrap();
        let message = verdict.as_object_mut().unwrap().remove("message");
        assert_eq!(message, Some(json!(known.message())), "{code}");
    }
    verdict
}
