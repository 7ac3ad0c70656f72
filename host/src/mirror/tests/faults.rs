//! Faults at every read that the mirror makes: what was acknowledged elsewhere is never undone by one.

use super::*;
use crate::store::faults::{failing_at, with_hook};

/// What a change elsewhere ends, and what it must leave alone.
struct Case {
    /// A credential that was allowed before.
    refused: String,
    /// Why it is refused afterwards.
    code: Code,
    /// Credentials that are allowed before and afterwards.
    allowed: Vec<String>,
}

/// Makes a change elsewhere while the read number `n` fails here, for each `n` that there is. `prepare` gives
/// the credentials; `end` ends one of them.
fn with_every_fault<T>(world: &World, prepare: impl Fn() -> (T, Case), end: impl Fn(&T)) {
    for at in 0.. {
        assert!(at < 10_000, "a follow does not make so many calls");
        let (what, Case { refused, code, allowed }) = prepare();
        world.look_after();
        assert_eq!(world.code(&refused), None);
        allowed.iter().for_each(|credential| assert_eq!(world.code(credential), None));
        end(&what);
        let ((), failed) = failing_at(at, || world.look_after());
        // Known, or nothing is: a fault of the question whether anything has changed is made up for at once.
        let found = world.code(&refused);
        let is_healthy = world.here.inner.mirror.is_healthy();
        assert_eq!(found, Some(if is_healthy { code } else { Code::Unavailable }), "at read {at}");
        for credential in &allowed {
            let expected = (!is_healthy).then_some(Code::Unavailable);
            assert_eq!(world.code(credential), expected, "at read {at}");
        }
        world.look_after();
        assert_eq!(world.code(&refused), Some(code), "after read {at} has failed");
        for credential in &allowed {
            assert_eq!(world.code(credential), None, "after read {at} has failed");
        }
        if !failed {
            assert!(at > 20, "a follow reads more than that");
            return;
        }
    }
}

fn secret(created: &CreatedKey) -> String {
    created.secret.expose_secret().to_owned()
}

#[test]
fn a_key_revoked_elsewhere_is_never_allowed() {
    let world = World::new();
    let (other, token) = (world.create_key(), world.issue());
    let allowed = || vec![secret(&other), token.token.expose_secret().to_owned()];
    let prepare = || {
        let created = world.create_key();
        let case = Case { refused: secret(&created), code: Code::Revoked, allowed: allowed() };
        (created, case)
    };
    with_every_fault(&world, prepare, |created| world.revoke_key(created));
}

#[test]
fn a_token_revoked_elsewhere_is_never_allowed() {
    let world = World::new();
    let (other, token) = (world.create_key(), world.issue());
    let allowed = || vec![secret(&other), token.token.expose_secret().to_owned()];
    let prepare = || {
        let issued = world.issue();
        let refused = issued.token.expose_secret().to_owned();
        (issued.token_id, Case { refused, code: Code::Revoked, allowed: allowed() })
    };
    with_every_fault(&world, prepare, |id| drop(world.elsewhere.tokens().revoke_id(None, id).unwrap()));
}

#[test]
fn tokens_of_an_issuer_disabled_elsewhere_are_never_allowed() {
    let world = World::new();
    let refused = world.add_issuer("id", ISSUER);
    let other = world.add_issuer("other", "https://other.example.com");
    let prepare = || {
        // The first time it is enabled already.
        let _ = world.elsewhere.issuers().enable("id");
        ((), Case { refused: refused.clone(), code: Code::UnknownIssuer, allowed: vec![other.clone()] })
    };
    with_every_fault(&world, prepare, |()| drop(world.elsewhere.issuers().disable("id").unwrap()));
}

/// With a key of a public algorithm, and with an HMAC secret, which has to be opened.
#[test]
fn tokens_of_a_signing_key_that_was_given_up_elsewhere_are_never_allowed() {
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Hs256] {
        let world = World::new();
        world.elsewhere.change_settings(|settings| settings.tokens.signing_algorithm = algorithm).unwrap();
        let key = world.create_key();
        let raw = world.raw();
        let prepare = || {
            // Else there would be more to read with each round.
            raw.execute("DELETE FROM signing_keys WHERE state = 'gone'", []).unwrap();
            let refused = world.issue().token.expose_secret().to_owned();
            ((), Case { refused, code: Code::UnknownSigningKey, allowed: vec![secret(&key)] })
        };
        let give_up = |(): &()| {
            let rotation = SigningKeyRotation { algorithm: None, at_once: true, refuse_older: true };
            world.elsewhere.signing_keys().rotate(rotation).unwrap();
        };
        with_every_fault(&world, prepare, give_up);
    }
}

/// A restore begins a new epoch: from when it is seen until it is loaded, nothing is allowed.
#[test]
fn what_a_restored_store_refuses_is_never_allowed() {
    let world = World::new();
    let (created, other) = (world.create_key(), world.create_key());
    let raw = world.raw();
    let prepare = || {
        // The first time it is active already.
        let _ = world.elsewhere.keys().resume(created.key.id);
        ((), Case { refused: secret(&created), code: Code::Suspended, allowed: vec![secret(&other)] })
    };
    let restore = |(): &()| {
        world.elsewhere.keys().suspend(created.key.id).unwrap();
        raw.execute_batch("UPDATE position SET epoch = epoch + 1").unwrap();
    };
    with_every_fault(&world, prepare, restore);
}

#[test]
fn while_a_restored_store_is_loaded_nothing_is_allowed() {
    let world = World::new();
    let created = world.create_key();
    world.look_after();
    world.raw().execute_batch("UPDATE position SET epoch = epoch + 1").unwrap();
    let (seen, here) = (Arc::new(Mutex::new(Vec::new())), world.here.clone());
    let (codes, credential) = (Arc::clone(&seen), secret(&created));
    let look = move || {
        codes.lock().unwrap().push(here.verify(&credential, &here.request()).code());
        false
    };
    with_hook(look, || world.look_after());
    assert_eq!(world.code(created.secret.expose_secret()), None);
    let codes = seen.lock().unwrap();
    let first = codes.iter().position(|code| *code == Some(Code::Unavailable)).expect("it is loaded");
    assert!(codes[first..].iter().all(|code| *code == Some(Code::Unavailable)), "{codes:?}");
    assert!(codes.len() - first > 20, "the new epoch is seen before anything of it is read: {codes:?}");
}

/// When the change was made here and cannot be read back: it was acknowledged, so it holds.
#[test]
fn a_key_revoked_here_is_never_allowed_although_it_cannot_be_read_back() {
    let world = World::new();
    let mut acknowledged = 0;
    for at in 0.. {
        let created = world.create_key();
        world.look_after();
        let revoke = || world.here.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None);
        let (result, failed) = failing_at(at, revoke);
        let found = world.code(created.secret.expose_secret());
        if result.is_ok() {
            acknowledged += 1;
            assert!(matches!(found, Some(Code::Revoked | Code::Unavailable)), "{found:?} at call {at}");
            world.look_after();
            assert_eq!(world.code(created.secret.expose_secret()), Some(Code::Revoked), "at call {at}");
        } else {
            // What was said to have failed may have begun a transaction: the next one ends it.
            drop(world.here.inner.store().write());
        }
        if !failed {
            break;
        }
    }
    assert!(acknowledged > 20, "most calls come after the commit: {acknowledged}");
}

/// Where nothing is held in memory, every verdict reads for itself.
#[test]
fn on_demand_a_fault_allows_nothing_that_is_refused() {
    let world = World::new();
    let (revoked, live) = (world.create_key(), world.create_key());
    world.revoke_key(&revoked);
    let (token, live_token) = (world.issue(), world.issue());
    let disabled = world.add_issuer("id", ISSUER);
    let verify = |keystile: &Keystile, credential: &str| keystile.verify(credential, &keystile.request()).code();
    let asked = world.options().on_demand(true).open(world.path()).unwrap();
    for at in 0.. {
        // It has the issuers of before. The first time this one is enabled already.
        let _ = world.elsewhere.issuers().enable("id");
        assert_eq!((verify(&asked, token.token.expose_secret()), verify(&asked, &disabled)), (None, None));
        world.elsewhere.issuers().disable("id").unwrap();
        let cases = [
            (revoked.secret.expose_secret(), Some(Code::Revoked)),
            (live.secret.expose_secret(), None),
            (&disabled, Some(Code::UnknownIssuer)),
            (live_token.token.expose_secret(), None),
        ];
        let mut any_failed = false;
        for (credential, code) in cases {
            let (found, failed) = failing_at(at, || verify(&asked, credential));
            any_failed |= failed;
            let expected = if failed { Some(Code::Unavailable) } else { code };
            assert_eq!(found, expected, "at call {at}");
            assert_eq!(verify(&asked, credential), code, "after call {at} has failed");
        }
        if !any_failed {
            assert!(at > 20, "a verdict on a token reads more than that: {at}");
            return;
        }
    }
}

/// The issuers cannot be read because of one of them, and another one is disabled: what was told of the old
/// ones must not stay in force.
#[test]
fn one_issuer_that_cannot_be_read_denies_everything_and_is_named() {
    let world = World::new();
    let token = world.add_issuer("id", ISSUER);
    world.add_issuer("broken", "https://broken.example.com");
    let (created, own) = (world.create_key(), world.issue());
    world.look_after();
    let credentials = [token.as_str(), created.secret.expose_secret(), own.token.expose_secret()];
    assert_eq!(credentials.map(|credential| world.code(credential)), [None; 3]);

    let write = |audiences: &str| {
        let raw = world.raw();
        raw.execute("UPDATE issuers SET audiences = ?1 WHERE name = 'broken'", [audiences]).unwrap();
    };
    write("x");
    let rotation = SigningKeyRotation { algorithm: None, at_once: true, refuse_older: true };
    world.elsewhere.signing_keys().rotate(rotation).unwrap();
    world.elsewhere.issuers().disable("id").unwrap();
    world.look_after();
    let unavailable = [Some(Code::Unavailable); 3];
    assert_eq!(credentials.map(|credential| world.code(credential)), unavailable);
    let error = world.here.inner.follow().unwrap_err();
    assert!(matches!(&error, StoreError::InvalidRow { column: "issuers.audiences", row } if row == "broken"));
    assert!(error.to_string().contains("in the row broken"), "{error}");
    let opened = world.options().open(world.path()).unwrap_err();
    assert!(opened.to_string().contains("broken"), "{opened}");
    // Looked up on demand, tokens are in the same place.
    let found = world.elsewhere.verify(&token, &world.elsewhere.request()).code();
    assert_eq!(found, Some(Code::Unavailable));

    write("[]");
    world.look_after();
    let mended = [Some(Code::UnknownIssuer), None, Some(Code::UnknownSigningKey)];
    assert_eq!(credentials.map(|credential| world.code(credential)), mended);
}
