//! Imports, read and written.

use std::ops::Deref;

use keystile_validator::{KeyId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::checked::Checked as _;
use super::reader::{all, first};
use super::rows::{Column, to_integer, to_seconds};
use super::transaction::Transaction;
use super::unreadable::id_at;
use super::writer::{self, touch};
use crate::ids::{ImportId, UserId};
use crate::key::Key;
use crate::store::imports::{ImportOrdinal, ImportRow, ReadImports, WriteImports};
use crate::store::legible::KeyPlace;
use crate::store::{Generation, KeyOrdinal, StoreError};

/// The condition under which a row of `keys AS k` is no staged key.
pub(super) const IN_FORCE: &str =
    "(k.import_pk IS NULL OR k.import_pk IN (SELECT pk FROM imports WHERE generation IS NOT NULL))";

pub(super) const COLUMNS: &str = "id, keys, started_at, started_by, leased_until, completed_at";

impl<C: Deref<Target = Connection>> ReadImports for Transaction<C> {
    fn import(&self, id: ImportId) -> Result<Option<ImportRow>, StoreError> {
        first(self.connection(), &format!("SELECT {COLUMNS} FROM imports WHERE id = ?1"), [id.as_bytes()], read)
    }

    fn staged_imports(&self) -> Result<Vec<ImportRow>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM imports WHERE generation IS NULL ORDER BY pk");
        all(self.connection(), &query, [], read)
    }

    fn suspended_owner_in_import(&self, id: ImportId) -> Result<Option<UserId>, StoreError> {
        // The condition on the state lets the index on owners answer.
        let query = "SELECT u.id FROM users AS u WHERE u.suspended_at IS NOT NULL AND EXISTS ( \
                     SELECT 1 FROM keys AS k JOIN imports AS i ON i.pk = k.import_pk WHERE k.owner IS NOT NULL \
                     AND lower(k.owner) = u.email AND k.state = 'active' AND i.id = ?1) LIMIT 1";
        first(self.connection(), query, [id.as_bytes()], |row| Column(0, "users.id").bytes(row).map(UserId::from_bytes))
    }

    fn decided_staged_keys(&self, id: ImportId, limit: usize) -> Result<Vec<KeyPlace>, StoreError> {
        let Some(import) = staged_pk(self.connection(), id)? else { return Ok(Vec::new()) };
        let query = format!(
            "SELECT pk, id FROM ({NEXT_STAGED}) AS k WHERE state NOT IN ('active', 'suspended') \
             OR (state = 'suspended' AND suspended_for IS NULL) OR revoked_at IS NOT NULL OR revoke_reason IS NOT NULL \
             OR EXISTS (SELECT 1 FROM secrets AS s WHERE s.key_pk = k.pk \
             AND (s.number > 1 OR s.retires_at IS NOT NULL OR s.ended_at IS NOT NULL))"
        );
        all(self.connection(), &query, [import, to_integer(limit as u64)], |row| {
            Ok(KeyPlace {
                ordinal: KeyOrdinal(Column(0, "keys.pk").integer(row)?),
                id: id_at(row, 1).map(KeyId::from_bytes),
                is_in_force: false,
            })
        })
    }

    fn completed_imports(&self, after: Generation, each: &mut dyn FnMut(ImportOrdinal)) -> Result<(), StoreError> {
        let query = "SELECT pk FROM imports WHERE generation > ?1 ORDER BY generation";
        let mut statement = self.connection().prepare_cached(query).checked()?;
        let mut rows = statement.query([to_integer(after.0)]).checked()?;
        while let Some(row) = rows.next().checked()? {
            each(ImportOrdinal(Column(0, "imports.pk").integer(row)?));
        }
        Ok(())
    }
}

impl<C: Deref<Target = Connection>> WriteImports for Transaction<C> {
    fn insert_import(&mut self, import: &ImportRow) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql =
                "INSERT INTO imports (id, keys, started_at, started_by, leased_until) VALUES (?1, ?2, ?3, ?4, ?5)";
            let values = params![
                import.id.as_bytes(),
                to_integer(import.keys),
                to_seconds(import.started_at),
                import.started_by,
                to_seconds(import.leased_until),
            ];
            connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
            Ok(())
        })
    }

    fn stage_key(&mut self, import: ImportId, key: &Key) -> Result<bool, StoreError> {
        self.step(|connection, _| match staged_pk(connection, import)? {
            Some(pk) => writer::stage_key(connection, pk, key),
            None => Err(StoreError::InvalidValue { column: "imports.id" }),
        })
    }

    fn renew_import(&mut self, import: ImportId, keys: u64, leased_until: Timestamp) -> Result<bool, StoreError> {
        self.step(|connection, _| {
            let sql = "UPDATE imports SET keys = ?2, leased_until = ?3 WHERE id = ?1 AND generation IS NULL";
            let values = params![import.as_bytes(), to_integer(keys), to_seconds(leased_until)];
            let renewed = connection.prepare_cached(sql).and_then(|mut update| update.execute(values)).checked()?;
            Ok(renewed > 0)
        })
    }

    fn complete_import(&mut self, import: ImportId, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let generation = touch(connection, generation)?;
            let sql = "UPDATE imports SET generation = ?2, completed_at = ?3 WHERE id = ?1 AND generation IS NULL";
            let values = params![import.as_bytes(), generation, to_seconds(at)];
            match connection.prepare_cached(sql).and_then(|mut update| update.execute(values)).checked()? {
                0 => Err(StoreError::InvalidValue { column: "imports.id" }),
                _ => Ok(()),
            }
        })
    }

    fn discard_import(&mut self, import: ImportId, limit: usize) -> Result<bool, StoreError> {
        self.step(|connection, _| {
            let Some(import) = staged_pk(connection, import)? else { return Ok(true) };
            let keys = all(connection, NEXT_STAGED, [import, to_integer(limit as u64)], |row| {
                Column(0, "keys.pk").integer(row)
            })?;
            for pk in &keys {
                for delete in DELETE_STAGED {
                    connection.prepare_cached(delete).and_then(|mut delete| delete.execute([pk])).checked()?;
                }
            }
            if keys.len() >= limit {
                return Ok(false);
            }
            connection.execute("DELETE FROM imports WHERE pk = ?1", [import]).checked()?;
            Ok(true)
        })
    }
}

/// The staged keys of an import that are deleted next.
const NEXT_STAGED: &str = "SELECT pk, id, state, suspended_for, revoked_at, revoke_reason FROM keys \
     WHERE import_pk = ?1 ORDER BY pk LIMIT ?2";

/// Whatever may belong to a staged key, and the key last: an operation that names its id reaches it.
const DELETE_STAGED: [&str; 5] = [
    "DELETE FROM rotations WHERE key_pk = ?1",
    "DELETE FROM usage WHERE key_pk = ?1",
    "DELETE FROM usage_days WHERE key_pk = ?1",
    "DELETE FROM secrets WHERE key_pk = ?1",
    "DELETE FROM keys WHERE pk = ?1",
];

/// The primary key of an import that is not completed.
fn staged_pk(connection: &Connection, id: ImportId) -> Result<Option<i64>, StoreError> {
    let query = "SELECT pk FROM imports WHERE id = ?1 AND generation IS NULL";
    first(connection, query, [id.as_bytes()], |row| Column(0, "imports.pk").integer(row))
}

pub(super) fn read(row: &Row<'_>) -> Result<ImportRow, StoreError> {
    Ok(ImportRow {
        id: ImportId::from_bytes(Column(0, "imports.id").bytes(row)?),
        keys: Column(1, "imports.keys").number(row)?,
        started_at: Column(2, "imports.started_at").time(row)?,
        started_by: Column(3, "imports.started_by").text(row)?.to_owned(),
        leased_until: Column(4, "imports.leased_until").time(row)?,
        completed_at: Column(5, "imports.completed_at").optional_time(row)?,
    })
}
