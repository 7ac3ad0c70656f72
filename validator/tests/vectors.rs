//! The published vectors, through the Rust functions and through the binary forms of the ABI: a
//! change of a rule fails here, in the crate that holds the rule.
//!
//! `tests/tests/conformance` runs the same file through the built modules and packages.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use keystile_validator::jwt::{TokenRecord, TokenState};
use keystile_validator::wire::{
    Item, MAX_MESSAGE_LEN, Message, check_message, decode_verdict, encode_formats, encode_record, encode_token_record,
    put_issuer,
};
use keystile_validator::{Code, KeyFormat, KeyRecord, Record, Request, Verdict, check, check_batch};
use serde_json::{Value, json};

/// Each case twice with one state: a token that comes again is found in the cache.
#[test]
fn check_batch_gives_every_verdict() {
    let vectors = Vectors::read();
    let mut states = vectors.states();
    for time in ["first", "again"] {
        vectors.assert_verdicts(&format!("check_batch, {time}"), |case| {
            let state = states.get_mut(case.issuers.as_str()).unwrap();
            check_batch(&[(&case.credential, case.record())], &case.request, &vectors.formats[&case.formats], state)
                .pop()
                .unwrap()
        });
    }
    assert!(!states["all"].cache.is_empty());
}

#[test]
fn a_message_gives_every_verdict() {
    let vectors = Vectors::read();
    let mut states = vectors.states();
    for time in ["first", "again"] {
        vectors.assert_verdicts(&format!("check_message, {time}"), |case| {
            let state = states.get_mut(case.issuers.as_str()).unwrap();
            through_message(case, &vectors.formats[&case.formats], state).unwrap_or(Verdict::deny(Code::Unavailable))
        });
    }
}

#[test]
fn the_function_for_keys_gives_every_verdict_on_a_key() {
    let vectors = Vectors::read();
    assert!(vectors.issuers["none"].is_empty());
    let mut judged = 0;
    for case in vectors.cases.iter().filter(|case| case.issuers == "none") {
        let record = match &case.record {
            None => None,
            Some(CredentialRecord::Key(record)) => Some(&**record),
            Some(CredentialRecord::Token(_)) => continue,
        };
        let verdict = check(&case.credential, record, &case.request, &vectors.formats[&case.formats]);
        assert_eq!(without_message(&verdict), case.verdict, "{}", case.name);
        judged += 1;
    }
    assert!(judged >= 100, "{judged}");
}

/// The cases that share a request, formats and issuers, in one batch and in one message.
#[test]
fn batches_give_every_verdict() {
    let vectors = Vectors::read();
    let mut groups: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in &vectors.cases {
        groups.entry(format!("{} {} {:?}", case.formats, case.issuers, case.request)).or_default().push(case);
    }
    assert!(groups.values().any(|group| group.len() > 100));
    let mut states = vectors.states();
    for group in groups.values() {
        let items: Vec<_> = group.iter().map(|case| (case.credential.as_slice(), case.record())).collect();
        let state = states.get_mut(group[0].issuers.as_str()).unwrap();
        let verdicts = check_batch(&items, &group[0].request, &vectors.formats[&group[0].formats], state);
        assert_eq!(verdicts.len(), group.len());
        for (case, verdict) in group.iter().zip(&verdicts) {
            assert_eq!(without_message(verdict), case.verdict, "{}", case.name);
        }
    }
}

#[test]
fn the_vectors_cover_every_code() {
    let vectors = Vectors::read();
    let seen: BTreeSet<_> = vectors.cases.iter().filter_map(|case| case.verdict["code"].as_str()).collect();
    // No rule of this version gives these two.
    for code in Code::ALL.iter().filter(|code| !matches!(code, Code::QuotaExceeded | Code::StaleBundle)) {
        assert!(seen.contains(code.as_str()), "no case gives {code}");
    }
}

struct Vectors {
    formats: BTreeMap<String, Vec<KeyFormat>>,
    /// Issuer documents, by the name of the set.
    issuers: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    credential: Vec<u8>,
    record: Option<CredentialRecord>,
    request: Request,
    formats: String,
    issuers: String,
    verdict: Value,
}

enum CredentialRecord {
    Key(Box<KeyRecord>),
    Token(TokenRecord),
}

impl Vectors {
    fn read() -> Vectors {
        let mut file: Value = serde_json::from_str(&fs::read_to_string(PATH).unwrap()).unwrap();
        let formats = serde_json::from_value(file["formats"].take()).unwrap();
        let issuers = serde_json::from_value(file["issuers"].take()).unwrap();
        let cases: Vec<_> = file["cases"].as_array().unwrap().iter().map(Case::read).collect();
        assert!(cases.len() >= 300, "{}", cases.len());
        Vectors { formats, issuers, cases }
    }

    fn states(&self) -> BTreeMap<&str, TokenState> {
        let state = |documents: &Vec<Value>| {
            let mut state = TokenState::default();
            for document in documents {
                put_issuer(document.to_string().as_bytes(), &mut state).unwrap();
            }
            state
        };
        self.issuers.iter().map(|(name, documents)| (name.as_str(), state(documents))).collect()
    }

    fn assert_verdicts(&self, way: &str, mut judge: impl FnMut(&Case) -> Verdict) {
        let differences: Vec<_> = self
            .cases
            .iter()
            .filter_map(|case| {
                let verdict = without_message(&judge(case));
                let expected = &case.verdict;
                (verdict != *expected).then(|| format!("{}: {verdict} instead of {expected}", case.name))
            })
            .collect();
        assert!(differences.is_empty(), "{way}: {} differ\n{}", differences.len(), differences.join("\n"));
    }
}

impl Case {
    fn read(json: &Value) -> Case {
        let text = |member: &str| json[member].as_str().unwrap().to_owned();
        Case {
            name: text("name"),
            credential: read_credential(json),
            record: read_record(&json["record"]),
            request: serde_json::from_value(json["request"].clone()).unwrap(),
            formats: text("formats"),
            issuers: text("issuers"),
            verdict: json["verdict"].clone(),
        }
    }

    fn record(&self) -> Option<Record<'_>> {
        self.record.as_ref().map(|record| match record {
            CredentialRecord::Key(record) => Record::Key(record),
            CredentialRecord::Token(record) => Record::Token(record),
        })
    }
}

fn read_credential(json: &Value) -> Vec<u8> {
    if let Some(text) = json["credential"].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(hex) = json["credential_hex"].as_str() {
        return (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    }
    let repeat = &json["credential_repeat"];
    repeat["text"].as_str().unwrap().repeat(repeat["times"].as_u64().unwrap() as usize).into_bytes()
}

fn read_record(json: &Value) -> Option<CredentialRecord> {
    if json.is_null() {
        return None;
    }
    Some(match json.get("key_id") {
        Some(_) => CredentialRecord::Key(serde_json::from_value(json.clone()).unwrap()),
        None => CredentialRecord::Token(serde_json::from_value(json.clone()).unwrap()),
    })
}

/// The verdict of a message with this case alone; `None` when the message cannot be written.
fn through_message(case: &Case, formats: &[KeyFormat], state: &mut TokenState) -> Option<Verdict> {
    let mut formats_bytes = Vec::new();
    encode_formats(formats, &mut formats_bytes).ok()?;
    let mut record_bytes = Vec::new();
    match case.record() {
        None => {}
        Some(Record::Key(record)) => encode_record(record, &mut record_bytes).ok()?,
        Some(Record::Token(record)) => encode_token_record(record, &mut record_bytes).ok()?,
    }
    let record = (!record_bytes.is_empty()).then_some(record_bytes.as_slice());
    let items = [Item { credential: &case.credential, record }];
    let mut message = vec![0; MAX_MESSAGE_LEN];
    let len = Message { request: &case.request, formats: &formats_bytes, items: &items }.write_to(&mut message).ok()?;
    let mut answer = vec![0; MAX_MESSAGE_LEN];
    let len = check_message(&message[..len], state, &mut answer).unwrap();
    let (verdict, rest) = decode_verdict(&answer[..len]).unwrap();
    assert!(rest.is_empty(), "{}", case.name);
    Some(verdict)
}

/// The JSON form without its message, which must be that of its code; the file has none.
fn without_message(verdict: &Verdict) -> Value {
    let mut json = serde_json::to_value(verdict).unwrap();
    if let (Some(code), Some(members)) = (verdict.code(), json.as_object_mut()) {
        assert_eq!(members.remove("message"), Some(json!(code.message())));
    }
    json
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/verdicts.json");
