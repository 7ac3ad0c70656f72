//! The four systems: their keys, as settings of one host.

use keystile::{Code, Environment, Keystile, NewKey, NewStore, Rate, SYSTEMS, Scope};

fn store() -> (tempfile::TempDir, Keystile) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    let formats = SYSTEMS.iter().map(|system| (system.name.to_owned(), system.format().unwrap())).collect();
    Keystile::create(&path, NewStore { formats, ..NewStore::default() }).unwrap();
    let keystile = Keystile::open(&path).unwrap();
    (folder, keystile)
}

fn scopes(names: &[&str]) -> Vec<Scope> {
    names.iter().map(|name| Scope::new(*name).unwrap()).collect()
}

#[test]
fn each_system_has_live_and_test_keys_that_cannot_stand_in_for_each_other() {
    let (_folder, keystile) = store();
    for (format, live, test) in [
        ("callcov", "sk_live_", "sk_test_"),
        ("cerevox", "cvx_live_", "cvx_test_"),
        ("coreplexml", "cpx_live.", "cpx_test."),
        ("hippocortex", "hx_live_", "hx_test_"),
    ] {
        for (environment, other, start) in [("live", "test", live), ("test", "live", test)] {
            let new = NewKey {
                name: format.into(),
                format: Some(format.into()),
                environment: Some(Environment::new(environment).unwrap()),
                ..NewKey::default()
            };
            let created = keystile.keys().create(new).unwrap();
            let secret = created.secret.expose_secret();
            assert!(secret.starts_with(start));
            assert_eq!(created.key.display(), format!("{}…", &secret[..start.len() + 4]));
            let mut request = keystile.request();
            request.environment = Some(Environment::new(environment).unwrap());
            assert!(keystile.verify(secret, &request).is_allow());
            request.environment = Some(Environment::new(other).unwrap());
            assert_eq!(keystile.verify(secret, &request).code(), Some(Code::WrongEnvironment));
            // The same body under the name of the other environment is a wrong checksum, not a key.
            let forged = secret.replacen(environment, other, 1);
            assert_eq!(keystile.verify(forged, &keystile.request()).code(), Some(Code::UnknownKey));
        }
    }
}

/// CorePlexML: a key with `read` and `predict` can list and predict, and gets 403 for writing.
#[test]
fn coreplexml_scopes() {
    let (_folder, keystile) = store();
    let new = NewKey {
        name: "CI Pipeline".into(),
        format: Some("coreplexml".into()),
        scopes: scopes(&["read", "predict"]),
        ..NewKey::default()
    };
    let created = keystile.keys().create(new).unwrap();
    for (scope, status) in [("read", None), ("predict", None), ("write", Some(403)), ("admin", Some(403))] {
        let mut request = keystile.request();
        request.all_of = scopes(&[scope]);
        let verdict = keystile.verify(created.secret.expose_secret(), &request);
        assert_eq!(verdict.code().map(Code::status), status, "{scope}");
    }
}

/// Hippocortex: 600 calls a minute per key; the 601st waits for the window to end, and a denied call
/// burns nothing.
#[test]
fn hippocortex_rate() {
    let (_folder, keystile) = store();
    let new = NewKey {
        name: "my-agent-key".into(),
        format: Some("hippocortex".into()),
        scopes: scopes(&["read", "write"]),
        rate: Some(Rate::new(600, 60).unwrap()),
        ..NewKey::default()
    };
    let created = keystile.keys().create(new).unwrap();
    let secret = created.secret.expose_secret();
    let request = keystile.request();
    let mut forbidden = request.clone();
    forbidden.all_of = scopes(&["admin"]);
    for call in 0..600 {
        if call % 10 == 0 {
            assert_eq!(keystile.verify(secret, &forbidden).code(), Some(Code::InsufficientScope));
        }
        assert!(keystile.verify(secret, &request).is_allow(), "call {call}");
    }
    let keystile::Verdict::Deny(denial) = keystile.verify(secret, &request) else { panic!("601 calls") };
    assert_eq!(denial.code, Code::RateLimited);
    assert_eq!(denial.retry_after.map(std::num::NonZeroU32::get), Some(60));
    assert!(keystile.preview(secret, &request).is_allow(), "a preview counts nothing");
    let mut later = request.clone();
    later.now = request.now.saturating_add(60);
    assert!(keystile.verify(secret, &later).is_allow(), "the next window starts from nothing");
}

/// At the same time, too: of 40 calls from eight threads exactly 25 find a place.
#[test]
fn a_rate_is_exact_under_load() {
    let (_folder, keystile) = store();
    let rate = Some(Rate::new(25, 60).unwrap());
    let created = keystile.keys().create(NewKey { name: "busy".into(), rate, ..NewKey::default() }).unwrap();
    let request = keystile.request();
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..5).filter(|_| keystile.verify(created.secret.expose_secret(), &request).is_allow()).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 25);
}

/// A batch gives the verdicts that the calls one by one give.
#[test]
fn a_batch_is_many_calls() {
    let (_folder, keystile) = store();
    let mut credentials: Vec<String> = vec![String::new(), "hello".into(), "hx_live_".into(), "x".repeat(70_000)];
    for number in 0..300 {
        let format = SYSTEMS[number % SYSTEMS.len()].name;
        let new = NewKey { name: "batch".into(), format: Some(format.into()), ..NewKey::default() };
        let created = keystile.keys().create(new).unwrap();
        if number % 3 == 0 {
            keystile.keys().suspend(created.key.id).unwrap();
        }
        credentials.push(created.secret.expose_secret().to_owned());
    }
    let request = keystile.request();
    let one_by_one: Vec<_> = credentials.iter().map(|credential| keystile.preview(credential, &request)).collect();
    let before = keystile.sandbox_counters().checks;
    assert_eq!(keystile.verify_batch(&credentials, &request), one_by_one);
    let calls = keystile.sandbox_counters().checks - before;
    assert!(calls < 20, "{calls} calls into the sandbox for {} credentials", credentials.len());
    assert_eq!(one_by_one.iter().filter(|verdict| verdict.is_allow()).count(), 200);
}
