//! Backups, and restoring them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::audit;
use crate::key::{Revocation, RevokeReason};
use crate::store::sqlite::file::{TemporaryFile, leftovers_of};
use crate::store::sqlite::schema::SCHEMA_VERSION;
use crate::store::{OtherStores, Position};

fn nothing(_: &mut dyn WriteTransaction, _: Option<&dyn ReadTransaction>) -> Result<(), StoreError> {
    Ok(())
}

fn revoked(number: u32) -> Key {
    let revocation = Some(Revocation { at: at(9), reason: RevokeReason::KeyCompromise, note: None });
    Key { state: KeyState::Revoked, revocation, ..key(number) }
}

#[test]
fn a_backup_is_a_store_in_one_private_file() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, (0..100).map(key));
    let writing = store.write().unwrap();
    store.backup(&fixture.file("backup")).unwrap();
    drop(writing);
    assert!(matches!(store.backup(&fixture.file("backup")), Err(StoreError::AlreadyExists { .. })));
    assert!(matches!(store.backup(&fixture.file("no/backup")), Err(StoreError::System { .. })));
    assert_eq!(fs::metadata(fixture.file("backup")).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
    assert_eq!(fixture.files(), ["backup", "keys.db"]);
    let copy = SqliteStore::open(&fixture.file("backup"), Mode::ReadOnly).unwrap();
    assert_eq!(records(&*copy.read().unwrap(), Generation(0)).len(), 100);
}

/// Whoever is killed while it copies cannot remove what it has begun.
#[test]
fn a_copy_that_was_not_finished_is_found_by_its_name() {
    let fixture = Fixture::new();
    let path = fixture.file("keys.db");
    drop(fixture.open());
    assert!(leftovers_of(&path).is_empty());
    let begun = TemporaryFile::beside(&path).unwrap();
    let name = begun.path().file_name().unwrap().to_str().unwrap().to_owned();
    // Beside it, and beside others.
    fs::write(fixture.file(&format!("{name}-journal")), "").unwrap();
    for other in [".keys.db.tmp", ".keys.db.0123.tmp", ".other.db.0123456789abcdef.tmp", "keys.db.0123456789abcdef.tmp"]
    {
        fs::write(fixture.file(other), "").unwrap();
    }
    let names = |found: Vec<PathBuf>| {
        found.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(leftovers_of(&path)), [name.clone(), format!("{name}-journal")]);
    drop(begun);
    assert!(leftovers_of(&path).is_empty());
}

#[test]
fn a_restore_makes_a_missing_store() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    let before = store.read().unwrap().position().unwrap();
    store.backup(&fixture.file("backup")).unwrap();
    let new = fixture.file("new.db");
    let position = SqliteStore::restore(&fixture.file("backup"), &new, OtherStores::Refused, |transaction, current| {
        assert!(current.is_none());
        audit::append(transaction, at(5), "me", "store.restored", None, &serde_json::json!({}))
    })
    .unwrap();
    let generation = Generation(before.generation.0 + 1);
    assert_eq!(position, Position { epoch: before.epoch + 1, generation });
    let restored = SqliteStore::open(&new, Mode::ReadWrite).unwrap();
    assert_eq!(restored.read().unwrap().position().unwrap(), position);
    assert_eq!(find(&restored, 1), Some(key(1)));
    assert_eq!(restored.read().unwrap().last_audit().unwrap().unwrap().action, "store.restored");
    assert!(restored.inspect().unwrap().settings.is_empty());
    drop((store, restored));
    assert_eq!(fixture.files(), ["backup", "keys.db", "new.db"]);
}

/// Others have the store open, one of them in the middle of reading.
#[test]
fn a_restore_into_an_open_store_is_seen_by_all_at_once() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open(), fixture.open());
    insert(&one, [key(1), key(2)]);
    one.backup(&fixture.file("backup")).unwrap();
    write(&one, |transaction| transaction.update_key(&revoked(1)).unwrap());
    insert(&one, (3..300).map(key));
    let before = one.read().unwrap().position().unwrap();
    assert!(two.has_changed().unwrap());
    let reading = two.read().unwrap();
    assert!(reading.key(key_id(299)).unwrap().is_some());

    let position =
        SqliteStore::restore(&fixture.file("backup"), &fixture.path(), OtherStores::Refused, |transaction, current| {
            let revoked = current.unwrap().key(key_id(1))?.unwrap();
            transaction.update_key(&revoked)
        })
        .unwrap();

    assert!(position.epoch == before.epoch + 1 && position.generation > before.generation);
    assert!(reading.key(key_id(299)).unwrap().is_some(), "a view stays what it was");
    drop(reading);
    for store in [&one, &two] {
        assert!(store.has_changed().unwrap());
        assert_eq!(store.read().unwrap().position().unwrap(), position);
        assert_eq!((find(store, 1), find(store, 2), find(store, 299)), (Some(revoked(1)), Some(key(2)), None));
        let changed = records(&*store.read().unwrap(), Generation(position.generation.0 - 1));
        assert_eq!(changed.len(), 1, "what was carried over is of the new generation");
    }
    insert(&one, [key(7)]);
    assert!(find(&two, 7).is_some());
    let inspection = two.inspect().unwrap();
    assert!(inspection.integrity.is_empty() && inspection.settings.is_empty(), "{inspection:?}");
    drop((one, two));
    assert_eq!(fixture.files(), ["backup", "keys.db"]);
}

/// Somebody revokes a key between the look at the store and its replacement.
#[test]
fn a_restore_misses_no_write_in_between() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    store.backup(&fixture.file("backup")).unwrap();
    let mut rounds = 0;
    SqliteStore::restore(&fixture.file("backup"), &fixture.path(), OtherStores::Refused, |transaction, current| {
        rounds += 1;
        transaction.update_key(&current.unwrap().key(key_id(1))?.unwrap())?;
        if rounds == 1 {
            write(&store, |transaction| transaction.update_key(&revoked(1)).unwrap());
        }
        Ok::<(), StoreError>(())
    })
    .unwrap();
    assert_eq!((rounds, find(&store, 1)), (2, Some(revoked(1))));
}

#[test]
fn a_restore_that_is_not_prepared_changes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    store.backup(&fixture.file("backup")).unwrap();
    insert(&store, [key(2)]);
    let before = store.read().unwrap().position().unwrap();
    for to in [fixture.path(), fixture.file("new.db")] {
        let failed = SqliteStore::restore(&fixture.file("backup"), &to, OtherStores::Refused, |_, _| {
            Err(StoreError::RolledBack)
        });
        assert!(matches!(failed, Err(StoreError::RolledBack)));
    }
    assert_eq!(store.read().unwrap().position().unwrap(), before);
    drop(store);
    assert_eq!(fixture.files(), ["backup", "keys.db"]);
}

#[test]
fn another_store_is_replaced_when_that_is_asked_for_without_being_looked_at() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let (store, stranger) = (fixture.open(), other.open());
    insert(&store, [key(1)]);
    store.backup(&fixture.file("backup")).unwrap();
    for number in 10..20 {
        insert(&stranger, [key(number)]);
    }
    let before = stranger.read().unwrap().position().unwrap();
    let refused = SqliteStore::restore(&fixture.file("backup"), &other.path(), OtherStores::Refused, nothing);
    assert!(matches!(refused, Err(StoreError::OtherStore { .. })), "{refused:?}");
    assert_eq!(stranger.read().unwrap().position().unwrap(), before);
    let position = SqliteStore::restore(&fixture.file("backup"), &other.path(), OtherStores::Replaced, |_, current| {
        assert!(current.is_none());
        Ok::<(), StoreError>(())
    })
    .unwrap();
    assert!(position.epoch > before.epoch && position.generation > before.generation);
    assert_eq!((find(&stranger, 1), find(&stranger, 10)), (Some(key(1)), None));
}

#[test]
fn what_cannot_be_restored_is_refused_and_nothing_is_changed() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, (0..500).map(key));
    let backup = fixture.file("backup");
    store.backup(&backup).unwrap();
    drop(store);
    let restore = |from: &str, to: &str| {
        SqliteStore::restore(&fixture.file(from), &fixture.file(to), OtherStores::Refused, nothing)
    };

    let mut damaged = fs::read(&backup).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4096].fill(0xaa);
    fs::write(fixture.file("damaged"), &damaged).unwrap();
    fs::write(fixture.file("truncated"), &damaged[..middle]).unwrap();
    fs::copy(&backup, fixture.file("newer")).unwrap();
    raw(&fixture.file("newer")).pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    fs::copy(&backup, fixture.file("orphan")).unwrap();
    let orphan = raw(&fixture.file("orphan"));
    orphan
        .execute_batch("PRAGMA foreign_keys = OFF; DROP TRIGGER keys_are_not_deleted; DELETE FROM keys WHERE pk = 3")
        .unwrap();
    drop(orphan);
    fs::write(fixture.file("text"), b"hello").unwrap();
    raw(&fixture.file("foreign")).execute_batch("CREATE TABLE a (x)").unwrap();
    let before = fixture.files();
    let original = fs::read(fixture.path()).unwrap();

    for from in ["damaged", "truncated", "orphan"] {
        let error = restore(from, "keys.db").unwrap_err();
        assert!(matches!(error, StoreError::DamagedBackup { .. }), "{from}: {error:?}");
    }
    assert!(matches!(restore("missing", "keys.db"), Err(StoreError::Missing { .. })));
    assert!(matches!(restore("text", "keys.db"), Err(StoreError::NotAStore { .. })));
    assert!(matches!(restore("foreign", "keys.db"), Err(StoreError::OtherProgram { .. })));
    assert!(matches!(restore("newer", "keys.db"), Err(StoreError::Newer { .. })));
    assert!(matches!(restore("backup", "backup"), Err(StoreError::SameFile { .. })));
    let onto_text = restore("backup", "text").unwrap_err();
    assert!(matches!(onto_text, StoreError::NotAStore { .. }) && onto_text.to_string().contains("move it away"));
    assert!(matches!(restore("backup", "foreign"), Err(StoreError::OtherProgram { .. })));
    assert!(matches!(restore("backup", "damaged"), Err(StoreError::Corrupt)));
    assert!(matches!(restore("backup", "newer"), Err(StoreError::Newer { .. })));
    assert_eq!(fixture.files(), before);
    assert_eq!(fs::read(fixture.path()).unwrap(), original);
}

/// A plain copy of a file in WAL mode is a backup too.
#[test]
fn a_copied_file_can_be_restored() {
    let fixture = Fixture::new();
    insert(&fixture.open(), [key(1)]);
    fs::copy(fixture.path(), fixture.file("copy")).unwrap();
    SqliteStore::restore(&fixture.file("copy"), &fixture.file("new.db"), OtherStores::Refused, nothing).unwrap();
    assert_eq!(find(&SqliteStore::open(&fixture.file("new.db"), Mode::ReadOnly).unwrap(), 1), Some(key(1)));
}
