//! The schema, as a list of steps that is only ever added to.

mod audiences;
mod clock;
mod environments;
mod erasure;
mod imports;
mod issuers;
mod leases;
mod restores;
mod sealed_sessions;
mod security_events;
mod sessions;
mod suspensions;
mod tokens;
mod trail;
mod usage;
mod users;

use rusqlite::{Connection, TransactionBehavior};

use super::checked::Checked as _;
use super::trail::{Trail, bind_all, differing, forget_gone, unwatch, watch};
use crate::audit::{MIGRATED, NewEntry, RowKind, THE_STORE};
use crate::store::StoreError;

/// `KSTL` in the header of the file: what tells a store from other databases.
pub(super) const APPLICATION_ID: u32 = 0x4b53_544c;

/// The schema that this program writes: the number of steps.
#[allow(clippy::cast_possible_truncation, reason = "a handful of steps")]
pub(super) const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Each step brings the schema from the version that is its index to the next one. A step that was
/// released never changes.
pub(super) const MIGRATIONS: &[Step] = &[
    Step::Sql(VERSION_1),
    Step::Sql(tokens::VERSION_2),
    Step::Sql(users::USERS),
    Step::Sql(issuers::VERSION_4),
    Step::Sql(usage::VERSION_5),
    Step::Sql(environments::ISSUER_ENVIRONMENTS),
    Step::Sql(imports::IMPORTS),
    Step::Sql(sessions::SESSION_ORIGIN),
    Step::Sql(suspensions::SUSPENDED_FOR),
    Step::Sql(security_events::SECURITY_EVENTS),
    Step::Trail(trail::bind_the_rows),
    Step::Sql(audiences::ISSUER_AUDIENCES),
    Step::Sql(erasure::ERASURE),
    Step::Trail(erasure::leave_people_out),
    Step::Sql(clock::NEWEST_TIME),
    Step::Sql(clock::ENDED_SECRETS),
    Step::Rebuild(sealed_sessions::SEALED_SESSIONS, &[RowKind::Session]),
    Step::Sql(restores::SUSPENDED_BY_RESTORE),
    Step::Sql(leases::FETCH_LEASES),
];

/// A step of the schema.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Statements. The rows that they change are bound to an entry of the audit trail, from the step on that
    /// makes entries name rows.
    Sql(&'static str),
    /// Statements that make tables anew, where no trigger sees which rows they change: all rows of these kinds
    /// are checked before and bound after.
    Rebuild(&'static str, &'static [RowKind]),
    /// A step that writes the audit trail anew. The first one makes its entries name rows.
    Trail(fn(&Connection) -> Result<(), StoreError>),
}

#[cfg(test)]
impl Step {
    /// Whether it brings the table `erasure`.
    pub(super) fn makes_erasure(&self) -> bool {
        matches!(self, Step::Sql(sql) if *sql == erasure::ERASURE)
    }
}

/// Brings the schema up to date, each step in one transaction with its version number.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_with(connection, MIGRATIONS)
}

pub(super) fn migrate_with(connection: &mut Connection, steps: &[Step]) -> Result<(), StoreError> {
    loop {
        if version(connection)? as usize >= steps.len() {
            return Ok(());
        }
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate).checked()?;
        // Again, now that nobody else can write: another process may have been faster.
        let from = version(&step)?;
        let Some((before, [next, ..])) = steps.split_at_checked(from as usize) else { return Ok(()) };
        let names_rows = before.iter().any(|step| matches!(step, Step::Trail(_)));
        run(&step, *next, names_rows.then_some(from))?;
        step.pragma_update(None, "user_version", from.saturating_add(1)).checked()?;
        step.commit().checked()?;
    }
}

/// Runs a step; with the version that it starts from, where entries of the audit trail name rows.
fn run(connection: &Connection, step: Step, from: Option<u32>) -> Result<(), StoreError> {
    let (sql, rebuilt) = match step {
        Step::Sql(sql) => (sql, [].as_slice()),
        Step::Rebuild(sql, kinds) => (sql, kinds),
        Step::Trail(run) => return run(connection),
    };
    let Some(from) = from else { return connection.execute_batch(sql).checked() };
    let found_changed = differing(connection, rebuilt)?;
    watch(connection, rebuilt)?;
    connection.execute_batch(sql).checked()?;
    let mut trail = Trail::default();
    let detail = serde_json::json!({ "from": from, "to": from.saturating_add(1) }).to_string();
    // A migration has no clock.
    let at = trail.newest(connection)?;
    let entry = NewEntry { at, actor: THE_STORE, action: MIGRATED, subject: None, detail: &detail };
    trail.append_if_touched(connection, &entry)?;
    unwatch(connection)?;
    bind_all(connection, &mut trail, rebuilt, &found_changed, &entry)?;
    forget_gone(connection, &mut trail, rebuilt, &entry)
}

/// Defines in an empty file what this version defines. That is [`migrate`] without all that rows need, which takes most
/// of its time.
pub(super) fn define(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN").checked()?;
    for step in MIGRATIONS {
        match step {
            Step::Sql(sql) | Step::Rebuild(sql, _) => connection.execute_batch(sql).checked()?,
            Step::Trail(run) => run(connection)?,
        }
    }
    connection.execute_batch("COMMIT").checked()
}

/// The version of the schema in this file.
pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA user_version").checked()?;
    let version: i64 = statement.query_row([], |row| row.get(0)).checked()?;
    // Negative only when somebody has set it so: no version that we know.
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// A number that moves with each change of a definition in this file, whoever makes it.
pub(super) fn definitions_number(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA main.schema_version").checked()?;
    statement.query_row([], |row| row.get(0)).checked()
}

/// The mark of this program in the file.
pub(super) fn application_id(connection: &Connection) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA application_id").checked()?;
    let id: i32 = statement.query_row([], |row| row.get(0)).checked()?;
    Ok(id.cast_unsigned())
}

// Secrets lie in the order of their keys, so that loading all of them reads both tables once from
// start to end. What verification needs comes first in a row: the rest is then not even decoded.
const VERSION_1: &str = "
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id BLOB NOT NULL CHECK (length(store_id) = 16),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    generation INTEGER NOT NULL CHECK (generation > 0),
    has_imports INTEGER NOT NULL DEFAULT 0 CHECK (has_imports IN (0, 1))
) STRICT;

CREATE TABLE formats (
    name TEXT NOT NULL PRIMARY KEY,
    ordinal INTEGER NOT NULL UNIQUE CHECK (ordinal > 0),
    prefix TEXT NOT NULL,
    separator TEXT NOT NULL CHECK (separator IN ('_', '.')),
    environments TEXT NOT NULL,
    body_len INTEGER NOT NULL CHECK (body_len > 0),
    checksum TEXT NOT NULL CHECK (checksum IN ('none', 'crc32')),
    created_at INTEGER NOT NULL CHECK (created_at >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    pk INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    generation INTEGER NOT NULL CHECK (generation > 0),
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    environment TEXT NOT NULL,
    owner TEXT,
    scopes TEXT NOT NULL,
    addresses TEXT NOT NULL,
    rate_limit INTEGER CHECK (rate_limit > 0),
    rate_window INTEGER CHECK (rate_window > 0),
    not_before INTEGER CHECK (not_before >= 0),
    expires_at INTEGER CHECK (expires_at >= 0),
    name TEXT NOT NULL,
    format TEXT REFERENCES formats (name),
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL CHECK (updated_at >= 0),
    suspended_at INTEGER CHECK (suspended_at >= 0),
    revoked_at INTEGER CHECK (revoked_at >= 0),
    revoke_reason TEXT,
    revoke_note TEXT,
    CHECK ((rate_limit IS NULL) = (rate_window IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL)),
    CHECK (revoke_note IS NULL OR revoked_at IS NOT NULL)
) STRICT;
CREATE INDEX keys_by_generation ON keys (generation);
CREATE INDEX keys_by_creation ON keys (created_at, id);
CREATE INDEX keys_by_owner ON keys (owner, created_at, id) WHERE owner IS NOT NULL;

CREATE TABLE secrets (
    key_pk INTEGER NOT NULL REFERENCES keys (pk),
    number INTEGER NOT NULL CHECK (number > 0),
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    retires_at INTEGER CHECK (retires_at >= 0),
    pending_grace INTEGER CHECK (pending_grace >= 0),
    algorithm TEXT NOT NULL DEFAULT 'sha256' CHECK (algorithm = 'sha256'),
    display TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('generated', 'imported')),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    PRIMARY KEY (key_pk, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE rotations (
    key_pk INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    grace INTEGER NOT NULL CHECK (grace >= 0),
    from_first_use INTEGER NOT NULL CHECK (from_first_use IN (0, 1)),
    PRIMARY KEY (key_pk, request_id),
    FOREIGN KEY (key_pk, number) REFERENCES secrets (key_pk, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    key_pk INTEGER NOT NULL,
    number INTEGER NOT NULL,
    uses INTEGER NOT NULL CHECK (uses >= 0),
    first_used_at INTEGER NOT NULL CHECK (first_used_at >= 0),
    last_used_at INTEGER NOT NULL CHECK (last_used_at >= 0),
    PRIMARY KEY (key_pk, number),
    FOREIGN KEY (key_pk, number) REFERENCES secrets (key_pk, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL CHECK (at >= 0),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    detail TEXT NOT NULL,
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject) WHERE subject IS NOT NULL;

CREATE TRIGGER audit_is_appended_to BEFORE INSERT ON audit
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever appended to'); END;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never deleted'); END;
CREATE TRIGGER keys_are_not_deleted BEFORE DELETE ON keys
BEGIN SELECT RAISE(ABORT, 'keys are revoked, never deleted'); END;
CREATE TRIGGER keys_keep_their_id BEFORE UPDATE OF pk, id ON keys
BEGIN SELECT RAISE(ABORT, 'a key keeps its id'); END;
CREATE TRIGGER secrets_are_not_deleted BEFORE DELETE ON secrets
BEGIN SELECT RAISE(ABORT, 'secrets retire, they are never deleted'); END;
CREATE TRIGGER secrets_keep_their_digest BEFORE UPDATE OF key_pk, number, digest ON secrets
BEGIN SELECT RAISE(ABORT, 'a secret keeps its digest'); END;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_once_each_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y", "INSERT INTO a VALUES (1, 2)"].map(Step::Sql);
        migrate_with(&mut connection, &steps[..2]).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
        for _ in 0..2 {
            migrate_with(&mut connection, &steps).unwrap();
            assert_eq!(version(&connection).unwrap(), 3);
        }
        let rows: i64 = connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_step_that_fails_leaves_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"].map(Step::Sql);
        assert!(migrate_with(&mut connection, &steps).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(connection.prepare("SELECT * FROM b").is_err());
    }

    #[test]
    fn keys_of_users_that_were_suspended_before_are_suspended_now() {
        let mut connection = Connection::open_in_memory().unwrap();
        let before = MIGRATIONS
            .iter()
            .position(|step| matches!(step, Step::Sql(sql) if *sql == suspensions::SUSPENDED_FOR))
            .unwrap();
        migrate_with(&mut connection, &MIGRATIONS[..before]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO position (one, store_id, created_at, epoch, generation) VALUES (1, zeroblob(16), 0, 1, 7);
                 INSERT INTO users (id, email, admin, created_at, created_by, updated_at, suspended_at)
                 VALUES (zeroblob(16), 'ada@x.org', 0, 0, '', 0, 5), (x'01010101010101010101010101010101', 'bob@x.org', 0, 0, '', 0, NULL);
                 INSERT INTO keys (id, generation, state, environment, owner, scopes, addresses, name, metadata, created_at, created_by, updated_at)
                 VALUES (x'01010101010101010101010101010101', 1, 'active', 'live', 'Ada@x.org', '', '', 'k', '{}', 0, '', 0),
                        (x'02020202020202020202020202020202', 1, 'active', 'live', 'bob@x.org', '', '', 'k', '{}', 0, '', 0),
                        (x'03030303030303030303030303030303', 1, 'revoked', 'live', 'ada@x.org', '', '', 'k', '{}', 0, '', 0);",
            )
            .unwrap();
        migrate_with(&mut connection, MIGRATIONS).unwrap();
        let sql = "SELECT state || ' ' || generation || ' ' || coalesce(suspended_at, '-') || ' ' || \
                   hex(suspended_for) FROM keys ORDER BY pk";
        let mut statement = connection.prepare(sql).unwrap();
        let keys: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let ada = "0".repeat(32);
        assert_eq!(keys, [format!("suspended 8 5 {ada}"), "active 1 - ".to_owned(), "revoked 1 - ".to_owned()]);
    }

    /// What was over by the newest entry has ended; the trail binds it, and knows how late it is.
    #[test]
    fn secrets_that_were_over_before_have_ended_now() {
        let mut connection = Connection::open_in_memory().unwrap();
        let before =
            MIGRATIONS.iter().position(|step| matches!(step, Step::Sql(sql) if *sql == clock::NEWEST_TIME)).unwrap();
        migrate_with(&mut connection, &MIGRATIONS[..before]).unwrap();
        watch(&connection, &[]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO position (one, store_id, created_at, epoch, generation) VALUES (1, zeroblob(16), 0, 1, 7);
                 INSERT INTO keys (id, generation, state, environment, scopes, addresses, name, metadata, created_at, created_by, updated_at)
                 VALUES (zeroblob(16), 1, 'active', 'live', '', '', 'k', '{}', 0, '', 0);
                 INSERT INTO secrets (key_pk, number, digest, retires_at, display, origin, created_at)
                 VALUES (1, 1, zeroblob(32), 100, 'a', 'generated', 0), (1, 2, randomblob(32), 101, 'b', 'generated', 0),
                        (1, 3, randomblob(32), NULL, 'c', 'generated', 0);",
            )
            .unwrap();
        let at = keystile_validator::Timestamp::from_unix(100).unwrap();
        let entry = NewEntry { at, actor: THE_STORE, action: "tests", subject: None, detail: "{}" };
        Trail::default().append(&connection, &entry).unwrap();
        unwatch(&connection).unwrap();
        migrate_with(&mut connection, MIGRATIONS).unwrap();
        let query = "SELECT group_concat(coalesce(ended_at, '-'), ' ' ORDER BY number) FROM secrets";
        let ended: String = connection.query_row(query, [], |row| row.get(0)).unwrap();
        assert_eq!(ended, "100 - -");
        let newest: i64 = connection.query_row("SELECT newest_at FROM position", [], |row| row.get(0)).unwrap();
        assert_eq!(newest, 100);
        let bring_back = connection.execute("UPDATE secrets SET ended_at = NULL", []);
        assert!(bring_back.unwrap_err().to_string().contains("a secret that has ended stays so"));
        let view =
            super::super::transaction::Transaction::begin(&connection, super::super::transaction::Behavior::Read);
        let report = crate::audit::verify_view(&view.unwrap(), None).unwrap();
        assert!(matches!(report, crate::audit::AuditReport::Intact { .. }), "{report:?}");
    }

    /// Whoever has a backup from before can make refresh tokens of its sessions: they end, and the clear keys are
    /// overwritten.
    #[test]
    fn sessions_from_before_keys_were_sealed_end_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        std::fs::write(&path, "").unwrap();
        let mut connection =
            super::super::connection::connect(&path, super::super::connection::Purpose::Write).unwrap();
        let before = MIGRATIONS.iter().position(|step| matches!(step, Step::Rebuild(..))).unwrap();
        migrate_with(&mut connection, &MIGRATIONS[..before]).unwrap();
        watch(&connection, &[]).unwrap();
        let clear = |number: usize| format!("a clear refresh key, number {number:04}");
        let (open, ended) = (0..200, 200..250);
        connection
            .execute_batch(
                "INSERT INTO position (one, store_id, created_at, epoch, generation) VALUES (1, zeroblob(16), 0, 1, 7);
                 INSERT INTO users (id, email, admin, created_at, created_by, updated_at) VALUES (zeroblob(16), 'a@b', 0, 0, '', 0)",
            )
            .unwrap();
        for number in open.clone().chain(ended.clone()) {
            let sql = "INSERT INTO sessions (id, user_pk, refresh_key, counter, scopes, created_at, last_used_at, expires_at, \
                       ended_at, end_reason, tokens_until) VALUES (?1, 1, ?2, 3, '', 10, 20, 5000, ?3, ?4, 900)";
            let end = ended.contains(&number).then_some((30, "logout"));
            let id = (number as u128).to_be_bytes();
            let key = clear(number).into_bytes();
            assert_eq!(key.len(), 32);
            let values = rusqlite::params![id, key, end.map(|end| end.0), end.map(|end| end.1)];
            connection.execute(sql, values).unwrap();
        }
        let at = keystile_validator::Timestamp::from_unix(100).unwrap();
        let entry = NewEntry { at, actor: THE_STORE, action: "tests", subject: None, detail: "{}" };
        Trail::default().append_if_touched(&connection, &entry).unwrap();
        connection.execute("UPDATE position SET newest_at = 100", []).unwrap();
        unwatch(&connection).unwrap();
        migrate_with(&mut connection, MIGRATIONS).unwrap();
        let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(count("SELECT count(*) FROM sessions WHERE end_reason = 'unsealed' AND ended_at = 100"), 200);
        assert_eq!(count("SELECT count(*) FROM sessions WHERE end_reason = 'logout' AND ended_at = 30"), 50);
        assert_eq!(count("SELECT count(*) FROM sessions WHERE refresh_key IS NULL AND counter = 3"), 250);
        let revoked = "SELECT count(*) FROM revocations WHERE kind = 'session' AND expires_at = 900 AND value = ";
        assert_eq!(count(&format!("{revoked} 'ses_{:032x}'", 7)), 1);
        assert_eq!(count(&format!("{revoked} 'ses_{:032x}'", 200)), 0);
        let bring_back = connection.execute("UPDATE sessions SET ended_at = NULL, end_reason = NULL", []);
        assert!(bring_back.is_err());
        {
            let behavior = super::super::transaction::Behavior::Read;
            let view = super::super::transaction::Transaction::begin(&connection, behavior).unwrap();
            let report = crate::audit::verify_view(&view, None).unwrap();
            assert!(matches!(report, crate::audit::AuditReport::Intact { .. }), "{report:?}");
        }
        connection.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(20).filter(|window| window == b"a clear refresh key,").count();
        assert_eq!(found, 0, "clear keys lie in the file");
    }

    /// A step that was released never changes: stores that took it would differ from new ones.
    #[test]
    fn released_steps_stay_as_they_are() {
        use sha2::{Digest as _, Sha256};
        let hashes: Vec<String> = MIGRATIONS
            .iter()
            .map(|step| match step {
                Step::Sql(sql) | Step::Rebuild(sql, _) => *sql,
                Step::Trail(_) => "",
            })
            .map(|sql| Sha256::digest(sql).iter().take(4).map(|byte| format!("{byte:02x}")).collect())
            .collect();
        assert_eq!(hashes[..RELEASED.len()], *RELEASED);
    }

    const RELEASED: &[&str] = &["772cae31", "f1928659", "a6c31a1a"];
}
