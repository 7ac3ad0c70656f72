//! Guests that misbehave: each one costs its own instance, is named by its failure, and leaves the
//! sandbox working.
//!
//! Every guest answers a message of `n > 0` bytes with `n` bytes, and misbehaves when `n` is 0.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keystile::sandbox::{IssuerDocument, Sandbox, SandboxError, SandboxFailure, SandboxOptions, engine_config};
use keystile::{Algorithm, ClaimMapping, Code, IssuerKeys, Keystile, NewIssuer, NewKey, NewStore};
use wasmtime::Engine;

/// The text of a guest, part by part.
#[derive(Clone)]
struct Guest<'a> {
    memory: &'a str,
    version: &'a str,
    input: &'a str,
    input_size: &'a str,
    output: &'a str,
    output_size: &'a str,
    /// Runs when the message is empty; must leave an `i32`.
    misbehave: &'a str,
    /// Runs when an issuer is put; must leave an `i32`.
    put_issuer: &'a str,
    /// Runs when a signature is asked for; must leave an `i32`.
    check_jws: &'a str,
    more: &'a str,
}

const HONEST: Guest<'static> = Guest {
    memory: r#"(memory (export "memory") 9)"#,
    version: "i32.const 2",
    input: "i32.const 0",
    input_size: "i32.const 262144",
    output: "i32.const 262144",
    output_size: "i32.const 262144",
    misbehave: "i32.const 0",
    put_issuer: "i32.const 1",
    check_jws: "i32.const 0",
    more: "",
};

impl Guest<'_> {
    fn text(&self) -> String {
        let Guest { memory, version, input, input_size, output, output_size, misbehave, put_issuer, check_jws, more } =
            self;
        format!(
            r#"(module
                {more}
                {memory}
                (func (export "keystile_abi_version") (result i32) {version})
                (func (export "keystile_input") (result i32) {input})
                (func (export "keystile_input_size") (result i32) {input_size})
                (func (export "keystile_output") (result i32) {output})
                (func (export "keystile_output_size") (result i32) {output_size})
                (func (export "keystile_put_issuer") (param i32) (result i32) {put_issuer})
                (func (export "keystile_forget_issuers") (result i32) i32.const 0)
                (func (export "keystile_check_jws") (param i32) (result i32) {check_jws})
                (func $check (export "keystile_check") (param $length i32) (result i32)
                    (if (result i32) (i32.eqz (local.get $length))
                        (then {misbehave})
                        (else (local.get $length)))))"#
        )
    }

    fn load(&self, options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        load(&self.text(), options)
    }
}

fn load(text: &str, options: SandboxOptions) -> Result<Sandbox, SandboxError> {
    let engine = Engine::new(&engine_config()).unwrap();
    let code = engine.precompile_module(text.as_bytes()).unwrap();
    // SAFETY: unchanged output of `precompile_module`.
    #[allow(unsafe_code)]
    unsafe {
        Sandbox::from_precompiled(&code, options)
    }
}

/// The error of a guest that must not load.
fn refused(guest: &Guest<'_>) -> SandboxError {
    refused_with(guest, options())
}

fn refused_with(guest: &Guest<'_>, options: SandboxOptions) -> SandboxError {
    match guest.load(options) {
        Ok(_) => panic!("a guest that must be refused was loaded"),
        Err(error) => error,
    }
}

fn options() -> SandboxOptions {
    SandboxOptions::default()
}

/// For guests that do not end. Not for the others: a busy machine can stop them as well.
fn hasty() -> SandboxOptions {
    SandboxOptions::default().deadline(DEADLINE)
}

const DEADLINE: Duration = Duration::from_millis(40);

fn misbehave(sandbox: &Sandbox) -> Result<usize, SandboxFailure> {
    sandbox.check(|_| Some(0), |answer| Some(answer.len()))
}

fn behave(sandbox: &Sandbox) -> Result<usize, SandboxFailure> {
    sandbox.check(|_| Some(7), |answer| Some(answer.len()))
}

/// Lets the guest misbehave twice; the sandbox must work before, between and after.
fn failure_of(guest: &Guest<'_>) -> SandboxFailure {
    failure_with(guest, options())
}

fn failure_with(guest: &Guest<'_>, options: SandboxOptions) -> SandboxFailure {
    let sandbox = guest.load(options).unwrap();
    assert_eq!(behave(&sandbox), Ok(7));
    let failure = misbehave(&sandbox).unwrap_err();
    assert_eq!(behave(&sandbox), Ok(7));
    assert_eq!(misbehave(&sandbox), Err(failure.clone()));
    assert_eq!(behave(&sandbox), Ok(7));
    let counters = sandbox.counters();
    assert_eq!((counters.checks, counters.failures()), (3, 2));
    assert_eq!((counters.instances_made, counters.instances_discarded), (3, 2));
    failure
}

#[test]
fn the_code_in_the_program_loads_whatever_features_wasmtime_has() {
    // This crate asks wasmtime for a compiler and components; the build script did not.
    let sandbox = Sandbox::new(options()).unwrap();
    assert!(matches!(misbehave(&sandbox), Err(SandboxFailure::Rejected { .. })));
}

#[test]
fn an_honest_guest_is_believed() {
    let sandbox = HONEST.load(options()).unwrap();
    assert_eq!(behave(&sandbox), Ok(7));
    assert_eq!(misbehave(&sandbox), Ok(0));
    let whole = sandbox.check(|buffer| Some(buffer.len()), |answer| Some(answer.len()));
    assert_eq!(whole, Ok(262_144));
    assert_eq!(sandbox.counters().failures(), 0);
}

#[test]
fn the_message_goes_in_and_the_answer_comes_out() {
    let copy = "(memory.copy (i32.const 262144) (i32.const 0) (i32.const 4)) (i32.const 4)";
    let sandbox = Guest { misbehave: copy, ..HONEST }.load(options()).unwrap();
    let echo = |message: [u8; 4]| {
        sandbox.check(
            |buffer| {
                buffer[..4].copy_from_slice(&message);
                Some(0)
            },
            |answer| answer.try_into().ok(),
        )
    };
    assert_eq!(echo(*b"ping"), Ok(*b"ping"));
    assert_eq!(echo(*b"pong"), Ok(*b"pong"));
}

#[test]
fn a_guest_that_does_not_end_is_stopped_at_the_deadline() {
    let guest = Guest { misbehave: "(loop $l (br $l)) (unreachable)", ..HONEST };
    assert_eq!(failure_with(&guest, hasty()), SandboxFailure::Deadline { after: DEADLINE });

    let sandbox = guest.load(hasty()).unwrap();
    let start = Instant::now();
    misbehave(&sandbox).unwrap_err();
    let elapsed = start.elapsed();
    // Never early; the upper bound is for a machine that is busy with other tests.
    assert!(elapsed >= DEADLINE && elapsed < DEADLINE * 50, "{elapsed:?}");
    assert_eq!(sandbox.counters().deadlines, 1);
}

#[test]
fn many_guests_that_do_not_end_are_all_stopped() {
    let guest = Guest { misbehave: "(loop $l (br $l)) (unreachable)", ..HONEST };
    let sandbox = guest.load(hasty().max_instances(3)).unwrap();
    thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| {
                let failure = misbehave(&sandbox).unwrap_err();
                let expected = matches!(failure, SandboxFailure::Deadline { .. } | SandboxFailure::Saturated { .. });
                assert!(expected, "{failure:?}");
            });
        }
    });
    let counters = sandbox.counters();
    assert_eq!(counters.deadlines + counters.saturated, 9);
    assert!(counters.deadlines >= 3);
    assert_eq!(behave(&sandbox), Ok(7));
}

#[test]
fn traps_are_named() {
    for (misbehave, reason) in [
        ("(unreachable)", "unreachable"),
        ("(i32.load (i32.const -4))", "out of bounds memory access"),
        ("(i32.load (i32.const 589824))", "out of bounds memory access"),
        ("(i32.div_s (i32.const 1) (local.get $length))", "integer divide by zero"),
        ("(call $check (local.get $length))", "call stack exhausted"),
        ("(call_indirect (result i32) (i32.const 0))", "uninitialized element"),
        ("(call_indirect (result i32) (i32.const 9))", "undefined element"),
    ] {
        let guest = Guest { misbehave, more: "(table 1 funcref)", ..HONEST };
        match failure_of(&guest) {
            SandboxFailure::Trap { reason: named } => assert!(named.contains(reason), "{named}"),
            failure => panic!("{misbehave}: {failure:?}"),
        }
    }
}

#[test]
fn a_guest_that_eats_memory_is_stopped() {
    let memory = "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (unreachable)";
    assert_eq!(failure_of(&Guest { misbehave: memory, ..HONEST }), SandboxFailure::MemoryLimit);
    let at_once = "(memory.grow (i32.const 60000))";
    assert_eq!(failure_of(&Guest { misbehave: at_once, ..HONEST }), SandboxFailure::MemoryLimit);
    let table = "(loop $l (drop (table.grow (ref.null func) (i32.const 100))) (br $l)) (unreachable)";
    let guest = Guest { misbehave: table, more: "(table 1 funcref)", ..HONEST };
    assert_eq!(failure_of(&guest), SandboxFailure::MemoryLimit);
}

#[test]
fn memory_within_the_limit_is_given() {
    // 9 pages there, 1015 more make 64 MiB.
    let guest = Guest { misbehave: "(memory.grow (i32.const 1015))", ..HONEST };
    assert_eq!(misbehave(&guest.load(options()).unwrap()), Ok(9));
    let guest = Guest { misbehave: "(memory.grow (i32.const 1016))", ..HONEST };
    assert_eq!(failure_of(&guest), SandboxFailure::MemoryLimit);
}

#[test]
fn lengths_are_not_believed() {
    for length in [262_145, 262_144 + 327_680, i32::MAX] {
        let guest = Guest { misbehave: &format!("(i32.const {length})"), ..HONEST };
        assert_eq!(failure_of(&guest), SandboxFailure::BadLength { length: length.try_into().unwrap() });
    }
    for code in [-1, -6, -7, i32::MIN] {
        let guest = Guest { misbehave: &format!("(i32.const {code})"), ..HONEST };
        assert_eq!(failure_of(&guest), SandboxFailure::Rejected { code });
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_a_failure() {
    let sandbox = HONEST.load(options()).unwrap();
    let unread = sandbox.check(|_| Some(5), |_| None::<()>);
    assert_eq!(unread, Err(SandboxFailure::BadAnswer { length: 5 }));
    assert_eq!(sandbox.counters().bad_answers, 1);
    assert_eq!(behave(&sandbox), Ok(7));
}

#[test]
fn a_fresh_instance_remembers_nothing() {
    let count = "(global.set $n (i32.add (global.get $n) (i32.const 1)))
        (if (i32.eq (global.get $n) (i32.const 3)) (then (unreachable))) (global.get $n)";
    let guest = Guest { misbehave: count, more: "(global $n (mut i32) (i32.const 0))", ..HONEST };
    let sandbox = guest.load(options()).unwrap();
    let answers: Vec<_> = (0..6).map(|_| misbehave(&sandbox).ok()).collect();
    assert_eq!(answers, [Some(1), Some(2), None, Some(1), Some(2), None]);
}

#[test]
fn failures_are_told_and_counted() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let options = options().on_failure(move |failure| hook.lock().unwrap().push(failure.clone()));
    let sandbox = Guest { misbehave: "(unreachable)", ..HONEST }.load(options).unwrap();
    let failure = misbehave(&sandbox).unwrap_err();
    assert_eq!(*told.lock().unwrap(), [failure]);
    assert_eq!(sandbox.counters().traps, 1);
}

#[test]
fn a_module_with_an_import_is_refused() {
    let import = r#"(import "env" "clock" (func (result i32)))"#;
    let error = refused(&Guest { more: import, ..HONEST });
    assert!(matches!(&error, SandboxError::HasImport { import } if import == "env.clock"), "{error:?}");
    assert_eq!(error.to_string(), "the validator imports env.clock · use a module without imports");
}

#[test]
fn a_module_that_lacks_an_export_is_refused() {
    let text = HONEST.text();
    for name in [
        "memory",
        "keystile_abi_version",
        "keystile_input",
        "keystile_input_size",
        "keystile_output",
        "keystile_output_size",
        "keystile_put_issuer",
        "keystile_forget_issuers",
        "keystile_check",
        "keystile_check_jws",
    ] {
        let without = text.replace(&format!(r#"(export "{name}")"#), "");
        let error = load(&without, options()).unwrap_err();
        assert!(matches!(error, SandboxError::BadExport { name: missing } if missing == name), "{error:?}");
    }
}

#[test]
fn an_export_of_another_type_is_refused() {
    let wide =
        HONEST.text().replace("(param $length i32) (result i32)", "(param $length i32) (param i64) (result i32)");
    let error = load(&wide, options()).unwrap_err();
    assert!(matches!(error, SandboxError::BadExport { name: "keystile_check" }), "{error:?}");

    let function = HONEST.text().replace(r#"(memory (export "memory") 9)"#, r#"(memory 9) (func (export "memory"))"#);
    let error = load(&function, options()).unwrap_err();
    assert!(matches!(error, SandboxError::BadExport { name: "memory" }), "{error:?}");
}

#[test]
fn another_version_of_the_abi_is_refused() {
    let error = refused(&Guest { version: "i32.const 3", ..HONEST });
    assert!(matches!(error, SandboxError::AbiVersion { found: 3 }), "{error:?}");
}

#[test]
fn buffers_outside_the_memory_or_over_each_other_are_refused() {
    for (input, output, bad) in [
        ("i32.const 327681", "i32.const 0", "input"),
        ("i32.const -1", "i32.const 0", "input"),
        ("i32.const -2147483648", "i32.const 0", "input"),
        ("i32.const 0", "i32.const 327681", "output"),
        ("i32.const 0", "i32.const 262143", "output"),
        ("i32.const 100", "i32.const 100", "output"),
        ("i32.const 262144", "i32.const 1", "output"),
    ] {
        let error = refused(&Guest { input, output, ..HONEST });
        assert!(matches!(error, SandboxError::BadBuffer { name, .. } if name == bad), "{input} {output}: {error:?}");
    }
    for size in ["i32.const 0", "i32.const 262143", "i32.const 262145", "i32.const -1"] {
        let error = refused(&Guest { input_size: size, ..HONEST });
        assert!(matches!(error, SandboxError::BadBuffer { name: "input", .. }), "{size}: {error:?}");
        let error = refused(&Guest { output_size: size, ..HONEST });
        assert!(matches!(error, SandboxError::BadBuffer { name: "output", .. }), "{size}: {error:?}");
    }
}

#[test]
fn a_guest_that_misbehaves_before_it_is_asked_is_refused() {
    let endless = "(loop $l (br $l)) (unreachable)";
    let start = "(func $start (loop $l (br $l))) (start $start)";
    for guest in [
        Guest { more: start, ..HONEST },
        Guest { version: endless, ..HONEST },
        Guest { input: endless, ..HONEST },
        Guest { output_size: endless, ..HONEST },
    ] {
        let error = refused_with(&guest, hasty());
        let stopped =
            matches!(&error, SandboxError::Start(SandboxFailure::Deadline { after: stopped }) if *stopped == DEADLINE);
        assert!(stopped, "{error:?}");
    }
    for guest in [
        Guest { more: "(func $start unreachable) (start $start)", ..HONEST },
        Guest { version: "unreachable", ..HONEST },
    ] {
        let error = refused(&guest);
        assert!(matches!(error, SandboxError::Start(SandboxFailure::Trap { .. })), "{error:?}");
    }
}

#[test]
fn a_guest_that_starts_too_large_is_refused() {
    let error = refused(&Guest { memory: r#"(memory (export "memory") 1025)"#, ..HONEST });
    assert!(matches!(error, SandboxError::Start(SandboxFailure::MemoryLimit)), "{error:?}");
    let error = refused_with(&HONEST, options().max_memory_bytes(8 * 65_536));
    assert!(matches!(error, SandboxError::Start(SandboxFailure::MemoryLimit)), "{error:?}");
    let error = refused(&Guest { more: "(table 5000 funcref)", ..HONEST });
    assert!(matches!(error, SandboxError::Start(SandboxFailure::MemoryLimit)), "{error:?}");
}

#[test]
fn code_that_could_not_be_stopped_is_refused() {
    let mut without_epochs = engine_config();
    without_epochs.epoch_interruption(false);
    let code = Engine::new(&without_epochs).unwrap().precompile_module(HONEST.text().as_bytes()).unwrap();
    // SAFETY: unchanged output of `precompile_module`.
    #[allow(unsafe_code)]
    let refused = unsafe { Sandbox::from_precompiled(&code, options()) };
    assert!(matches!(&refused, Err(SandboxError::Incompatible { reason }) if reason.contains("epoch")), "{refused:?}");
}

#[test]
fn wasm_that_rust_does_not_make_does_not_compile() {
    let engine = Engine::new(&engine_config()).unwrap();
    for text in [
        r#"(module (memory (export "memory") 1 1 shared))"#,
        r#"(module (memory i64 1))"#,
        r#"(module (memory 1) (memory 1))"#,
        r#"(module (type (struct)))"#,
        r#"(module (func $f (return_call $f)))"#,
        r#"(module (tag))"#,
    ] {
        assert!(engine.precompile_module(text.as_bytes()).is_err(), "{text}");
    }
}

/// A validator that fails while it takes an issuer judges no token, and keys all the same.
#[test]
fn a_guest_that_fails_on_an_issuer_denies_tokens_only() {
    for put_issuer in ["unreachable", "i32.const -7", "(loop $forever (br $forever)) i32.const 0"] {
        let sandbox = Guest { put_issuer, ..HONEST }.load(hasty()).unwrap();
        sandbox.set_issuers(vec![IssuerDocument::new("https://id.example", "{}")]);
        for _ in 0..2 {
            let token = sandbox.check_tokens(|_| Some(7), |answer| Some(answer.len()));
            let Err(SandboxFailure::Issuer { name, cause }) = &token else { panic!("{put_issuer}: {token:?}") };
            assert_eq!(name, "https://id.example");
            assert!(!matches!(**cause, SandboxFailure::Issuer { .. }), "{cause:?}");
            assert!(token.unwrap_err().to_string().contains("https://id.example"), "{put_issuer}");
            assert_eq!(behave(&sandbox).unwrap(), 7, "{put_issuer}");
        }
        sandbox.set_issuers(Vec::new());
        assert_eq!(sandbox.check_tokens(|_| Some(7), |answer| Some(answer.len())).unwrap(), 7, "{put_issuer}");
    }
}

/// The news of a store do not wait for the keys of an issuer: here they never end to be prepared.
#[test]
fn an_issuer_that_takes_long_keeps_no_news_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let slow = Guest { put_issuer: "(loop $forever (br $forever)) i32.const 0", ..HONEST };
    let sandbox = slow.load(SandboxOptions::default().deadline(Duration::from_secs(5))).unwrap();
    let here = Keystile::options().sandbox(sandbox).open(&path).unwrap();
    let elsewhere = Keystile::options().on_demand(true).open(&path).unwrap();
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    elsewhere
        .issuers()
        .add(NewIssuer {
            name: "id".to_owned(),
            issuer: "https://id.example".to_owned(),
            keys: IssuerKeys::Given(format!("{{\"keys\":[{jwk}]}}")),
            algorithms: vec![Algorithm::EdDsa],
            audiences: Vec::new(),
            token_type: None,
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: false,
        })
        .unwrap();
    // The first may be seen together with the issuer, the others come after it.
    for number in 1..=3 {
        elsewhere.keys().create(NewKey { name: "k".to_owned(), ..NewKey::default() }).unwrap();
        while here.secrets_in_memory() < number {
            assert_eq!(here.sandbox_counters().deadlines, 0, "the keys of the issuer came first");
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_issuer_that_does_not_fit_the_buffer_is_not_put() {
    let sandbox = HONEST.load(options()).unwrap();
    sandbox.set_issuers(vec![IssuerDocument::new("https://id.example", "x".repeat(262_145))]);
    let token = sandbox.check_tokens(|_| Some(7), |answer| Some(answer.len()));
    let name = "https://id.example".to_owned();
    assert_eq!(token, Err(SandboxFailure::Issuer { name, cause: Box::new(SandboxFailure::NotEncoded) }));
    assert_eq!(sandbox.counters().not_encoded, 1);
    sandbox.set_issuers(vec![IssuerDocument::new("https://id.example", "x".repeat(262_144))]);
    assert_eq!(sandbox.check_tokens(|_| Some(7), |answer| Some(answer.len())).unwrap(), 7);
}

#[test]
fn a_guest_that_answers_nonsense_on_a_signature_is_not_believed() {
    let answer = |check_jws: &str| {
        let sandbox = Guest { check_jws, ..HONEST }.load(hasty()).unwrap();
        let answer = sandbox.check_jws("jws", b"a.b.c");
        assert_eq!(behave(&sandbox).unwrap(), 7, "{check_jws}");
        answer
    };
    assert_eq!(answer("i32.const 0"), Ok(Ok(())));
    assert_eq!(answer("i32.const 9"), Ok(Err(Code::BadSignature)));
    for (nonsense, length) in [("i32.const 22", 22), ("i32.const 256", 256), ("i32.const 0x7fffffff", 0x7fff_ffff)] {
        assert_eq!(answer(nonsense), Err(SandboxFailure::BadAnswer { length }));
    }
    assert_eq!(answer("i32.const -2"), Err(SandboxFailure::Rejected { code: -2 }));
    assert!(matches!(answer("unreachable"), Err(SandboxFailure::Trap { .. })));
    assert!(matches!(answer("(loop $forever (br $forever)) i32.const 0"), Err(SandboxFailure::Deadline { .. })));
}
