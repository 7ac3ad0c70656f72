//! What can be read of rows that cannot be read whole.

use std::ops::Deref;

use keystile_validator::{Digest, KeyId, KeyState, Timestamp};
use rusqlite::{Connection, Row, params};

use super::checked::Checked as _;
use super::imports::IN_FORCE;
use super::reader::{all, first, read_rotation};
use super::rows::{Column, KEY_COLUMNS, SECRET_COLUMNS, SECRET_TABLES, read_rate, read_secret, to_integer};
use super::security_events::{COLUMNS as EVENT_COLUMNS, read as read_event};
use super::tokens::{REVOCATION_COLUMNS, read_revocation};
use super::transaction::Transaction;
use super::unreadable::{id_at, name_of};
use super::users::{
    BUCKET_COLUMNS, SESSION_COLUMNS, SESSION_TABLES, USER_COLUMNS, read_bucket_id, read_named_bucket, read_session,
    read_user,
};
use crate::audit::RowKind;
use crate::ids::{SessionId, UserId};
use crate::key::{Key, Origin, Revocation, RevokeReason, SecretInfo};
use crate::security_events::SecurityEvent;
use crate::store::legible::{DamagedRevocation, DamagedUser, EachFound, Found, KeyPlace, ReadLegible};
use crate::store::users::{Bucket, BucketId, SessionRow, UserRow};
use crate::store::{KeyOrdinal, RevocationRow, RotationRow, StoreError, UnreadableRow};

impl<C: Deref<Target = Connection>> ReadLegible for Transaction<C> {
    fn key_places(&self, beyond: KeyOrdinal, limit: usize) -> Result<Vec<KeyPlace>, StoreError> {
        let query = format!("SELECT k.pk, k.id, {IN_FORCE} FROM keys AS k WHERE k.pk > ?1 ORDER BY k.pk LIMIT ?2");
        all(self.connection(), &query, params![beyond.0, to_integer(limit as u64)], |row| {
            Ok(KeyPlace {
                ordinal: KeyOrdinal(Column(0, "keys.pk").integer(row)?),
                id: id_at(row, 1).map(KeyId::from_bytes),
                is_in_force: Column(2, "keys.import_pk").flag(row)?,
            })
        })
    }

    fn legible_key(&self, ordinal: KeyOrdinal, missing: Key, now: Timestamp) -> Result<Key, StoreError> {
        let query = format!("SELECT {KEY_COLUMNS} FROM keys AS k WHERE k.pk = ?1");
        let key = first(self.connection(), &query, [ordinal.0], |row| Ok(legible_key(row, missing, now)))?;
        let mut key = key.ok_or(StoreError::InvalidValue { column: "keys.pk" })?;
        let query = format!("SELECT {SECRET_COLUMNS} FROM {SECRET_TABLES} WHERE s.key_pk = ?1 ORDER BY s.number");
        let secrets = all(self.connection(), &query, [ordinal.0], |row| Ok(legible_secret(row, now)))?;
        key.secrets =
            (1..).zip(secrets.into_iter().flatten()).map(|(number, it)| SecretInfo { number, ..it }).collect();
        Ok(key)
    }

    fn rotations(&self, key: KeyId) -> Result<Vec<(String, RotationRow)>, StoreError> {
        let query = "SELECT r.number, r.grace, r.from_first_use, r.request_id FROM keys AS k \
                     JOIN rotations AS r ON r.key_pk = k.pk WHERE k.id = ?1 ORDER BY r.request_id";
        let rotations = all(self.connection(), query, [key.as_bytes()], |row| {
            let request_id = Column(3, "rotations.request_id").text(row).map(str::to_owned);
            Ok(request_id.ok().zip(read_rotation(row).ok()))
        })?;
        Ok(rotations.into_iter().flatten().collect())
    }

    fn secret_digests(&self, key: KeyId) -> Result<Vec<(u32, Digest)>, StoreError> {
        let query = "SELECT s.number, s.digest FROM keys AS k JOIN secrets AS s ON s.key_pk = k.pk WHERE k.id = ?1";
        let secrets = all(self.connection(), query, [key.as_bytes()], |row| {
            let number = Column(0, "secrets.number").number(row).ok();
            Ok(number.zip(Column(1, "secrets.digest").bytes(row).ok().map(Digest::from_bytes)))
        })?;
        Ok(secrets.into_iter().flatten().collect())
    }

    fn each_user(&self, each: &mut EachFound<'_, UserRow, DamagedUser>) -> Result<(), StoreError> {
        let sql = format!("SELECT {USER_COLUMNS} FROM users ORDER BY pk");
        let damaged = |row: &Row<'_>| DamagedUser {
            id: id_at(row, 0).map(UserId::from_bytes),
            email: Column(1, "users.email").parsed(row).ok(),
            organization: Column(3, "users.organization").optional_text(row).ok().flatten().map(str::to_owned),
            is_deleted: matches!(Column(1, "users.email").optional_text(row), Ok(None)),
        };
        each_found(self.connection(), &sql, RowKind::User, read_user, damaged, each)
    }

    fn each_session(&self, each: &mut EachFound<'_, SessionRow, Option<SessionId>>) -> Result<(), StoreError> {
        let sql = format!("SELECT {SESSION_COLUMNS} FROM {SESSION_TABLES} ORDER BY s.pk");
        let damaged = |row: &Row<'_>| id_at(row, 0).map(SessionId::from_bytes);
        each_found(self.connection(), &sql, RowKind::Session, read_session, damaged, each)
    }

    fn each_bucket(&self, each: &mut EachFound<'_, (BucketId, Bucket), Option<BucketId>>) -> Result<(), StoreError> {
        let sql = format!("SELECT {BUCKET_COLUMNS} FROM attempts");
        let damaged = |row: &Row<'_>| read_bucket_id(row).ok();
        each_found(self.connection(), &sql, RowKind::Setting, read_named_bucket, damaged, each)
    }

    fn each_revocation(&self, each: &mut EachFound<'_, RevocationRow, DamagedRevocation>) -> Result<(), StoreError> {
        let sql = format!("SELECT {REVOCATION_COLUMNS} FROM revocations");
        let damaged = |row: &Row<'_>| DamagedRevocation {
            issuer: Column(0, "revocations.issuer").text(row).ok().map(str::to_owned),
            kind: Column(1, "revocations.kind").parsed(row).ok(),
            value: Column(2, "revocations.value").text(row).ok().map(str::to_owned),
        };
        each_found(self.connection(), &sql, RowKind::Revocation, read_revocation, damaged, each)
    }

    fn each_security_event(&self, each: &mut EachFound<'_, SecurityEvent, ()>) -> Result<(), StoreError> {
        let sql = format!("SELECT {EVENT_COLUMNS} FROM security_events ORDER BY id");
        each_found(self.connection(), &sql, RowKind::Setting, read_event, |_| (), each)
    }
}

/// Hands out each row of a query.
fn each_found<T, D>(
    connection: &Connection,
    sql: &str,
    kind: RowKind,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    damaged: impl Fn(&Row<'_>) -> D,
    each: &mut EachFound<'_, T, D>,
) -> Result<(), StoreError> {
    let name = name_of(kind, 0);
    let mut statement = connection.prepare_cached(sql).checked()?;
    let mut rows = statement.query([]).checked()?;
    while let Some(row) = rows.next().checked()? {
        each(match read(row) {
            Ok(whole) => Found::Whole(whole),
            Err(error) => Found::Damaged(damaged(row), UnreadableRow::from_error(error, || name(row))?),
        })?;
    }
    Ok(())
}

/// Reads the columns of a key one by one.
fn legible_key(row: &Row<'_>, missing: Key, now: Timestamp) -> Key {
    let at = Column(18, "keys.revoked_at").optional_time(row);
    let reason = Column(19, "keys.revoke_reason").optional_text(row);
    let state = Column(2, "keys.state").state(row);
    let is_revoked = matches!(state, Ok(KeyState::Revoked)) || !matches!((&at, &reason), (Ok(None), Ok(None)));
    let revocation = is_revoked.then(|| Revocation {
        at: at.ok().flatten().unwrap_or(now),
        reason: Column(19, "keys.revoke_reason").parsed(row).unwrap_or(RevokeReason::Unspecified),
        note: Column(20, "keys.revoke_note").optional_text(row).ok().flatten().map(str::to_owned),
    });
    let state = if is_revoked { KeyState::Revoked } else { state.unwrap_or(KeyState::Suspended) };
    let suspended_at = match state {
        KeyState::Suspended => Column(17, "keys.suspended_at").optional_time(row).ok().flatten().or(Some(now)),
        KeyState::Active | KeyState::Revoked => None,
    };
    let text = |column: Column| column.optional_text(row).map(|text| text.map(str::to_owned));
    Key {
        state,
        revocation,
        suspended_at,
        suspended_for: None,
        suspended_by_restore: false,
        environment: Column(3, "keys.environment").parsed(row).unwrap_or(missing.environment),
        owner: text(Column(4, "keys.owner")).unwrap_or(missing.owner),
        scopes: Column(5, "keys.scopes").words(row).unwrap_or(missing.scopes),
        addresses: Column(6, "keys.addresses").words(row).unwrap_or(missing.addresses),
        rate: read_rate(row, 7).unwrap_or(missing.rate),
        not_before: Column(9, "keys.not_before").optional_time(row).unwrap_or(missing.not_before),
        expires_at: Column(10, "keys.expires_at").optional_time(row).unwrap_or(missing.expires_at),
        name: Column(11, "keys.name").text(row).map_or(missing.name, str::to_owned),
        created_at: Column(14, "keys.created_at").time(row).unwrap_or(missing.created_at),
        created_by: Column(15, "keys.created_by").text(row).map_or(missing.created_by, str::to_owned),
        secrets: Vec::new(),
        ..missing
    }
}

/// Reads the columns of a secret one by one; `None`: its digest cannot be read, so it is that of nothing.
fn legible_secret(row: &Row<'_>, now: Timestamp) -> Option<SecretInfo> {
    if let Ok(secret) = read_secret(row) {
        return Some(secret);
    }
    let digest = Digest::from_bytes(Column(1, "secrets.digest").bytes(row).ok()?);
    let retires_at = Column(5, "secrets.retires_at").optional_time(row);
    let pending_grace = Column(6, "secrets.pending_grace").optional_number(row);
    let ended_at = Column(10, "secrets.ended_at").optional_time(row);
    let (retires_at, pending_grace, ended_at) = match (retires_at, pending_grace, ended_at) {
        (Ok(retires_at), Ok(pending_grace), Ok(ended_at)) => (retires_at, pending_grace, ended_at),
        _ => (Some(now), None, Some(now)),
    };
    Some(SecretInfo {
        number: 0,
        digest,
        display: Column(2, "secrets.display").text(row).unwrap_or("(unreadable)").to_owned(),
        origin: Origin::Imported,
        created_at: Column(4, "secrets.created_at").time(row).unwrap_or(now),
        retires_at,
        pending_grace,
        ended_at,
        uses: 0,
        first_used_at: None,
        last_used_at: None,
    })
}
