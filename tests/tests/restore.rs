//! The law of a restore: nothing comes back that the replaced store refused.

use std::path::{Path, PathBuf};

use keystile::{AuditQuery, Code, Grace, KeyChange, Keystile, NewKey, NewStore, RevokeReason, Rotation, Scope};

struct World {
    _folder: tempfile::TempDir,
    folder: PathBuf,
    path: PathBuf,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    World { folder: folder.path().to_owned(), _folder: folder, path }
}

impl World {
    fn open(&self) -> Keystile {
        Keystile::options().on_demand(true).open(&self.path).unwrap()
    }

    fn backup(&self, name: &str) -> PathBuf {
        let to = self.folder.join(name);
        self.open().backup(&to).unwrap();
        to
    }

    fn restore(&self, from: &Path) -> u64 {
        Keystile::restore(from, &self.path, "tester").unwrap().carried_over
    }

    fn code(&self, secret: &str, scope: Option<&str>) -> Option<Code> {
        let keystile = self.open();
        let mut request = keystile.request();
        request.all_of = scope.map(|scope| Scope::new(scope).unwrap()).into_iter().collect();
        keystile.preview(secret, &request).code()
    }

    fn create(&self, scopes: &[&str]) -> keystile::CreatedKey {
        let scopes = scopes.iter().map(|scope| Scope::new(*scope).unwrap()).collect();
        self.open().keys().create(NewKey { name: "k".into(), scopes, ..NewKey::default() }).unwrap()
    }
}

#[test]
fn a_revoked_key_stays_revoked_whatever_is_restored_in_between() {
    let world = world();
    let before = world.backup("before.db");
    let created = world.create(&[]);
    let with_key = world.backup("with-key.db");
    world.open().keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap();
    let secret = created.secret.expose_secret();
    for backup in [&with_key, &before, &with_key] {
        world.restore(backup);
        assert_eq!(world.code(secret, None), Some(Code::Revoked), "after {}", backup.display());
    }
    let key = world.open().keys().show(created.key.id).unwrap();
    assert_eq!(key.revocation.unwrap().reason, RevokeReason::KeyCompromise);
}

#[test]
fn limits_that_were_tightened_stay_tight() {
    let world = world();
    let created = world.create(&["admin", "read"]);
    let secret = created.secret.expose_secret();
    let backup = world.backup("backup.db");
    let change = KeyChange {
        scopes: Some(vec![Scope::new("read").unwrap()]),
        addresses: Some(vec!["10.0.0.0/8".parse().unwrap()]),
        ..KeyChange::default()
    };
    world.open().keys().update(created.key.id, change).unwrap();
    assert_eq!(world.restore(&backup), 1);
    assert_eq!(world.code(secret, Some("admin")), Some(Code::AddressNotAllowed));
    let key = world.open().keys().show(created.key.id).unwrap();
    assert_eq!(key.scopes.len(), 1);
    assert_eq!(world.restore(&world.backup("same.db")), 0, "a backup of what is there changes nothing");
}

#[test]
fn a_retired_secret_stays_retired_and_the_new_one_goes_on_working() {
    let world = world();
    let created = world.create(&[]);
    let backup = world.backup("backup.db");
    let rotation = Rotation { grace: Grace::NONE, ..Rotation::default() };
    let rotated = world.open().keys().rotate(created.key.id, rotation).unwrap();
    world.restore(&backup);
    assert_eq!(world.code(created.secret.expose_secret(), None), Some(Code::Rotated));
    assert_eq!(world.code(rotated.secret.unwrap().expose_secret(), None), None);
}

#[test]
fn a_key_that_the_backup_does_not_know_is_kept_suspended() {
    let world = world();
    let backup = world.backup("backup.db");
    let created = world.create(&[]);
    assert_eq!(world.restore(&backup), 1);
    assert_eq!(world.code(created.secret.expose_secret(), None), Some(Code::Suspended));
    world.open().keys().resume(created.key.id).unwrap();
    assert_eq!(world.code(created.secret.expose_secret(), None), None);
}

/// The trail of the replaced store ends with the restore; its head is noted in the restored one, and
/// each key that was carried over has an entry.
#[test]
fn the_trail_tells_what_was_replaced() {
    let world = world();
    let backup = world.backup("backup.db");
    let created = world.create(&[]);
    let keystile::AuditReport::Intact { entries, head } = world.open().verify_audit(None).unwrap() else { panic!() };
    world.restore(&backup);
    let newest = AuditQuery { limit: 2, ..AuditQuery::default() };
    let trail = world.open().recent_audit(&newest).unwrap().entries;
    assert_eq!(trail[0].action, "store.restored");
    assert!(trail[0].detail.contains(&format!("{entries}:{head}")), "{}", trail[0].detail);
    assert_eq!(trail[1].action, "key.carried_over");
    assert_eq!(trail[1].subject, Some(created.key.id.to_string()));
    assert!(matches!(world.open().verify_audit(None).unwrap(), keystile::AuditReport::Intact { .. }));
}

/// Processes that hold the store open go on with the restored one.
#[test]
fn an_open_turnstile_follows_a_restore() {
    let world = world();
    let backup = world.backup("backup.db");
    let here = Keystile::open(&world.path).unwrap();
    let created = here.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
    let secret = created.secret.expose_secret();
    assert!(here.verify(secret, &here.request()).is_allow());
    world.restore(&backup);
    let restored = std::time::Instant::now();
    // Allowed until it is seen, then nothing at all until it is loaded.
    let mut seen = false;
    loop {
        match here.verify(secret, &here.request()).code() {
            Some(Code::Suspended) => break,
            Some(Code::Unavailable) => seen = true,
            other => assert!(other.is_none() && !seen, "{other:?} after it was seen: {seen}"),
        }
        assert!(restored.elapsed() < std::time::Duration::from_secs(10), "the restore was never seen");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(here.verify(secret, &here.request()).code(), Some(Code::Suspended));
}

/// A journal that an older file of the same name left behind would bring its keys back.
#[test]
fn a_leftover_journal_is_not_replayed_into_a_new_store() {
    let world = world();
    let created = world.create(&[]);
    let holder = Keystile::open(&world.path).unwrap();
    holder.keys().create(NewKey { name: "in the journal".into(), ..NewKey::default() }).unwrap();
    let journal = world.folder.join("keystile.db-wal");
    let kept = std::fs::read(&journal).unwrap();
    assert!(!kept.is_empty());
    drop(holder);
    // As after a crash and a hasty clean-up: the store is gone, its journal is not.
    std::fs::remove_file(&world.path).unwrap();
    std::fs::write(&journal, kept).unwrap();
    let error = Keystile::create(&world.path, NewStore::default()).unwrap_err();
    assert!(error.to_string().contains("keystile.db-wal"), "{error}");
    assert!(!world.path.exists());
    std::fs::remove_file(&journal).unwrap();
    Keystile::create(&world.path, NewStore::default()).unwrap();
    assert_eq!(world.code(created.secret.expose_secret(), None), Some(Code::UnknownKey));
}

/// Whoever moves another file over the store takes the ground from under it: nothing is allowed until
/// it is opened again.
#[cfg(unix)]
#[test]
fn a_store_whose_file_was_replaced_denies_everything() {
    let world = world();
    let created = world.create(&[]);
    let secret = created.secret.expose_secret();
    let resident = Keystile::open(&world.path).unwrap();
    let on_demand = world.open();
    let other = world.backup("other.db");
    assert!(resident.verify(secret, &resident.request()).is_allow());
    std::fs::rename(&other, &world.path).unwrap();
    assert_eq!(on_demand.verify(secret, &on_demand.request()).code(), Some(Code::Unavailable));
    let replaced = std::time::Instant::now();
    while resident.verify(secret, &resident.request()).is_allow() {
        assert!(replaced.elapsed() < std::time::Duration::from_secs(10), "nobody noticed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(resident.verify(secret, &resident.request()).code(), Some(Code::Unavailable));
}

/// The journal lies beside the file, not beside a link to it.
#[cfg(unix)]
#[test]
fn a_link_to_a_store_is_that_store() {
    let world = world();
    let created = world.create(&[]);
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("link.db");
    std::os::unix::fs::symlink(&world.path, &link).unwrap();
    let here = Keystile::open(&world.path).unwrap();
    let through_link = Keystile::options().read_only(true).on_demand(true).open(&link).unwrap();
    here.keys().revoke(created.key.id, RevokeReason::Superseded, None).unwrap();
    let verdict = through_link.verify(created.secret.expose_secret(), &through_link.request());
    assert_eq!(verdict.code(), Some(Code::Revoked));
}
