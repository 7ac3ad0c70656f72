//! What is opened, what is refused, and that refusing changes nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::store::Position;
use crate::store::sqlite::schema::SCHEMA_VERSION;

#[test]
fn a_new_store_is_private_and_complete() {
    let fixture = Fixture::new();
    assert_eq!(fixture.files(), ["keys.db"], "no journal and no temporary file is left");
    assert_eq!(fs::metadata(fixture.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let store = fixture.open();
    insert(&store, [key(1)]);
    for file in fixture.files() {
        assert_eq!(fs::metadata(fixture.file(&file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let view = store.read().unwrap();
    assert_eq!(view.formats().unwrap(), [format("default", "ks")]);
    assert_eq!(view.settings().unwrap(), Settings::default());
    assert!(!view.has_imports().unwrap());
    let inspection = store.inspect().unwrap();
    assert_eq!((inspection.schema, inspection.keys, inspection.secrets), (SCHEMA_VERSION, 1, 1));
    assert!(inspection.bytes > 4096 && inspection.engine.starts_with("SQLite 3."), "{inspection:?}");
    assert!(inspection.integrity.is_empty() && inspection.settings.is_empty(), "{inspection:?}");
}

#[test]
fn nothing_is_overwritten() {
    let fixture = Fixture::new();
    let before = fs::read(fixture.path()).unwrap();
    let create = |name: &str| SqliteStore::create(&fixture.file(name), &Settings::default(), &[], at(0));
    assert!(matches!(create("keys.db").unwrap_err(), StoreError::AlreadyExists { .. }));
    assert_eq!(fs::read(fixture.path()).unwrap(), before);
    std::os::unix::fs::symlink("nowhere", fixture.file("dangling")).unwrap();
    assert!(matches!(create("dangling").unwrap_err(), StoreError::AlreadyExists { .. }));
    assert!(matches!(create("no/such/directory.db").unwrap_err(), StoreError::System { .. }));
    assert_eq!(fixture.files(), ["dangling", "keys.db"]);
}

#[test]
fn a_store_that_cannot_be_filled_is_not_made() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keys.db");
    let created = SqliteStore::create_with(&path, &Settings::default(), &[], at(0), |transaction| {
        assert!(transaction.insert_key(&Key { format: None, ..key(1) })?);
        Err(StoreError::RolledBack)
    });
    assert!(matches!(created.unwrap_err(), StoreError::RolledBack));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let fixture = Fixture::new();
    let foreign = raw(&fixture.file("foreign"));
    foreign.execute_batch("PRAGMA journal_mode = delete; PRAGMA application_id = 7; CREATE TABLE a (x)").unwrap();
    let foreign_wal = raw(&fixture.file("foreign_wal"));
    foreign_wal.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE a (x)").unwrap();
    drop((foreign, foreign_wal));
    fs::write(fixture.file("empty"), b"").unwrap();
    fs::write(fixture.file("text"), b"name,owner\n".repeat(100)).unwrap();
    fs::write(fixture.file("short"), b"SQLite format 3\0").unwrap();
    fs::create_dir(fixture.file("directory")).unwrap();
    let snapshot = || {
        let files = fixture.files();
        let contents: Vec<_> = files.iter().map(|file| fs::read(fixture.file(file)).ok()).collect();
        (files, contents)
    };
    let before = snapshot();
    for mode in [Mode::ReadWrite, Mode::ReadOnly] {
        let open = |name: &str| SqliteStore::open(&fixture.file(name), mode).unwrap_err();
        assert!(matches!(open("missing"), StoreError::Missing { .. }));
        assert!(matches!(open("missing/keys.db"), StoreError::Missing { .. }));
        for name in ["empty", "text", "short", "directory"] {
            assert!(matches!(open(name), StoreError::NotAStore { .. }), "{name}");
        }
        for name in ["foreign", "foreign_wal"] {
            assert!(matches!(open(name), StoreError::OtherProgram { .. }), "{name}");
        }
        assert!(open("missing").to_string().contains("keystile init"));
    }
    assert_eq!(snapshot(), before);
}

#[test]
fn other_versions_are_told_apart() {
    let fixture = Fixture::new();
    fixture.raw().pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    for mode in [Mode::ReadWrite, Mode::ReadOnly] {
        let error = SqliteStore::open(&fixture.path(), mode).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found, supported, .. } if found == supported + 1), "{error}");
    }
    // A newer version that is in the journal only.
    fixture.raw().pragma_update(None, "user_version", SCHEMA_VERSION).unwrap();
    let other = fixture.raw();
    other.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    assert!(matches!(SqliteStore::open(&fixture.path(), Mode::ReadWrite), Err(StoreError::Newer { .. })));
    other.pragma_update(None, "user_version", SCHEMA_VERSION - 1).unwrap();
    let error = SqliteStore::open(&fixture.path(), Mode::ReadOnly).unwrap_err();
    assert!(matches!(error, StoreError::Older { found, needed, .. } if found + 1 == needed), "{error}");
}

#[test]
fn a_damaged_store_is_reported() {
    let fixture = Fixture::new();
    insert(&fixture.open(), (0..500).map(key));
    let mut bytes = fs::read(fixture.path()).unwrap();
    let length = bytes.len();
    bytes[length / 4 * 3..].fill(0xaa);
    fs::write(fixture.path(), &bytes).unwrap();
    let store = fixture.open();
    assert!(!store.inspect().unwrap().integrity.is_empty());
    assert!(matches!(store.backup(&fixture.file("backup")).unwrap_err(), StoreError::Corrupt));
    let mut reads = (0..500).map(|number| store.read().unwrap().key(key_id(number)));
    assert!(reads.any(|read| matches!(read, Err(StoreError::Corrupt | StoreError::InvalidValue { .. }))));
    drop(reads);
    assert_eq!(fixture.files().iter().filter(|name| name.contains("tmp") || name.contains("backup")).count(), 0);
    // A schema that cannot be read.
    drop(store);
    bytes[100..4096].fill(0xaa);
    fs::write(fixture.path(), &bytes).unwrap();
    assert!(matches!(SqliteStore::open(&fixture.path(), Mode::ReadWrite), Err(StoreError::Corrupt)));
}

#[test]
fn a_store_for_reading_is_not_written() {
    let fixture = Fixture::new();
    let writer = fixture.open();
    insert(&writer, [key(1)]);
    let reader = SqliteStore::open(&fixture.path(), Mode::ReadOnly).unwrap();
    assert!(matches!(reader.write().err(), Some(StoreError::ReadOnly)));
    assert!(find(&reader, 1).is_some());
    assert!(!reader.has_changed().unwrap());
    insert(&writer, [key(2)]);
    assert!(reader.has_changed().unwrap() && !reader.has_changed().unwrap());
    assert!(find(&reader, 2).is_some());
}

#[test]
fn own_and_foreign_changes_are_noticed() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open(), fixture.open());
    assert!(!one.has_changed().unwrap() && !two.has_changed().unwrap());
    insert(&one, [key(1)]);
    assert!(one.has_changed().unwrap() && two.has_changed().unwrap());
    assert!(!one.has_changed().unwrap() && !two.has_changed().unwrap());
    drop(one.write().unwrap());
    assert!(!one.has_changed().unwrap() && !two.has_changed().unwrap());
}

#[test]
fn a_file_that_was_replaced_is_noticed() {
    let fixture = Fixture::new();
    let store = fixture.open();
    fs::rename(fixture.path(), fixture.file("old.db")).unwrap();
    assert!(matches!(store.has_changed().unwrap_err(), StoreError::Replaced { .. }));
    // The journal of the old file is still beside its name, so a new store cannot be made there …
    let made = SqliteStore::create(&fixture.path(), &Settings::default(), &[], at(0));
    assert!(matches!(made.err(), Some(StoreError::AlreadyExists { .. })));
    // … but another one can be moved there.
    drop(SqliteStore::create(&fixture.file("new.db"), &Settings::default(), &[], at(0)).unwrap());
    fs::rename(fixture.file("new.db"), fixture.path()).unwrap();
    assert!(matches!(store.has_changed().unwrap_err(), StoreError::Replaced { .. }));
    assert!(matches!(store.read().err(), Some(StoreError::Replaced { .. })));
    assert!(matches!(store.write().err(), Some(StoreError::Replaced { .. })));
}

#[test]
fn looking_at_a_file_keeps_the_locks_of_this_process() {
    // On POSIX systems, closing any descriptor of a file drops the locks of the whole process on it.
    let fixture = Fixture::new();
    let holder = fixture.open();
    let mut transaction = holder.write().unwrap();
    assert!(transaction.insert_key(&key(1)).unwrap());
    for _ in 0..3 {
        drop(fixture.open());
        let inode = fs::metadata(fixture.path()).unwrap().ino();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        if !locks.is_empty() {
            assert!(locks.contains(&format!(":{inode} ")), "no lock is left on the store");
        }
    }
    transaction.commit().unwrap();
    assert!(find(&fixture.open(), 1).is_some());
}

#[test]
fn a_view_is_of_one_moment() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let view = store.read().unwrap();
    let before = view.position().unwrap();
    insert(&store, [key(1)]);
    assert_eq!(view.position().unwrap(), before);
    assert_eq!(view.key(key_id(1)).unwrap(), None);
    let after = store.read().unwrap().position().unwrap();
    let generation = Generation(before.generation.0 + 1);
    assert_eq!(after, Position { epoch: before.epoch, generation });
}

#[test]
fn more_readers_than_are_kept_can_read_at_once() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let views: Vec<_> = (0..20).map(|_| store.read().unwrap()).collect();
    assert!(views.iter().all(|view| view.position().is_ok()));
}
