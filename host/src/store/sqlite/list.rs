//! Lists of keys: filters, order, pages.
//!
//! A page begins behind the key that the page before has ended with, wherever that key is by now:
//! the query compares values instead of counting rows.

use keystile_validator::{KeyId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::imports::IN_FORCE;
use super::reader::first;
use super::rows::{Column, KEY_COLUMN_COUNT, KEY_COLUMNS, read_key, read_secrets, to_integer, to_seconds};
use super::unreadable::{Listed, id_at, name_of, page};
use crate::audit::RowKind;
use crate::key::{KeyStatus, SortColumn};
use crate::keys::{Concern, EXPIRING_SECONDS, IDLE_SECONDS, KeyCounts, OLD_SECONDS, UNMISSED_SECONDS};
use crate::query::{Cursor, CursorValue, KeyPage, KeyQuery, MAX_PAGE};
use crate::store::StoreError;

pub(super) fn keys(connection: &Connection, query: &KeyQuery, now: Timestamp) -> Result<KeyPage, StoreError> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    // One more than fits tells whether there is another page.
    let (sql, parameters) = select(query, now, limit.saturating_add(1))?;
    let place = |row: &Row<'_>| place(row, query);
    let read = |row: &Row<'_>| {
        let (pk, mut key) = read_key(row)?;
        key.secrets = read_secrets(connection, pk)?;
        Ok(key)
    };
    let name = name_of(RowKind::Key, 1);
    let Listed { items: keys, unreadable, next } =
        page(connection, &sql, params_from_iter(parameters), limit, name, place, read)?;
    Ok(KeyPage { keys, unreadable, next })
}

/// Where the page begins that comes after this row.
fn place(row: &Row<'_>, query: &KeyQuery) -> Option<Cursor> {
    let value = Column(KEY_COLUMN_COUNT, "keys");
    let value = match order(query.sort) {
        Order::Number(_) => CursorValue::Number(value.integer(row).ok()?),
        Order::Text(_) => CursorValue::Text(value.text(row).ok()?.to_owned()),
        Order::Id => CursorValue::Number(0),
    };
    let id = KeyId::from_bytes(id_at(row, 1)?);
    Some(Cursor { sort: query.sort, descending: query.descending, value, id })
}

/// The query, with its parameters by their number.
pub(super) fn select(query: &KeyQuery, now: Timestamp, limit: usize) -> Result<(String, Vec<Value>), StoreError> {
    let mut parameters = vec![Value::Integer(to_seconds(now)), Value::Integer(to_integer(limit as u64))];
    let mut parameter = |value: Value| {
        parameters.push(value);
        format!("?{}", parameters.len())
    };
    let mut conditions = vec![IN_FORCE.to_owned()];
    if let Some(owner) = &query.owner {
        conditions.push(format!("k.owner = {}", parameter(Value::Text(owner.clone()))));
    }
    if let Some(status) = query.status {
        conditions.push(format!("{STATUS} = {}", parameter(Value::Integer(rank(status)))));
    }
    if let Some(environment) = &query.environment {
        conditions.push(format!("k.environment = {}", parameter(Value::Text(environment.as_str().to_owned()))));
    }
    if let Some(scope) = &query.scope {
        let scope = parameter(Value::Text(format!(" {scope} ")));
        conditions.push(format!("instr(' ' || k.scopes || ' ', {scope}) > 0"));
    }
    if let Some(search) = &query.search {
        let metadata = if is_plain_json(search) { METADATA_HAS } else { METADATA_IS_THERE };
        let search = parameter(Value::Text(search.to_ascii_lowercase()));
        conditions.push(SEARCH.replace("?metadata", metadata).replace("?search", &search));
    }
    if let Some(concern) = query.concern {
        conditions.push(raises(concern));
    }
    if let Some(import) = query.import {
        let import = parameter(Value::Blob(import.as_bytes().to_vec()));
        conditions.push(format!("k.import_pk = (SELECT pk FROM imports WHERE id = {import})"));
    }
    let direction = if query.descending { "DESC" } else { "ASC" };
    let behind = if query.descending { "<" } else { ">" };
    let order = order(query.sort);
    if let Some(cursor) = &query.after {
        if cursor.sort != query.sort || cursor.descending != query.descending {
            return Err(StoreError::CursorMismatch);
        }
        let id = parameter(Value::Blob(cursor.id.as_bytes().to_vec()));
        conditions.push(match (order, &cursor.value) {
            (Order::Number(by), CursorValue::Number(value)) => {
                format!("({by}, k.id) {behind} ({}, {id})", parameter(Value::Integer(*value)))
            }
            (Order::Text(by), CursorValue::Text(value)) => {
                format!("({by}, k.id) {behind} ({}, {id})", parameter(Value::Text(value.clone())))
            }
            (Order::Id, _) => format!("k.id {behind} {id}"),
            _ => return Err(StoreError::CursorMismatch),
        });
    }
    let conditions = conditions.join(" AND ");
    let sql = match order {
        Order::Number(by) | Order::Text(by) => format!(
            "SELECT {KEY_COLUMNS}, {by} FROM keys AS k WHERE {conditions} \
             ORDER BY {by} {direction}, k.id {direction} LIMIT ?2"
        ),
        Order::Id => {
            format!("SELECT {KEY_COLUMNS} FROM keys AS k WHERE {conditions} ORDER BY k.id {direction} LIMIT ?2")
        }
    };
    Ok((sql, parameters))
}

/// What a list is ordered by, as the engine computes it.
#[derive(Clone, Copy)]
enum Order {
    Number(&'static str),
    Text(&'static str),
    /// The id itself, which otherwise decides between equal values.
    Id,
}

/// Values that are not there become ones that sort where they belong, so that a cursor can hold them.
fn order(column: SortColumn) -> Order {
    match column {
        SortColumn::CreatedAt => Order::Number("k.created_at"),
        SortColumn::UpdatedAt => Order::Number("k.updated_at"),
        SortColumn::ExpiresAt => Order::Number("coalesce(k.expires_at, 9223372036854775807)"),
        SortColumn::LastUsedAt => {
            Order::Number("coalesce((SELECT max(u.last_used_at) FROM usage AS u WHERE u.key_pk = k.pk), -1)")
        }
        SortColumn::Uses => Order::Number("coalesce((SELECT sum(u.uses) FROM usage AS u WHERE u.key_pk = k.pk), 0)"),
        SortColumn::Name => Order::Text("k.name"),
        SortColumn::Owner => Order::Text("coalesce(k.owner, '')"),
        SortColumn::Environment => Order::Text("k.environment"),
        SortColumn::Format => Order::Text("coalesce(k.format, '')"),
        SortColumn::State => Order::Number(STATUS),
        SortColumn::Id => Order::Id,
    }
}

/// [`Key::status`](crate::key::Key::status) at the time `?1`, as its [`rank`].
const STATUS: &str = "(CASE k.state WHEN 'revoked' THEN 2 WHEN 'suspended' THEN 1 ELSE \
     CASE WHEN k.expires_at <= ?1 THEN 3 WHEN k.not_before > ?1 THEN 4 ELSE 0 END END)";

/// How many keys there are, and how many raise each concern, in one walk over all of them.
pub(super) fn counts(connection: &Connection, now: Timestamp) -> Result<KeyCounts, StoreError> {
    let sums: String = Concern::ALL.iter().map(|concern| format!(", coalesce(sum({}), 0)", raises(*concern))).collect();
    let sql = format!("SELECT count(*){sums} FROM keys AS k WHERE {IN_FORCE}");
    let counted = first(connection, &sql, [to_seconds(now)], |row| {
        let number = |index| Column(index, "keys").number(row);
        let concerns = (1..=Concern::ALL.len()).map(number).collect::<Result<_, _>>()?;
        Ok(KeyCounts { keys: Column(0, "keys").number(row)?, concerns })
    })?;
    Ok(counted.unwrap_or_default())
}

/// [`Key::raises`](crate::key::Key::raises) at the time `?1`.
fn raises(concern: Concern) -> String {
    let before = |seconds: u64| format!("?1 - {}", to_integer(seconds));
    let condition = match concern {
        Concern::NoExpiry => "k.expires_at IS NULL".to_owned(),
        Concern::Old => format!("{ACTIVE_SECRET_MADE} < {}", before(OLD_SECONDS)),
        Concern::Idle => format!("{LAST_USED} < {}", before(IDLE_SECONDS)),
        Concern::NeverUsed => format!("{LAST_USED} IS NULL"),
        Concern::Expiring => format!("k.expires_at > ?1 AND k.expires_at < ?1 + {}", to_integer(EXPIRING_SECONDS)),
        Concern::NoScopes => "k.scopes = ''".to_owned(),
        Concern::SafeToRemove => {
            let unmissed = before(UNMISSED_SECONDS);
            return format!(
                "CASE {STATUS} WHEN 1 THEN coalesce(k.suspended_at < {unmissed}, 0) WHEN 3 THEN k.expires_at < {unmissed} \
                 WHEN 0 THEN k.created_at < {} AND {LAST_USED} IS NULL ELSE 0 END",
                before(IDLE_SECONDS)
            );
        }
    };
    format!("({STATUS} NOT IN (2, 3) AND coalesce({condition}, 0))")
}

const LAST_USED: &str = "(SELECT max(u.last_used_at) FROM usage AS u WHERE u.key_pk = k.pk)";
const ACTIVE_SECRET_MADE: &str =
    "(SELECT s.created_at FROM secrets AS s WHERE s.key_pk = k.pk ORDER BY s.number DESC LIMIT 1)";

/// The place of a status in the order that people see.
fn rank(status: KeyStatus) -> i64 {
    match status {
        KeyStatus::Active => 0,
        KeyStatus::Suspended => 1,
        KeyStatus::Revoked => 2,
        KeyStatus::Expired => 3,
        KeyStatus::NotYetValid => 4,
    }
}

/// The text anywhere, the cheapest places first. `instr` has no wildcards to escape.
const SEARCH: &str = "(instr(lower(k.name), ?search) > 0 \
     OR instr(lower(coalesce(k.owner, '')), ?search) > 0 \
     OR instr('key_' || lower(hex(k.id)), ?search) > 0 \
     OR EXISTS (SELECT 1 FROM secrets AS s WHERE s.key_pk = k.pk AND instr(lower(s.display), ?search) > 0) \
     OR (?metadata AND EXISTS (SELECT 1 FROM json_each(k.metadata) AS m \
         WHERE instr(lower(m.key), ?search) > 0 OR instr(lower(m.value), ?search) > 0)))";

/// Spares most keys the parsing of their metadata.
const METADATA_HAS: &str = "instr(lower(k.metadata), ?search) > 0";
const METADATA_IS_THERE: &str = "k.metadata <> '{}'";

/// Whether a text stands in JSON as it is, so that it is not in a name or value when it is not in
/// the JSON.
fn is_plain_json(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c == '"' || c == '\\')
}
