//! A newer Keystile migrates a store that this one has open: it is neither read nor written by the old meaning.

use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::store::sqlite::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::store::{Erasure, OtherStores, faults};

/// What a newer program leaves behind. `false`: somebody else is writing.
fn set_schema(path: &Path, version: u32) -> bool {
    let connection = raw(path);
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.pragma_update(None, "user_version", version).is_ok()
}

fn schema_of(fixture: &Fixture) -> u32 {
    schema::version(&fixture.raw()).unwrap()
}

fn is_migrated<T>(result: Result<T, StoreError>, to: u32) -> bool {
    matches!(result.err(), Some(StoreError::Migrated { found, supported: SCHEMA_VERSION, .. }) if found == to)
}

/// Has `work` done while the store is migrated at its call number `at` of the engine. Whether it was migrated, and
/// whether there was such a call.
fn migrated_at<T>(fixture: &Fixture, at: usize, work: impl FnOnce() -> T) -> (T, bool, bool) {
    let (calls, was_migrated) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (count, done, path) = (Rc::clone(&calls), Rc::clone(&was_migrated), fixture.path());
    let hook = move || {
        if count.replace(count.get() + 1) == at {
            done.set(set_schema(&path, SCHEMA_VERSION + 1));
        }
        false
    };
    let result = faults::with_hook(hook, work);
    (result, was_migrated.get(), calls.get() > at)
}

#[test]
fn a_store_that_was_migrated_is_neither_read_nor_written() {
    for to in [SCHEMA_VERSION + 1, SCHEMA_VERSION - 1, 0] {
        let fixture = Fixture::new();
        let stores = [fixture.open(), fixture.open()];
        let reading = SqliteStore::open(&fixture.path(), Mode::ReadOnly).unwrap();
        insert(&stores[0], [key(1)]);
        let before = reading.read().unwrap();
        assert!(set_schema(&fixture.path(), to));
        for store in stores.iter().chain([&reading]) {
            assert!(store.has_changed().unwrap(), "whoever follows looks at once");
            assert!(is_migrated(store.read(), to));
            assert!(is_migrated(store.inspect(), to));
            assert!(is_migrated(store.erasure(), to));
            assert!(is_migrated(store.erase(Duration::ZERO), to));
            assert!(is_migrated(store.backup(&fixture.file("backup")), to));
        }
        assert!(stores.iter().all(|store| is_migrated(store.write(), to)));
        assert!(before.key(key_id(1)).unwrap().is_some(), "a view is of one moment");
        drop(before);
        assert_eq!(fixture.files(), ["keys.db", "keys.db-shm", "keys.db-wal"], "no backup is left");
        // Nobody knows what was changed meanwhile.
        assert!(set_schema(&fixture.path(), SCHEMA_VERSION));
        assert!(stores.iter().all(|store| is_migrated(store.read(), to) && is_migrated(store.write(), to)));
        drop((stores, reading));
        assert!(find(&fixture.open(), 1).is_some());
    }
}

#[test]
fn a_store_that_has_lost_its_mark_is_neither_read_nor_written() {
    let fixture = Fixture::new();
    let store = fixture.open();
    fixture.raw().pragma_update(None, "application_id", 7).unwrap();
    assert!(store.has_changed().unwrap());
    assert!(matches!(store.read().err(), Some(StoreError::OtherProgram { .. })));
    assert!(matches!(store.write().err(), Some(StoreError::OtherProgram { .. })));
    fixture.raw().pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    insert(&store, [key(1)]);
}

/// Whether the store is migrated before a write or at whatever moment of it: the write is refused, or it comes first.
#[test]
fn a_write_into_a_migrated_store_is_not_applied() {
    let fixture = Fixture::new();
    for number in 0.. {
        let store = fixture.open();
        let write = || {
            let mut transaction = store.write()?;
            assert!(transaction.insert_key(&key(number))?);
            transaction.commit()
        };
        let (result, was_migrated, there_is_more) = match (number as usize).checked_sub(1) {
            None => {
                assert!(set_schema(&fixture.path(), SCHEMA_VERSION + 1));
                (write(), true, true)
            }
            Some(at) => migrated_at(&fixture, at, write),
        };
        if let Err(error) = &result {
            assert!(was_migrated && matches!(error, StoreError::Migrated { .. }), "{error:?}");
        }
        drop(store);
        assert!(set_schema(&fixture.path(), SCHEMA_VERSION));
        assert_eq!(find(&fixture.open(), number).is_some(), result.is_ok(), "number {number}");
        if !there_is_more {
            assert!(number > 20, "a write makes more calls than that");
            return;
        }
    }
}

/// The erasure writes the whole file anew: over nothing that a newer program has written.
#[test]
fn a_migrated_store_is_not_written_anew() {
    let fixture = Fixture::new();
    let (mut refused, mut done) = (0, 0);
    for at in 0.. {
        let store = fixture.open();
        let ask = "UPDATE erasure SET erased = erased + 1, rewrite_asked = rewrite_asked + 1";
        assert_eq!(fixture.raw().execute(ask, []).unwrap(), 1);
        let (result, was_migrated, there_is_more) = migrated_at(&fixture, at, || store.erase(Duration::from_secs(30)));
        let expected = if was_migrated { SCHEMA_VERSION + 1 } else { SCHEMA_VERSION };
        assert_eq!(schema_of(&fixture), expected, "at call {at}");
        match result {
            Ok(erasure) => {
                assert_eq!(erasure, Erasure::Done);
                done += 1;
            }
            Err(error) => {
                assert!(was_migrated && matches!(error, StoreError::Migrated { .. }), "{error:?} at call {at}");
                refused += 1;
            }
        }
        drop(store);
        assert!(set_schema(&fixture.path(), SCHEMA_VERSION));
        if !there_is_more {
            break;
        }
    }
    assert!(refused > 0 && done > 0, "{refused} {done}");
}

/// A restore puts a whole file in the place of the store, after work that takes a while.
#[test]
fn a_store_that_is_migrated_during_a_restore_is_not_replaced() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    store.backup(&fixture.file("backup")).unwrap();
    insert(&store, [key(2)]);
    let path = fixture.path();
    let restored = SqliteStore::restore::<StoreError>(&fixture.file("backup"), &path, OtherStores::Refused, |_, _| {
        assert!(set_schema(&path, SCHEMA_VERSION + 1));
        Ok(())
    });
    assert!(is_migrated(restored, SCHEMA_VERSION + 1));
    let keys: i64 = fixture.raw().query_row("SELECT count(*) FROM keys", [], |row| row.get(0)).unwrap();
    assert_eq!((schema_of(&fixture), keys), (SCHEMA_VERSION + 1, 2));
}
