//! Users, sessions and attempts to log in.

use keystile_validator::{Environment, KeyId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row, ToSql, params, params_from_iter};

use super::checked::Checked as _;
use super::containment::place;
use super::reader;
use super::rows::{Column, join_words, to_integer, to_seconds};
use super::transaction::Transaction;
use super::unreadable::{id_at, name_of, page};
use super::writer::{set_setting, touch};
use crate::audit::RowKind;
use crate::ids::{SessionId, UserId};
use crate::login::{LoginSettings, REFRESH_WINDOW_BOUNDS};
use crate::query::MAX_PAGE;
use crate::session::{EndReason, Session, SessionEnd, SessionPage, SessionQuery};
use crate::store::users::{
    Bucket, BucketId, BucketKind, PasswordHash, ReadUsers, SealedRefreshKey, SessionRow, UserRow, WriteUsers,
};
use crate::store::{StoreError, THIS_STORE};
use crate::tokens::ACCESS_TOKEN_LIFETIME_BOUNDS;
use crate::user::{Email, User, UserPage, UserQuery};

impl<C: std::ops::Deref<Target = Connection>> ReadUsers for Transaction<C> {
    fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        user_where(self.connection(), "id = ?1", id.as_bytes())
    }

    fn user_by_email(&self, email: &Email) -> Result<Option<UserRow>, StoreError> {
        user_where(self.connection(), "email = ?1", &email.as_str())
    }

    fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError> {
        users(self.connection(), query)
    }

    fn each_user(&self, each: &mut dyn FnMut(UserRow) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let sql = format!("SELECT {USER_COLUMNS} FROM users ORDER BY pk");
        for_each(self.connection(), &sql, [], |row| each(read_user(row)?))
    }

    fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let sql = format!("SELECT {SESSION_COLUMNS} FROM {SESSION_TABLES} WHERE s.id = ?1");
        reader::first(self.connection(), &sql, [id.as_bytes()], read_session)
    }

    fn sealed_refresh_key(&self, id: SessionId) -> Result<Option<SealedRefreshKey>, StoreError> {
        let query = "SELECT refresh_key FROM sessions WHERE id = ?1";
        let key = reader::first(self.connection(), query, [id.as_bytes()], |row| {
            Column(0, "sessions.refresh_key").optional_blob(row)
        })?;
        Ok(key.flatten().map(SealedRefreshKey))
    }

    fn sessions(&self, query: &SessionQuery, now: Timestamp) -> Result<SessionPage, StoreError> {
        sessions(self.connection(), query, now)
    }

    fn open_sessions(&self, user: Option<UserId>, now: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let user = user.map(|user| user.as_bytes().to_vec());
        let open = open("?2");
        let sql = format!(
            "SELECT s.id FROM sessions AS s JOIN users AS u ON u.pk = s.user_pk WHERE (?1 IS NULL OR u.id = ?1) \
             AND {open} ORDER BY s.last_used_at, s.pk"
        );
        ids(self.connection(), &sql, params![user, to_seconds(now)])
    }

    fn open_sessions_of_key(&self, key: KeyId, now: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let open = open("?2");
        // The index by key holds those alone that have not ended; so the others are looked for among their user's.
        let sql = format!(
            "SELECT id FROM sessions WHERE key_id = ?1 AND ended_at IS NULL \
             UNION SELECT s.id FROM keys AS k JOIN users AS u ON u.email = lower(k.owner) \
             JOIN sessions AS s ON s.user_pk = u.pk WHERE k.id = ?1 AND {open} AND (s.key_id = ?1 OR \
             (s.key_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM keys AS other WHERE other.id = s.key_id)))"
        );
        ids(self.connection(), &sql, params![key.as_bytes(), to_seconds(now)])
    }

    fn each_session(&self, each: &mut dyn FnMut(SessionRow) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let sql = format!("SELECT {SESSION_COLUMNS} FROM {SESSION_TABLES} ORDER BY s.pk");
        for_each(self.connection(), &sql, [], |row| each(read_session(row)?))
    }

    fn bucket_key(&self) -> Result<Option<[u8; 32]>, StoreError> {
        let column = Column(0, "attempts_key.key");
        reader::first(self.connection(), "SELECT key FROM attempts_key", [], |row| column.bytes(row))
    }

    fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, StoreError> {
        let sql =
            "SELECT failures, last_at, blocked_until, succeeded_at FROM attempts WHERE kind = ?1 AND subject = ?2";
        reader::first(self.connection(), sql, params![kind_name(id.kind), id.subject], |row| read_bucket(row, 0))
    }

    fn each_bucket(&self, each: &mut dyn FnMut(BucketId, Bucket) -> Result<(), StoreError>) -> Result<(), StoreError> {
        for_each(self.connection(), &format!("SELECT {BUCKET_COLUMNS} FROM attempts"), [], |row| {
            let (id, bucket) = read_named_bucket(row)?;
            each(id, bucket)
        })
    }
}

impl<C: std::ops::Deref<Target = Connection>> WriteUsers for Transaction<C> {
    fn insert_user(&mut self, user: &User, password: Option<&PasswordHash>) -> Result<bool, StoreError> {
        self.step(|connection, generation| {
            // Nobody else can write, so a look before tells whether the insert will meet a conflict.
            if user_pk(connection, user.id)?.is_some() || email_pk(connection, &user.email)?.is_some() {
                return Ok(false);
            }
            touch(connection, generation)?;
            put_user(connection, user, password)?;
            Ok(true)
        })
    }

    fn update_user(&mut self, user: &User) -> Result<bool, StoreError> {
        self.step(|connection, generation| {
            let pk = user_pk(connection, user.id)?.ok_or(StoreError::NoSuchUser { id: user.id })?;
            if email_pk(connection, &user.email)?.is_some_and(|other| other != pk) {
                return Ok(false);
            }
            touch(connection, generation)?;
            let sql = "UPDATE users SET email = ?2, name = ?3, organization = ?4, admin = ?5, updated_at = ?6, \
                       suspended_at = ?7, last_login_at = ?8 WHERE pk = ?1 AND deleted_at IS NULL";
            let values = params![
                pk,
                user.email.as_str(),
                user.name,
                user.organization,
                user.admin,
                to_seconds(user.updated_at),
                user.suspended_at.map(to_seconds),
                user.last_login_at.map(to_seconds),
            ];
            changed(connection, sql, values, user.id).map(|()| true)
        })
    }

    fn set_password(&mut self, id: UserId, password: Option<&PasswordHash>, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "UPDATE users SET password = ?2, password_set_at = ?3 WHERE id = ?1 AND deleted_at IS NULL";
            let values = params![id.as_bytes(), password.map(|hash| &hash.0), password.map(|_| to_seconds(at))];
            changed(connection, sql, values, id)
        })
    }

    fn delete_user(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            touch(connection, generation)?;
            let pk = place(connection, "users", id.as_bytes())?;
            changed(connection, &format!("{} WHERE pk = ?1", delete_user()), params![pk, to_seconds(at)], id)
        })
    }

    fn carry_user(&mut self, row: &UserRow) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            touch(connection, generation)?;
            match row {
                UserRow::Deleted { id, at } => {
                    if user_pk(connection, *id)?.is_none() {
                        let sql = "INSERT INTO users (id, admin, created_at, created_by, updated_at, deleted_at) \
                                   VALUES (?1, 0, ?2, '', ?2, ?2)";
                        execute(connection, sql, params![id.as_bytes(), to_seconds(*at)])?;
                    } else {
                        let sql = format!("{} WHERE id = ?1 AND {NOT_DELETED}", delete_user());
                        execute(connection, &sql, params![id.as_bytes(), to_seconds(*at)])?;
                    }
                }
                UserRow::Live { user, password } => {
                    let sql = &format!("UPDATE users SET email = {NO_EMAIL} WHERE email = ?1 AND id <> ?2");
                    execute(connection, sql, params![user.email.as_str(), user.id.as_bytes()])?;
                    put_user(connection, user, password.as_ref())?;
                }
            }
            Ok(())
        })
    }

    fn delete_users_without_email(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql =
                format!("UPDATE users SET {FORGET_USER}, updated_at = ?1, deleted_at = ?1 WHERE email = {NO_EMAIL}");
            execute(connection, &sql, [to_seconds(at)]).map(drop)
        })
    }

    fn insert_session(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let session = &row.session;
            let user = user_pk(connection, session.user)?.ok_or(StoreError::NoSuchUser { id: session.user })?;
            let sql = "INSERT INTO sessions (id, user_pk, refresh_key, counter, rotated_at, client_id, client, address, \
                       key_id, scopes, created_at, last_used_at, expires_at, ended_at, end_reason, environment, \
                       secret_number, tokens_until) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
            let values = params![
                session.id.as_bytes(),
                user,
                row.key.as_ref().map(|key| &key.0),
                to_integer(row.counter),
                row.rotated_at.map(to_seconds),
                session.client_id,
                session.client,
                session.address.map(|address| address.to_string()),
                session.key.map(|key| key.as_bytes().to_vec()),
                join_words(&session.scopes),
                to_seconds(session.created_at),
                to_seconds(session.last_used_at),
                to_seconds(session.expires_at),
                session.end.map(|end| to_seconds(end.at)),
                session.end.map(|end| end.reason.as_str()),
                session.environment.as_ref().map(Environment::as_str),
                session.secret,
                row.tokens_until.map(to_seconds),
            ];
            execute(connection, sql, values).map(drop)
        })
    }

    fn update_session(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "UPDATE sessions SET counter = ?2, rotated_at = ?3, last_used_at = max(last_used_at, ?4), \
                       tokens_until = ?5 WHERE id = ?1";
            let session = &row.session;
            let (rotated_at, last_used_at) = (row.rotated_at.map(to_seconds), to_seconds(session.last_used_at));
            let tokens_until = row.tokens_until.map(to_seconds);
            let values =
                params![session.id.as_bytes(), to_integer(row.counter), rotated_at, last_used_at, tokens_until];
            execute(connection, sql, values).map(drop)
        })
    }

    fn end_session(&mut self, id: SessionId, at: Timestamp, reason: EndReason) -> Result<bool, StoreError> {
        self.step(|connection, generation| {
            touch(connection, generation)?;
            let sql = "UPDATE sessions SET ended_at = ?2, end_reason = ?3 WHERE pk = ?1 AND ended_at IS NULL";
            let pk = place(connection, "sessions", id.as_bytes())?;
            let ended = execute(connection, sql, params![pk, to_seconds(at), reason.as_str()])?;
            Ok(ended > 0)
        })
    }

    fn clock_went_back(&mut self, since: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        self.step(|connection, _| {
            let sql = "UPDATE sessions SET rotated_at = NULL WHERE ended_at IS NULL AND rotated_at > ?1";
            let longest = REFRESH_WINDOW_BOUNDS.end();
            // Those that began before that are closed by now, also by the clock as it goes.
            let closed = execute(connection, sql, [to_seconds(now).saturating_sub(to_integer(*longest))])?;
            let sql = "UPDATE sessions SET ended_at = ?2, end_reason = ?3 WHERE ended_at IS NULL AND expires_at <= ?1";
            let values = params![to_seconds(since), to_seconds(since), EndReason::Expired.as_str()];
            let ended = execute(connection, sql, values)?;
            Ok(closed.saturating_add(ended) as u64)
        })
    }

    fn delete_sessions_of(&mut self, user: UserId) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "DELETE FROM sessions WHERE user_pk = (SELECT pk FROM users WHERE id = ?1)";
            execute(connection, sql, [user.as_bytes()]).map(drop)
        })
    }

    fn delete_sessions(&mut self) -> Result<(), StoreError> {
        // In parts: what the trail notes of a row before it goes is in memory.
        let sql = "DELETE FROM sessions WHERE pk IN (SELECT pk FROM sessions LIMIT ?1)";
        while self.step(|connection, _| execute(connection, sql, [DELETED_AT_ONCE]))? > 0 {
            self.bind_many()?;
        }
        Ok(())
    }

    fn forget_sessions(&mut self, expired: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql =
                "DELETE FROM sessions WHERE pk IN (SELECT pk FROM sessions WHERE expires_at BETWEEN 0 AND ?1 LIMIT ?2)";
            execute(connection, sql, [to_seconds(expired), FORGOTTEN_AT_ONCE]).map(drop)
        })
    }

    fn set_bucket_key(&mut self, key: &[u8; 32]) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "INSERT INTO attempts_key (one, key) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET key = ?1";
            execute(connection, sql, [key]).map(drop)
        })
    }

    fn set_bucket(&mut self, id: &BucketId, bucket: &Bucket) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "INSERT INTO attempts (kind, subject, account, failures, last_at, blocked_until, succeeded_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (kind, subject) DO UPDATE SET \
                       failures = ?4, last_at = ?5, blocked_until = ?6, succeeded_at = ?7";
            let values = params![
                kind_name(id.kind),
                id.subject,
                id.account,
                bucket.failures,
                to_seconds(bucket.last_at),
                to_seconds(bucket.blocked_until),
                bucket.succeeded_at.map(to_seconds),
            ];
            execute(connection, sql, values).map(drop)
        })
    }

    fn empty_buckets(&mut self, account: &BucketId) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "UPDATE attempts SET failures = 0, blocked_until = 0 \
                       WHERE (kind = 'account' AND subject = ?1) OR account = ?1";
            execute(connection, sql, [account.subject]).map(drop)
        })
    }

    fn delete_buckets_of(&mut self, account: &BucketId) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "DELETE FROM attempts WHERE (kind = 'account' AND subject = ?1) OR account = ?1";
            execute(connection, sql, [account.subject]).map(drop)
        })
    }

    fn delete_buckets(&mut self) -> Result<(), StoreError> {
        self.step(|connection, _| execute(connection, "DELETE FROM attempts", []).map(drop))
    }

    fn forget_buckets(&mut self, devices: Timestamp, others: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "DELETE FROM attempts WHERE (kind, subject) IN (SELECT kind, subject FROM attempts \
                       WHERE last_at <= ?2 AND (kind <> 'device' OR last_at <= ?1) LIMIT ?3)";
            execute(connection, sql, [to_seconds(devices), to_seconds(others), FORGOTTEN_AT_ONCE]).map(drop)
        })
    }
}

/// The names of [`LoginSettings`] in the store; absent: the default.
const MIN_PASSWORD_LEN: &str = "min_password_len";
const SESSION_LIFETIME: &str = "session_lifetime";
const REFRESH_WINDOW: &str = "refresh_window";

pub(super) fn settings(connection: &Connection) -> Result<LoginSettings, StoreError> {
    let default = LoginSettings::default();
    Ok(LoginSettings {
        min_password_len: reader::setting(connection, MIN_PASSWORD_LEN)?.unwrap_or(default.min_password_len),
        session_lifetime: reader::setting(connection, SESSION_LIFETIME)?.unwrap_or(default.session_lifetime),
        refresh_window: reader::setting(connection, REFRESH_WINDOW)?.unwrap_or(default.refresh_window),
    })
}

pub(super) fn set_settings(connection: &Connection, settings: &LoginSettings) -> Result<(), StoreError> {
    // What is as always is not written: a later default is then its default too.
    fn changed<T: PartialEq + ToString>(value: &T, default: &T) -> Option<String> {
        (value != default).then(|| value.to_string())
    }
    let default = LoginSettings::default();
    let min_password_len = changed(&settings.min_password_len, &default.min_password_len);
    set_setting(connection, MIN_PASSWORD_LEN, min_password_len)?;
    set_setting(connection, SESSION_LIFETIME, changed(&settings.session_lifetime, &default.session_lifetime))?;
    set_setting(connection, REFRESH_WINDOW, changed(&settings.refresh_window, &default.refresh_window))
}

/// Rows that one statement deletes where all of them go.
const DELETED_AT_ONCE: i64 = 1_000;

/// Rows that one write forgets: enough to keep up, few enough to be quick.
const FORGOTTEN_AT_ONCE: i64 = 50;

/// What stands for an address while a restore has given that to another, and the user has not got its new one
/// yet. `invalid` is no domain, by RFC 2606.
const NO_EMAIL: &str = "'taken-' || lower(hex(id)) || '@invalid'";

/// The condition for a session `s` that may be of use to somebody at this time. One that has ended has a revocation
/// for as long as its access tokens may be valid.
fn open(now: &str) -> String {
    let longest = *ACCESS_TOKEN_LIFETIME_BOUNDS.end();
    format!(
        "(s.ended_at IS NULL OR s.ended_at NOT BETWEEN 0 AND {LATEST} OR \
         (s.last_used_at NOT BETWEEN 0 AND {now} - {longest} AND NOT EXISTS (SELECT 1 FROM revocations AS r \
         WHERE r.issuer = '{THIS_STORE}' AND r.kind = 'session' AND r.value = 'ses_' || lower(hex(s.id)) \
         AND r.expires_at >= {now})))"
    )
}

/// The latest time that a row can hold, in seconds.
pub(super) const LATEST: u64 = Timestamp::MAX.unix();

/// The condition for a user that was not deleted, as [`read_user`] has it: a deleted one has no address. A time of its
/// deletion alone is damage.
pub(super) const NOT_DELETED: &str = "(email IS NOT NULL OR deleted_at IS NULL)";

fn delete_user() -> String {
    format!("UPDATE users SET {FORGET_USER}, updated_at = ?2, deleted_at = ?2")
}

/// Forgets all that is known of a user but its id.
const FORGET_USER: &str = "email = NULL, name = NULL, organization = NULL, admin = 0, password = NULL, \
     password_set_at = NULL, suspended_at = NULL, last_login_at = NULL, created_by = ''";

/// Writes a user with its password, over what is there.
fn put_user(connection: &Connection, user: &User, password: Option<&PasswordHash>) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, email, name, organization, admin, password, password_set_at, created_at, created_by, \
               updated_at, suspended_at, last_login_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
               ON CONFLICT (id) DO UPDATE SET email = ?2, name = ?3, organization = ?4, admin = ?5, password = ?6, \
               password_set_at = ?7, created_at = ?8, created_by = ?9, updated_at = ?10, suspended_at = ?11, \
               last_login_at = ?12";
    let set_at = user.password_set_at.unwrap_or(user.updated_at);
    let values = params![
        user.id.as_bytes(),
        user.email.as_str(),
        user.name,
        user.organization,
        user.admin,
        password.map(|hash| &hash.0),
        password.map(|_| to_seconds(set_at)),
        to_seconds(user.created_at),
        user.created_by,
        to_seconds(user.updated_at),
        user.suspended_at.map(to_seconds),
        user.last_login_at.map(to_seconds),
    ];
    execute(connection, sql, values).map(drop)
}

// In the order of their rows, which is that in which they were made: ids of one second, made by several
// processes, are in no order.
fn users(connection: &Connection, query: &UserQuery) -> Result<UserPage, StoreError> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    // One more than fits tells whether there is another page.
    let mut parameters = vec![Value::Integer(to_integer(limit as u64).saturating_add(1))];
    let mut parameter = |value: Value| {
        parameters.push(value);
        format!("?{}", parameters.len())
    };
    let mut conditions = vec![NOT_DELETED.to_owned()];
    if let Some(organization) = &query.organization {
        conditions.push(format!("organization = {}", parameter(Value::Text(organization.clone()))));
    }
    if let Some(suspended) = query.suspended {
        conditions.push(format!("(suspended_at IS NOT NULL) = {}", parameter(Value::Integer(suspended.into()))));
    }
    if let Some(search) = &query.search {
        let search = parameter(Value::Text(search.to_ascii_lowercase()));
        conditions.push(SEARCH.replace("?search", &search));
    }
    if let Some(after) = query.after {
        conditions.push(format!(
            "pk < (SELECT pk FROM users WHERE id = {})",
            parameter(Value::Blob(after.as_bytes().to_vec()))
        ));
    }
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE {conditions} ORDER BY pk DESC LIMIT ?1");
    let place = |row: &Row<'_>| id_at(row, 0).map(UserId::from_bytes);
    let name = name_of(RowKind::User, 0);
    let page = page(connection, &sql, params_from_iter(parameters), limit, name, place, read_user)?;
    let live = |row| match row {
        UserRow::Live { user, .. } => Some(user),
        UserRow::Deleted { .. } => None,
    };
    let users = page.items.into_iter().filter_map(live).collect();
    Ok(UserPage { users, unreadable: page.unreadable, next: page.next })
}

/// The text anywhere. `instr` has no wildcards to escape.
const SEARCH: &str = "(instr(email, ?search) > 0 OR instr(lower(coalesce(name, '')), ?search) > 0 \
     OR instr(lower(coalesce(organization, '')), ?search) > 0 OR instr('usr_' || lower(hex(id)), ?search) > 0)";

fn sessions(connection: &Connection, query: &SessionQuery, now: Timestamp) -> Result<SessionPage, StoreError> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut parameters = vec![Value::Integer(to_integer(limit as u64).saturating_add(1))];
    let mut parameter = |value: Value| {
        parameters.push(value);
        format!("?{}", parameters.len())
    };
    let mut conditions = vec!["true".to_owned()];
    if let Some(user) = query.user {
        conditions.push(format!("u.id = {}", parameter(Value::Blob(user.as_bytes().to_vec()))));
    }
    if !query.ended {
        let now = parameter(Value::Integer(to_seconds(now)));
        conditions.push(format!("s.ended_at IS NULL AND max({now}, s.last_used_at) < s.expires_at"));
    }
    if let Some(after) = query.after {
        conditions.push(format!(
            "s.pk < (SELECT pk FROM sessions WHERE id = {})",
            parameter(Value::Blob(after.as_bytes().to_vec()))
        ));
    }
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {SESSION_COLUMNS} FROM {SESSION_TABLES} WHERE {conditions} ORDER BY s.pk DESC LIMIT ?1");
    let place = |row: &Row<'_>| id_at(row, 0).map(SessionId::from_bytes);
    let name = name_of(RowKind::Session, 0);
    let page = page(connection, &sql, params_from_iter(parameters), limit, name, place, read_session)?;
    let sessions = page.items.into_iter().map(|row| row.session).collect();
    Ok(SessionPage { sessions, unreadable: page.unreadable, next: page.next })
}

pub(super) const USER_COLUMNS: &str = "id, email, name, organization, admin, password, password_set_at, created_at, created_by, \
     updated_at, suspended_at, last_login_at, deleted_at";

pub(super) fn read_user(row: &Row<'_>) -> Result<UserRow, StoreError> {
    let id = UserId::from_bytes(Column(0, "users.id").bytes(row)?);
    let email = Column(1, "users.email");
    let Some(address) = email.optional_text(row)? else {
        let at = Column(12, "users.deleted_at").optional_time(row)?;
        return at.map(|at| UserRow::Deleted { id, at }).ok_or_else(|| email.invalid());
    };
    let user = User {
        id,
        email: address.parse().map_err(|_| email.invalid())?,
        name: Column(2, "users.name").optional_text(row)?.map(str::to_owned),
        organization: Column(3, "users.organization").optional_text(row)?.map(str::to_owned),
        admin: Column(4, "users.admin").flag(row)?,
        password_set_at: Column(6, "users.password_set_at").optional_time(row)?,
        created_at: Column(7, "users.created_at").time(row)?,
        created_by: Column(8, "users.created_by").text(row)?.to_owned(),
        updated_at: Column(9, "users.updated_at").time(row)?,
        suspended_at: Column(10, "users.suspended_at").optional_time(row)?,
        last_login_at: Column(11, "users.last_login_at").optional_time(row)?,
    };
    let password = Column(5, "users.password").optional_text(row)?.map(|hash| PasswordHash(hash.to_owned()));
    Ok(UserRow::Live { user, password })
}

fn user_where(connection: &Connection, condition: &str, value: &dyn ToSql) -> Result<Option<UserRow>, StoreError> {
    reader::first(connection, &format!("SELECT {USER_COLUMNS} FROM users WHERE {condition}"), [value], read_user)
}

fn user_pk(connection: &Connection, id: UserId) -> Result<Option<i64>, StoreError> {
    let column = Column(0, "users.pk");
    reader::first(connection, "SELECT pk FROM users WHERE id = ?1", [id.as_bytes()], |row| column.integer(row))
}

fn email_pk(connection: &Connection, email: &Email) -> Result<Option<i64>, StoreError> {
    let column = Column(0, "users.pk");
    reader::first(connection, "SELECT pk FROM users WHERE email = ?1", [email.as_str()], |row| column.integer(row))
}

// A session of no user is one that cannot be read.
pub(super) const SESSION_TABLES: &str = "sessions AS s LEFT JOIN users AS u ON u.pk = s.user_pk";

pub(super) const SESSION_COLUMNS: &str = "s.id, u.id, s.refresh_key, s.counter, s.rotated_at, s.client_id, s.client, s.address, \
     s.key_id, s.scopes, s.created_at, s.last_used_at, s.expires_at, s.ended_at, s.end_reason, s.environment, \
     s.secret_number, s.tokens_until";

pub(super) fn read_session(row: &Row<'_>) -> Result<SessionRow, StoreError> {
    let address = Column(7, "sessions.address");
    let key = Column(8, "sessions.key_id");
    let environment = Column(15, "sessions.environment");
    let session = Session {
        id: SessionId::from_bytes(Column(0, "sessions.id").bytes(row)?),
        user: UserId::from_bytes(Column(1, "users.id").bytes(row)?),
        client_id: Column(5, "sessions.client_id").optional_text(row)?.map(str::to_owned),
        client: Column(6, "sessions.client").optional_text(row)?.map(str::to_owned),
        address: match address.optional_text(row)? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| address.invalid())?),
        },
        key: key.optional_bytes(row)?.map(KeyId::from_bytes),
        secret: Column(16, "sessions.secret_number").optional_number(row)?,
        environment: match environment.optional_text(row)? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| environment.invalid())?),
        },
        scopes: Column(9, "sessions.scopes").words(row)?,
        created_at: Column(10, "sessions.created_at").time(row)?,
        last_used_at: Column(11, "sessions.last_used_at").time(row)?,
        expires_at: Column(12, "sessions.expires_at").time(row)?,
        end: match Column(13, "sessions.ended_at").optional_time(row)? {
            None => None,
            Some(at) => Some(SessionEnd { at, reason: Column(14, "sessions.end_reason").parsed(row)? }),
        },
    };
    Ok(SessionRow {
        session,
        key: Column(2, "sessions.refresh_key").optional_blob(row)?.map(SealedRefreshKey),
        counter: Column(3, "sessions.counter").number(row)?,
        rotated_at: Column(4, "sessions.rotated_at").optional_time(row)?,
        tokens_until: Column(17, "sessions.tokens_until").optional_time(row)?,
    })
}

/// The columns that [`read_named_bucket`] reads.
pub(super) const BUCKET_COLUMNS: &str = "kind, subject, account, failures, last_at, blocked_until, succeeded_at";

pub(super) fn read_named_bucket(row: &Row<'_>) -> Result<(BucketId, Bucket), StoreError> {
    let kind = Column(0, "attempts.kind");
    let kind = match kind.text(row)? {
        "account" => BucketKind::Account,
        "address" => BucketKind::Address,
        "device" => BucketKind::Device,
        _ => return Err(kind.invalid()),
    };
    let account = match kind {
        BucketKind::Device => Some(Column(2, "attempts.account").bytes(row)?),
        BucketKind::Account | BucketKind::Address => None,
    };
    let id = BucketId { kind, subject: Column(1, "attempts.subject").bytes(row)?, account };
    Ok((id, read_bucket(row, 3)?))
}

/// Reads `failures, last_at, blocked_until, succeeded_at`, the first of which is this column.
fn read_bucket(row: &Row<'_>, first: usize) -> Result<Bucket, StoreError> {
    Ok(Bucket {
        failures: Column(first, "attempts.failures").number(row)?,
        last_at: Column(first.saturating_add(1), "attempts.last_at").time(row)?,
        blocked_until: Column(first.saturating_add(2), "attempts.blocked_until").time(row)?,
        succeeded_at: Column(first.saturating_add(3), "attempts.succeeded_at").optional_time(row)?,
    })
}

fn kind_name(kind: BucketKind) -> &'static str {
    match kind {
        BucketKind::Account => "account",
        BucketKind::Address => "address",
        BucketKind::Device => "device",
    }
}

/// The sessions of a query. One whose id is none, which nobody can name, keeps the others from nothing.
fn ids(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<SessionId>, StoreError> {
    let ids = reader::all(connection, sql, params, |row| Ok(id_at(row, 0)))?;
    Ok(ids.into_iter().flatten().map(SessionId::from_bytes).collect())
}

fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).checked()
}

/// Runs a statement that must change the row of this user.
fn changed(connection: &Connection, sql: &str, params: impl Params, id: UserId) -> Result<(), StoreError> {
    if execute(connection, sql, params)? == 0 { Err(StoreError::NoSuchUser { id }) } else { Ok(()) }
}

fn for_each(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut each: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql).checked()?;
    let mut rows = statement.query(params).checked()?;
    while let Some(row) = rows.next().checked()? {
        each(row)?;
    }
    Ok(())
}
