//! Through the WIT component.

use super::*;

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
