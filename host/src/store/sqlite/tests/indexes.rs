//! An index that is damaged leads to another row, or to none: what takes away finds the right one all the same.

use std::path::Path;

use keystile_validator::{Code, KeyId};

use crate::key::KeyStatus;
use crate::login::tests::{EMAIL, World, world};
use crate::{CreatedKey, NewKey, RevokeReason};

impl World {
    fn owned(&self) -> CreatedKey {
        let new = NewKey { name: "k".into(), owner: Some(EMAIL.into()), ..NewKey::default() };
        self.keystile.keys().create(new).unwrap()
    }
}

/// Has an entry of an index lead to another row. `key`: what the entry says, as it is in the file, with its header.
fn lead_astray(path: &Path, entry: &[u8], from: u8, to: u8) {
    let raw = rusqlite::Connection::open(path).unwrap();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap();
    drop(raw);
    let mut file = std::fs::read(path).unwrap();
    let entry = [entry, &[from]].concat();
    let places: Vec<usize> =
        file.windows(entry.len()).enumerate().filter(|(_, bytes)| *bytes == entry).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 1, "the entry is in one place");
    file[places[0] + entry.len() - 1] = to;
    std::fs::write(path, file).unwrap();
}

/// An entry of the index by id: the length of its header, a blob of 16 bytes, a number of one byte.
fn by_id(id: KeyId) -> Vec<u8> {
    [&[3, 44, 1], &id.as_bytes()[..]].concat()
}

#[test]
fn a_key_is_revoked_by_its_id_whatever_the_index_says() {
    let world = world();
    let keys: [CreatedKey; 4] = std::array::from_fn(|_| world.owned());
    let path = world.path.with_file_name("copy.db");
    world.keystile.backup(&path).unwrap();
    // The third key has the number 3, which the entry says.
    lead_astray(&path, &by_id(keys[2].key.id), 3, 4);
    let keystile = world.open_at(&path);
    assert!(keystile.keys().show(keys[2].key.id).is_err(), "another key is not shown in its place");
    keystile.keys().revoke(keys[2].key.id, RevokeReason::KeyCompromise, None).unwrap();
    let code = |key: &CreatedKey| keystile.preview(key.secret.expose_secret(), &keystile.request()).code();
    assert_eq!(code(&keys[2]), Some(Code::Revoked));
    assert_eq!(code(&keys[3]), None);
    assert_eq!(keystile.keys().show(keys[3].key.id).unwrap().status(world.clock_now()), KeyStatus::Active);
}

#[test]
fn a_user_is_suspended_with_all_keys_whatever_the_index_says() {
    let world = world();
    let keys: [CreatedKey; 4] = std::array::from_fn(|_| world.owned());
    let path = world.path.with_file_name("copy.db");
    world.keystile.backup(&path).unwrap();
    // A text of that many bytes, and the number of the key.
    let entry = [&[3, (13 + 2 * EMAIL.len()) as u8, 1], EMAIL.as_bytes()].concat();
    lead_astray(&path, &entry, 3, 9);
    let keystile = world.open_at(&path);
    let suspended = keystile.users().suspend(world.user.id).unwrap().value.keys_suspended;
    assert_eq!(suspended, keys.each_ref().map(|key| key.key.id));
    for key in &keys {
        let code = keystile.preview(key.secret.expose_secret(), &keystile.request()).code();
        assert_eq!(code, Some(Code::Suspended));
    }
}

/// The row is there, and its key is revoked, although the index leads to it no longer.
#[test]
fn a_restore_keeps_a_revoke_whatever_the_index_says() {
    for to in [4, 9] {
        let world = world();
        let keys: [CreatedKey; 4] = std::array::from_fn(|_| world.owned());
        let backup = world.path.with_file_name("backup.db");
        world.keystile.backup(&backup).unwrap();
        world.keystile.keys().revoke(keys[2].key.id, RevokeReason::KeyCompromise, None).unwrap();
        let path = world.path.with_file_name("copy.db");
        world.keystile.backup(&path).unwrap();
        lead_astray(&path, &by_id(keys[2].key.id), 3, to);
        let restored = crate::Keystile::restore(&backup, &path, "tests").unwrap();
        assert_eq!((restored.keys_revoked, restored.rows_unreadable), (1, 1));
        let keystile = world.open_at(&path);
        let code = |key: &CreatedKey| keystile.preview(key.secret.expose_secret(), &keystile.request()).code();
        assert_eq!(code(&keys[2]), Some(Code::Revoked), "to {to}");
        assert_eq!(code(&keys[3]), None, "to {to}");
    }
}

#[test]
fn all_revocations_are_loaded_whatever_the_index_says() {
    let world = world();
    let begun = world.login();
    world.keystile.sessions().end(begun.session_id).unwrap();
    let path = world.path.with_file_name("copy.db");
    world.keystile.backup(&path).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    // The index is emptied behind SQLite's back: it is dropped from the schema, rows are written, and it comes back.
    raw.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).unwrap();
    raw.execute_batch(
        "PRAGMA writable_schema = ON; \
         CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'revocations_by_generation'; \
         CREATE TEMP TABLE rows AS SELECT * FROM revocations; \
         DELETE FROM revocations; \
         DELETE FROM sqlite_schema WHERE name = 'revocations_by_generation'; PRAGMA writable_schema = RESET;",
    )
    .unwrap();
    raw.execute_batch(
        "INSERT INTO revocations SELECT * FROM rows; PRAGMA writable_schema = ON; \
         INSERT INTO sqlite_schema SELECT * FROM kept; PRAGMA writable_schema = RESET;",
    )
    .unwrap();
    let missing: i64 =
        raw.query_row("SELECT count(*) FROM revocations WHERE generation > 0", [], |row| row.get(0)).unwrap();
    assert_eq!(missing, 0, "the index leaves them out");
    let there: i64 = raw.query_row("SELECT count(*) FROM revocations NOT INDEXED", [], |row| row.get(0)).unwrap();
    assert_eq!(there, 1, "the table has them");
    drop(raw);
    let kek = world.path.with_file_name("kek");
    let clock = std::sync::Arc::clone(&world.clock);
    let following = crate::Keystile::options().clock(clock).key_encryption_key_file(kek).open(&path).unwrap();
    let code = following.preview(begun.access_token.expose_secret(), &following.request()).code();
    assert_eq!(code, Some(Code::Revoked));
}
