//! What is read inside a transaction, but for lists and the records of all keys.

use std::str::FromStr;

use keystile_validator::{Digest, KeyId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params, params_from_iter};

use super::checked::Checked as _;
use super::imports::IN_FORCE;
use super::records::in_row;
use super::rows::{
    Column, FORMAT_COLUMNS, KEY_COLUMNS, read_audit, read_format, read_key, read_secrets, to_integer, to_seconds,
};
use super::unreadable::{Listed, id_at, name_of, page};
use super::{tokens, users};
use crate::audit::{AuditEntry, AuditPage, AuditQuery, RowKind};
use crate::ids::UserId;
use crate::key::{Key, NamedFormat, Settings};
use crate::query::MAX_PAGE;
use crate::store::{ClockRow, Generation, Position, RotationRow, StoreError, UnreadableRow};
use crate::user::Email;

/// The setting [`Settings::max_lifetime`]; absent: no limit.
pub(super) const MAX_LIFETIME: &str = "max_lifetime";

pub(super) fn position(connection: &Connection) -> Result<Position, StoreError> {
    let position = first(connection, "SELECT epoch, generation FROM position", [], read_position)?;
    position.ok_or(StoreError::InvalidValue { column: "position.one" })
}

/// What the store knows of the time.
pub(super) fn clock(connection: &Connection) -> Result<ClockRow, StoreError> {
    let clock =
        first(connection, "SELECT newest_at, steady_since, clock_accepted, clock_at FROM position", [], |row| {
            Ok(ClockRow {
                newest: Column(0, "position.newest_at").time(row)?,
                steady_since: Column(1, "position.steady_since").time(row)?,
                accepted: Column(2, "position.clock_accepted").number(row)?,
                clock: Column(3, "position.clock_at").time(row)?,
            })
        })?;
    clock.ok_or(StoreError::InvalidValue { column: "position.one" })
}

/// Reads `epoch, generation`.
pub(super) fn read_position(row: &Row<'_>) -> Result<Position, StoreError> {
    Ok(Position {
        epoch: Column(0, "position.epoch").number(row)?,
        generation: Generation(Column(1, "position.generation").number(row)?),
    })
}

/// The id that a store shares with its backups, and with no other store.
pub(super) fn store_id(connection: &Connection) -> Result<[u8; 16], StoreError> {
    let column = Column(0, "position.store_id");
    let id = first(connection, "SELECT store_id FROM position", [], |row| column.bytes(row))?;
    id.ok_or_else(|| column.invalid())
}

pub(super) fn has_imports(connection: &Connection) -> Result<bool, StoreError> {
    let column = Column(0, "position.has_imports");
    Ok(first(connection, "SELECT has_imports FROM position", [], |row| column.flag(row))?.unwrap_or(false))
}

pub(super) fn key_count(connection: &Connection) -> Result<u64, StoreError> {
    let column = Column(0, "count of keys");
    let query = format!("SELECT count(*) FROM keys AS k WHERE {IN_FORCE}");
    let count = first(connection, &query, [], |row| column.integer(row))?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}

pub(super) fn settings(connection: &Connection) -> Result<Settings, StoreError> {
    Ok(Settings {
        max_lifetime: setting(connection, MAX_LIFETIME)?,
        tokens: tokens::settings(connection)?,
        logins: users::settings(connection)?,
    })
}

/// One setting; `None`: it was never set, or was taken away.
pub(super) fn setting<T: FromStr>(connection: &Connection, name: &str) -> Result<Option<T>, StoreError> {
    let value = Column(0, "settings.value");
    first(connection, "SELECT value FROM settings WHERE name = ?1", [name], |row| {
        value.parsed(row).map_err(|error| in_row(error, || name.to_owned()))
    })
}

pub(super) fn formats(connection: &Connection) -> Result<Vec<NamedFormat>, StoreError> {
    all(connection, &format!("SELECT {FORMAT_COLUMNS} FROM formats ORDER BY ordinal"), [], read_format)
}

pub(super) fn key(connection: &Connection, id: KeyId) -> Result<Option<Key>, StoreError> {
    let Some(pk) = key_pk(connection, id)? else { return Ok(None) };
    let query = format!("SELECT {KEY_COLUMNS} FROM keys AS k NOT INDEXED WHERE k.pk = ?1");
    // The index, which has the id too, can be damaged, and lead to another key.
    match key_where(connection, &query, [pk])? {
        Some(key) if key.id != id => Err(StoreError::InvalidRow { column: "keys.id", row: id.to_string() }),
        found => Ok(found),
    }
}

pub(super) fn key_by_digest(connection: &Connection, digest: &Digest) -> Result<Option<Key>, StoreError> {
    let query = format!(
        "SELECT {KEY_COLUMNS} FROM secrets AS s JOIN keys AS k ON k.pk = s.key_pk WHERE s.digest = ?1 AND {IN_FORCE}"
    );
    key_where(connection, &query, [digest.as_bytes()])
}

pub(super) fn active_keys_of(connection: &Connection, owner: &Email) -> Result<Vec<KeyId>, StoreError> {
    // Addresses are ASCII, which is all that `lower` folds, and an owner has no spaces at its ends. A state that cannot
    // be read is that of no suspended key. Every key is looked at, since a damaged index could keep some of them from
    // being taken away.
    let query = "SELECT id FROM keys NOT INDEXED WHERE owner IS NOT NULL AND lower(owner) = ?1 \
                 AND state NOT IN ('suspended', 'revoked') ORDER BY pk";
    key_ids(connection, query, [owner.as_str()])
}

pub(super) fn keys_of(connection: &Connection, owner: &Email) -> Result<Vec<KeyId>, StoreError> {
    let query = "SELECT id FROM keys NOT INDEXED WHERE owner IS NOT NULL AND lower(owner) = ?1 ORDER BY pk";
    key_ids(connection, query, [owner.as_str()])
}

pub(super) fn keys_suspended_for(connection: &Connection, user: UserId) -> Result<Vec<KeyId>, StoreError> {
    let query = "SELECT id FROM keys NOT INDEXED WHERE suspended_for = ?1 AND state = 'suspended' ORDER BY pk";
    key_ids(connection, query, [user.as_bytes()])
}

/// The keys of a query. One whose id is none, which nobody can name, keeps the others from nothing.
fn key_ids(connection: &Connection, query: &str, params: impl Params) -> Result<Vec<KeyId>, StoreError> {
    let ids = all(connection, query, params, |row| Ok(id_at(row, 0)))?;
    Ok(ids.into_iter().flatten().map(KeyId::from_bytes).collect())
}

fn key_where(connection: &Connection, query: &str, params: impl Params) -> Result<Option<Key>, StoreError> {
    let Some((pk, mut key)) = first(connection, query, params, read_key)? else { return Ok(None) };
    key.secrets = read_secrets(connection, pk)?;
    Ok(Some(key))
}

/// The primary key of a key.
pub(super) fn key_pk(connection: &Connection, id: KeyId) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT pk FROM keys WHERE id = ?1").checked()?;
    statement.query_row([id.as_bytes()], |row| row.get(0)).optional().checked()
}

pub(super) fn rotation(
    connection: &Connection,
    key: KeyId,
    request_id: &str,
) -> Result<Option<RotationRow>, StoreError> {
    let query = "SELECT r.number, r.grace, r.from_first_use \
                 FROM keys AS k JOIN rotations AS r ON r.key_pk = k.pk WHERE k.id = ?1 AND r.request_id = ?2";
    first(connection, query, params![key.as_bytes(), request_id], read_rotation)
}

/// Reads `number, grace, from_first_use` of a rotation.
pub(super) fn read_rotation(row: &Row<'_>) -> Result<RotationRow, StoreError> {
    Ok(RotationRow {
        number: Column(0, "rotations.number").number(row)?,
        grace: Column(1, "rotations.grace").number(row)?,
        from_first_use: Column(2, "rotations.from_first_use").flag(row)?,
    })
}

pub(super) fn usage_days(connection: &Connection, id: KeyId) -> Result<Vec<(u64, u64)>, StoreError> {
    let query = "SELECT d.day, d.uses FROM usage_days AS d JOIN keys AS k ON k.pk = d.key_pk WHERE k.id = ?1 \
                 ORDER BY d.day";
    all(connection, query, [id.as_bytes()], read_usage_day)
}

/// Reads `day, uses`.
pub(super) fn read_usage_day(row: &Row<'_>) -> Result<(u64, u64), StoreError> {
    Ok((Column(0, "usage_days.day").number(row)?, Column(1, "usage_days.uses").number(row)?))
}

pub(super) fn audit(
    connection: &Connection,
    subject: Option<&str>,
    after: u64,
    limit: usize,
) -> Result<Vec<AuditEntry>, StoreError> {
    let (query, parameters) = entries_after(subject, after, limit);
    all(connection, query, params_from_iter(parameters), read_audit)
}

pub(super) fn readable_audit(
    connection: &Connection,
    subject: Option<&str>,
    after: u64,
    limit: usize,
) -> Result<(Vec<AuditEntry>, Vec<UnreadableRow>), StoreError> {
    let (query, parameters) = entries_after(subject, after, limit);
    let name = name_of(RowKind::Setting, 0);
    let parameters = params_from_iter(parameters);
    let all = page(connection, query, parameters, limit, name, |_| None::<()>, read_audit)?;
    Ok((all.items, all.unreadable))
}

fn entries_after(subject: Option<&str>, after: u64, limit: usize) -> (&'static str, Vec<Value>) {
    let mut parameters = vec![Value::Integer(to_integer(after)), Value::Integer(to_integer(limit as u64))];
    let Some(subject) = subject else {
        return ("SELECT * FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2", parameters);
    };
    parameters.push(Value::Text(subject.to_owned()));
    ("SELECT * FROM audit WHERE subject = ?3 AND sequence > ?1 ORDER BY sequence LIMIT ?2", parameters)
}

pub(super) fn latest_audit_time(
    connection: &Connection,
    subject: &str,
    action: &str,
) -> Result<Option<Timestamp>, StoreError> {
    // A time that no Keystile writes is none.
    let query = "SELECT max(at) FROM audit WHERE subject = ?1 AND action = ?2 AND at BETWEEN 0 AND ?3";
    let values = params![subject, action, to_seconds(Timestamp::MAX)];
    let latest = first(connection, query, values, |row| Column(0, "audit.at").optional_time(row))?;
    Ok(latest.flatten())
}

pub(super) fn recent_audit(connection: &Connection, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut parameters = vec![Value::Integer(to_integer(limit.saturating_add(1) as u64))];
    let mut parameter = |value: Value| {
        parameters.push(value);
        format!("?{}", parameters.len())
    };
    let mut conditions = vec!["true".to_owned()];
    if let Some(subject) = &query.subject {
        conditions.push(format!("subject = {}", parameter(Value::Text(subject.clone()))));
    }
    if let Some(before) = query.before {
        conditions.push(format!("sequence < {}", parameter(Value::Integer(to_integer(before)))));
    }
    if let Some(search) = &query.search {
        let search = parameter(Value::Text(search.to_ascii_lowercase()));
        let places = ["actor", "action", "coalesce(subject, '')", "detail"];
        let anywhere: Vec<_> = places.iter().map(|place| format!("instr(lower({place}), {search}) > 0")).collect();
        conditions.push(format!("({})", anywhere.join(" OR ")));
    }
    let sql = format!("SELECT * FROM audit WHERE {} ORDER BY sequence DESC LIMIT ?1", conditions.join(" AND "));
    let name = name_of(RowKind::Setting, 0);
    let place = |row: &Row<'_>| Column(0, "audit.sequence").number(row).ok();
    let Listed { items: entries, unreadable, next } =
        page(connection, &sql, params_from_iter(parameters), limit, name, place, read_audit)?;
    Ok(AuditPage { entries, unreadable, next })
}

/// The first row of a query.
pub(super) fn first<T>(
    connection: &Connection,
    query: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(query).checked()?;
    let mut rows = statement.query(params).checked()?;
    rows.next().checked()?.map(read).transpose()
}

/// All rows of a query.
pub(super) fn all<T>(
    connection: &Connection,
    query: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(query).checked()?;
    let mut rows = statement.query(params).checked()?;
    let mut values = Vec::new();
    while let Some(row) = rows.next().checked()? {
        values.push(read(row)?);
    }
    Ok(values)
}
