//! Whatever one byte of the store is changed to: nothing panics, the doctor names the row, and lists go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::*;
use crate::audit::do_everything;
use crate::login::tests::world;
use crate::{AuditQuery, Code, KeyQuery, NewKey, SecurityEventQuery, SessionQuery, UserQuery};

/// Columns whose values nothing can tell to be wrong: counts, times of counts, and what the trail does not bind.
pub(super) const UNBOUND: &[&str] = &[
    "attempts.*",
    "attempts_key.*",
    "erasure.*",
    "security_events.*",
    "usage.*",
    "usage_days.*",
    "issuers.generation",
    "keys.generation",
    "signing_keys.generation",
    "revocations.generation",
    "position.clock_accepted",
    "position.clock_at",
    "position.epoch",
    "position.generation",
    "position.has_imports",
    "position.newest_at",
    "position.steady_since",
    "jwks_cache.attempted_at",
    "jwks_cache.etag",
    "jwks_cache.failures",
    "jwks_cache.fetched_at",
    "jwks_cache.lease",
    "jwks_cache.max_age",
    "jwks_cache.problem",
];

/// What is listed, by its ids, and what cannot be read.
fn lists(keystile: &Keystile) -> (BTreeSet<String>, BTreeSet<String>) {
    let keys = keystile.keys().list(&KeyQuery::default()).unwrap();
    let users = keystile.users().list(&UserQuery::default()).unwrap();
    let sessions = keystile.sessions().list(&SessionQuery { ended: true, ..SessionQuery::default() }).unwrap();
    let issuers = keystile.issuers().list().unwrap();
    let audit = keystile.recent_audit(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).unwrap();
    let events = keystile.security_events(&SecurityEventQuery::default()).unwrap();
    let report = keystile.keys().report().unwrap();
    keystile.keys().counts().unwrap();
    let mut listed = BTreeSet::new();
    listed.extend(keys.keys.iter().map(|key| key.id.to_string()));
    listed.extend(users.users.iter().map(|user| user.id.to_string()));
    listed.extend(sessions.sessions.iter().map(|session| session.id.to_string()));
    listed.extend(issuers.issuers.iter().map(|info| info.issuer.name.clone()));
    listed.extend(audit.entries.iter().map(|entry| entry.sequence.to_string()));
    listed.extend(events.events.iter().map(|event| format!("event {}", event.id)));
    let unreadable = [
        keys.unreadable,
        users.unreadable,
        sessions.unreadable,
        issuers.unreadable,
        audit.unreadable,
        report.unreadable,
    ];
    let mut unreadable: BTreeSet<String> = unreadable.iter().flatten().map(|row| row.row.clone()).collect();
    unreadable.extend(events.unreadable.iter().map(|row| format!("event {}", row.row)));
    (listed, unreadable)
}

/// A number without a pattern, the same in every run (SplitMix64).
pub(super) fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The tables with their columns, and which of those are the primary key.
pub(super) fn tables(raw: &Connection) -> BTreeMap<String, Vec<(String, bool)>> {
    let mut tables = BTreeMap::new();
    let query = "SELECT m.name, c.name, c.pk > 0 FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c \
                 WHERE m.type = 'table' ORDER BY 1, 2";
    let mut statement = raw.prepare(query).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let columns: &mut Vec<_> = tables.entry(row.get(0).unwrap()).or_default();
        columns.push((row.get(1).unwrap(), row.get(2).unwrap()));
    }
    tables
}

/// Changes one bit in a value of this column, as a failing disk does; what the row is known by, where it has a name.
/// `None`: no row has a value there.
fn flip(raw: &Connection, table: &str, column: &str, state: &mut u64) -> Option<Vec<u8>> {
    let keys: Vec<String> =
        tables(raw)[table].iter().filter(|(_, is_key)| *is_key).map(|(name, _)| name.clone()).collect();
    let name = match table {
        "keys" | "users" | "sessions" | "imports" => "id".to_owned(),
        "secrets" | "rotations" => "(SELECT id FROM keys WHERE pk = key_pk)".to_owned(),
        "audit" => "CAST(sequence AS TEXT)".to_owned(),
        "formats" | "settings" | "issuers" | "jwks_cache" => "name".to_owned(),
        "signing_keys" => "kid".to_owned(),
        "revocations" => "value".to_owned(),
        _ => "NULL".to_owned(),
    };
    let query = format!("SELECT {column}, {name}, {} FROM {table} WHERE {column} IS NOT NULL", keys.join(", "));
    let mut statement = raw.prepare(&query).unwrap();
    let mut rows: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    let mut found = statement.query([]).unwrap();
    while let Some(row) = found.next().unwrap() {
        let keys = (0..keys.len()).map(|key| row.get(key + 2).unwrap()).collect();
        rows.push((row.get(0).unwrap(), row.get(1).unwrap(), keys));
    }
    drop(found);
    drop(statement);
    if rows.is_empty() {
        return None;
    }
    let (value, name, key_values) = rows.swap_remove((mixed(state) % rows.len() as u64) as usize);
    let flip_in = |bytes: &mut Vec<u8>, state: &mut u64| {
        if bytes.is_empty() {
            bytes.push(0xff);
        } else {
            let bit = mixed(state) % (bytes.len() as u64 * 8);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    };
    let (value, expression) = match value {
        Value::Integer(number) => (Value::Integer(number ^ (1 << (mixed(state) % 64))), "?1"),
        Value::Text(text) => {
            let mut bytes = text.into_bytes();
            flip_in(&mut bytes, state);
            (Value::Blob(bytes), "CAST(?1 AS TEXT)")
        }
        Value::Blob(mut bytes) => {
            flip_in(&mut bytes, state);
            (Value::Blob(bytes), "?1")
        }
        other => panic!("{table}.{column} holds {other:?}"),
    };
    let condition: Vec<_> = keys.iter().enumerate().map(|(at, key)| format!("{key} IS ?{}", at + 2)).collect();
    let sql = format!("UPDATE {table} SET {column} = {expression} WHERE {}", condition.join(" AND "));
    let values = std::iter::once(value).chain(key_values);
    assert_eq!(raw.execute(&sql, params_from_iter(values)).unwrap(), 1, "{sql}");
    Some(match name {
        Value::Text(text) => text.into_bytes(),
        Value::Blob(bytes) => bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        _ => Vec::new(),
    })
}

/// The store as somebody sees it who writes past all precautions.
pub(super) fn past_all_precautions(path: &Path, change: impl FnOnce(&Connection)) {
    let raw = Connection::open(path).unwrap();
    raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
    let mut statement = raw.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    drop(statement);
    triggers.iter().for_each(|(name, _)| raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    change(&raw);
    triggers.iter().for_each(|(_, sql)| raw.execute_batch(sql).unwrap());
}

#[test]
fn one_changed_bit_in_any_column_is_found_and_keeps_nothing_else_from_being_listed() {
    let world = world();
    do_everything(&world, &mut |_| {});
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.db");
    world.keystile.backup(&original).unwrap();
    let (all, none) = lists(&world.keystile);
    assert!(none.is_empty(), "{none:?}");
    let mut skipped = Vec::new();
    for (table, columns) in tables(&Connection::open(&original).unwrap()) {
        for (column, is_key) in columns {
            // Another number gives other bits.
            let seed = std::env::var("KEYSTILE_FLIP_SEED").map_or(1_u64, |seed| seed.parse().unwrap());
            let what = format!("{table}.{column}, seed {seed}");
            let path = folder.path().join("flipped.db");
            for old in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(folder.path().join(format!("flipped.db{old}")));
            }
            std::fs::copy(&original, &path).unwrap();
            let mut state = seed;
            what.bytes().for_each(|byte| state = state.wrapping_mul(31).wrapping_add(u64::from(byte)));
            let mut name = None;
            past_all_precautions(&path, |raw| name = flip(raw, &table, &column, &mut state));
            let Some(name) = name else {
                skipped.push(what);
                continue;
            };
            let keystile = world.open_without_key(&path);
            let health = keystile.doctor(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
            let is_bound = !UNBOUND
                .iter()
                .any(|unbound| *unbound == format!("{table}.{column}") || *unbound == format!("{table}.*"));
            if is_bound {
                assert_eq!(health.severity(), Severity::Error, "{what}: {health:#?}");
            }
            // An id that was changed is another one; entries that do not follow are named by their number.
            let name = String::from_utf8(name).unwrap();
            if is_bound && !is_key && column != "id" {
                let named =
                    health.findings.iter().any(|it| it.severity == Severity::Error && it.message.contains(&name));
                assert!(named, "{what}: {name} is not named in {health:#?}");
            }
            let (listed, unreadable) = lists(&keystile);
            let missing: Vec<_> = all.iter().filter(|id| !listed.contains(*id) && !unreadable.contains(*id)).collect();
            assert!(missing.len() <= 1, "{what}: {missing:?} are not listed; unreadable: {unreadable:?}");
        }
    }
    // What has no value in this store; all else was changed.
    assert!(skipped.iter().all(|what| EMPTY.iter().any(|empty| what.starts_with(empty))), "{skipped:?}");
}

/// Columns without a value in the store of the test: an issuer has to be asked for its keys, a grace to be over, and a
/// refresh token to be used twice.
const EMPTY: &[&str] = &[
    "issuers.jwks_url,",
    "jwks_cache.attempted_at,",
    "jwks_cache.etag,",
    "jwks_cache.lease,",
    "jwks_cache.problem,",
    "secrets.ended_at,",
    "security_events.session_id,",
];

/// A key that cannot be read: its own secret is not judged, and where all records are held, none is.
#[test]
fn an_unreadable_key_is_unavailable() {
    let world = world();
    let key = |name: &str| world.keystile.keys().create(NewKey { name: name.into(), ..NewKey::default() }).unwrap();
    let (broken, sound) = (key("broken"), key("sound"));
    past_all_precautions(&world.path, |raw| {
        let id = broken.key.id.as_bytes().to_vec();
        raw.execute("UPDATE keys SET scopes = CAST(X'ff' AS TEXT), generation = generation + 1 WHERE id = ?1", [id])
            .unwrap();
    });
    let code =
        |key: &crate::CreatedKey| world.keystile.preview(key.secret.expose_secret(), &world.keystile.request()).code();
    assert_eq!((code(&broken), code(&sound)), (Some(Code::Unavailable), None), "looked up one by one");
    let page = world.keystile.keys().list(&KeyQuery::default()).unwrap();
    assert_eq!(page.keys.iter().map(|key| key.id).collect::<Vec<_>>(), [sound.key.id]);
    assert_eq!(
        (page.unreadable[0].row.as_str(), page.unreadable[0].column),
        (&*broken.key.id.to_string(), "keys.scopes")
    );
}

/// Without the time of the store nothing is allowed, and nobody is kept from revoking.
#[test]
fn an_unreadable_time_denies_everything_and_keeps_nobody_from_revoking() {
    let world = world();
    let create = || world.keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
    let (first, second, sound) = (create(), create(), create());
    past_all_precautions(&world.path, |raw| {
        raw.execute("UPDATE position SET newest_at = 1 << 60, generation = generation + 1", []).unwrap();
    });
    for (keystile, leaked) in [(world.open_without_key(&world.path), &first), (world.open_at(&world.path), &second)] {
        let code = |key: &crate::CreatedKey| keystile.verify(key.secret.expose_secret(), &keystile.request()).code();
        assert_eq!((code(leaked), code(&sound)), (Some(Code::Unavailable), Some(Code::Unavailable)));
        keystile.keys().revoke(leaked.key.id, crate::RevokeReason::KeyCompromise, None).unwrap();
        assert_eq!(keystile.doctor(&world.path).unwrap().severity(), Severity::Error);
        assert_eq!(code(&sound), Some(Code::Unavailable));
    }
    world.open_at(&world.path).accept_clock().unwrap();
    let keystile = world.follow();
    let code = |key: &crate::CreatedKey| keystile.verify(key.secret.expose_secret(), &keystile.request()).code();
    let codes = [&first, &second, &sound].map(code);
    assert_eq!(codes, [Some(Code::Revoked), Some(Code::Revoked), None]);
}

/// Pages go on behind rows that cannot be read, and every row is on one of them.
#[test]
fn pages_go_on_behind_unreadable_rows() {
    let world = world();
    let ids: BTreeSet<_> = (0..20)
        .map(|number| {
            world.keystile.keys().create(NewKey { name: format!("k{number}"), ..NewKey::default() }).unwrap().key.id
        })
        .map(|id| id.to_string())
        .collect();
    past_all_precautions(&world.path, |raw| {
        raw.execute_batch("UPDATE keys SET scopes = CAST(X'ff' AS TEXT) WHERE pk % 3 <> 0").unwrap();
    });
    for limit in [1, 3, 7] {
        let mut query = KeyQuery { limit, ..KeyQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = world.keystile.keys().list(&query).unwrap();
            assert!(page.keys.len() + page.unreadable.len() <= limit);
            found.extend(page.keys.iter().map(|key| key.id.to_string()));
            found.extend(page.unreadable.iter().map(|row| row.row.clone()));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        assert_eq!(found.len(), 20);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), ids);
    }
}
