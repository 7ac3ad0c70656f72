//! The keys that sign, and how they follow each other.

use super::*;

/// Published, active, retiring, gone: each at its time, and nothing before it.
#[test]
fn a_rotation_publishes_before_it_signs_and_keeps_what_has_signed() {
    let world = World::new();
    let keystile = world.open();
    let keys = || keystile.signing_keys();
    let first = issue(&keystile);
    assert_eq!(states(&keystile), ["active"]);
    world.clock.advance(1_000);
    let next = keys().rotate(SigningKeyRotation::default()).unwrap().value;
    assert_eq!((next.state, next.signs_from.seconds_since(world.clock.now())), (SigningKeyState::Published, 1_200));
    assert!(keys().jwks().unwrap().contains(&next.kid), "verifiers can fetch it before it signs");
    let again = keys().rotate(SigningKeyRotation::default()).unwrap_err();
    assert_eq!(again.to_string().split(" · ").count(), 2);

    world.clock.advance(1_199);
    let last = issue(&keystile);
    assert_eq!(kid_of(&last), kid_of(&first), "the old one signs until then");
    world.clock.advance(1);
    assert_eq!(states(&keystile), ["retiring", "active"]);
    assert_eq!(kid_of(&issue(&keystile)), next.kid);
    let jwks = keys().jwks().unwrap();
    assert!(jwks.contains(&kid_of(&first)) && jwks.contains(&next.kid));

    let kept_until = keys().list().unwrap()[0].kept_until.unwrap();
    assert_eq!(kept_until, last.expires_at.saturating_add(60));
    // The last token of the old key expires 1,799 seconds from here, and leeway is up to 60.
    world.clock.advance(1_799 + 59);
    assert_eq!(states(&keystile), ["retiring", "active"]);
    world.clock.advance(1);
    assert_eq!(states(&keystile), ["gone", "active"]);
    assert!(!keys().jwks().unwrap().contains(&kid_of(&first)));
    issue(&keystile);
    let actions: Vec<_> = keystile.audit(None, 0, 100).unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(
        actions,
        [
            "store.created",
            "user.created",
            "signing_key.created",
            "token.issued",
            "signing_key.created",
            "token.issued",
            "signing_key.retired",
            "signing_key.promoted",
            "token.issued",
            "signing_key.removed",
            "token.issued",
        ]
    );
}

#[test]
fn an_emergency_rotation_signs_at_once() {
    let world = World::new();
    let keystile = world.open();
    let at_once = |algorithm| {
        keystile
            .signing_keys()
            .rotate(SigningKeyRotation { algorithm, at_once: true, refuse_older: false })
            .unwrap()
            .value
    };
    let first = issue(&keystile);
    let second = at_once(Some(SigningAlgorithm::Es256));
    assert_eq!((kid_of(&issue(&keystile)), states(&keystile)), (second.kid, vec!["retiring", "active"]));
    assert_eq!(keystile.tokens().revoke(first.token.expose_secret()).unwrap().was, WasToken::Live);
    // A key that waits is taken, when it is of that algorithm.
    let waiting = keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap().value;
    assert_eq!(at_once(None).kid, waiting.kid);
    assert_eq!(kid_of(&issue(&keystile)), waiting.kid);
    // And given up when it is not: it has never signed.
    let waiting = keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap().value;
    let other = at_once(Some(SigningAlgorithm::Rs256));
    assert_eq!(kid_of(&issue(&keystile)), other.kid);
    let gone = keystile.signing_keys().list().unwrap().into_iter().find(|key| key.kid == waiting.kid).unwrap();
    assert_eq!(gone.state, SigningKeyState::Gone);
    assert!(!keystile.signing_keys().jwks().unwrap().contains(&waiting.kid));
}

/// For a private key that leaked: whoever has it could sign whatever is not yet expired.
#[test]
fn a_rotation_can_refuse_all_that_older_keys_have_signed() {
    for publish_first in [false, true] {
        let world = World::new();
        let keystile = world.open();
        let token = issue(&keystile);
        if publish_first {
            keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap();
        }
        let waiting = keystile.signing_keys().list().unwrap().last().unwrap().kid.clone();
        let new = keystile.signing_keys().rotate(SigningKeyRotation { refuse_older: true, ..AT_ONCE }).unwrap().value;
        assert_ne!(new.kid, waiting, "whoever has copied the store has that one too");
        assert!(states(&keystile).iter().rev().skip(1).all(|state| *state == "gone"));
        assert!(!keystile.signing_keys().jwks().unwrap().contains(&kid_of(&token)));
        let refused = keystile.tokens().revoke(token.token.expose_secret());
        assert!(matches!(refused, Err(RevokeTokenError::Unknown)), "{refused:?}");
        assert_eq!(kid_of(&issue(&keystile)), new.kid);
    }
}

/// Nothing is written when a retired key goes: time alone ends it, also where the store is followed.
#[test]
fn a_retired_key_ends_by_itself() {
    for on_demand in [true, false] {
        let world = World::new();
        let keystile = world.options().on_demand(on_demand).open(world.db()).unwrap();
        let old = issue(&keystile);
        keystile.signing_keys().rotate(AT_ONCE).unwrap();
        let code = || keystile.verify(old.token.expose_secret(), &keystile.request()).code();
        assert_eq!(code(), None);
        // Expired, and the key that has signed it is still known.
        world.clock.advance(1_800);
        assert_eq!(code(), Some(crate::Code::Expired));
        world.clock.advance(86_400);
        let started = std::time::Instant::now();
        while code() != Some(crate::Code::UnknownSigningKey) {
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", code());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A key that has signed nothing since its last token died goes as soon as it retires.
#[test]
fn a_key_without_live_tokens_goes_at_once() {
    let world = World::new();
    let keystile = world.open();
    keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap();
    keystile.signing_keys().rotate(AT_ONCE).unwrap();
    assert_eq!(states(&keystile), ["gone", "active"]);
}

/// A clock that jumps back brings no key and no token back.
#[test]
fn a_clock_that_jumps_back_brings_nothing_back() {
    let world = World::new();
    let keystile = world.open();
    let token = issue(&keystile);
    keystile.signing_keys().rotate(AT_ONCE).unwrap();
    keystile.tokens().revoke_id(None, &token.token_id).unwrap();
    world.clock.advance(86_400);
    // Whatever is written sweeps what is no longer needed.
    let later = issue(&keystile);
    keystile.tokens().revoke_id(None, &later.token_id).unwrap();
    assert_eq!(states(&keystile), ["gone", "active"]);
    world.clock.set(Timestamp::from_unix(1_700_000_000).unwrap());
    assert_eq!(states(&keystile), ["gone", "active"]);
    let issuer = OwnIssuer::of(&*keystile.inner.store().read().unwrap()).unwrap().issuer;
    let lookup = TokenLookup { token_id: Some(&token.token_id), ..TokenLookup::default() };
    assert!(keystile.inner.token_record(&issuer, lookup).unwrap().revoked);
}

/// Nothing in the key set but what the key itself says: a public key under another name is left out.
#[test]
fn a_public_key_that_was_put_under_another_name_is_not_published() {
    let world = World::new();
    let keystile = world.open();
    issue(&keystile);
    world.raw().execute("UPDATE signing_keys SET kid = 'x'", []).unwrap();
    assert_eq!(keystile.signing_keys().jwks().unwrap(), r#"{"keys":[]}"#);
}

#[test]
fn many_that_make_the_first_key_at_once_end_with_one() {
    let world = World::new();
    let kids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    // A store of its own, as another process has it.
                    let keystile = world.open();
                    kid_of(&issue(&keystile))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    assert_eq!(states(&world.open()), ["active"]);
}

#[test]
fn the_doctor_looks_at_signing_keys_and_at_what_seals_them() {
    use crate::Severity;
    let world = World::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let finding = |options: OpenOptions, check: &str| {
        let health = options.on_demand(true).open(world.db()).unwrap().doctor(&world.db()).unwrap();
        let finding = health.findings.into_iter().find(|finding| finding.check == check).unwrap();
        (finding.severity, finding.message)
    };
    let without = || Keystile::options().clock(Arc::clone(&world.clock));
    assert_eq!(finding(world.options(), "signing").0, Severity::Ok);
    assert_eq!(finding(without(), "kek"), (Severity::Ok, "none given, and nothing is sealed".to_owned()));
    issue(&world.open());
    assert_eq!(finding(world.options(), "signing"), (Severity::Ok, "1 in use, one signs".to_owned()));
    let (severity, message) = finding(world.options(), "kek");
    assert!(severity == Severity::Warning && message.contains("beside the store"), "{message}");

    let moved = elsewhere.path().join("kek");
    std::fs::copy(world.kek(), &moved).unwrap();
    let with = || without().key_encryption_key_file(&moved);
    assert_eq!(finding(with(), "kek").0, Severity::Ok);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&moved, std::fs::Permissions::from_mode(0o640)).unwrap();
        let (severity, message) = finding(with(), "kek");
        assert!(severity == Severity::Warning && message.contains("others can read"), "{message}");
    }
    assert_eq!(finding(without(), "kek").0, Severity::Error, "without it nothing can be signed");
    let missing = without().key_encryption_key_file(elsewhere.path().join("missing"));
    assert_eq!(finding(missing, "kek").0, Severity::Error);

    world.open().signing_keys().rotate(AT_ONCE).unwrap();
    world.clock.advance(3_600);
    let (severity, message) = finding(with(), "signing");
    assert!(severity == Severity::Warning && message.contains("due to go"), "{message}");
    issue(&world.open());
    assert_eq!(finding(with(), "signing").0, Severity::Ok);
    world.raw().execute("UPDATE signing_keys SET sealed_key = zeroblob(9) WHERE state = 'active'", []).unwrap();
    assert_eq!(finding(with(), "signing").0, Severity::Error);
    let gone = "UPDATE signing_keys SET state = 'gone', sealed_key = NULL";
    world.raw().execute(gone, []).unwrap();
    assert_eq!(finding(with(), "signing").0, Severity::Warning);
}
