//! The same verdict everywhere: `vectors/verdicts.json` runs natively, through both core modules and
//! the component in wasmtime, and through the JavaScript package in Node. Whatever remembers tokens
//! judges each case twice, because a token that comes again takes another way.

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

#[test]
fn natively() {
    let vectors = vectors();
    let mut states: BTreeMap<_, _> =
        vectors.issuers.keys().map(|issuers| (issuers.as_str(), vectors.state(issuers))).collect();
    let mut judge_all = |remember: bool| -> Vec<_> {
        let judge = |case: &Case| {
            let state = states.get_mut(case.issuers.as_str()).unwrap();
            if !remember {
                state.cache.clear();
            }
            let formats = &vectors.formats[&case.formats];
            without_message(&check_batch(&[case.item()], &case.request, formats, state)[0])
        };
        vectors.cases.iter().map(judge).collect()
    };
    assert_all_equal("native", &vectors.cases, &judge_all(false));
    assert_all_equal("native, for the cache", &vectors.cases, &judge_all(true));
    assert_all_equal("native, from the cache", &vectors.cases, &judge_all(true));
    assert!(!states["all"].cache.is_empty());

    // And by the function for keys.
    let none = &vectors.issuers["none"];
    assert!(none.is_empty());
    let is_for_keys = |case: &&Case| case.issuers == "none" && !matches!(case.record, Some(CredentialRecord::Token(_)));
    for case in vectors.cases.iter().filter(is_for_keys) {
        let record = match &case.record {
            Some(CredentialRecord::Key(record)) => Some(&**record),
            _ => None,
        };
        let verdict = check(&case.credential, record, &case.request, &vectors.formats[&case.formats]);
        assert_eq!(without_message(&verdict), case.verdict, "{}", case.name);
    }
}

#[test]
fn natively_in_batches() {
    let vectors = vectors();
    // A batch has one request, one set of formats and one of issuers: the cases that share them go together.
    let mut groups: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in &vectors.cases {
        groups.entry(format!("{} {} {:?}", case.formats, case.issuers, case.request)).or_default().push(case);
    }
    assert!(groups.values().any(|group| group.len() > 100));
    let mut states: BTreeMap<_, _> =
        vectors.issuers.keys().map(|issuers| (issuers.as_str(), vectors.state(issuers))).collect();
    for group in groups.values() {
        let items: Vec<_> = group.iter().map(|case| case.item()).collect();
        let formats = &vectors.formats[&group[0].formats];
        let state = states.get_mut(group[0].issuers.as_str()).unwrap();
        for time in ["first", "again"] {
            let verdicts = check_batch(&items, &group[0].request, formats, state);
            for (case, verdict) in group.iter().zip(&verdicts) {
                assert_eq!(without_message(verdict), case.verdict, "{time}: {}", case.name);
            }
        }
    }
}

/// The core module in wasmtime, run as `docs/abi.md` says.
struct CoreModule {
    store: Store<()>,
    memory: Memory,
    check: TypedFunc<i32, i32>,
    put_issuer: TypedFunc<i32, i32>,
    forget_issuers: TypedFunc<(), i32>,
    input: usize,
    input_size: usize,
    output: usize,
    output_size: usize,
}

impl CoreModule {
    fn compile(path: &Path) -> Module {
        let mut config = Config::new();
        config.wasm_wide_arithmetic(true);
        Module::from_file(&Engine::new(&config).unwrap(), path).unwrap()
    }

    fn instantiate(module: &Module) -> CoreModule {
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        let mut number = |name: &str| {
            let function = instance.get_typed_func::<(), i32>(&mut store, name).unwrap();
            usize::try_from(function.call(&mut store, ()).unwrap()).unwrap()
        };
        assert_eq!(number("keystile_abi_version"), 2);
        let (input, input_size) = (number("keystile_input"), number("keystile_input_size"));
        let (output, output_size) = (number("keystile_output"), number("keystile_output_size"));
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let check = instance.get_typed_func(&mut store, "keystile_check").unwrap();
        let put_issuer = instance.get_typed_func(&mut store, "keystile_put_issuer").unwrap();
        let forget_issuers = instance.get_typed_func(&mut store, "keystile_forget_issuers").unwrap();
        CoreModule { store, memory, check, put_issuer, forget_issuers, input, input_size, output, output_size }
    }

    /// How many keys of the issuer can be used.
    fn put_issuer(&mut self, document: &Value) -> i32 {
        let document = document.to_string();
        let input = &mut self.memory.data_mut(&mut self.store)[self.input..][..self.input_size];
        input[..document.len()].copy_from_slice(document.as_bytes());
        let keys = self.put_issuer.call(&mut self.store, i32::try_from(document.len()).unwrap()).unwrap();
        self.assert_wiped(document.len());
        keys
    }

    fn forget_issuers(&mut self) {
        assert_eq!(self.forget_issuers.call(&mut self.store, ()).unwrap(), 0);
    }

    /// The verdicts of a message; what cannot be written, and what cannot be read, is a deny.
    fn check(
        &mut self,
        items: &[(&[u8], Option<Record<'_>>)],
        request: &Request,
        formats: &[KeyFormat],
    ) -> Vec<Verdict> {
        self.try_check(items, request, formats)
            .unwrap_or_else(|| items.iter().map(|_| Verdict::deny(Code::Unavailable)).collect())
    }

    fn try_check(
        &mut self,
        items: &[(&[u8], Option<Record<'_>>)],
        request: &Request,
        formats: &[KeyFormat],
    ) -> Option<Vec<Verdict>> {
        let mut formats_bytes = Vec::new();
        encode_formats(formats, &mut formats_bytes).ok()?;
        let records: Vec<Option<Vec<u8>>> = items
            .iter()
            .map(|(_, record)| match record {
                None => Some(None),
                Some(record) => encode(*record).map(Some),
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
        self.assert_wiped(len);
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

    fn assert_wiped(&self, len: usize) {
        let input = &self.memory.data(&self.store)[self.input..][..len];
        assert!(input.iter().all(|byte| *byte == 0), "the module wipes what it was given");
    }
}

fn encode(record: Record<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoded = match record {
        Record::Key(record) => encode_record(record, &mut bytes),
        Record::Token(record) => encode_token_record(record, &mut bytes),
    };
    encoded.ok().map(|()| bytes)
}

fn through_core_module(file: &str) {
    let vectors = vectors();
    let module = CoreModule::compile(&artifacts().join(file));
    let mut instances = BTreeMap::new();
    for (issuers, documents) in &vectors.issuers {
        let mut instance = CoreModule::instantiate(&module);
        let keys: Vec<_> = documents.iter().map(|document| instance.put_issuer(document)).collect();
        assert_eq!(keys, vectors.usable_keys(issuers), "{file}");
        instances.insert(issuers.as_str(), instance);
    }
    for time in ["first", "again"] {
        let judge = |case: &Case| {
            let instance = instances.get_mut(case.issuers.as_str()).unwrap();
            without_message(&instance.check(&[case.item()], &case.request, &vectors.formats[&case.formats])[0])
        };
        let verdicts: Vec<_> = vectors.cases.iter().map(judge).collect();
        assert_all_equal(&format!("{file}, {time}"), &vectors.cases, &verdicts);
    }

    // And many in one message. One whose record cannot be written would spoil it for the others.
    for issuers in ["none", "all"] {
        let alike = vectors.alike(issuers);
        let writable: Vec<_> = alike.into_iter().filter(|case| case.verdict["code"] != "unavailable").collect();
        let items: Vec<_> = writable.iter().map(|case| case.item()).collect();
        let instance = instances.get_mut(issuers).unwrap();
        let verdicts = instance.check(&items, &writable[0].request, &vectors.formats["all"]);
        for (case, verdict) in writable.iter().zip(&verdicts) {
            assert_eq!(without_message(verdict), case.verdict, "{file}, in a batch: {}", case.name);
        }
    }

    // Whoever forgets its issuers knows nobody, whatever it has verified.
    let instance = instances.get_mut("all").unwrap();
    instance.forget_issuers();
    let mut allowed = vectors.cases.iter().filter(|case| case.verdict["principal"]["kind"] == "jwt").peekable();
    assert!(allowed.peek().is_some());
    for case in allowed {
        let verdict = &instance.check(&[case.item()], &case.request, &vectors.formats[&case.formats])[0];
        assert_eq!(verdict.code(), Some(Code::UnknownIssuer), "{file}: {}", case.name);
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
    let mut answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let vectors = vectors();
    for issuers in vectors.issuers.keys() {
        assert_eq!(answer["keys"][issuers], json!(vectors.usable_keys(issuers)));
    }
    let node = format!("Node {}", String::from_utf8_lossy(&version.stdout).trim());
    for time in ["first", "again"] {
        let verdicts: Vec<_> = answer[time].as_array_mut().unwrap().iter_mut().map(check_message).collect();
        assert_all_equal(&format!("{node}, {time}"), &vectors.cases, &verdicts);
    }
    let of_function = answer["function"].as_array_mut().unwrap();
    assert_eq!(of_function.len(), vectors.cases.len());
    for (case, verdict) in vectors.cases.iter().zip(of_function).filter(|(_, verdict)| !verdict.is_null()) {
        assert_eq!(check_message(verdict), case.verdict, "{node}, the function for keys: {}", case.name);
    }
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

/// The component in wasmtime, called with values that are built from the JSON of the vectors.
struct ComponentInstance {
    store: Store<()>,
    instance: wasmtime::component::Instance,
}

impl ComponentInstance {
    fn load() -> ComponentInstance {
        let engine = Engine::default();
        let component = Component::from_file(&engine, artifacts().join("component.wasm")).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        ComponentInstance { store, instance }
    }

    fn call(&mut self, name: &str, arguments: &[Val]) -> Val {
        let interface = self.instance.get_export_index(&mut self.store, None, "keystile:validator/judging@0.1.0");
        let function = self.instance.get_export_index(&mut self.store, interface.as_ref(), name).unwrap();
        let function = self.instance.get_func(&mut self.store, function).unwrap();
        let mut answer = [Val::Bool(false)];
        function.call(&mut self.store, arguments, &mut answer).unwrap();
        let [answer] = answer;
        answer
    }

    fn issuers(&mut self) -> ResourceAny {
        let Val::Resource(issuers) = self.call("[constructor]issuers", &[]) else { panic!("no resource") };
        issuers
    }

    /// How many keys of the issuer can be used, or the name of the error.
    fn put_issuer(&mut self, issuers: ResourceAny, document: &str) -> Result<Value, Value> {
        let arguments = [Val::Resource(issuers), Val::String(document.to_owned())];
        let Val::Result(answer) = self.call("[method]issuers.put", &arguments) else { panic!("no result") };
        answer.map(|keys| plain_json(&keys.unwrap())).map_err(|error| plain_json(&error.unwrap()))
    }

    fn remove_issuer(&mut self, issuers: ResourceAny, name: &str) -> Val {
        self.call("[method]issuers.remove", &[Val::Resource(issuers), Val::String(name.to_owned())])
    }

    /// The verdicts in the JSON form of the vectors.
    fn check_batch(&mut self, cases: &[&Case], formats: &[KeyFormat], issuers: Option<ResourceAny>) -> Vec<Value> {
        let items = cases.iter().map(|case| {
            record(vec![("credential", credential_val(case)), ("record", optional(&case.json["record"], record_val))])
        });
        let arguments = [
            Val::List(items.collect()),
            request_val(&cases[0].json["request"]),
            formats_val(formats),
            issuers_val(issuers),
        ];
        let Val::List(verdicts) = self.call("check-batch", &arguments) else { panic!("no list") };
        verdicts.iter().map(verdict_json).collect()
    }

    fn check(&mut self, case: &Case, formats: &[KeyFormat], issuers: Option<ResourceAny>) -> Value {
        let arguments = [
            credential_val(case),
            optional(&case.json["record"], record_val),
            request_val(&case.json["request"]),
            formats_val(formats),
            issuers_val(issuers),
        ];
        verdict_json(&self.call("check", &arguments))
    }
}

#[test]
fn through_the_component() {
    let vectors = vectors();
    let mut component = ComponentInstance::load();
    let mut resources = BTreeMap::new();
    for (issuers, documents) in &vectors.issuers {
        let resource = component.issuers();
        let put = |document: &Value| component.put_issuer(resource, &document.to_string()).unwrap();
        let keys: Vec<_> = documents.iter().map(put).collect();
        assert_eq!(json!(keys), json!(vectors.usable_keys(issuers)));
        resources.insert(issuers.as_str(), resource);
    }
    for time in ["first", "again"] {
        let judge = |case: &Case| {
            let issuers = resources[case.issuers.as_str()];
            component.check(case, &vectors.formats[&case.formats], Some(issuers))
        };
        let verdicts: Vec<_> = vectors.cases.iter().map(judge).collect();
        assert_all_equal(&format!("component, {time}"), &vectors.cases, &verdicts);
    }

    // No issuers at all is the same as none that were put, and many at once the same as one by one.
    for (issuers, resource) in [("none", None), ("none", Some(resources["none"])), ("all", Some(resources["all"]))] {
        let alike = vectors.alike(issuers);
        let verdicts = component.check_batch(&alike, &vectors.formats["all"], resource);
        assert_eq!(verdicts.len(), alike.len());
        for (case, verdict) in alike.iter().zip(&verdicts) {
            assert_eq!(*verdict, case.verdict, "component, in a batch: {}", case.name);
        }
    }
    for resource in resources.into_values() {
        resource.resource_drop(&mut component.store).unwrap();
    }
}

#[test]
fn the_component_takes_and_forgets_issuers() {
    let vectors = vectors();
    let mut component = ComponentInstance::load();
    let issuers = component.issuers();
    for document in ["", "null", "{}", r#"{"issuer":"me","algorithms":["ES256"]}"#] {
        assert_eq!(component.put_issuer(issuers, document), Err(json!("no_issuer")), "{document}");
    }
    for document in &vectors.issuers["all"] {
        component.put_issuer(issuers, &document.to_string()).unwrap();
    }
    let case = vectors.cases.iter().find(|case| case.verdict["principal"]["kind"] == "jwt").unwrap();
    let formats = &vectors.formats[&case.formats];
    assert_eq!(component.check(case, formats, Some(issuers)), case.verdict);

    // What it has verified is worth nothing once the issuer is gone.
    let name = case.verdict["principal"]["issuer"].as_str().unwrap();
    assert_eq!(component.remove_issuer(issuers, name), Val::Bool(true));
    assert_eq!(component.remove_issuer(issuers, name), Val::Bool(false));
    assert_eq!(component.check(case, formats, Some(issuers))["code"], "unknown_issuer");
    let document = vectors.issuers["all"].iter().find(|document| document["issuer"] == name).unwrap();
    component.put_issuer(issuers, &document.to_string()).unwrap();
    assert_eq!(component.check(case, formats, Some(issuers)), case.verdict);

    // 64 are the most, and a refusal changes nothing.
    let another = |number: usize| {
        json!({"issuer": format!("{number}"), "algorithms": ["ES256"], "jwks": {"keys": []}}).to_string()
    };
    for number in vectors.issuers["all"].len()..64 {
        assert_eq!(component.put_issuer(issuers, &another(number)), Ok(json!(0)));
    }
    assert_eq!(component.put_issuer(issuers, &another(64)), Err(json!("too_many")));
    assert_eq!(component.put_issuer(issuers, &another(63)), Ok(json!(0)));
    assert_eq!(component.check(case, formats, Some(issuers)), case.verdict);
    issuers.resource_drop(&mut component.store).unwrap();
}

fn credential_val(case: &Case) -> Val {
    Val::List(case.credential.iter().copied().map(Val::U8).collect())
}

fn formats_val(formats: &[KeyFormat]) -> Val {
    Val::List(formats.iter().map(|format| format_val(&serde_json::to_value(format).unwrap())).collect())
}

fn issuers_val(issuers: Option<ResourceAny>) -> Val {
    Val::Option(issuers.map(|issuers| Box::new(Val::Resource(issuers))))
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
    let (kind, record) = match json.get("key_id") {
        Some(_) => ("key", key_record_val(json)),
        None => ("token", token_record_val(json)),
    };
    Val::Variant(kind.to_owned(), Some(Box::new(record)))
}

fn token_record_val(json: &Value) -> Val {
    record(vec![
        ("revoked", Val::Bool(json["revoked"] == true)),
        ("suspended", Val::Bool(json["suspended"] == true)),
        ("not-before", optional(&json["not_before"], time)),
    ])
}

fn key_record_val(json: &Value) -> Val {
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
    let (kind, content) = variant(verdict);
    if kind == "allow" {
        let (kind, principal) = variant(content);
        let mut principal = fields_json(principal);
        principal["kind"] = json!(kind.replace('-', "_"));
        for (name, short) in [("environment", "env"), ("organization", "org_id")] {
            if let Some(value) = principal.as_object_mut().unwrap().remove(name) {
                principal[short] = value;
            }
        }
        return json!({ "verdict": "allow", "principal": principal });
    }
    let denial = fields_json(content);
    let known = Code::ALL.iter().find(|known| denial["code"] == known.as_str()).unwrap();
    let mut json = json!({ "verdict": "deny", "code": denial["code"], "status": known.status() });
    if !denial["retry_after"].is_null() {
        json["retry_after"] = denial["retry_after"].clone();
    }
    json
}

fn variant(val: &Val) -> (&str, &Val) {
    let Val::Variant(kind, Some(content)) = val else { panic!("{val:?}") };
    (kind, content)
}

fn fields_json(val: &Val) -> Value {
    let Val::Record(fields) = val else { panic!("{val:?}") };
    fields.iter().map(|(name, value)| (name.replace('-', "_"), plain_json(value))).collect()
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
    assert_eq!(output.stdout, b"42 refused");
}
