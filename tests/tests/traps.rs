//! Traps that other key systems fell into, each a test with its number in the list we keep.
//!
//! 1 a format read from the left · 2 a grace that outlives the key · 4 a wildcard compared literally ·
//! 6 a cache that answers with the old record (also in `host/src/records.rs`) · 8 expired keys deleted,
//! a missing permission reported as not found · 11 a new hash algorithm that orphans all keys.

use std::sync::Arc;

use keystile::{
    Code, Environment, Grace, KeyFormat, Keystile, ManualClock, NewKey, NewStore, Request, RevokeReason, Rotation,
    SYSTEMS, Scope, Timestamp,
};

struct World {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    clock: Arc<ManualClock>,
    keystile: Keystile,
}

fn world(formats: Vec<(String, KeyFormat)>) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix(1_800_000_000).unwrap()));
    let new = NewStore { formats, ..NewStore::default() };
    Keystile::options().clock(Arc::clone(&clock)).create(&path, new).unwrap();
    let keystile = Keystile::options().clock(Arc::clone(&clock)).open(&path).unwrap();
    World { _folder: folder, path, clock, keystile }
}

impl World {
    fn code(&self, secret: &str, scopes: &[&str]) -> Option<Code> {
        let mut request = self.keystile.request();
        request.all_of = scopes.iter().map(|scope| Scope::new(*scope).unwrap()).collect();
        self.keystile.verify(secret, &request).code()
    }
}

#[test]
fn trap_1_a_rotated_key_keeps_its_whole_prefix_and_environment() {
    let formats = SYSTEMS.iter().map(|system| (system.name.to_owned(), system.format().unwrap())).collect();
    let world = world(formats);
    for (format, environment, start) in [
        ("callcov", "live", "sk_live_"),
        ("callcov", "test_dev", "sk_test_dev_"),
        ("callcov", "live_prod", "sk_live_prod_"),
        ("coreplexml", "test", "cpx_test."),
        ("cerevox", "live", "cvx_live_"),
        ("hippocortex", "test", "hx_test_"),
    ] {
        let new = NewKey {
            name: "trap".into(),
            format: Some(format.into()),
            environment: Some(Environment::new(environment).unwrap()),
            ..NewKey::default()
        };
        let created = world.keystile.keys().create(new).unwrap();
        let rotated = world.keystile.keys().rotate(created.key.id, Rotation::default()).unwrap();
        for secret in [&created.secret, rotated.secret.as_ref().unwrap()] {
            let text = secret.expose_secret();
            assert!(text.starts_with(start), "{format} {environment}");
            assert_eq!(text.len(), start.len() + 36, "{format} {environment}");
            assert_eq!(world.code(text, &[]), None);
        }
        assert_eq!(rotated.key.environment.as_str(), environment);
    }
}

#[test]
fn trap_2_a_grace_never_outlives_the_key() {
    let world = world(Vec::new());
    let keys = world.keystile.keys();
    for from_first_use in [false, true] {
        let expires_at = world.keystile.request().now.saturating_add(3_600);
        let new = NewKey { name: "trial".into(), expires_at: Some(expires_at), ..NewKey::default() };
        let created = keys.create(new).unwrap();
        let grace = if from_first_use { Grace::from_first_use(86_400) } else { Grace::from_now(86_400) };
        let rotated = keys.rotate(created.key.id, Rotation { grace, ..Rotation::default() }).unwrap();
        let (old, new) = (created.secret.expose_secret(), rotated.secret.as_ref().unwrap().expose_secret());
        assert_eq!(world.code(new, &[]), None);
        world.keystile.flush().unwrap();
        let key = keys.show(created.key.id).unwrap();
        assert_eq!(key.secrets[0].retires_at, Some(expires_at), "the old secret ends with the key");
        assert_eq!(key.expires_at, Some(expires_at), "rotating did not make a trial key permanent");
        assert_eq!(world.code(old, &[]), None);
        world.clock.advance(3_600);
        assert_eq!(world.code(old, &[]), Some(Code::Rotated));
        assert_eq!(world.code(new, &[]), Some(Code::Expired));
        assert!(keys.rotate(created.key.id, Rotation::default()).is_err(), "rotating does not wake an expired key");
    }
}

#[test]
fn trap_4_a_documented_wildcard_really_matches() {
    let world = world(Vec::new());
    let scopes = vec![Scope::new("documents:*").unwrap()];
    let created = world.keystile.keys().create(NewKey { name: "wild".into(), scopes, ..NewKey::default() }).unwrap();
    let secret = created.secret.expose_secret();
    assert_eq!(world.code(secret, &["documents:read", "documents:drafts:write"]), None);
    for other in ["documents", "documentsx:read", "document:read"] {
        assert_eq!(world.code(secret, &[other]), Some(Code::InsufficientScope), "{other}");
    }
}

#[test]
fn trap_6_no_answer_with_the_old_record_after_a_revoke() {
    let world = world(Vec::new());
    let elsewhere = Keystile::options().clock(Arc::clone(&world.clock)).open(&world.path).unwrap();
    // Readers ask without a pause while the key is revoked; after the answer to the revoke, none of
    // them in this process may be allowed once more.
    for _ in 0..10 {
        let created = world.keystile.keys().create(NewKey { name: "hot".into(), ..NewKey::default() }).unwrap();
        let secret = created.secret.expose_secret();
        let revoked = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let was_revoked = revoked.load(std::sync::atomic::Ordering::SeqCst);
                        let code = world.code(secret, &[]);
                        if was_revoked {
                            assert_eq!(code, Some(Code::Revoked));
                            break;
                        }
                    }
                });
            }
            world.keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap();
            revoked.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        // A change of something else in another process does not bring it back.
        elsewhere.keys().create(NewKey { name: "later".into(), ..NewKey::default() }).unwrap();
        for _ in 0..50 {
            assert_eq!(world.code(secret, &[]), Some(Code::Revoked));
        }
    }
}

#[test]
fn trap_8_expired_keys_stay_and_a_missing_permission_is_not_an_unknown_key() {
    let world = world(Vec::new());
    let expires_at = Some(world.keystile.request().now.saturating_add(60));
    let created =
        world.keystile.keys().create(NewKey { name: "short".into(), expires_at, ..NewKey::default() }).unwrap();
    let secret = created.secret.expose_secret();
    assert_eq!(world.code(secret, &["read"]), Some(Code::InsufficientScope));
    assert_eq!(Code::InsufficientScope.status(), 403);
    world.clock.advance(60);
    for _ in 0..3 {
        assert_eq!(world.code(secret, &[]), Some(Code::Expired));
    }
    world.keystile.flush().unwrap();
    let key = world.keystile.keys().show(created.key.id).unwrap();
    assert_eq!(key.name, "short");
    assert_eq!(world.keystile.audit(Some(&created.key.id.to_string()), 0, 10).unwrap().len(), 1);
}

/// A store as version 0.1.0 wrote it, with a digest of each origin, must go on working in every later
/// version, whatever the algorithm of new digests will be.
#[test]
fn trap_11_the_keys_of_an_older_store_go_on_working() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    let sql = include_str!("../fixtures/store-0.1.0.sql");
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let keystile = Keystile::open(&path).unwrap();
    let request = Request::at(Timestamp::from_unix(1_800_000_000).unwrap());
    for (secret, code) in [
        (include_str!("../fixtures/store-0.1.0.active").trim_end(), None),
        (include_str!("../fixtures/store-0.1.0.imported").trim_end(), None),
        (include_str!("../fixtures/store-0.1.0.revoked").trim_end(), Some(Code::Revoked)),
    ] {
        assert_eq!(keystile.verify(secret, &request).code(), code);
    }
    assert!(matches!(keystile.verify_audit(None).unwrap(), keystile::AuditReport::Intact { entries: 7, .. }));
}
