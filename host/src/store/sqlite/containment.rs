//! Taking away by id: single columns are read as far as they can be, and no row is read whole.
//!
//! SQLite checks the conditions of a column only when that column is written, so a value that breaks one does not
//! keep the others from being changed.

use std::ops::Deref;

use keystile_validator::{Digest, KeyId, Timestamp};
use rusqlite::{Connection, Params, Row, params};

use super::checked::Checked as _;
use super::imports::IN_FORCE;
use super::reader::{all, first};
use super::rows::{Column, to_seconds};
use super::transaction::Transaction;
use super::users::{LATEST, NOT_DELETED};
use super::writer::touch;
use crate::ids::{SessionId, UserId};
use crate::store::containment::{
    BareIssuer, BareKey, BareSession, BareUser, Contain, IssuerRef, KeyContainment, ReadBare, WaitingGrace,
};
use crate::store::{StoreError, UnreadableRow};
use crate::user::Email;

impl<C: Deref<Target = Connection>> ReadBare for Transaction<C> {
    fn bare_key(&self, id: KeyId) -> Result<Option<BareKey>, StoreError> {
        let Some(pk) = place(self.connection(), "keys", id.as_bytes())? else { return Ok(None) };
        let query = "SELECT state, suspended_for IS NOT NULL FROM keys NOT INDEXED WHERE pk = ?1";
        first(self.connection(), query, [pk], |row| {
            let state = Column(0, "keys.state").state(row).ok();
            Ok(BareKey { state, suspended_for_user: Column(1, "keys.suspended_for").flag(row)? })
        })
    }

    fn nameless_keys_of(&self, owner: &Email) -> Result<Vec<UnreadableRow>, StoreError> {
        let query =
            "SELECT pk FROM keys NOT INDEXED WHERE owner IS NOT NULL AND lower(owner) = ?1 AND length(id) <> 16";
        all(self.connection(), query, [owner.as_str()], |row| {
            let pk = Column(0, "keys.pk").integer(row)?;
            Ok(UnreadableRow { row: format!("of key number {pk}"), column: "keys.id" })
        })
    }

    fn waiting_graces(&self, digest: &Digest) -> Result<Vec<WaitingGrace>, StoreError> {
        let query = format!(
            "SELECT k.id, k.expires_at, s.number, s.digest, s.pending_grace, s.retires_at \
             FROM secrets AS new JOIN keys AS k ON k.pk = new.key_pk \
             JOIN secrets AS s ON s.key_pk = new.key_pk AND s.number < new.number \
             WHERE new.digest = ?1 AND s.pending_grace IS NOT NULL AND {IN_FORCE}"
        );
        all(self.connection(), &query, [digest.as_bytes()], |row| {
            Ok(WaitingGrace {
                key: KeyId::from_bytes(Column(0, "keys.id").bytes(row)?),
                expires_at: Column(1, "keys.expires_at").optional_time(row)?,
                number: Column(2, "secrets.number").number(row)?,
                digest: Digest::from_bytes(Column(3, "secrets.digest").bytes(row)?),
                grace: Column(4, "secrets.pending_grace").number(row)?,
                retires_at: Column(5, "secrets.retires_at").optional_time(row)?,
            })
        })
    }

    fn bare_session(&self, id: SessionId) -> Result<Option<BareSession>, StoreError> {
        let Some(pk) = place(self.connection(), "sessions", id.as_bytes())? else { return Ok(None) };
        let query = "SELECT u.id, s.last_used_at, s.expires_at \
                     FROM sessions AS s NOT INDEXED LEFT JOIN users AS u ON u.pk = s.user_pk WHERE s.pk = ?1";
        first(self.connection(), query, [pk], |row| {
            Ok(BareSession {
                id,
                user: Column(0, "users.id").bytes(row).ok().map(UserId::from_bytes),
                last_used_at: Column(1, "sessions.last_used_at").time(row).ok(),
                expires_at: Column(2, "sessions.expires_at").time(row).ok(),
            })
        })
    }

    fn bare_user(&self, id: UserId) -> Result<Option<BareUser>, StoreError> {
        let Some(pk) = place(self.connection(), "users", id.as_bytes())? else { return Ok(None) };
        let query = format!(
            "SELECT email, coalesce(suspended_at BETWEEN 0 AND {LATEST}, 0) FROM users AS u NOT INDEXED WHERE pk = ?1 \
             AND ({NOT_DELETED} OR EXISTS (SELECT 1 FROM sessions WHERE user_pk = u.pk))"
        );
        first(self.connection(), &query, [pk], |row| {
            let email = Column(0, "users.email").parsed(row).ok();
            Ok(BareUser { email, is_suspended: Column(1, "users.suspended_at").flag(row)? })
        })
    }

    fn user_id_by_email(&self, email: &Email) -> Result<Option<UserId>, StoreError> {
        let query = "SELECT id FROM users WHERE email = ?1";
        first(self.connection(), query, [email.as_str()], |row| {
            Column(0, "users.id").bytes(row).map(UserId::from_bytes)
        })
    }

    fn bare_issuer(&self, issuer: IssuerRef<'_>) -> Result<Option<BareIssuer>, StoreError> {
        let (condition, value) = match issuer {
            IssuerRef::Name(name) => ("name = ?1", name),
            IssuerRef::NameOrIss(value) => ("name = ?1 OR issuer = ?1", value),
        };
        let query = format!("SELECT issuer, enabled FROM issuers WHERE {condition} ORDER BY name");
        first(self.connection(), &query, [value], |row| {
            Ok(BareIssuer {
                issuer: Column(0, "issuers.issuer").text(row).ok().map(str::to_owned),
                is_enabled: Column(1, "issuers.enabled").flag(row).unwrap_or(true),
            })
        })
    }
}

/// When a key was suspended first, as far as that can be read.
const SUSPENDED_AT: &str = "CASE WHEN suspended_at >= 0 THEN suspended_at ELSE ?3 END";

impl<C: Deref<Target = Connection>> Contain for Transaction<C> {
    fn contain_key(&mut self, id: KeyId, at: Timestamp, how: KeyContainment<'_>) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let generation = touch(connection, generation)?;
            let (pk, at) = (place(connection, "keys", id.as_bytes())?, to_seconds(at));
            let set = "UPDATE keys SET generation = ?2, updated_at = ?3";
            let changed = match how {
                KeyContainment::Suspend { with } => {
                    let sql = format!(
                        "{set}, state = 'suspended', suspended_at = {SUSPENDED_AT}, suspended_for = ?4 \
                         WHERE pk = ?1 AND state <> 'revoked'"
                    );
                    let with = with.map(|user| user.as_bytes().to_vec());
                    execute(connection, &sql, params![pk, generation, at, with])
                }
                KeyContainment::Revoke { reason, note } => {
                    let sql = format!(
                        "{set}, state = 'revoked', suspended_at = NULL, suspended_for = NULL, suspended_by_restore = 0, \
                         revoked_at = ?3, revoke_reason = ?4, revoke_note = ?5 WHERE pk = ?1"
                    );
                    execute(connection, &sql, params![pk, generation, at, reason.as_str(), note])
                }
                KeyContainment::Disown { user, email } => {
                    let sql = format!(
                        "{set}, owner = CASE WHEN lower(owner) = ?4 THEN ?5 ELSE owner END, \
                         state = CASE WHEN state = 'revoked' THEN state ELSE 'suspended' END, \
                         suspended_at = CASE WHEN state = 'revoked' THEN NULL ELSE {SUSPENDED_AT} END, \
                         suspended_for = NULL WHERE pk = ?1"
                    );
                    let email = email.map(Email::as_str);
                    execute(connection, &sql, params![pk, generation, at, email, user.to_string()])
                }
            };
            if changed? == 0 { Err(StoreError::NoSuchKey { id }) } else { Ok(()) }
        })
    }

    fn start_grace(
        &mut self,
        grace: &WaitingGrace,
        retires_at: Timestamp,
        ended_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let (id, generation) = (grace.key.as_bytes(), touch(connection, generation)?);
            execute(connection, "UPDATE keys SET generation = ?2 WHERE id = ?1", params![id, generation])?;
            let sql = "UPDATE secrets SET retires_at = ?2, pending_grace = NULL, ended_at = coalesce(ended_at, ?3) \
                       WHERE digest = ?1";
            let values = params![grace.digest.as_bytes(), to_seconds(retires_at), ended_at.map(to_seconds)];
            execute(connection, sql, values).map(drop)
        })
    }

    fn suspend_user(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            touch(connection, generation)?;
            let sql = "UPDATE users SET suspended_at = ?2, updated_at = ?2 WHERE pk = ?1";
            let pk = place(connection, "users", id.as_bytes())?;
            let changed = execute(connection, sql, params![pk, to_seconds(at)])?;
            if changed == 0 { Err(StoreError::NoSuchUser { id }) } else { Ok(()) }
        })
    }

    fn disable_issuer(&mut self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let sql = "UPDATE issuers SET enabled = 0, updated_at = ?2, generation = ?3 WHERE name = ?1";
            execute(connection, sql, params![name, to_seconds(at), touch(connection, generation)?]).map(drop)
        })
    }

    fn give_up_signing_key(&mut self, ordinal: i64, at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let sql = "UPDATE signing_keys SET generation = ?2, state = 'gone', sealed_key = NULL, \
                       retired_at = CASE WHEN retired_at >= 0 THEN retired_at ELSE ?3 END WHERE pk = ?1";
            execute(connection, sql, params![ordinal, touch(connection, generation)?, to_seconds(at)]).map(drop)
        })
    }
}

/// Where the row with this id lies. An index can be damaged, so that it leads to another row or to none: it is believed
/// when the row itself says so, and else every row is looked at.
pub(super) fn place(connection: &Connection, table: &str, id: &[u8]) -> Result<Option<i64>, StoreError> {
    let number = |row: &Row<'_>| Column(0, "pk").integer(row);
    if let Some(pk) = first(connection, &format!("SELECT pk FROM {table} WHERE id = ?1"), [id], number)? {
        let query = format!("SELECT pk FROM {table} NOT INDEXED WHERE pk = ?1 AND id = ?2");
        if first(connection, &query, params![pk, id], number)?.is_some() {
            return Ok(Some(pk));
        }
    }
    first(connection, &format!("SELECT pk FROM {table} NOT INDEXED WHERE id = ?1"), [id], number)
}

fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).checked()
}
