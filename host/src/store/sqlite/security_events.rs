//! Security events.

use keystile_validator::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::checked::Checked as _;
use super::reader;
use super::rows::{Column, to_integer, to_seconds};
use super::transaction::Transaction;
use super::unreadable::{Listed, name_of, page};
use crate::audit::RowKind;
use crate::ids::{SessionId, UserId};
use crate::query::MAX_PAGE;
use crate::security_events::{
    AccountHash, MAX_EVENTS_OF_A_KIND, NewSecurityEvent, SecurityEvent, SecurityEventKind, SecurityEventPage,
    SecurityEventQuery,
};
use crate::store::StoreError;
use crate::store::security_events::{CountedEvent, ReadSecurityEvents, WriteSecurityEvents};

impl<C: std::ops::Deref<Target = Connection>> ReadSecurityEvents for Transaction<C> {
    fn security_events(
        &self,
        query: &SecurityEventQuery,
        kept_since: Timestamp,
    ) -> Result<SecurityEventPage, StoreError> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        // One more than fits tells whether there is another page.
        let mut parameters =
            vec![Value::Integer(to_integer(limit as u64).saturating_add(1)), Value::Integer(to_seconds(kept_since))];
        let mut parameter = |value: Value| {
            parameters.push(value);
            format!("?{}", parameters.len())
        };
        let mut conditions = vec!["last_at >= ?2".to_owned()];
        if let Some(kind) = query.kind {
            conditions.push(format!("kind = {}", parameter(Value::Text(kind.as_str().to_owned()))));
        }
        if let Some(user) = query.user {
            conditions.push(format!("user_id = {}", parameter(Value::Blob(user.as_bytes().to_vec()))));
        }
        if let Some(before) = query.before {
            conditions.push(format!("id < {}", parameter(Value::Integer(to_integer(before)))));
        }
        let conditions = conditions.join(" AND ");
        let sql = format!("SELECT {COLUMNS} FROM security_events WHERE {conditions} ORDER BY id DESC LIMIT ?1");
        let name = name_of(RowKind::Setting, 0);
        let place = |row: &Row<'_>| Column(0, "security_events.id").number(row).ok();
        let Listed { items: events, unreadable, next } =
            page(self.connection(), &sql, params_from_iter(parameters), limit, name, place, read)?;
        Ok(SecurityEventPage { events, unreadable, next })
    }
}

impl<C: std::ops::Deref<Target = Connection>> WriteSecurityEvents for Transaction<C> {
    fn count_security_event(&mut self, event: &NewSecurityEvent, now: Timestamp) -> Result<CountedEvent, StoreError> {
        self.step(|connection, _| {
            if let Some((id, count, before)) = alike(connection, event, now)? {
                let sql = "UPDATE security_events SET count = ?2, last_at = max(last_at, ?3) WHERE id = ?1";
                let count = count.saturating_add(1);
                execute(connection, sql, params![to_integer(id), to_integer(count), to_seconds(now)])?;
                return Ok(CountedEvent { id, count, before: Some(before) });
            }
            let event = event.at(now);
            insert(connection, &event, None)?;
            let id = u64::try_from(connection.last_insert_rowid()).unwrap_or_default();
            let sql = "DELETE FROM security_events WHERE kind = ?1 AND id <= \
                       (SELECT id FROM security_events WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
            execute(connection, sql, params![event.kind.as_str(), to_integer(MAX_EVENTS_OF_A_KIND)])?;
            Ok(CountedEvent { id, count: 1, before: None })
        })
    }

    fn take_back_security_event(&mut self, event: CountedEvent) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let id = to_integer(event.id);
            execute(connection, "DELETE FROM security_events WHERE id = ?1 AND count = 1", [id])?;
            // Whoever has counted since has said when that was.
            let sql = "UPDATE security_events SET count = count - 1, \
                       last_at = CASE WHEN count = ?2 THEN coalesce(?3, last_at) ELSE last_at END WHERE id = ?1";
            execute(connection, sql, params![id, to_integer(event.count), event.before.map(to_seconds)])
        })
    }

    fn forget_security_events(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "DELETE FROM security_events WHERE hour < ?1";
            execute(connection, sql, [to_integer(hour(before))])
        })
    }

    fn forget_security_events_of(&mut self, user: UserId, account: Option<AccountHash>) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "DELETE FROM security_events WHERE user_id = ?1 OR account = ?2";
            execute(connection, sql, params![user.as_bytes(), account.map(|account| account.0)])
        })
    }

    fn replace_security_events(&mut self, events: &[SecurityEvent]) -> Result<(), StoreError> {
        self.step(|connection, _| {
            execute(connection, "DELETE FROM security_events", [])?;
            events.iter().try_for_each(|event| insert(connection, event, Some(event.id)))
        })
    }
}

pub(super) const COLUMNS: &str = "id, kind, user_id, account, session_id, address, first_at, last_at, count";

/// The row of the events that tell the same and began in this hour: its id, its count, and when it last was counted up.
fn alike(
    connection: &Connection,
    event: &NewSecurityEvent,
    now: Timestamp,
) -> Result<Option<(u64, u64, Timestamp)>, StoreError> {
    let sql = "SELECT id, count, last_at FROM security_events WHERE hour = ?1 AND kind = ?2 \
               AND coalesce(user_id, account, x'') = coalesce(?3, ?4, x'') \
               AND coalesce(session_id, x'') = coalesce(?5, x'') AND coalesce(address, '') = coalesce(?6, '')";
    let values = params![
        to_integer(hour(now)),
        event.kind.as_str(),
        event.user.map(|user| user.as_bytes().to_vec()),
        event.account.map(|account| account.0),
        event.session.map(|session| session.as_bytes().to_vec()),
        event.address.map(|address| address.to_string()),
    ];
    reader::first(connection, sql, values, |row| {
        let column = |index| Column(index, "security_events");
        Ok((column(0).number(row)?, column(1).number(row)?, column(2).time(row)?))
    })
}

fn insert(connection: &Connection, event: &SecurityEvent, id: Option<u64>) -> Result<(), StoreError> {
    let sql = "INSERT INTO security_events (id, kind, user_id, account, session_id, address, hour, first_at, last_at, \
               count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let values = params![
        id.map(to_integer),
        event.kind.as_str(),
        event.user.map(|user| user.as_bytes().to_vec()),
        event.account.map(|account| account.0),
        event.session.map(|session| session.as_bytes().to_vec()),
        event.address.map(|address| address.to_string()),
        to_integer(hour(event.first_at)),
        to_seconds(event.first_at),
        to_seconds(event.last_at),
        to_integer(event.count),
    ];
    execute(connection, sql, values)
}

pub(super) fn read(row: &Row<'_>) -> Result<SecurityEvent, StoreError> {
    let kind: SecurityEventKind = Column(1, "security_events.kind").parsed(row)?;
    let address = Column(5, "security_events.address");
    Ok(SecurityEvent {
        id: Column(0, "security_events.id").number(row)?,
        kind,
        user: Column(2, "security_events.user_id").optional_bytes(row)?.map(UserId::from_bytes),
        account: Column(3, "security_events.account").optional_bytes(row)?.map(AccountHash),
        session: Column(4, "security_events.session_id").optional_bytes(row)?.map(SessionId::from_bytes),
        address: match address.optional_text(row)? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| address.invalid())?),
        },
        first_at: Column(6, "security_events.first_at").time(row)?,
        last_at: Column(7, "security_events.last_at").time(row)?,
        count: Column(8, "security_events.count").number(row)?,
    })
}

fn execute(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).checked()?;
    Ok(())
}

fn hour(at: Timestamp) -> u64 {
    at.unix() / 3_600
}
