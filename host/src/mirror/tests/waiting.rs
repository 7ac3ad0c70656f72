//! A verdict that waits for the sandbox: what is acknowledged meanwhile holds for it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use keystile_validator::{Environment, Verdict};

use super::*;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::{Digest, ImportedKey};

/// Has one check hold the only instance while another one begins and waits for it; `meanwhile` happens then.
fn while_it_waits<T: Send>(sandbox: &Sandbox, verify: impl FnOnce() -> T + Send, meanwhile: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let (release, released) = mpsc::channel::<()>();
        let (hold, held) = mpsc::channel();
        scope.spawn(move || {
            let checked = sandbox.check(
                move |_| {
                    hold.send(()).unwrap();
                    released.recv().ok();
                    None
                },
                |_| Some(()),
            );
            assert!(checked.is_err());
        });
        held.recv().unwrap();
        let verdict = scope.spawn(verify);
        while sandbox.waiting() == 0 {
            assert!(!verdict.is_finished(), "it did not wait");
            thread::yield_now();
        }
        meanwhile();
        drop(release);
        verdict.join().unwrap()
    })
}

/// A process with one instance, which nobody follows the store for unless a test says so.
fn open(world: &World, on_demand: bool) -> Keystile {
    let sandbox = SandboxOptions::default().max_instances(1).deadline(Duration::from_secs(600));
    world.options().on_demand(on_demand).sandbox_options(sandbox).open(world.path()).unwrap()
}

fn codes(verdicts: &[Verdict]) -> Vec<Option<Code>> {
    verdicts.iter().map(Verdict::code).collect()
}

/// What to judge, and how: by itself, or in a batch with another one.
fn judge(keystile: &Keystile, credential: &str, other: Option<&str>) -> Vec<Verdict> {
    let request = keystile.request();
    match other {
        None => vec![keystile.verify(credential, &request)],
        Some(other) => keystile.verify_batch(&[credential, other], &request),
    }
}

#[test]
fn a_key_revoked_while_its_verdict_waits_is_revoked() {
    let world = World::new();
    for on_demand in [false, true] {
        let keystile = open(&world, on_demand);
        let other = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
        for other in [None, Some(other.secret.expose_secret())] {
            let created = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
            let secret = created.secret.expose_secret();
            let found = while_it_waits(
                keystile.inner.sandbox(),
                || judge(&keystile, secret, other),
                || drop(keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap()),
            );
            let expected = [Some(Code::Revoked), None];
            assert_eq!(codes(&found), expected[..found.len()], "on demand: {on_demand}");
        }
    }
}

/// An imported secret may look like a token.
#[test]
fn a_key_that_looks_like_a_token_is_looked_up_when_the_sandbox_is_free() {
    let world = World::new();
    for (number, on_demand) in [false, true].into_iter().enumerate() {
        let keystile = open(&world, on_demand);
        let secret = format!("a.b.{number}");
        let environment = Environment::new("live").unwrap();
        let imported =
            keystile.keys().import([ImportedKey::new(Digest::of(secret.as_bytes()), "k", environment)]).unwrap();
        let query = crate::KeyQuery { import: Some(imported.id), ..crate::KeyQuery::default() };
        let id = keystile.keys().list(&query).unwrap().keys[0].id;
        assert!(keystile.verify(&secret, &keystile.request()).is_allow());
        let found = while_it_waits(
            keystile.inner.sandbox(),
            || judge(&keystile, &secret, None),
            || drop(keystile.keys().revoke(id, RevokeReason::KeyCompromise, None).unwrap()),
        );
        assert_eq!(codes(&found), [Some(Code::Revoked)], "on demand: {on_demand}");
    }
}

#[test]
fn a_token_revoked_while_its_verdict_waits_is_revoked() {
    let world = World::new();
    for on_demand in [false, true] {
        let keystile = open(&world, on_demand);
        let issued = world.issue();
        drop(keystile.inner.follow());
        let token = issued.token.expose_secret();
        assert_eq!(keystile.verify(token, &keystile.request()).code(), None);
        let found = while_it_waits(
            keystile.inner.sandbox(),
            || judge(&keystile, token, None),
            || drop(keystile.tokens().revoke_id(None, &issued.token_id).unwrap()),
        );
        assert_eq!(codes(&found), [Some(Code::Revoked)], "on demand: {on_demand}");
    }
}

/// Whatever is in force when the sandbox is free may be too old by then.
#[test]
fn a_mirror_that_fails_while_a_verdict_waits_allows_nothing() {
    let world = World::new();
    let keystile = open(&world, false);
    let other = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
    let secret = other.secret.expose_secret();
    let failures = keystile.sandbox_counters().failures();
    let found =
        while_it_waits(keystile.inner.sandbox(), || judge(&keystile, secret, None), || keystile.inner.mirror.abandon());
    assert_eq!(codes(&found), [Some(Code::Unavailable)]);
    assert_eq!(
        keystile.sandbox_counters().failures(),
        failures + 1,
        "only the check that held the instance has failed"
    );
}
