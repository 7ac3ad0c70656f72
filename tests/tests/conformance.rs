//! The same verdict everywhere: `vectors/verdicts.json` runs natively, through both core modules and
//! the component in wasmtime, and through the JavaScript package in Node.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use keystile_tests::artifacts;
use keystile_validator::jwt::TokenState;
use keystile_validator::wire::{Item, Message, decode_verdict, encode_formats, encode_record};
use keystile_validator::{Code, KeyFormat, KeyRecord, Record, Request, Verdict, check, check_batch};
use serde_json::{Value, json};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Instance, Memory, Module, Store, TypedFunc};

struct Case {
    name: String,
    credential: Vec<u8>,
    record: Option<KeyRecord>,
    request: Request,
    formats: String,
    verdict: Value,
    /// As in the file, for the faces that take JSON.
    json: Value,
}

struct Vectors {
    formats: BTreeMap<String, Vec<KeyFormat>>,
    cases: Vec<Case>,
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/verdicts.json");

fn vectors() -> Vectors {
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap();
    let formats = serde_json::from_value(file["formats"].take()).unwrap();
    let cases = file["cases"].as_array().unwrap().iter().map(read_case).collect();
    Vectors { formats, cases }
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
    Case {
        name: json["name"].as_str().unwrap().to_owned(),
        credential,
        record: serde_json::from_value(json["record"].clone()).unwrap(),
        request: serde_json::from_value(json["request"].clone()).unwrap(),
        formats: json["formats"].as_str().unwrap().to_owned(),
        verdict: json["verdict"].clone(),
        json: json.clone(),
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
fn the_vectors_cover_every_code_of_keys() {
    let vectors = vectors();
    assert!(vectors.cases.len() >= 300);
    let seen: std::collections::BTreeSet<_> =
        vectors.cases.iter().filter_map(|case| case.verdict["code"].as_str()).collect();
    let token_codes = [
        Code::BadSignature,
        Code::UnknownIssuer,
        Code::UnknownSigningKey,
        Code::AlgorithmNotAllowed,
        Code::WrongAudience,
        Code::InvalidClaim,
        Code::QuotaExceeded,
        Code::StaleBundle,
    ];
    for code in Code::ALL.iter().filter(|code| !token_codes.contains(code)) {
        assert!(seen.contains(code.as_str()), "no case gives {code}");
    }
}

#[test]
fn natively() {
    let vectors = vectors();
    let verdicts: Vec<_> = vectors
        .cases
        .iter()
        .map(|case| {
            let formats = &vectors.formats[&case.formats];
            without_message(&check(&case.credential, case.record.as_ref(), &case.request, formats))
        })
        .collect();
    assert_all_equal("native", &vectors.cases, &verdicts);
}

#[test]
fn natively_in_batches() {
    let vectors = vectors();
    // A batch has one request and one set of formats: the cases that share both go together.
    let mut groups: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in &vectors.cases {
        groups.entry(format!("{} {:?}", case.formats, case.request)).or_default().push(case);
    }
    assert!(groups.values().any(|group| group.len() > 100));
    for group in groups.values() {
        let items: Vec<_> =
            group.iter().map(|case| (case.credential.as_slice(), case.record.as_ref().map(Record::Key))).collect();
        let formats = &vectors.formats[&group[0].formats];
        let verdicts = check_batch(&items, &group[0].request, formats, &mut TokenState::default());
        for (case, verdict) in group.iter().zip(&verdicts) {
            assert_eq!(without_message(verdict), case.verdict, "{}", case.name);
        }
    }
}

/// The core module in wasmtime, run as `docs/abi.md` says.
struct CoreModule {
    store: Store<()>,
    memory: Memory,
    check: TypedFunc<i32, i32>,
    input: usize,
    input_size: usize,
    output: usize,
    output_size: usize,
}

impl CoreModule {
    fn load(path: &Path) -> CoreModule {
        let mut config = Config::new();
        config.wasm_wide_arithmetic(true);
        let engine = Engine::new(&config).unwrap();
        let module = Module::from_file(&engine, path).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let mut number = |name: &str| {
            let function = instance.get_typed_func::<(), i32>(&mut store, name).unwrap();
            usize::try_from(function.call(&mut store, ()).unwrap()).unwrap()
        };
        assert_eq!(number("keystile_abi_version"), 2);
        let (input, input_size) = (number("keystile_input"), number("keystile_input_size"));
        let (output, output_size) = (number("keystile_output"), number("keystile_output_size"));
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let check = instance.get_typed_func(&mut store, "keystile_check").unwrap();
        CoreModule { store, memory, check, input, input_size, output, output_size }
    }

    /// The verdicts of a message; what cannot be written, and what cannot be read, is a deny.
    fn check(
        &mut self,
        items: &[(&[u8], Option<&KeyRecord>)],
        request: &Request,
        formats: &[KeyFormat],
    ) -> Vec<Verdict> {
        self.try_check(items, request, formats)
            .unwrap_or_else(|| items.iter().map(|_| Verdict::deny(Code::Unavailable)).collect())
    }

    fn try_check(
        &mut self,
        items: &[(&[u8], Option<&KeyRecord>)],
        request: &Request,
        formats: &[KeyFormat],
    ) -> Option<Vec<Verdict>> {
        let mut formats_bytes = Vec::new();
        encode_formats(formats, &mut formats_bytes).ok()?;
        let records: Vec<Option<Vec<u8>>> = items
            .iter()
            .map(|(_, record)| {
                record.map(|record| {
                    let mut bytes = Vec::new();
                    encode_record(record, &mut bytes).ok().map(|()| bytes)
                })
            })
            .map(|record| match record {
                None => Some(None),
                Some(encoded) => encoded.map(Some),
            })
            .collect::<Option<_>>()?;
        let items: Vec<_> = items
            .iter()
            .zip(&records)
            .map(|((credential, _), record)| Item { credential, record: record.as_deref() })
            .collect();
        let message = Message { request, formats: &formats_bytes, items: &items };
        let len = message.write_to(&mut self.memory.data_mut(&mut self.store)[self.input..][..self.input_size]).ok()?;
        let answered = self.check.call(&mut self.store, i32::try_from(len).unwrap()).unwrap();
        let input = &self.memory.data(&self.store)[self.input..][..len];
        assert!(input.iter().all(|byte| *byte == 0), "the module wipes the message");
        let mut answer = &self.memory.data(&self.store)[self.output..][..self.output_size];
        answer = answer.get(..usize::try_from(answered).ok()?).unwrap();
        let mut verdicts = Vec::new();
        while !answer.is_empty() {
            let (verdict, rest) = decode_verdict(answer).unwrap();
            verdicts.push(verdict);
            answer = rest;
        }
        Some(verdicts)
    }
}

fn through_core_module(file: &str) {
    let vectors = vectors();
    let mut module = CoreModule::load(&artifacts().join(file));
    let verdicts: Vec<_> = vectors
        .cases
        .iter()
        .map(|case| {
            let item = (case.credential.as_slice(), case.record.as_ref());
            without_message(&module.check(&[item], &case.request, &vectors.formats[&case.formats])[0])
        })
        .collect();
    assert_all_equal(file, &vectors.cases, &verdicts);

    // And many in one message.
    let ordinary: Vec<_> = vectors
        .cases
        .iter()
        .filter(|case| {
            case.name.starts_with("format/") && case.formats == "all" && case.request == vectors.cases[0].request
        })
        .collect();
    assert!(ordinary.len() > 50);
    let items: Vec<_> = ordinary.iter().map(|case| (case.credential.as_slice(), case.record.as_ref())).collect();
    let verdicts = module.check(&items, &vectors.cases[0].request, &vectors.formats["all"]);
    for (case, verdict) in ordinary.iter().zip(&verdicts) {
        assert_eq!(without_message(verdict), case.verdict, "{file}, in a batch: {}", case.name);
    }
}

#[test]
fn through_the_baseline_core_module() {
    through_core_module("baseline.wasm");
}

#[test]
fn through_the_wide_arithmetic_core_module() {
    through_core_module("wide.wasm");
}

#[test]
fn through_javascript_in_node() {
    let node = Command::new("node").arg("--version").output();
    let Ok(version) = node else {
        assert!(std::env::var_os("CI").is_none(), "CI needs node");
        println!("skipped: node is not installed");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("javascript/conformance.mjs");
    let output =
        Command::new("node").arg(script).arg(artifacts().join("javascript")).arg(PATH).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut verdicts: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let vectors = vectors();
    for (case, verdict) in vectors.cases.iter().zip(&mut verdicts) {
        if let Some(code) = verdict["code"].as_str().map(str::to_owned) {
            let known = Code::ALL.iter().find(|known| known.as_str() == code).unwrap();
            let message = verdict.as_object_mut().unwrap().remove("message");
            assert_eq!(message, Some(json!(known.message())), "{}", case.name);
        }
        assert!(case.json["name"] == case.name);
    }
    assert_all_equal(&format!("Node {}", String::from_utf8_lossy(&version.stdout).trim()), &vectors.cases, &verdicts);
}

/// The component, called with values that are built from the JSON of the vectors.
#[test]
fn through_the_component() {
    let vectors = vectors();
    let file: Value = serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap();
    let engine = Engine::default();
    let component = Component::from_file(&engine, artifacts().join("component.wasm")).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
    let interface = instance.get_export_index(&mut store, None, "keystile:validator/judging@0.1.0").unwrap();
    let check = instance.get_export_index(&mut store, Some(&interface), "check").unwrap();
    let check = instance.get_func(&mut store, check).unwrap();
    let verdicts: Vec<_> = vectors
        .cases
        .iter()
        .map(|case| {
            let credential = Val::List(case.credential.iter().copied().map(Val::U8).collect());
            let formats = file["formats"][&case.formats].as_array().unwrap().iter().map(format_val).collect();
            let record = optional(&case.json["record"], record_val);
            let arguments = [credential, record, request_val(&case.json["request"]), Val::List(formats)];
            let mut answer = [Val::Bool(false)];
            check.call(&mut store, &arguments, &mut answer).unwrap();
            verdict_json(&answer[0])
        })
        .collect();
    assert_all_equal("component", &vectors.cases, &verdicts);
}

fn record(fields: Vec<(&str, Val)>) -> Val {
    Val::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn optional(json: &Value, val: impl FnOnce(&Value) -> Val) -> Val {
    Val::Option((!json.is_null()).then(|| Box::new(val(json))))
}

fn text(json: &Value) -> Val {
    Val::String(json.as_str().unwrap().to_owned())
}

fn texts(json: &Value) -> Val {
    Val::List(json.as_array().map(|texts| texts.iter().map(text).collect()).unwrap_or_default())
}

fn time(json: &Value) -> Val {
    Val::U64(json.as_u64().unwrap())
}

fn number(json: &Value) -> Val {
    Val::U32(u32::try_from(json.as_u64().unwrap()).unwrap())
}

fn format_val(json: &Value) -> Val {
    let separator = if json["separator"] == "." { "dot" } else { "underscore" };
    record(vec![
        ("prefix", text(&json["prefix"])),
        ("separator", Val::Enum(separator.to_owned())),
        ("environments", texts(&json["environments"])),
        ("body-length", Val::U8(u8::try_from(json["body"].as_u64().unwrap()).unwrap())),
        ("checksum", Val::Enum(json["checksum"].as_str().unwrap().to_owned())),
    ])
}

fn record_val(json: &Value) -> Val {
    let hex = json["digest"].as_str().unwrap();
    let digest =
        (0..hex.len()).step_by(2).map(|at| Val::U8(u8::from_str_radix(&hex[at..at + 2], 16).unwrap())).collect();
    let rate = |rate: &Value| record(vec![("limit", number(&rate["limit"])), ("window", number(&rate["window"]))]);
    record(vec![
        ("key-id", text(&json["key_id"])),
        ("digest", Val::List(digest)),
        ("state", Val::Enum(json["state"].as_str().unwrap().to_owned())),
        ("owner", optional(&json["owner"], text)),
        ("environment", text(&json["env"])),
        ("scopes", texts(&json["scopes"])),
        ("not-before", optional(&json["not_before"], time)),
        ("expires-at", optional(&json["expires_at"], time)),
        ("retires-at", optional(&json["retires_at"], time)),
        ("addresses", texts(&json["addresses"])),
        ("rate", optional(&json["rate"], rate)),
        ("starts-grace", Val::Bool(json["starts_grace"] == true)),
    ])
}

fn request_val(json: &Value) -> Val {
    let usage =
        |usage: &Value| record(vec![("used", number(&usage["used"])), ("resets-at", time(&usage["resets_at"]))]);
    record(vec![
        ("now", time(&json["now"])),
        ("all-of", texts(&json["all_of"])),
        ("any-of", texts(&json["any_of"])),
        ("environment", optional(&json["env"], text)),
        ("address", optional(&json["address"], text)),
        ("usage", optional(&json["usage"], usage)),
    ])
}

/// The verdict in the JSON form of the vectors.
fn verdict_json(verdict: &Val) -> Value {
    let Val::Variant(kind, Some(content)) = verdict else { panic!("{verdict:?}") };
    let Val::Record(fields) = &**content else { panic!("{content:?}") };
    let plain = |name: &str| plain_json(&fields.iter().find(|(known, _)| known == name).unwrap().1);
    if kind == "allow" {
        let principal = json!({
            "kind": plain("kind"),
            "key_id": plain("key-id"),
            "owner": plain("owner"),
            "env": plain("environment"),
            "scopes": plain("scopes"),
            "expires_at": plain("expires-at"),
        });
        return json!({ "verdict": "allow", "principal": principal });
    }
    let code = plain("code");
    let known = Code::ALL.iter().find(|known| code == known.as_str()).unwrap();
    let mut json = json!({ "verdict": "deny", "code": code, "status": known.status() });
    if !plain("retry-after").is_null() {
        json["retry_after"] = plain("retry-after");
    }
    json
}

fn plain_json(val: &Val) -> Value {
    match val {
        Val::String(text) => json!(text),
        Val::Enum(name) => json!(name.replace('-', "_")),
        Val::U32(number) => json!(number),
        Val::U64(number) => json!(number),
        Val::Option(inner) => inner.as_deref().map_or(Value::Null, plain_json),
        Val::List(values) => values.iter().map(plain_json).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn javascript_refuses_what_is_not_of_the_documented_type() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("javascript/misuse.mjs");
    let output = match Command::new("node").arg(script).arg(artifacts().join("javascript")).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs node: {error}");
            println!("skipped: node is not installed");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"8 refused");
}
