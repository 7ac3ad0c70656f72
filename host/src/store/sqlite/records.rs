//! The records of all keys, fast: this is most of the time that opening a large store takes.
//!
//! Both tables are read once, in the order in which they lie in the file, and merged here. One
//! record is filled over and over, and no text is parsed twice: there are as many different lists of
//! scopes as there are kinds of keys, not as there are keys.

use std::collections::HashMap;
use std::mem;

use keystile_validator::{AddressRange, Digest, Environment, KeyId, KeyRecord, Scope, Timestamp};
use rusqlite::{Connection, Row, Rows};

use super::checked::Checked as _;
use super::imports::IN_FORCE;
use super::rows::{Column, read_rate, to_integer, words};
use crate::store::{Generation, StoreError};

/// Hands out the record of each secret of each key that changed after this generation.
pub(super) fn records(
    connection: &Connection,
    after: Generation,
    each: &mut dyn FnMut(&KeyRecord),
) -> Result<(), StoreError> {
    if after == Generation(0) { all(connection, each) } else { changed(connection, after, each) }
}

fn all(connection: &Connection, each: &mut dyn FnMut(&KeyRecord)) -> Result<(), StoreError> {
    let mut keys = connection
        .prepare_cached(
            "SELECT pk, id, state, environment, owner, scopes, addresses, rate_limit, rate_window, not_before, \
             expires_at FROM keys AS k WHERE IN_FORCE ORDER BY pk"
                .replace("IN_FORCE", IN_FORCE)
                .as_str(),
        )
        .checked()?;
    let mut secrets = connection
        .prepare_cached("SELECT number, digest, retires_at, pending_grace, key_pk FROM secrets ORDER BY key_pk, number")
        .checked()?;
    let mut keys = keys.query([]).checked()?;
    let mut secrets = secrets.query([]).checked()?;
    let mut buffer = Buffer::default();
    let mut secret = next_of_any(&mut secrets)?;
    while let Some(key) = keys.next().checked()? {
        let pk = Column(0, "keys.pk").integer(key)?;
        buffer.read_key(key)?;
        while let Some((key_pk, row)) = secret
            && key_pk <= pk
        {
            // A smaller one would be of a key that is gone, which no transaction leaves behind.
            if key_pk == pk {
                buffer.hand_out(row, each);
            }
            secret = next_of_any(&mut secrets)?;
        }
    }
    Ok(())
}

fn next_of_any(rows: &mut Rows<'_>) -> Result<Option<(i64, SecretRow)>, StoreError> {
    let Some(row) = rows.next().checked()? else { return Ok(None) };
    Ok(Some((Column(4, "secrets.key_pk").integer(row)?, SecretRow::read(row)?)))
}

fn changed(connection: &Connection, after: Generation, each: &mut dyn FnMut(&KeyRecord)) -> Result<(), StoreError> {
    let mut keys = connection
        .prepare_cached(
            "SELECT pk, id, state, environment, owner, scopes, addresses, rate_limit, rate_window, not_before, \
             expires_at FROM keys AS k \
             WHERE pk IN (SELECT pk FROM keys WHERE generation > ?1 \
                          UNION SELECT k.pk FROM imports AS i JOIN keys AS k ON k.import_pk = i.pk WHERE i.generation > ?1) \
             AND IN_FORCE"
                .replace("IN_FORCE", IN_FORCE)
                .as_str(),
        )
        .checked()?;
    let mut secrets = connection
        .prepare_cached(
            "SELECT number, digest, retires_at, pending_grace FROM secrets WHERE key_pk = ?1 ORDER BY number",
        )
        .checked()?;
    let mut keys = keys.query([to_integer(after.0)]).checked()?;
    let mut buffer = Buffer::default();
    while let Some(key) = keys.next().checked()? {
        let pk = Column(0, "keys.pk").integer(key)?;
        buffer.read_key(key)?;
        let mut secrets = secrets.query([pk]).checked()?;
        while let Some(row) = secrets.next().checked()? {
            buffer.hand_out(SecretRow::read(row)?, each);
        }
    }
    Ok(())
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
    fn read(row: &Row<'_>) -> Result<SecretRow, StoreError> {
        Ok(SecretRow {
            digest: Digest::from_bytes(Column(1, "secrets.digest").bytes(row)?),
            retires_at: Column(2, "secrets.retires_at").optional_time(row)?,
            grace_pending: Column(3, "secrets.pending_grace").optional_integer(row)?.is_some(),
        })
    }
}
