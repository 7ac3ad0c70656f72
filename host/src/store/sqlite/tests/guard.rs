//! Files that change under an open store.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use super::*;
use crate::store::faults;

/// At whatever moment of a commit a file is removed: it is never acknowledged, unless it was complete before.
#[test]
fn a_commit_whose_files_are_exchanged_is_not_acknowledged() {
    let mut unacknowledged = 0;
    for removed_at in 0.. {
        let fixture = Fixture::new();
        let store = fixture.open();
        insert(&store, [key(1)]);
        let mut transaction = store.write().unwrap();
        assert!(transaction.insert_key(&key(2)).unwrap());
        let calls = Rc::new(Cell::new(0));
        let (count, index) = (Rc::clone(&calls), fixture.file("keys.db-shm"));
        let hook = move || {
            if count.replace(count.get() + 1) == removed_at {
                fs::remove_file(&index).unwrap();
            }
            false
        };
        let result = faults::with_hook(hook, || transaction.commit());
        if calls.get() <= removed_at {
            result.unwrap();
            break;
        }
        match result.unwrap_err() {
            StoreError::JournalLost { .. } => {}
            StoreError::Unacknowledged { path } => {
                assert_eq!(path, fixture.path());
                unacknowledged += 1;
            }
            error => panic!("{error:?}"),
        }
        assert!(matches!(store.has_changed(), Err(StoreError::JournalLost { .. })));
    }
    assert!(unacknowledged > 0, "a file was removed after the first look of a commit");
}

/// Nothing reads or writes through files that were lost, also not through a store that is opened anew: the engine
/// shares them within a process.
#[test]
fn a_process_that_has_lost_its_files_must_close_them_first() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open(), fixture.open());
    insert(&one, [key(1)]);
    let before = fs::metadata(fixture.path()).unwrap().modified().unwrap();
    fs::remove_file(fixture.file("keys.db-shm")).unwrap();
    for store in [&one, &two] {
        assert!(matches!(store.has_changed(), Err(StoreError::JournalLost { .. })));
        assert!(matches!(store.read().err(), Some(StoreError::JournalLost { .. })));
        assert!(matches!(store.write().err(), Some(StoreError::JournalLost { .. })));
        assert!(matches!(store.inspect().err(), Some(StoreError::JournalLost { .. })));
        assert!(matches!(store.backup(&fixture.file("backup")), Err(StoreError::JournalLost { .. })));
    }
    let third = SqliteStore::open(&fixture.path(), Mode::ReadWrite);
    assert!(matches!(third.err(), Some(StoreError::JournalLost { .. })));
    drop((one, two));
    assert_eq!(fs::metadata(fixture.path()).unwrap().modified().unwrap(), before, "closing wrote nothing");
    assert!(fixture.file("keys.db-wal").exists(), "closing removed nothing");
    assert!(find(&fixture.open(), 1).is_some(), "the log holds what was committed");
}

/// Whichever store of a process closes first, and whatever it leaves behind for the others.
#[test]
fn stores_of_one_process_come_and_go() {
    let fixture = Fixture::new();
    let mut stores = vec![fixture.open(), fixture.open()];
    for number in 0..6 {
        stores.push(fixture.open());
        drop(stores.remove(0));
        insert(&stores[0], [key(number)]);
        if number == 3 {
            // The last one closes, and the files beside the store with it.
            stores.clear();
            assert_eq!(fixture.files(), ["keys.db"]);
            stores = vec![fixture.open(), fixture.open()];
        }
        assert!(stores.iter().all(|store| store.has_changed().is_ok() && find(store, number).is_some()));
    }
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let path = fixture.path();
            std::thread::spawn(move || {
                for round in 0..10 {
                    let store = SqliteStore::open(&path, Mode::ReadWrite).unwrap();
                    insert(&store, [key(100 + thread * 10 + round)]);
                }
            })
        })
        .collect();
    drop(stores);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(fixture.files(), ["keys.db"]);
    assert_eq!(records(&*fixture.open().read().unwrap(), Generation(0)).len(), 46);
}

/// The log of a dead process, and another file in the place of the store.
#[test]
fn a_log_of_another_file_is_not_written_into_the_store() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let store = fixture.open();
    insert(&store, [key(1)]);
    store.backup(&fixture.file("backup")).unwrap();
    let (log, file) = (fs::read(fixture.file("keys.db-wal")).unwrap(), fs::read(fixture.path()).unwrap());
    drop(store);
    let others = fs::read(other.path()).unwrap();
    let backup = fs::read(fixture.file("backup")).unwrap();
    for (what, bytes) in [("another store", &others), ("a backup", &backup)] {
        fs::write(fixture.path(), bytes).unwrap();
        fs::write(fixture.file("keys.db-wal"), &log).unwrap();
        let opened = SqliteStore::open(&fixture.path(), Mode::ReadWrite);
        assert!(matches!(opened.err(), Some(StoreError::Overwritten { .. })), "{what}");
        assert_eq!(&fs::read(fixture.path()).unwrap(), bytes, "{what}: it is left as it is");
        let _ = fs::remove_file(fixture.file("keys.db-shm"));
    }
    // Its own log is taken in.
    fs::write(fixture.path(), &file).unwrap();
    fs::write(fixture.file("keys.db-wal"), &log).unwrap();
    assert!(find(&fixture.open(), 1).is_some());
}

/// The log is written to the store's file when it has become long, also while others have it open.
#[test]
fn a_long_log_is_written_to_the_file() {
    let fixture = Fixture::new();
    let (store, other) = (fixture.open(), fixture.open());
    let len = || fs::metadata(fixture.path()).unwrap().len();
    let before = len();
    let mut number = 0;
    while len() == before {
        insert(&store, (number..number + 500).map(key));
        number += 500;
        assert!(number < 50_000, "no checkpoint was made");
        assert!(other.has_changed().unwrap());
    }
    let log = fs::metadata(fixture.file("keys.db-wal")).unwrap().len();
    assert!(log < 16 << 20, "the log has {log} bytes");
    assert!(find(&other, number - 1).is_some());
}
