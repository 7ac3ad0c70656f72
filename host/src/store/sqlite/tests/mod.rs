//! Tests of the store, on real files.

mod clock;
mod copies;
mod erasure;
mod guard;
mod indexes;
mod lists;
mod migrated;
mod opening;
mod records;
mod tokens;
mod trail;
mod users;
mod writing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystile_validator::{Digest, Environment, KeyFormat, KeyId, KeyRecord, KeyState, Timestamp};
use tempfile::TempDir;

use super::{Mode, SqliteStore, schema};
use crate::key::{Key, NamedFormat, Origin, SecretInfo, Settings};
use crate::store::{Generation, KeyOrdinal, ReadTransaction, Store as _, StoreError, WriteTransaction};

/// A directory with a store in it.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture { directory: TempDir::new().unwrap() };
        SqliteStore::create(&fixture.path(), &Settings::default(), &[format("default", "ks")], at(0)).unwrap();
        fixture
    }

    fn path(&self) -> PathBuf {
        self.file("keys.db")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path(), Mode::ReadWrite).unwrap()
    }

    /// A connection as another program would have it, past all our precautions.
    fn raw(&self) -> rusqlite::Connection {
        raw(&self.path())
    }

    /// The names of all files, sorted.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        // What is kept for a revoke lies beside every store.
        names.retain(|name| !name.ends_with("-reserve"));
        names.sort();
        names
    }
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(1_700_000_000 + seconds).unwrap()
}

fn format(name: &str, prefix: &str) -> NamedFormat {
    NamedFormat { name: name.to_owned(), format: KeyFormat::with_defaults(prefix).unwrap(), created_at: at(0) }
}

fn key_id(number: u32) -> KeyId {
    let mut bytes = [7; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    KeyId::from_bytes(bytes)
}

fn secret(key: u32, number: u32) -> SecretInfo {
    SecretInfo {
        number,
        digest: Digest::of(format!("{key}/{number}").as_bytes()),
        display: format!("ks_live_{key:04}…"),
        origin: Origin::Generated,
        created_at: at(0),
        retires_at: None,
        pending_grace: None,
        ended_at: None,
        uses: 0,
        first_used_at: None,
        last_used_at: None,
    }
}

fn key(number: u32) -> Key {
    Key {
        id: key_id(number),
        name: format!("key {number}"),
        owner: None,
        format: Some("default".to_owned()),
        environment: Environment::new("live").unwrap(),
        scopes: Vec::new(),
        addresses: Vec::new(),
        rate: None,
        metadata: BTreeMap::new(),
        created_at: at(0),
        created_by: "tests".to_owned(),
        updated_at: at(0),
        not_before: None,
        expires_at: None,
        state: KeyState::Active,
        suspended_at: None,
        suspended_for: None,
        suspended_by_restore: false,
        revocation: None,
        secrets: vec![secret(number, 1)],
    }
}

/// One write, committed.
fn write<T>(store: &SqliteStore, write: impl FnOnce(&mut dyn WriteTransaction) -> T) -> T {
    let mut transaction = store.write().unwrap();
    let value = write(&mut *transaction);
    transaction.commit().unwrap();
    value
}

fn insert(store: &SqliteStore, keys: impl IntoIterator<Item = Key>) {
    write(store, |transaction| keys.into_iter().for_each(|key| assert!(transaction.insert_key(&key).unwrap())));
}

fn find(store: &SqliteStore, number: u32) -> Option<Key> {
    store.read().unwrap().key(key_id(number)).unwrap()
}

fn generation(store: &SqliteStore) -> Generation {
    store.read().unwrap().position().unwrap().generation
}

fn records(view: &dyn ReadTransaction, after: Generation) -> Vec<KeyRecord> {
    let mut records = Vec::new();
    view.changed_records(after, KeyOrdinal(i64::MAX), &mut |record| records.extend(record.cloned())).unwrap();
    records
}

#[test]
fn messages_say_what_happened_and_what_to_do() {
    let path = || PathBuf::from("/x");
    let errors = [
        StoreError::Missing { path: path() },
        StoreError::AlreadyExists { path: path() },
        StoreError::NotAStore { path: path() },
        StoreError::OtherProgram { path: path() },
        StoreError::Newer { path: path(), found: 2, supported: 1 },
        StoreError::Migrated { path: path(), found: 2, supported: 1 },
        StoreError::Migrated { path: path(), found: 1, supported: 2 },
        StoreError::Older { path: path(), found: 1, needed: 2 },
        StoreError::Unreadable { path: path() },
        StoreError::ReadOnly,
        StoreError::DiskFull,
        StoreError::Busy { waited: super::connection::BUSY_LIMIT },
        StoreError::Corrupt,
        StoreError::DamagedBackup { path: path(), problem: "x".to_owned() },
        StoreError::SameFile { path: path() },
        StoreError::OtherStore { path: path(), backup: path() },
        StoreError::Replaced { path: path() },
        StoreError::RollbackJournal { path: path() },
        StoreError::NoSuchKey { id: key_id(1) },
        StoreError::NoSuchUser { id: crate::ids::UserId::from_bytes([1; 16]) },
        StoreError::NoRandomBytes,
        StoreError::CursorMismatch,
        StoreError::RolledBack,
        StoreError::InvalidValue { column: "keys.name" },
        StoreError::Engine { code: 1 },
        StoreError::EngineTooOld { found: "3.0.0", needed: "3.51.3" },
    ];
    for error in errors {
        let message = error.to_string();
        assert_eq!(message.split(" · ").count(), 2, "{message}");
    }
}
