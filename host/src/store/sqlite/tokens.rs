//! Signing keys and revocations: what is read and written of them.

use std::ops::Deref;

use keystile_validator::Timestamp;
use rusqlite::{Connection, Row, params};

use super::checked::Checked as _;
use super::reader::{self, all, first, setting};
use super::rows::{Column, to_integer, to_seconds};
use super::transaction::Transaction;
use super::unreadable::name_of;
use super::writer::{set_setting, touch};
use crate::audit::RowKind;
use crate::store::containment::UnreadableSigningKey;
use crate::store::{
    Generation, ReadTokens, RevocationKind, RevocationRow, SigningKeyRow, StoreError, UnreadableRow, WriteTokens,
};
use crate::tokens::TokenSettings;

/// The setting [`TokenSettings::issuer`]; absent: the name that comes from the id of the store.
const ISSUER: &str = "issuer";
/// The setting [`TokenSettings::audience`]; absent: the issuer.
const AUDIENCE: &str = "audience";
/// The setting [`TokenSettings::access_token_lifetime`]; absent: the default.
const ACCESS_TOKEN_LIFETIME: &str = "access_token_lifetime";
/// The setting [`TokenSettings::signing_algorithm`]; absent: the default.
const SIGNING_ALGORITHM: &str = "signing_algorithm";
/// The setting [`TokenSettings::publish_lead`]; absent: the default.
const PUBLISH_LEAD: &str = "publish_lead";

pub(super) fn settings(connection: &Connection) -> Result<TokenSettings, StoreError> {
    let default = TokenSettings::default();
    Ok(TokenSettings {
        issuer: setting(connection, ISSUER)?,
        audience: setting(connection, AUDIENCE)?,
        access_token_lifetime: setting(connection, ACCESS_TOKEN_LIFETIME)?.unwrap_or(default.access_token_lifetime),
        signing_algorithm: setting(connection, SIGNING_ALGORITHM)?.unwrap_or(default.signing_algorithm),
        publish_lead: setting(connection, PUBLISH_LEAD)?.unwrap_or(default.publish_lead),
    })
}

/// What is as it is by default is not written, so that a later default reaches old stores too.
pub(super) fn set_settings(connection: &Connection, settings: &TokenSettings) -> Result<(), StoreError> {
    let default = TokenSettings::default();
    let unless = |is_default: bool, value: String| (!is_default).then_some(value);
    let lifetime = settings.access_token_lifetime;
    let algorithm = settings.signing_algorithm;
    let lead = settings.publish_lead;
    set_setting(connection, ISSUER, settings.issuer.clone())?;
    set_setting(connection, AUDIENCE, settings.audience.clone())?;
    let lifetime = unless(lifetime == default.access_token_lifetime, lifetime.to_string());
    set_setting(connection, ACCESS_TOKEN_LIFETIME, lifetime)?;
    let algorithm = unless(algorithm == default.signing_algorithm, algorithm.to_string());
    set_setting(connection, SIGNING_ALGORITHM, algorithm)?;
    set_setting(connection, PUBLISH_LEAD, unless(lead == default.publish_lead, lead.to_string()))
}

impl<C: Deref<Target = Connection>> ReadTokens for Transaction<C> {
    fn store_id(&self) -> Result<[u8; 16], StoreError> {
        reader::store_id(self.connection())
    }

    fn sealing_check(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let value = Column(0, "sealing.check_value");
        first(self.connection(), "SELECT check_value FROM sealing", [], |row| value.blob(row))
    }

    fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StoreError> {
        let query = format!("SELECT {SIGNING_KEY_COLUMNS} FROM signing_keys ORDER BY pk");
        all(self.connection(), &query, [], read_signing_key)
    }

    fn signing_keys_in_use(&self) -> Result<Vec<SigningKeyRow>, StoreError> {
        let query = format!("SELECT {SIGNING_KEY_COLUMNS} FROM signing_keys WHERE state <> 'gone' ORDER BY pk");
        all(self.connection(), &query, [], read_signing_key)
    }

    fn readable_signing_keys(&self) -> Result<(Vec<SigningKeyRow>, Vec<UnreadableSigningKey>), StoreError> {
        let query = format!("SELECT {SIGNING_KEY_COLUMNS}, pk, state <> 'gone' FROM signing_keys ORDER BY pk");
        let (mut keys, mut unreadable) = (Vec::new(), Vec::new());
        let name = name_of(RowKind::SigningKey, 0);
        let mut statement = self.connection().prepare_cached(&query).checked()?;
        let mut rows = statement.query([]).checked()?;
        while let Some(row) = rows.next().checked()? {
            match read_signing_key(row) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    let row_of = UnreadableRow::from_error(error, || name(row))?;
                    if Column(11, "signing_keys.state").flag(row)? {
                        let ordinal = Column(10, "signing_keys.pk").integer(row)?;
                        let kid = Column(0, "signing_keys.kid").text(row).ok().map(str::to_owned);
                        unreadable.push(UnreadableSigningKey { ordinal, kid, row: row_of });
                    }
                }
            }
        }
        Ok((keys, unreadable))
    }

    fn revocations(&self, after: Generation, each: &mut dyn FnMut(RevocationRow)) -> Result<(), StoreError> {
        // All of them are read from the table itself, which `+` has SQLite do: an index can be damaged, and leave some
        // out.
        let generation = if after == Generation(0) { "+generation" } else { "generation" };
        let query = format!("SELECT {REVOCATION_COLUMNS} FROM revocations WHERE {generation} > ?1");
        let mut statement = self.connection().prepare_cached(&query).checked()?;
        let mut rows = statement.query([to_integer(after.0)]).checked()?;
        while let Some(row) = rows.next().checked()? {
            each(read_revocation(row)?);
        }
        Ok(())
    }

    fn revocation(&self, issuer: &str, kind: RevocationKind, value: &str) -> Result<Option<RevocationRow>, StoreError> {
        let query =
            format!("SELECT {REVOCATION_COLUMNS} FROM revocations WHERE issuer = ?1 AND kind = ?2 AND value = ?3");
        first(self.connection(), &query, [issuer, kind.as_str(), value], read_revocation)
    }
}

impl<C: Deref<Target = Connection>> WriteTokens for Transaction<C> {
    fn set_sealing_check(&mut self, check: &[u8]) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "INSERT INTO sealing (one, check_value) VALUES (1, ?1) \
                       ON CONFLICT (one) DO UPDATE SET check_value = excluded.check_value";
            connection.execute(sql, [check]).checked()?;
            Ok(())
        })
    }

    fn insert_signing_key(&mut self, key: &SigningKeyRow) -> Result<(), StoreError> {
        self.step(|connection, generation| insert_signing_key(connection, touch(connection, generation)?, key))
    }

    fn update_signing_key(&mut self, key: &SigningKeyRow) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let sql = "UPDATE signing_keys SET generation = ?2, state = ?3, sealed_key = ?4, signs_from = ?5, \
                       activated_at = ?6, retired_at = ?7 WHERE kid = ?1";
            let values = params![
                key.kid,
                touch(connection, generation)?,
                key.state.as_str(),
                key.sealed_key,
                to_seconds(key.signs_from),
                key.activated_at.map(to_seconds),
                key.retired_at.map(to_seconds),
            ];
            connection.prepare_cached(sql).and_then(|mut update| update.execute(values)).checked()?;
            Ok(())
        })
    }

    fn replace_signing_keys(&mut self, keys: &[SigningKeyRow]) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            let generation = touch(connection, generation)?;
            connection.execute("DELETE FROM signing_keys", []).checked()?;
            keys.iter().try_for_each(|key| insert_signing_key(connection, generation, key))
        })
    }

    fn note_expiry(&mut self, kid: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "UPDATE signing_keys SET last_expiry = max(coalesce(last_expiry, 0), ?2) WHERE kid = ?1";
            let values = params![kid, to_seconds(expires_at)];
            connection.prepare_cached(sql).and_then(|mut update| update.execute(values)).checked()?;
            Ok(())
        })
    }

    fn put_revocation(&mut self, revocation: &RevocationRow) -> Result<(), StoreError> {
        self.step(|connection, generation| {
            // Also over one that holds what no Keystile writes: then what is new counts alone.
            let sql = "INSERT INTO revocations (issuer, kind, value, generation, revoked_at, issued_before, expires_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (issuer, kind, value) DO UPDATE SET \
                       generation = excluded.generation, \
                       revoked_at = CASE WHEN revoked_at BETWEEN 0 AND excluded.revoked_at THEN revoked_at \
                         ELSE excluded.revoked_at END, \
                       issued_before = CASE WHEN issued_before BETWEEN excluded.issued_before AND ?8 \
                         THEN issued_before ELSE excluded.issued_before END, \
                       expires_at = CASE WHEN expires_at BETWEEN excluded.expires_at AND ?8 THEN expires_at \
                         ELSE excluded.expires_at END";
            let values = params![
                revocation.issuer,
                revocation.kind.as_str(),
                revocation.value,
                touch(connection, generation)?,
                to_seconds(revocation.revoked_at),
                revocation.issued_before.map(to_seconds),
                to_seconds(revocation.expires_at),
                to_seconds(Timestamp::MAX),
            ];
            connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
            Ok(())
        })
    }

    fn sweep_revocations(&mut self, expired_before: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| {
            let sql = "DELETE FROM revocations WHERE (issuer, kind, value) IN \
                       (SELECT issuer, kind, value FROM revocations WHERE expires_at >= 0 AND expires_at < ?1 LIMIT ?2)";
            let values = [to_seconds(expired_before), SWEPT_AT_ONCE];
            connection.prepare_cached(sql).and_then(|mut delete| delete.execute(values)).checked()?;
            Ok(())
        })
    }
}

/// Revocations that one write sweeps: enough to keep up, few enough to be quick.
const SWEPT_AT_ONCE: i64 = 1_000;

fn insert_signing_key(connection: &Connection, generation: i64, key: &SigningKeyRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO signing_keys (kid, generation, algorithm, state, public_key, sealed_key, created_at, \
               signs_from, activated_at, retired_at, last_expiry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let values = params![
        key.kid,
        generation,
        key.algorithm.as_str(),
        key.state.as_str(),
        key.public_key,
        key.sealed_key,
        to_seconds(key.created_at),
        to_seconds(key.signs_from),
        key.activated_at.map(to_seconds),
        key.retired_at.map(to_seconds),
        key.last_expiry.map(to_seconds),
    ];
    connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
    Ok(())
}

/// The columns that [`read_signing_key`] reads.
pub(super) const SIGNING_KEY_COLUMNS: &str = "kid, algorithm, state, public_key, sealed_key, created_at, signs_from, \
     activated_at, retired_at, last_expiry";

pub(super) fn read_signing_key(row: &Row<'_>) -> Result<SigningKeyRow, StoreError> {
    Ok(SigningKeyRow {
        kid: Column(0, "signing_keys.kid").text(row)?.to_owned(),
        algorithm: Column(1, "signing_keys.algorithm").parsed(row)?,
        state: Column(2, "signing_keys.state").parsed(row)?,
        public_key: Column(3, "signing_keys.public_key").optional_text(row)?.map(str::to_owned),
        sealed_key: Column(4, "signing_keys.sealed_key").optional_blob(row)?,
        created_at: Column(5, "signing_keys.created_at").time(row)?,
        signs_from: Column(6, "signing_keys.signs_from").time(row)?,
        activated_at: Column(7, "signing_keys.activated_at").optional_time(row)?,
        retired_at: Column(8, "signing_keys.retired_at").optional_time(row)?,
        last_expiry: Column(9, "signing_keys.last_expiry").optional_time(row)?,
    })
}

/// The columns that [`read_revocation`] reads.
pub(super) const REVOCATION_COLUMNS: &str = "issuer, kind, value, revoked_at, issued_before, expires_at";

pub(super) fn read_revocation(row: &Row<'_>) -> Result<RevocationRow, StoreError> {
    Ok(RevocationRow {
        issuer: Column(0, "revocations.issuer").text(row)?.to_owned(),
        kind: Column(1, "revocations.kind").parsed(row)?,
        value: Column(2, "revocations.value").text(row)?.to_owned(),
        revoked_at: Column(3, "revocations.revoked_at").time(row)?,
        issued_before: Column(4, "revocations.issued_before").optional_time(row)?,
        expires_at: Column(5, "revocations.expires_at").time(row)?,
    })
}
