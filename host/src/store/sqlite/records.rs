//! The records of all keys, fast: this is most of the time that opening a large store takes.
//!
//! New keys: both tables are read once, in the order in which they lie in the file, and merged here. Changed
//! keys: one query joins them. One
//! record is filled over and over, and no text is parsed twice: there are as many different lists of
//! scopes as there are kinds of keys, not as there are keys.

use std::collections::HashMap;
use std::mem;

use keystile_validator::{AddressRange, Digest, Environment, KeyId, KeyRecord, Scope, Timestamp};
use rusqlite::{Connection, Row, Rows};

use super::checked::Checked as _;
use super::imports::IN_FORCE;
use super::reader::first;
use super::rows::{Column, read_rate, to_integer, words};
use crate::key::refused_from;
use crate::store::imports::ImportOrdinal;
use crate::store::{Generation, KeyOrdinal, RecordsStep, StoreError};

/// Hands out the records of all keys, and says where the last one lies.
pub(super) fn all(connection: &Connection, each: &mut dyn FnMut(&KeyRecord)) -> Result<KeyOrdinal, StoreError> {
    let query = format!("SELECT {KEY_COLUMNS} FROM keys AS k WHERE k.pk > ?1 AND {IN_FORCE} ORDER BY k.pk");
    step(connection, &query, None, KeyOrdinal::default(), usize::MAX, each)?;
    last_key(connection)
}

/// Hands out the records of keys beyond an ordinal that came with no import, in their order: at most `limit`, and
/// those that complete the last key. A key without a secret counts as a record, so that a step is bounded.
pub(super) fn beyond(
    connection: &Connection,
    beyond: KeyOrdinal,
    limit: usize,
    each: &mut dyn FnMut(&KeyRecord),
) -> Result<RecordsStep, StoreError> {
    let query = format!("SELECT {KEY_COLUMNS} FROM keys AS k WHERE k.pk > ?1 AND k.import_pk IS NULL ORDER BY k.pk");
    let mut step = step(connection, &query, None, beyond, limit, each)?;
    if !step.has_more {
        // Behind the last one there may be staged keys, which are looked at once and not at every step.
        step.up_to = step.up_to.max(last_key(connection)?);
    }
    Ok(step)
}

/// The same for the keys of an import that was completed.
pub(super) fn of_import(
    connection: &Connection,
    import: ImportOrdinal,
    beyond: KeyOrdinal,
    limit: usize,
    each: &mut dyn FnMut(&KeyRecord),
) -> Result<RecordsStep, StoreError> {
    let query = format!(
        "SELECT {KEY_COLUMNS} FROM keys AS k WHERE k.import_pk = ?2 AND k.pk > ?1 AND {IN_FORCE} ORDER BY k.pk"
    );
    step(connection, &query, Some(import), beyond, limit, each)
}

/// Where the key lies that was added last.
fn last_key(connection: &Connection) -> Result<KeyOrdinal, StoreError> {
    let query = "SELECT coalesce(max(pk), 0) FROM keys";
    let last = first(connection, query, [], |row| Column(0, "keys.pk").integer(row))?;
    Ok(KeyOrdinal(last.unwrap_or_default()))
}

/// Walks the keys of a query and, beside them, the secrets of all keys in the same order.
fn step(
    connection: &Connection,
    query: &str,
    import: Option<ImportOrdinal>,
    beyond: KeyOrdinal,
    limit: usize,
    each: &mut dyn FnMut(&KeyRecord),
) -> Result<RecordsStep, StoreError> {
    let mut keys = connection.prepare_cached(query).checked()?;
    let mut secrets = connection
        .prepare_cached(
            "SELECT number, digest, retires_at, pending_grace, ended_at, key_pk FROM secrets WHERE key_pk > ?1 \
             ORDER BY key_pk, number",
        )
        .checked()?;
    let mut keys = match import {
        Some(ImportOrdinal(import)) => keys.query([beyond.0, import]).checked()?,
        None => keys.query([beyond.0]).checked()?,
    };
    let mut secrets = secrets.query([beyond.0]).checked()?;
    let mut buffer = Buffer::default();
    let mut step = RecordsStep { up_to: beyond, has_more: false };
    let mut handed_out = 0_usize;
    let mut secret = next_of_any(&mut secrets)?;
    while let Some(key) = keys.next().checked()? {
        if handed_out >= limit {
            step.has_more = true;
            break;
        }
        let pk = Column(0, "keys.pk").integer(key)?;
        let before = handed_out;
        buffer.read_key(key)?;
        while let Some((key_pk, row)) = secret
            && key_pk <= pk
        {
            // A smaller one is of a key that the query leaves out.
            if key_pk == pk {
                buffer.hand_out(row, each);
                handed_out += 1;
            }
            secret = next_of_any(&mut secrets)?;
        }
        handed_out = handed_out.max(before + 1);
        step.up_to = KeyOrdinal(pk);
    }
    Ok(step)
}

fn next_of_any(rows: &mut Rows<'_>) -> Result<Option<(i64, SecretRow)>, StoreError> {
    let Some(row) = rows.next().checked()? else { return Ok(None) };
    let key_pk = Column(5, "secrets.key_pk").integer(row)?;
    let secret = SecretRow::read(row, 0).map_err(|error| in_row(error, || format!("of key number {key_pk}")))?;
    Ok(Some((key_pk, secret)))
}

/// Hands out the records of keys that changed after a generation, of those up to an ordinal; nothing for a row
/// without a record.
pub(super) fn changed(
    connection: &Connection,
    after: Generation,
    up_to: KeyOrdinal,
    each: &mut dyn FnMut(Option<&KeyRecord>),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(&changed_query()).checked()?;
    let mut rows = statement.query([to_integer(after.0), up_to.0]).checked()?;
    let mut buffer = Buffer::default();
    let mut last = None;
    while let Some(row) = rows.next().checked()? {
        let pk = Column(0, "keys.pk").integer(row)?;
        let is_in_force = Column(KEY_COLUMN_COUNT + SECRET_COLUMN_COUNT, "imports.generation").flag(row)?;
        let number = Column(KEY_COLUMN_COUNT, "secrets.number");
        let Some(secret_number) = number.optional_integer(row)?.filter(|_| is_in_force) else {
            each(None);
            continue;
        };
        match last.replace((pk, secret_number)) {
            Some((key, before)) if key == pk => {
                // They come in the order of their primary key. Which one starts a grace depends on those before it.
                if secret_number <= before {
                    return Err(in_row(number.invalid(), || format!("of key number {pk}")));
                }
            }
            _ => buffer.read_key(row)?,
        }
        let secret = SecretRow::read(row, KEY_COLUMN_COUNT);
        let secret = secret.map_err(|error| in_row(error, || format!("of key number {pk}")))?;
        buffer.hand_out(secret, &mut |record| each(Some(record)));
    }
    Ok(())
}

/// One look-up for each generation after the first parameter, and in it one for the keys up to the second.
/// A range of generations would visit every key of a large import, also those beyond the ordinal.
///
/// Nothing is sorted and nothing is filtered, so that each row is handed out as soon as it is read: whoever counts
/// them knows how much was read.
pub(super) fn changed_query() -> String {
    format!(
        "WITH RECURSIVE changes (generation) AS (
           SELECT min(generation) FROM keys WHERE generation > ?1
           UNION ALL
           SELECT (SELECT min(k.generation) FROM keys AS k WHERE k.generation > changes.generation)
           FROM changes WHERE changes.generation IS NOT NULL
         )
         SELECT {KEY_COLUMNS}, {SECRET_COLUMNS}, {IN_FORCE}
         FROM changes
         CROSS JOIN keys AS k ON k.generation = changes.generation AND k.pk <= ?2
         LEFT JOIN secrets AS s ON s.key_pk = k.pk"
    )
}

/// What a record needs of a key.
const KEY_COLUMNS: &str = "k.pk, k.id, k.state, k.environment, k.owner, k.scopes, k.addresses, k.rate_limit, \
     k.rate_window, k.not_before, k.expires_at";
/// How many [`KEY_COLUMNS`] are.
const KEY_COLUMN_COUNT: usize = 11;

/// What a record needs of a secret, as [`SecretRow::read`] reads it.
const SECRET_COLUMNS: &str = "s.number, s.digest, s.retires_at, s.pending_grace, s.ended_at";
/// How many [`SECRET_COLUMNS`] are.
const SECRET_COLUMN_COUNT: usize = 5;

/// Says in which row a value is that cannot be read.
pub(super) fn in_row(error: StoreError, row: impl FnOnce() -> String) -> StoreError {
    match error {
        StoreError::InvalidValue { column } => StoreError::InvalidRow { column, row: row() },
        error => error,
    }
}

/// The one record, and what its fields were parsed from.
#[derive(Default)]
struct Buffer {
    record: Option<KeyRecord>,
    environments: Parsed<Environment>,
    scopes: Parsed<Vec<Scope>>,
    addresses: Parsed<Vec<AddressRange>>,
    /// Whether a secret of this key before the current one waits for a newer one to be used.
    grace_pending: bool,
}

impl Buffer {
    /// Fills in all that comes from the key.
    fn read_key(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        self.fill_in(row).map_err(|error| {
            let id = Column(1, "keys.id").bytes(row).map(|id| KeyId::from_bytes(id).to_string());
            in_row(error, || id.unwrap_or_else(|_| "of a key without an id".to_owned()))
        })
    }

    fn fill_in(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        self.grace_pending = false;
        let environment = Column(3, "keys.environment");
        let id = KeyId::from_bytes(Column(1, "keys.id").bytes(row)?);
        let record = match &mut self.record {
            Some(record) => record,
            empty => empty.insert(KeyRecord::new(id, Digest::from_bytes([0; 32]), environment.parsed(row)?)),
        };
        record.key_id = id;
        record.state = Column(2, "keys.state").state(row)?;
        self.environments.put(&mut record.environment, environment, row, |text| text.parse().ok())?;
        match (&mut record.owner, Column(4, "keys.owner").optional_text(row)?) {
            (Some(owner), Some(text)) => {
                owner.clear();
                owner.push_str(text);
            }
            (owner, text) => *owner = text.map(str::to_owned),
        }
        self.scopes.put(&mut record.scopes, Column(5, "keys.scopes"), row, words)?;
        self.addresses.put(&mut record.addresses, Column(6, "keys.addresses"), row, words)?;
        record.rate = read_rate(row, 7)?;
        record.not_before = Column(9, "keys.not_before").optional_time(row)?;
        record.expires_at = Column(10, "keys.expires_at").optional_time(row)?;
        Ok(())
    }

    /// Fills in what comes from a secret of that key, oldest first, and hands the record out.
    fn hand_out(&mut self, secret: SecretRow, each: &mut dyn FnMut(&KeyRecord)) {
        let Some(record) = &mut self.record else { return };
        record.digest = secret.digest;
        record.retires_at = secret.retires_at;
        record.starts_grace = self.grace_pending;
        self.grace_pending |= secret.grace_pending;
        each(record);
    }
}

/// What was parsed from the texts of a column: the current value lies in the record, the others wait
/// here for their text to come again.
struct Parsed<T> {
    current: Option<Vec<u8>>,
    others: HashMap<Vec<u8>, T>,
}

/// Texts of a column that are remembered; when there are more, remembering does not pay.
const REMEMBERED: usize = 1_024;

impl<T> Default for Parsed<T> {
    fn default() -> Parsed<T> {
        Parsed { current: None, others: HashMap::new() }
    }
}

impl<T> Parsed<T> {
    /// Puts the value of a column into its place in the record.
    fn put(
        &mut self,
        place: &mut T,
        column: Column,
        row: &Row<'_>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<(), StoreError> {
        let text = column.text_bytes(row)?;
        if self.current.as_deref() == Some(text) {
            return Ok(());
        }
        let (text, value) = match self.others.remove_entry(text) {
            Some(remembered) => remembered,
            None => {
                let value = str::from_utf8(text).ok().and_then(parse).ok_or_else(|| column.invalid())?;
                (text.to_vec(), value)
            }
        };
        let value = mem::replace(place, value);
        if let Some(text) = self.current.replace(text) {
            if self.others.len() >= REMEMBERED {
                self.others.clear();
            }
            self.others.insert(text, value);
        }
        Ok(())
    }
}

/// What a record needs of a secret.
#[derive(Clone, Copy)]
struct SecretRow {
    digest: Digest,
    retires_at: Option<Timestamp>,
    grace_pending: bool,
}

impl SecretRow {
    /// Reads `number, digest, retires_at, pending_grace, ended_at`, the first of which is in this column.
    fn read(row: &Row<'_>, first: usize) -> Result<SecretRow, StoreError> {
        let retires_at = Column(first + 2, "secrets.retires_at").optional_time(row)?;
        let ended_at = Column(first + 4, "secrets.ended_at").optional_time(row)?;
        Ok(SecretRow {
            digest: Digest::from_bytes(Column(first + 1, "secrets.digest").bytes(row)?),
            retires_at: refused_from(retires_at, ended_at),
            grace_pending: Column(first + 3, "secrets.pending_grace").optional_integer(row)?.is_some(),
        })
    }
}
