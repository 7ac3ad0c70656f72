//! Whatever is written past Keystile differs from the trail, and whatever Keystile writes does not.

mod every_table;

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::audit::{self, AuditProblem, AuditReport, Checkpoint, DifferenceKind, RowKind};
use crate::store::sqlite::connection::{Purpose, connect};
use crate::store::sqlite::schema::{self, Step};
use crate::store::sqlite::trail::{KINDS, MAX_NOTED, UNBOUND_TABLES};
use crate::store::sqlite::transaction::{Behavior, Transaction};
use crate::store::sqlite::watch_writes;
use crate::store::{RevocationKind, RevocationRow, RotationRow, WriteTokens as _};

/// A store with a row of every kind, as Keystile writes them, each with an entry.
fn filled() -> Fixture {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| {
        for number in [1, 2] {
            assert!(transaction.insert_key(&key(number)).unwrap());
            append(transaction, "key.created");
        }
        let rotation = RotationRow { number: 1, grace: 60, from_first_use: false };
        transaction.insert_rotation(key_id(1), "request", &rotation).unwrap();
        append(transaction, "key.rotated");
        transaction.set_sealing_check(&[1, 2, 3]).unwrap();
        transaction.put_revocation(&revocation("token")).unwrap();
        let settings = Settings { max_lifetime: Some(3_600), ..Settings::default() };
        transaction.set_settings(&settings).unwrap();
        append(transaction, "all.written");
    });
    drop(store);
    // What refresh tokens are made with is sealed by now.
    write_sql(&fixture, &ROWS.replace("zeroblob(32)", "zeroblob(61)"));
    fixture
}

/// Rows of kinds with many columns, as they were before entries named rows.
const ROWS: &str = "
INSERT INTO users (pk, id, email, name, admin, password, password_set_at, created_at, created_by, updated_at)
VALUES (1, X'01010101010101010101010101010101', 'user1@example.com', 'Ada', 0, '$argon2id$', 1, 1, 'tests', 1);
INSERT INTO sessions (id, user_pk, refresh_key, counter, scopes, created_at, last_used_at, expires_at)
VALUES (X'02020202020202020202020202020202', 1, zeroblob(32), 1, '', 1, 1, 9);
INSERT INTO imports (id, keys, started_at, started_by, leased_until)
VALUES (X'03030303030303030303030303030303', 0, 1, 'tests', 1);
INSERT INTO signing_keys (kid, generation, algorithm, state, public_key, sealed_key, created_at, signs_from)
VALUES ('kid', 1, 'EdDSA', 'active', '{}', X'010203', 1, 1);
INSERT INTO issuers (name, generation, issuer, algorithms, audiences, leeway, scope_claims, enabled, created_at,
                     created_by, updated_at)
VALUES ('clerk', 1, 'https://clerk', 'RS256', '[\"me\"]', 0, 'scope', 1, 1, 'tests', 1);
INSERT INTO jwks_cache (name, jwks, fetched_at, max_age) VALUES ('clerk', '{\"keys\":[]}', 1, 1);
";

/// Writes as Keystile does, with an entry.
fn write_sql(fixture: &Fixture, sql: &str) {
    sql_in_transaction(fixture, sql, |transaction| append(transaction, "sql.written"));
}

/// Writes as Keystile does, and leaves the entry to the commit.
fn write_sql_without_entry(fixture: &Fixture, sql: &str) {
    sql_in_transaction(fixture, sql, |_| {});
}

fn sql_in_transaction(fixture: &Fixture, sql: &str, then: impl FnOnce(&mut dyn WriteTransaction)) {
    let connection = connect(&fixture.path(), Purpose::Write).unwrap();
    watch_writes(&connection).unwrap();
    let mut transaction = Transaction::begin(&connection, Behavior::Write).unwrap();
    transaction.connection().execute_batch(sql).unwrap();
    then(&mut transaction);
    Box::new(transaction).commit().unwrap();
}

fn append(transaction: &mut dyn WriteTransaction, action: &str) {
    audit::append(transaction, at(1), "tests", action, None, &json!({})).unwrap();
}

fn revocation(value: &str) -> RevocationRow {
    RevocationRow {
        issuer: "https://issuer".to_owned(),
        kind: RevocationKind::Token,
        value: value.to_owned(),
        revoked_at: at(0),
        issued_before: None,
        expires_at: at(9),
    }
}

fn verify(fixture: &Fixture) -> AuditReport {
    audit::verify(&SqliteStore::open_as_defined(&fixture.path(), Mode::ReadWrite).unwrap(), None).unwrap()
}

fn is_intact(fixture: &Fixture) {
    let report = verify(fixture);
    assert!(matches!(report, AuditReport::Intact { .. }), "{report:#?}");
}

/// What differs: the kind of difference, and the kind of row or the name.
fn differences(fixture: &Fixture) -> Vec<(&'static str, String)> {
    match verify(fixture) {
        AuditReport::Differs { differences, more: 0, .. } => {
            let name = |what: &DifferenceKind| match what {
                DifferenceKind::Stray(name) | DifferenceKind::Schema(name) => name.clone(),
                what => what.row().unwrap().kind.as_str().to_owned(),
            };
            differences.iter().map(|difference| (difference.what.as_str(), name(&difference.what))).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Writes as an attacker would: without triggers, and with the schema as it was in the end.
fn attack(fixture: &Fixture, sql: &str) {
    let raw = fixture.raw();
    let triggers: Vec<(String, String)> = raw
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF")
        .unwrap();
    for (name, _) in &triggers {
        raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    raw.execute_batch(sql).unwrap();
    for (_, sql) in &triggers {
        raw.execute_batch(sql).unwrap();
    }
}

#[test]
fn what_keystile_writes_is_as_the_trail_says() {
    let fixture = filled();
    is_intact(&fixture);
    let store = fixture.open();
    let mut kinds = BTreeSet::new();
    let read = store.read().unwrap();
    let states = read.row_states(&mut |kind, _, state| {
        assert!(state.is_some());
        kinds.insert(kind);
        Ok(())
    });
    states.unwrap();
    assert_eq!(kinds, RowKind::ALL.into_iter().collect(), "a row of every kind is there");
    let entries = store.read().unwrap().audit(None, 0, 100).unwrap();
    assert!(entries.iter().all(|entry| entry.action != audit::ROWS_CHANGED), "{entries:?}");
}

/// What a change of rows is reported as, by examples; `every_table` makes them of all columns.
#[test]
fn every_row_that_something_else_changes_is_reported() {
    for (kind, sql) in [
        ("key", "UPDATE keys SET state = 'suspended' WHERE pk = 1"),
        ("key", "UPDATE secrets SET retires_at = 5 WHERE key_pk = 1"),
        ("key", "UPDATE secrets SET digest = randomblob(32) WHERE key_pk = 1"),
        ("key", "UPDATE rotations SET grace = 61"),
        ("user", "UPDATE users SET password = 'x'"),
        ("user", "UPDATE users SET admin = 1"),
        ("session", "UPDATE sessions SET expires_at = expires_at + 1"),
        ("session", "UPDATE sessions SET counter = counter + 1"),
        ("issuer", "UPDATE issuers SET audiences = '[]'"),
        ("issuer", "UPDATE jwks_cache SET jwks = '{}'"),
        ("format", "UPDATE formats SET prefix = 'other'"),
        ("setting", "UPDATE settings SET value = '9'"),
        ("signing_key", "UPDATE signing_keys SET public_key = 'other'"),
        ("signing_key", "UPDATE signing_keys SET sealed_key = X'00'"),
        ("revocation", "UPDATE revocations SET expires_at = 1"),
        ("sealing", "UPDATE sealing SET check_value = X'00'"),
        ("import", "UPDATE imports SET generation = 1, completed_at = 1"),
        ("store", "UPDATE position SET store_id = randomblob(16)"),
    ] {
        let fixture = filled();
        attack(&fixture, sql);
        assert_eq!(differences(&fixture), [("changed", kind.to_owned())], "{sql}");
    }
}

/// An ordinary change of a row that something else has changed does not cover that up; whoever has seen it says
/// so with a checkpoint.
#[test]
fn a_change_by_something_else_stays_known() {
    let fixture = filled();
    attack(&fixture, "UPDATE keys SET owner = 'mallory' WHERE pk = 1");
    let store = fixture.open();
    write(&store, |transaction| {
        let key = transaction.key(key_id(1)).unwrap().unwrap();
        transaction.update_key(&Key { name: "renamed".to_owned(), ..key }).unwrap();
        append(transaction, "key.updated");
    });
    assert_eq!(differences(&fixture), [("found_changed", "key".to_owned())]);
    let head = store.read().unwrap().last_audit().unwrap().unwrap();
    let seen = Checkpoint { sequence: head.sequence, hash: head.hash };
    assert!(matches!(audit::verify(&store, Some(seen)).unwrap(), AuditReport::Intact { .. }));
}

/// Somebody puts a row back to an older state, with the nonce that it had then, and has its next change follow
/// the entry of that state.
#[test]
fn a_row_that_was_put_back_stays_known() {
    let fixture = filled();
    let raw = fixture.raw();
    let keep = "CREATE TABLE x_nonces AS SELECT * FROM row_nonces; CREATE TABLE x_keys AS SELECT * FROM keys";
    raw.execute_batch(keep).unwrap();
    let store = fixture.open();
    write(&store, |transaction| {
        let key = transaction.key(key_id(1)).unwrap().unwrap();
        let revocation = crate::key::Revocation { at: at(2), reason: "key_compromise".parse().unwrap(), note: None };
        let revoked = Key { state: KeyState::Revoked, revocation: Some(revocation), ..key };
        transaction.update_key(&revoked).unwrap();
        append(transaction, "key.revoked");
    });
    attack(
        &fixture,
        "UPDATE keys SET (state, revoked_at, revoke_reason) = ('active', NULL, NULL) WHERE pk = 1; \
         UPDATE row_nonces AS n SET (nonce, sequence) = (SELECT nonce, sequence FROM x_nonces AS x \
         WHERE x.kind = n.kind AND x.id = n.id); DROP TABLE x_nonces; DROP TABLE x_keys",
    );
    assert_eq!(differences(&fixture), [("changed", "key".to_owned())]);
    write(&store, |transaction| {
        let key = transaction.key(key_id(1)).unwrap().unwrap();
        transaction.update_key(&Key { name: "renamed".to_owned(), ..key }).unwrap();
        append(transaction, "key.updated");
    });
    assert_eq!(differences(&fixture), [("found_changed", "key".to_owned())]);
}

#[test]
fn a_row_without_its_nonce_differs() {
    let fixture = filled();
    attack(&fixture, "DELETE FROM row_nonces WHERE kind = 2");
    assert_eq!(differences(&fixture), [("changed", "user".to_owned())]);
}

#[test]
fn what_belongs_to_nothing_or_is_defined_by_others_is_reported() {
    let fixture = filled();
    attack(
        &fixture,
        "INSERT INTO secrets (key_pk, number, digest, display, origin, created_at) \
         VALUES (99, 2, randomblob(32), '', 'imported', 0); \
         CREATE TRIGGER evil AFTER INSERT ON audit BEGIN SELECT 1; END; DROP INDEX keys_by_owner",
    );
    let expected = [("stray", "secrets"), ("schema", "evil"), ("schema", "keys_by_owner")];
    assert_eq!(differences(&fixture), expected.map(|(what, name)| (what, name.to_owned())));
}

/// Secrets that wait for the primary key of the next new key are not taken in with it.
#[test]
fn a_new_key_takes_no_secrets_that_were_there() {
    let fixture = filled();
    attack(
        &fixture,
        "INSERT INTO secrets (key_pk, number, digest, display, origin, created_at) \
         VALUES (3, 2, randomblob(32), '', 'imported', 0)",
    );
    let store = fixture.open();
    let refused = store.write().unwrap().insert_key(&key(3));
    assert!(matches!(refused, Err(StoreError::InvalidValue { column: "secrets.key_pk" })), "{refused:?}");
}

/// Rows that were written after the last entry, or without one, get one when the write is committed.
#[test]
fn no_write_goes_without_an_entry() {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| {
        append(transaction, "key.created");
        assert!(transaction.insert_key(&key(1)).unwrap());
    });
    write(&store, |transaction| assert!(transaction.insert_key(&key(2)).unwrap()));
    let entries = store.read().unwrap().audit(None, 0, 100).unwrap();
    let last: Vec<_> = entries.iter().rev().take(2).map(|entry| (&*entry.action, &*entry.actor, entry.at)).collect();
    assert_eq!(last, [(audit::ROWS_CHANGED, "keystile", at(1)), (audit::ROWS_CHANGED, "tests", at(1))]);
    is_intact(&fixture);
}

/// A write that changes very many rows, as a restore does: what is noted of them stays bounded, and all are bound.
#[test]
fn notes_of_changed_rows_are_bounded() {
    let fixture = filled();
    let connection = connect(&fixture.path(), Purpose::Write).unwrap();
    watch_writes(&connection).unwrap();
    let mut transaction = Transaction::begin(&connection, Behavior::Write).unwrap();
    let noted = || {
        connection.query_row("SELECT count(*) FROM temp.touched_rows", [], |row| row.get::<_, i64>(0)).unwrap() as usize
    };
    let mut most = 0;
    for number in 0..12_000 {
        transaction.put_revocation(&revocation(&format!("token {number}"))).unwrap();
        if number % 50 == 0 {
            most = most.max(noted());
        }
    }
    assert!((MAX_NOTED - 100..MAX_NOTED + 100).contains(&most), "{most}");
    append(&mut transaction, "store.restored");
    Box::new(transaction).commit().unwrap();
    drop(connection);
    is_intact(&fixture);
    let entries = fixture.open().read().unwrap().audit(None, 0, 100).unwrap();
    let actions: Vec<_> =
        entries.iter().rev().take(12).map(|entry| (&*entry.action, entry.rows.iter().count())).collect();
    let by_themselves = vec![(audit::ROWS_CHANGED, audit::MAX_ROWS); 10];
    assert_eq!(actions[..2], [(audit::ROWS_CHANGED, 1_000), ("store.restored", 1_000)], "the rest, with its entry");
    assert_eq!(actions[2..], by_themselves, "those before, bound on the way");
}

/// A change of more rows than an entry names.
#[test]
fn many_rows_go_into_several_entries() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let count = u32::try_from(audit::MAX_ROWS).unwrap() + 1;
    let before = store.read().unwrap().last_audit().unwrap().unwrap().sequence;
    write(&store, |transaction| {
        for number in 0..count {
            transaction.put_revocation(&revocation(&format!("token {number}"))).unwrap();
        }
        append(transaction, "tokens.revoked");
    });
    let entries = store.read().unwrap().audit(None, before, 100).unwrap();
    let rows: Vec<_> = entries.iter().map(|entry| (&*entry.action, entry.rows.iter().count())).collect();
    assert_eq!(rows, [("tokens.revoked", audit::MAX_ROWS), (audit::ROWS_CHANGED, 1)]);
    write(&store, |transaction| transaction.sweep_revocations(at(100)).unwrap());
    is_intact(&fixture);
}

/// Counts of uses, and a write that changes nothing, leave no entry.
#[test]
fn what_is_not_bound_leaves_no_entry() {
    let fixture = filled();
    let store = fixture.open();
    let last = store.read().unwrap().last_audit().unwrap();
    write(&store, |transaction| {
        let digest = secret(1, 1).digest;
        let usage = crate::store::UsageDelta { digest, uses: 1, first: at(1), last: at(1) };
        transaction.add_usage(&[usage]).unwrap();
        let key = transaction.key(key_id(1)).unwrap().unwrap();
        transaction.update_key(&key).unwrap();
    });
    write_sql_without_entry(&fixture, "UPDATE jwks_cache SET failures = 3; UPDATE keys SET generation = 9");
    assert_eq!(store.read().unwrap().last_audit().unwrap(), last);
    is_intact(&fixture);
}

/// The nonce of an erased state is gone, so that nobody can test guesses against its hash; the state after it has
/// one, so that bringing the user back by SQL is reported.
#[test]
fn a_deleted_user_keeps_no_nonce_of_what_it_was() {
    let fixture = filled();
    let nonce = |fixture: &Fixture| -> Vec<u8> {
        fixture.raw().query_row("SELECT nonce FROM row_nonces WHERE kind = 2", [], |row| row.get(0)).unwrap()
    };
    let before = nonce(&fixture);
    let store = fixture.open();
    write(&store, |transaction| {
        transaction.delete_user(crate::ids::UserId::from_bytes([1; 16]), at(2)).unwrap();
        append(transaction, "user.deleted");
    });
    assert_ne!(nonce(&fixture), before);
    is_intact(&fixture);
    attack(&fixture, "UPDATE users SET deleted_at = NULL, email = 'user1@example.com'");
    assert_eq!(differences(&fixture), [("changed", "user".to_owned())]);
}

/// Every table is bound, or says why not.
#[test]
fn every_table_is_bound_or_says_why_not() {
    let fixture = Fixture::new();
    let raw = fixture.raw();
    let tables: BTreeSet<String> = raw
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let parts = KINDS.iter().flat_map(|kind| kind.strays().map(|(table, _)| table));
    let known = KINDS.iter().map(|kind| kind.table).chain(parts);
    let known = known.chain(UNBOUND_TABLES.iter().map(|(table, _)| *table));
    assert_eq!(tables, known.map(str::to_owned).collect());
}

/// A forged entry that names no rows in the form that entries have is no entry.
#[test]
fn an_entry_that_was_changed_is_reported() {
    let fixture = filled();
    attack(&fixture, "UPDATE audit SET rows = X'0102' WHERE sequence = 3");
    let AuditReport::Broken { sequence: 3, problem: AuditProblem::WrongHash } = verify(&fixture) else { panic!() };
}

/// The canonical form, as `docs/trail.md` writes it down.
#[test]
fn the_canonical_form_is_the_documented_one() {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| transaction.put_revocation(&revocation("jti")).unwrap());
    drop(store);
    let forms = KINDS.iter().find(|kind| kind.kind == RowKind::Revocation).unwrap();
    let raw = fixture.raw();
    let form: String = raw.query_row(&forms.forms(&raw).unwrap().unwrap(), [], |row| row.get("form")).unwrap();
    assert_eq!(
        form,
        "revocation\nexpires_at=integer:31373030303030303039\nissuer=text:68747470733A2F2F697373756572\n\
         kind=text:746F6B656E\nrevoked_at=integer:31373030303030303030\nvalue=text:6A7469\n"
    );
}

/// A store as it was before entries named rows, with these entries.
fn old_store(entries: &[(&str, Option<&str>, &str)]) -> (Fixture, Checkpoint) {
    let fixture = Fixture { directory: TempDir::new().unwrap() };
    rusqlite::Connection::open(fixture.path()).unwrap().close().unwrap();
    let mut connection = connect(&fixture.path(), Purpose::Write).unwrap();
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID.cast_signed()).unwrap();
    let bound = schema::MIGRATIONS.iter().position(|step| matches!(step, Step::Trail(_))).unwrap();
    schema::migrate_with(&mut connection, &schema::MIGRATIONS[..bound]).unwrap();
    crate::store::sqlite::writer::insert_position(&connection, [1; 16], at(0)).unwrap();
    connection.execute_batch(ROWS).unwrap();
    let mut previous = audit::AuditHash([0; 32]);
    for (index, (action, subject, detail)) in entries.iter().enumerate() {
        let mut entry = audit::AuditEntry {
            sequence: index as u64 + 1,
            at: at(index as u64),
            actor: "tests".to_owned(),
            action: (*action).to_owned(),
            subject: subject.map(str::to_owned),
            detail: (*detail).to_owned(),
            rows: audit::BoundRows::default(),
            previous,
            hash: previous,
        };
        entry.hash = entry.expected_hash_before_rows();
        previous = entry.hash;
        let values = rusqlite::params![
            entry.sequence as i64,
            entry.at.unix() as i64,
            entry.actor,
            entry.action,
            entry.subject,
            entry.detail,
            entry.previous.0,
            entry.hash.0,
        ];
        connection.execute("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", values).unwrap();
    }
    (fixture, Checkpoint { sequence: entries.len() as u64, hash: previous })
}

#[test]
fn an_older_trail_is_chained_anew_and_its_rows_are_bound() {
    let user = "usr_01010101010101010101010101010101";
    let (fixture, old_head) = old_store(&[
        ("user.created", Some(user), r#"{"admin":false,"email":"user1@example.com","name":"Ada"}"#),
        ("key.created", Some("key_1"), r#"{"name":"ci","owner":"User1@example.com"}"#),
    ]);
    is_intact(&fixture);
    let store = fixture.open();
    let entries = store.read().unwrap().audit(None, 0, 100).unwrap();
    let by_steps = |entry: &&audit::AuditEntry| entry.action == audit::MIGRATED;
    let told = entries.iter().filter(|entry| !by_steps(entry)).map(|entry| (&*entry.action, &*entry.detail));
    let told: Vec<_> = told.collect();
    let rechained = format!(r#"{{"broken_at":null,"old_head":"2:{}"}}"#, old_head.hash);
    assert_eq!(
        told,
        [
            ("user.created", r#"{"admin":false}"#),
            ("key.created", &*format!(r#"{{"name":"ci","owner":"{user}"}}"#)),
            (audit::RECHAINED, &*rechained),
            (audit::BOUND, "{}"),
        ]
    );
    assert_eq!(entries[3].rows.iter().count(), 6, "all rows are named");
    assert!(entries[2..].iter().all(|entry| entry.at == at(1) && entry.actor == "keystile"));
    let with = |checkpoint| audit::verify(&store, Some(checkpoint)).unwrap();
    assert!(matches!(with(old_head), AuditReport::Intact { .. }));
    let older = Checkpoint { sequence: 1, ..old_head };
    let AuditReport::Broken { sequence: 1, problem: AuditProblem::CheckpointTooOld } = with(older) else { panic!() };
    let other = Checkpoint { sequence: 4, ..old_head };
    let AuditReport::Broken { problem: AuditProblem::CheckpointMissing, .. } = with(other) else { panic!() };
}

#[test]
fn an_older_trail_that_was_broken_stays_known_as_that() {
    let (fixture, _) = old_store(&[("one", None, "{}"), ("two", None, "{}")]);
    attack(&fixture, "UPDATE audit SET actor = 'mallory' WHERE sequence = 1");
    let AuditReport::Broken { sequence: 1, problem: AuditProblem::BrokenBefore } = verify(&fixture) else { panic!() };
}

/// Steps of the schema that come after the one that binds rows.
#[test]
fn rows_that_a_later_step_changes_are_bound() {
    let fixture = filled();
    attack(&fixture, "UPDATE issuers SET leeway = 9");
    let mut connection = connect(&fixture.path(), Purpose::Write).unwrap();
    let later = [
        Step::Sql(
            "ALTER TABLE users ADD COLUMN x TEXT; ALTER TABLE users ADD COLUMN y INTEGER NOT NULL DEFAULT 0; \
             UPDATE sessions SET refresh_key = zeroblob(61), counter = 5; DELETE FROM settings",
        ),
        Step::Rebuild(
            "CREATE TABLE copy AS SELECT * FROM sealing; DROP TABLE sealing; \
             CREATE TABLE sealing (one INTEGER PRIMARY KEY, check_value BLOB NOT NULL, extra TEXT); \
             INSERT INTO sealing SELECT one, check_value, 'new' FROM copy; DROP TABLE copy; \
             CREATE TABLE copy AS SELECT * FROM jwks_cache; DROP TABLE jwks_cache; \
             CREATE TABLE jwks_cache (name TEXT PRIMARY KEY, jwks TEXT); \
             INSERT INTO jwks_cache SELECT name, jwks FROM copy; DROP TABLE copy; DELETE FROM revocations",
            &[RowKind::Sealing, RowKind::Issuer, RowKind::Revocation],
        ),
    ];
    let steps: Vec<_> = schema::MIGRATIONS.iter().chain(&later).copied().collect();
    schema::migrate_with(&mut connection, &steps).unwrap();
    let view = Transaction::begin(&connection, Behavior::Read).unwrap();
    let report = audit::verify_view(&view, None).unwrap();
    let AuditReport::Differs { differences, .. } = report else { panic!("{report:?}") };
    let rows: Vec<_> = differences
        .iter()
        .filter_map(|difference| difference.what.row().map(|row| (difference.what.as_str(), row.kind)))
        .collect();
    assert_eq!(rows, [("found_changed", RowKind::Issuer)], "what was changed before a step stays known");
    let migrated = view.audit(None, 0, 100).unwrap();
    let details: Vec<_> = migrated
        .iter()
        .filter(|entry| entry.action == audit::MIGRATED)
        .map(|entry| (&*entry.detail, entry.rows.iter().count()))
        .collect();
    let from = schema::SCHEMA_VERSION;
    let detail = |from: u32| format!(r#"{{"from":{from},"to":{}}}"#, from + 1);
    let (first, second) = (detail(from), detail(from + 1));
    assert_eq!(details, [(&*first, 2), (&*second, 2), (&*second, 1)]);
}
