//! Through the core modules.

use super::*;

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
