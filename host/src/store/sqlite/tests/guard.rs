//! Files that change under an open store.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use super::*;
use crate::key::{Revocation, RevokeReason};
use crate::store::{OtherStores, faults};

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

/// A rollback journal that takes back what was changed since a copy was made: a key that is revoked is active in it.
/// The store `keys.db` has the revoke, `copy` has not, and `journal` is the file.
fn store_with_an_older_journal() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    insert(&fixture.open(), [key(1)]);
    let (copy, store) = (fixture.file("copy"), fixture.path());
    fs::copy(&store, &copy).unwrap();
    revoke(&fixture.open(), 1);
    let writer = raw(&copy);
    writer.execute_batch("PRAGMA journal_mode = delete; PRAGMA cache_size = 1; BEGIN IMMEDIATE").unwrap();
    // More than fits into the cache, so that the journal is synced, and pages are written before the commit.
    writer
        .execute_batch(
            "UPDATE keys SET name = 'x'; UPDATE position SET generation = generation + 1; CREATE TABLE filler (x)",
        )
        .unwrap();
    for _ in 0..100 {
        writer.execute("INSERT INTO filler VALUES (randomblob(3000))", []).unwrap();
    }
    let journal = fs::read(fixture.file("copy-journal")).unwrap();
    drop(writer);
    // Whoever knows nothing of it does replay it.
    fs::copy(&store, &copy).unwrap();
    fs::write(fixture.file("copy-journal"), &journal).unwrap();
    let state: String = raw(&copy).query_row("SELECT state FROM keys", [], |row| row.get(0)).unwrap();
    assert_eq!(state, "active");
    (fixture, journal)
}

fn revoke(store: &SqliteStore, number: u32) {
    let revocation = Revocation { at: at(9), reason: RevokeReason::KeyCompromise, note: None };
    let revoked = Key { state: KeyState::Revoked, revocation: Some(revocation), ..key(number) };
    write(store, |transaction| transaction.update_key(&revoked).unwrap());
}

fn is_rollback_journal<T>(result: Result<T, StoreError>) -> bool {
    matches!(result.err(), Some(StoreError::RollbackJournal { .. }))
}

#[test]
fn a_rollback_journal_beside_a_store_is_refused_and_not_replayed() {
    let (fixture, journal) = store_with_an_older_journal();
    let before = fs::read(fixture.path()).unwrap();
    fixture.open().backup(&fixture.file("backup")).unwrap();
    for name in ["keys.db-journal", "backup-journal"] {
        fs::write(fixture.file(name), &journal).unwrap();
    }
    for mode in [Mode::ReadWrite, Mode::Sparing, Mode::ReadOnly] {
        for name in ["keys.db", "backup"] {
            assert!(is_rollback_journal(SqliteStore::open(&fixture.file(name), mode)), "{name}, {mode:?}");
        }
    }
    let nothing = |_: &mut dyn WriteTransaction, _: Option<&dyn ReadTransaction>| Ok::<(), StoreError>(());
    assert!(is_rollback_journal(SqliteStore::restore(
        &fixture.file("backup"),
        &fixture.file("new"),
        OtherStores::Refused,
        nothing
    )));
    fs::remove_file(fixture.file("backup-journal")).unwrap();
    assert!(is_rollback_journal(SqliteStore::restore(
        &fixture.file("backup"),
        &fixture.path(),
        OtherStores::Refused,
        nothing
    )));
    assert_eq!(fs::read(fixture.path()).unwrap(), before, "the store is left as it is");
    assert_eq!(fs::read(fixture.file("keys.db-journal")).unwrap(), journal, "and so is the journal");
    // An empty one says nothing.
    fs::write(fixture.file("keys.db-journal"), "").unwrap();
    assert_eq!(find(&fixture.open(), 1).unwrap().state, KeyState::Revoked);
}

#[test]
fn a_rollback_journal_that_comes_while_the_store_is_open_is_noticed() {
    let (fixture, journal) = store_with_an_older_journal();
    let stores = [fixture.open(), SqliteStore::open(&fixture.path(), Mode::ReadOnly).unwrap()];
    fs::write(fixture.file("keys.db-journal"), &journal).unwrap();
    for store in &stores {
        assert!(is_rollback_journal(store.has_changed()));
        assert!(is_rollback_journal(store.read().map(drop)));
        assert!(is_rollback_journal(store.backup(&fixture.file("backup"))));
    }
    assert!(is_rollback_journal(stores[0].write().map(drop)));
    fs::remove_file(fixture.file("keys.db-journal")).unwrap();
    assert!(is_rollback_journal(stores[0].read().map(drop)), "until this process has closed the store");
    drop(stores);
    assert_eq!(find(&fixture.open(), 1).unwrap().state, KeyState::Revoked);
}

/// At whatever moment of opening the journal comes: what it takes back is never read.
#[test]
fn a_rollback_journal_that_comes_while_the_store_is_opened_is_not_replayed() {
    let (fixture, journal) = store_with_an_older_journal();
    fixture.open().backup(&fixture.file("backup")).unwrap();
    let mut refused = 0;
    for (name, mode) in [("keys.db", Mode::ReadWrite), ("backup", Mode::ReadWrite), ("keys.db", Mode::ReadOnly)] {
        let bytes = fs::read(fixture.file(name)).unwrap();
        let (path, at) = (fixture.file("opened"), fixture.file("opened-journal"));
        for comes_at in (0..40).chain((40..).step_by(9)) {
            for suffix in ["-journal", "-wal", "-shm"] {
                let _ = fs::remove_file(fixture.file(&format!("opened{suffix}")));
            }
            fs::write(&path, &bytes).unwrap();
            let calls = Rc::new(Cell::new(0));
            let (count, at, journal) = (Rc::clone(&calls), at.clone(), journal.clone());
            let hook = move || {
                if count.replace(count.get() + 1) == comes_at {
                    fs::write(&at, &journal).unwrap();
                }
                false
            };
            match faults::with_hook(hook, || SqliteStore::open(&path, mode)) {
                Ok(store) => match store.read() {
                    Ok(view) => assert_eq!(view.key(key_id(1)).unwrap().unwrap().state, KeyState::Revoked),
                    Err(error) => assert!(is_rollback_journal(Err::<(), _>(error))),
                },
                // What it holds could be one of many things, if it was replayed.
                Err(StoreError::RollbackJournal { .. } | StoreError::Overwritten { .. }) => refused += 1,
                Err(error) => panic!("{name}, {mode:?}, call {comes_at}: {error:?}"),
            }
            if calls.get() <= comes_at {
                break;
            }
        }
    }
    assert!(refused > 0);
}

/// A backup becomes a store with a write-ahead log, and whoever is killed meanwhile leaves no rollback journal beside
/// it, because none is made: with this name none can be.
#[test]
fn a_backup_is_opened_without_a_rollback_journal() {
    let fixture = Fixture::new();
    insert(&fixture.open(), [key(1)]);
    let path = fixture.file(&"n".repeat(250));
    fixture.open().backup(&fixture.file("backup")).unwrap();
    fs::rename(fixture.file("backup"), &path).unwrap();
    let store = SqliteStore::open(&path, Mode::ReadWrite).unwrap();
    assert!(find(&store, 1).is_some());
    insert(&store, [key(2)]);
}

/// Whoever comes later is led to another file, and writes there.
#[cfg(unix)]
#[test]
fn a_link_that_leads_to_another_store_is_noticed() {
    use std::os::unix::fs::symlink;

    for link_to_file in [false, true] {
        let (one, two) = (Fixture::new(), Fixture::new());
        let folder = TempDir::new().unwrap();
        let link = folder.path().join("link");
        let path = if link_to_file { link.clone() } else { link.join("keys.db") };
        let set = |to: &Fixture| {
            let target = if link_to_file { to.path() } else { to.directory.path().to_owned() };
            symlink(target, folder.path().join("new")).unwrap();
            fs::rename(folder.path().join("new"), &link).unwrap();
        };
        set(&one);
        insert(&SqliteStore::open(&path, Mode::ReadWrite).unwrap(), [key(1)]);
        let stores = [Mode::ReadWrite, Mode::ReadOnly].map(|mode| SqliteStore::open(&path, mode).unwrap());
        let direct = one.open();
        set(&one);
        assert!(stores.iter().all(|store| store.has_changed().is_ok()), "it leads to the same file");

        set(&two);
        let is_replaced =
            |error: Option<StoreError>| matches!(error, Some(StoreError::Replaced { path: at }) if at == path);
        for _ in 0..2 {
            for store in &stores {
                assert!(is_replaced(store.has_changed().err()));
                assert!(is_replaced(store.read().err()));
                assert!(is_replaced(store.backup(&folder.path().join("backup")).err()));
            }
            assert!(is_replaced(stores[0].write().err()));
            // It stays so: what was written to the other store meanwhile is unknown here.
            set(&one);
        }
        set(&two);
        assert!(find(&direct, 1).is_some(), "whoever was not led by the link is not concerned");
        assert!(find(&SqliteStore::open(&path, Mode::ReadWrite).unwrap(), 1).is_none(), "it is the other store");
        fs::remove_file(&link).unwrap();
        assert!(matches!(SqliteStore::open(&path, Mode::ReadWrite), Err(StoreError::Missing { .. })));
    }
}
