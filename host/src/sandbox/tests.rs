//! Tests with the validator that is in the program. Guests that misbehave are in the workspace's
//! `tests` crate, which has a compiler for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use keystile_validator::wire::{Item, Message, decode_verdict, encode_formats, encode_record};
use keystile_validator::{Digest, Environment, KeyFormat, KeyId, KeyRecord, Request, Timestamp, Verdict};

use super::*;

/// A key that the validator allows, in the forms that a message has.
struct Key {
    secret: String,
    record: Vec<u8>,
    formats: Vec<u8>,
    request: Request,
}

impl Key {
    fn new() -> Self {
        let format = KeyFormat::with_defaults("hx").unwrap();
        let live = Environment::new("live").unwrap();
        let secret = format.assemble(&live, "0123456789abcdefghijABCDEFGHIJ").unwrap().to_string();
        let key = KeyRecord::new(KeyId::from_bytes([7; 16]), Digest::of(secret.as_bytes()), live);
        let (mut record, mut formats) = (Vec::new(), Vec::new());
        encode_record(&key, &mut record).unwrap();
        encode_formats(&[format], &mut formats).unwrap();
        let request = Request::at(Timestamp::from_unix(1_700_000_000).unwrap());
        Self { secret, record, formats, request }
    }

    fn check(&self, sandbox: &Sandbox) -> Result<Verdict, SandboxFailure> {
        sandbox.check(|buffer| self.write_to(buffer), |answer| Some(decode_verdict(answer).ok()?.0))
    }

    fn write_to(&self, buffer: &mut [u8]) -> Option<usize> {
        let items = [Item { credential: self.secret.as_bytes(), record: Some(&self.record) }];
        let message = Message { request: &self.request, formats: &self.formats, items: &items };
        message.write_to(buffer).ok()
    }
}

fn sandbox() -> Sandbox {
    Sandbox::new(SandboxOptions::default()).unwrap()
}

#[test]
fn a_check_is_answered_by_the_guest() {
    let sandbox = sandbox();
    let key = Key::new();
    for _ in 0..3 {
        assert!(key.check(&sandbox).unwrap().is_allow());
    }
    let counters = sandbox.counters();
    assert_eq!((counters.checks, counters.instances_made, counters.failures()), (3, 1, 0));
}

#[test]
fn the_guest_wipes_the_message_and_nothing_else() {
    let sandbox = sandbox();
    let key = Key::new();
    let mut length = 0;
    let fill = |buffer: &mut [u8]| {
        length = key.write_to(buffer)?;
        buffer[length] = 0xaa;
        Some(length)
    };
    sandbox.check(fill, |answer| Some(answer.len())).unwrap();
    sandbox
        .check(
            |buffer| {
                assert_eq!(buffer.len(), 262_144);
                assert_eq!(buffer[..length], vec![0; length]);
                assert_eq!(buffer[length], 0xaa);
                key.write_to(buffer)
            },
            |_| Some(()),
        )
        .unwrap();
}

#[test]
fn a_message_that_is_not_encoded_leaves_nothing_behind() {
    let sandbox = sandbox();
    let half = sandbox.check(
        |buffer| {
            buffer[..3].copy_from_slice(b"hx_");
            None
        },
        |_| Some(()),
    );
    assert_eq!(half, Err(SandboxFailure::NotEncoded));
    let too_long = sandbox.check(|buffer| Some(buffer.len() + 1), |_| Some(()));
    assert_eq!(too_long, Err(SandboxFailure::NotEncoded));
    let clean = |buffer: &mut [u8]| {
        assert!(buffer.iter().all(|byte| *byte == 0));
        Key::new().write_to(buffer)
    };
    sandbox.check(clean, |_| Some(())).unwrap();
    let counters = sandbox.counters();
    assert_eq!((counters.not_encoded, counters.instances_made, counters.checks), (2, 1, 1));
}

#[test]
fn a_refused_message_and_an_unread_answer_cost_an_instance_each() {
    let sandbox = sandbox();
    let refused = sandbox.check(|_| Some(0), |_| Some(()));
    assert!(matches!(refused, Err(SandboxFailure::Rejected { code }) if code < 0));
    let key = Key::new();
    let unread = sandbox.check(|buffer| key.write_to(buffer), |_| None::<()>);
    assert!(matches!(unread, Err(SandboxFailure::BadAnswer { length }) if length > 0));
    assert!(key.check(&sandbox).unwrap().is_allow());
    let counters = sandbox.counters();
    assert_eq!((counters.rejected, counters.bad_answers, counters.failures()), (1, 1, 2));
    assert_eq!((counters.instances_made, counters.instances_discarded, counters.checks), (3, 2, 1));
}

#[test]
fn failures_are_told_to_the_hook() {
    let told = Arc::new(AtomicUsize::new(0));
    let options = SandboxOptions::default().on_failure({
        let told = Arc::clone(&told);
        move |failure| {
            assert!(matches!(failure, SandboxFailure::Rejected { .. }));
            told.fetch_add(1, Ordering::Relaxed);
        }
    });
    let sandbox = Sandbox::new(options).unwrap();
    assert!(Key::new().check(&sandbox).is_ok());
    assert_eq!(told.load(Ordering::Relaxed), 0);
    assert!(sandbox.check(|_| Some(0), |_| Some(())).is_err());
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn a_panic_of_the_caller_costs_an_instance_and_no_place() {
    let sandbox = Sandbox::new(SandboxOptions::default().max_instances(1)).unwrap();
    for _ in 0..3 {
        let panic = catch_unwind(AssertUnwindSafe(|| sandbox.check(|_| panic!("a caller's mistake"), |_| Some(()))));
        assert!(panic.is_err());
    }
    assert!(Key::new().check(&sandbox).unwrap().is_allow());
    assert_eq!(sandbox.counters().instances_discarded, 3);
}

#[test]
fn no_more_instances_than_allowed_and_a_wait_that_ends() {
    let options = SandboxOptions::default().max_instances(1).deadline(Duration::from_millis(30));
    let sandbox = Sandbox::new(options).unwrap();
    let key = Key::new();
    let (begun, ended) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let slow = |buffer: &mut [u8]| {
                begun.wait();
                ended.wait();
                key.write_to(buffer)
            };
            sandbox.check(slow, |_| Some(())).unwrap();
        });
        begun.wait();
        let start = Instant::now();
        assert_eq!(key.check(&sandbox), Err(SandboxFailure::Saturated { instances: 1 }));
        assert!(start.elapsed() >= Duration::from_millis(30));
        ended.wait();
    });
    assert!(key.check(&sandbox).unwrap().is_allow());
    let counters = sandbox.counters();
    assert_eq!((counters.saturated, counters.instances_made), (1, 1));
}

#[test]
fn a_waiting_check_goes_on_when_an_instance_becomes_free() {
    let options = SandboxOptions::default().max_instances(1).deadline(Duration::from_secs(20));
    let sandbox = Sandbox::new(options).unwrap();
    let key = Key::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(key.check(&sandbox).unwrap().is_allow());
                }
            });
        }
    });
    let counters = sandbox.counters();
    assert_eq!((counters.checks, counters.instances_made), (1_600, 1));
}

#[test]
fn the_clock_sleeps_when_idle_and_wakes_for_a_check() {
    let sandbox = sandbox();
    let start = Instant::now();
    while !sandbox.pool.clock_sleeps() {
        assert!(start.elapsed() < Duration::from_secs(20), "the clock does not sleep");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(Key::new().check(&sandbox).unwrap().is_allow());
    assert!(!sandbox.pool.clock_sleeps());
}

#[test]
fn dropping_ends_the_clock() {
    let sandbox = sandbox();
    let clock = sandbox.pool.clock_is_alive();
    assert!(clock());
    drop(sandbox);
    assert!(!clock());
}

#[test]
fn code_of_another_version_is_refused() {
    // The version is in a section that begins with a version byte, a length and the text.
    let version = EMBEDDED.wasmtime.as_bytes();
    let mut section = vec![0, version.len() as u8];
    section.extend_from_slice(version);
    let mut code = precompiled::CODE.to_vec();
    let places: Vec<_> = (0..code.len() - section.len()).filter(|start| code[*start..].starts_with(&section)).collect();
    assert!(!places.is_empty());
    for start in places {
        code[start + 2..start + section.len()].fill(b'1');
    }
    #[allow(unsafe_code)]
    // SAFETY: no instruction was changed, and the code is refused before it is run.
    let refused = unsafe { Sandbox::from_precompiled(&code, SandboxOptions::default()) };
    let Err(SandboxError::Incompatible { reason }) = refused else {
        panic!("code of another version was loaded");
    };
    assert!(reason.contains("version '11'"), "{reason}");
}

#[test]
fn bytes_that_are_no_machine_code_are_refused() {
    for bytes in [&b""[..], b"\0asm\x01\0\0\0", &precompiled::CODE[..100]] {
        #[allow(unsafe_code)]
        // SAFETY: none of these is machine code, so none can be run.
        let refused = unsafe { Sandbox::from_precompiled(bytes, SandboxOptions::default()) };
        assert!(matches!(refused, Err(SandboxError::Incompatible { .. })));
    }
}

#[test]
fn a_limit_below_what_the_validator_needs_is_refused_at_start() {
    let refused = Sandbox::new(SandboxOptions::default().max_memory_bytes(64 * 1024));
    assert!(matches!(refused, Err(SandboxError::Start(SandboxFailure::MemoryLimit))));
}

#[test]
fn the_options_are_kept_within_reason() {
    let options = SandboxOptions::default().max_instances(0).deadline(Duration::ZERO);
    assert_eq!((options.max_instances, options.deadline), (1, Duration::from_millis(1)));
    let options = options.deadline(Duration::MAX);
    assert_eq!(options.deadline, Duration::from_secs(3_600));
    assert!(Key::new().check(&Sandbox::new(options).unwrap()).is_ok());
}

#[test]
fn a_sandbox_is_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Sandbox>();
}
