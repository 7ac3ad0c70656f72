//! Rows that cannot be read: pages that go on without them, and a look at every row there is.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use super::checked::Checked as _;
use super::erasure::read_due;
use super::imports::{COLUMNS as IMPORT_COLUMNS, read as read_import};
use super::issuers::{COLUMNS as ISSUER_COLUMNS, KEY_SET_COLUMNS, read_issuer, read_key_set};
use super::reader;
use super::rows::{
    Column, FORMAT_COLUMNS, KEY_COLUMNS, SECRET_COLUMNS, SECRET_TABLES, read_audit, read_format, read_key, read_secret,
};
use super::security_events::{COLUMNS as EVENT_COLUMNS, read as read_event};
use super::tokens::{REVOCATION_COLUMNS, SIGNING_KEY_COLUMNS, read_revocation, read_signing_key};
use super::users::{
    BUCKET_COLUMNS, SESSION_COLUMNS, SESSION_TABLES, USER_COLUMNS, read_named_bucket, read_session, read_user,
};
use crate::audit::{RowId, RowKind};
use crate::store::{StoreError, UnreadableRow};

/// A part of a list: what can be read of it, and what cannot.
pub(super) struct Listed<T, C> {
    pub(super) items: Vec<T>,
    pub(super) unreadable: Vec<UnreadableRow>,
    /// Where the next part begins; `None` at the end.
    pub(super) next: Option<C>,
}

/// Reads a page of at most `limit` rows, readable or not, by a query for one more. `place` says where a page
/// begins that comes after a row, if that can be read.
pub(super) fn page<T, C>(
    connection: &Connection,
    query: &str,
    params: impl Params,
    limit: usize,
    name: impl Fn(&Row<'_>) -> String,
    place: impl Fn(&Row<'_>) -> Option<C>,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Listed<T, C>, StoreError> {
    let mut statement = connection.prepare_cached(query).checked()?;
    let mut rows = statement.query(params).checked()?;
    let mut listed = Listed { items: Vec::new(), unreadable: Vec::new(), next: None };
    let (mut count, mut end) = (0, None);
    while let Some(row) = rows.next().checked()? {
        if count == limit {
            listed.next = end;
            break;
        }
        count += 1;
        match read(row) {
            Ok(item) => listed.items.push(item),
            Err(error) => listed.unreadable.push(UnreadableRow::from_error(error, || name(row))?),
        }
        end = place(row).or(end);
    }
    Ok(listed)
}

/// What a row is known by, from the column with its id: as people write it, or as much of it as can be shown.
pub(super) fn name_of(kind: RowKind, column: usize) -> impl Fn(&Row<'_>) -> String {
    move |row| match row.get_ref(column) {
        Ok(ValueRef::Blob(id) | ValueRef::Text(id)) => RowId { kind, id: id.to_vec() }.text(),
        Ok(ValueRef::Integer(number)) => number.to_string(),
        _ => "without a name".to_owned(),
    }
}

/// The bytes of an id, where a page can go on behind it.
pub(super) fn id_at(row: &Row<'_>, column: usize) -> Option<[u8; 16]> {
    row.get_ref(column).ok()?.as_blob().ok()?.try_into().ok()
}

/// Reads every row of every table as the product does, and hands out those that cannot be read.
pub(super) fn check_rows(connection: &Connection, each: &mut dyn FnMut(UnreadableRow)) -> Result<(), StoreError> {
    for table in TABLES {
        // The name comes last: what reads a row knows its columns by their numbers.
        let query = format!("SELECT {}, {} FROM {}", table.columns, table.name, table.from);
        let mut statement = connection.prepare(&query).checked()?;
        let name = name_of(table.kind, statement.column_count().saturating_sub(1));
        let mut rows = statement.query([]).checked()?;
        while let Some(row) = rows.next().checked()? {
            if let Err(error) = (table.read)(row) {
                each(UnreadableRow::from_error(error, || name(row))?);
            }
        }
    }
    // A setting is read by its name.
    if let Err(error) = reader::settings(connection) {
        each(UnreadableRow::from_error(error, || "of settings".to_owned())?);
    }
    Ok(())
}

/// How the rows of a table are read.
pub(super) struct Table {
    /// The table whose rows these are.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test sees that no table is missing"))]
    pub(super) table: &'static str,
    kind: RowKind,
    /// What [`read`](Table::read) reads, in SQL.
    columns: &'static str,
    from: &'static str,
    /// What a row is known by, in SQL.
    name: &'static str,
    read: fn(&Row<'_>) -> Result<(), StoreError>,
}

const fn table(
    table: &'static str,
    kind: RowKind,
    columns: &'static str,
    from: &'static str,
    name: &'static str,
    read: fn(&Row<'_>) -> Result<(), StoreError>,
) -> Table {
    Table { table, kind, columns, from, name, read }
}

/// The key of a row that belongs to one.
const KEY_OF: &str = "(SELECT k.id FROM keys AS k WHERE k.pk = key_pk)";

/// Columns of the table `position` with a time, as they are read below.
const TIMES_OF_POSITION: [(usize, &str); 4] =
    [(4, "position.created_at"), (5, "position.newest_at"), (6, "position.steady_since"), (8, "position.clock_at")];

/// All tables. Rows of no kind of their own have a number or a text as their name.
pub(super) const TABLES: &[Table] = &[
    table("keys", RowKind::Key, KEY_COLUMNS, "keys AS k", "k.id", |row| read_key(row).map(drop)),
    table(
        "secrets",
        RowKind::Key,
        SECRET_COLUMNS,
        SECRET_TABLES,
        "(SELECT k.id FROM keys AS k WHERE k.pk = s.key_pk)",
        |row| read_secret(row).map(drop),
    ),
    table("rotations", RowKind::Key, "number, grace, from_first_use, request_id", "rotations", KEY_OF, |row| {
        reader::read_rotation(row)?;
        Column(3, "rotations.request_id").text(row).map(drop)
    }),
    table("usage", RowKind::Key, "uses, first_used_at, last_used_at, number", "usage", KEY_OF, |row| {
        Column(0, "usage.uses").number::<u64>(row)?;
        Column(1, "usage.first_used_at").time(row)?;
        Column(2, "usage.last_used_at").time(row)?;
        Column(3, "usage.number").number::<u32>(row).map(drop)
    }),
    table("usage_days", RowKind::Key, "day, uses", "usage_days", KEY_OF, |row| reader::read_usage_day(row).map(drop)),
    table("formats", RowKind::Format, FORMAT_COLUMNS, "formats", "name", |row| read_format(row).map(drop)),
    table("settings", RowKind::Setting, "name, value", "settings", "name", |row| {
        Column(0, "settings.name").text(row)?;
        Column(1, "settings.value").text(row).map(drop)
    }),
    table(
        "position",
        RowKind::Store,
        "epoch, generation, store_id, has_imports, created_at, newest_at, steady_since, clock_accepted, clock_at",
        "position",
        "one",
        |row| {
            reader::read_position(row)?;
            Column(2, "position.store_id").bytes::<16>(row)?;
            Column(3, "position.has_imports").flag(row)?;
            for (at, column) in TIMES_OF_POSITION {
                Column(at, column).time(row)?;
            }
            Column(7, "position.clock_accepted").number::<u64>(row).map(drop)
        },
    ),
    table("audit", RowKind::Setting, "*", "audit", "sequence", |row| read_audit(row).map(drop)),
    table("row_nonces", RowKind::Setting, "nonce, sequence, kind", "row_nonces", "hex(id)", |row| {
        Column(0, "row_nonces.nonce").bytes::<16>(row)?;
        Column(1, "row_nonces.sequence").number::<u64>(row)?;
        let kind = Column(2, "row_nonces.kind");
        RowKind::from_number(kind.number(row)?).map(drop).ok_or_else(|| kind.invalid())
    }),
    table("users", RowKind::User, USER_COLUMNS, "users", "id", |row| read_user(row).map(drop)),
    table("sessions", RowKind::Session, SESSION_COLUMNS, SESSION_TABLES, "s.id", |row| read_session(row).map(drop)),
    table("attempts", RowKind::Setting, BUCKET_COLUMNS, "attempts", "hex(subject)", |row| {
        read_named_bucket(row).map(drop)
    }),
    table("attempts_key", RowKind::Setting, "key", "attempts_key", "one", |row| {
        Column(0, "attempts_key.key").bytes::<32>(row).map(drop)
    }),
    table("signing_keys", RowKind::SigningKey, SIGNING_KEY_COLUMNS, "signing_keys", "kid", |row| {
        read_signing_key(row).map(drop)
    }),
    table("revocations", RowKind::Revocation, REVOCATION_COLUMNS, "revocations", "value", |row| {
        read_revocation(row).map(drop)
    }),
    table("sealing", RowKind::Sealing, "check_value", "sealing", "one", |row| {
        Column(0, "sealing.check_value").blob(row).map(drop)
    }),
    table("issuers", RowKind::Issuer, ISSUER_COLUMNS, "issuers", "name", |row| read_issuer(row).map(drop)),
    table("jwks_cache", RowKind::Issuer, KEY_SET_COLUMNS, "jwks_cache", "name", |row| read_key_set(row).map(drop)),
    table("imports", RowKind::Import, IMPORT_COLUMNS, "imports", "id", |row| read_import(row).map(drop)),
    table("security_events", RowKind::Setting, EVENT_COLUMNS, "security_events", "id", |row| read_event(row).map(drop)),
    table(
        "erasure",
        RowKind::Setting,
        "erased, truncated < erased, rewritten < rewrite_asked",
        "erasure",
        "one",
        |row| read_due(row).map(drop),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::sqlite::schema;

    /// A table that is not in the list would never be looked at.
    #[test]
    fn every_table_is_looked_at() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let there: BTreeSet<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let looked_at: BTreeSet<String> = TABLES.iter().map(|table| table.table.to_owned()).collect();
        assert_eq!(looked_at, there);
        check_rows(&connection, &mut |row| panic!("{row}")).unwrap();
    }
}
