//! What is written inside a transaction.

use keystile_validator::{Checksum, KeyId, Timestamp};
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::checked::Checked as _;
use super::reader::{self, MAX_LIFETIME};
use super::rows::{join_words, origin_name, state_name, to_integer, to_seconds};
use super::{tokens, users};
use crate::key::{Key, NamedFormat, Origin, SecretInfo, Settings};
use crate::keys::{DAY, USAGE_DAYS};
use crate::store::{Generation, Position, RotationRow, StoreError, UsageDelta};

/// The position of a new store: the first epoch, and a generation above the one that means `all`.
pub(super) fn insert_position(connection: &Connection, store_id: [u8; 16], now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO position (one, store_id, created_at, epoch, generation) VALUES (1, ?1, ?2, 1, 1)";
    connection.execute(sql, params![store_id, to_seconds(now)]).checked()?;
    Ok(())
}

pub(super) fn set_position(connection: &Connection, position: Position) -> Result<(), StoreError> {
    let values = [to_integer(position.epoch), to_integer(position.generation.0)];
    connection.execute("UPDATE position SET epoch = ?1, generation = ?2", values).checked()?;
    Ok(())
}

/// The generation of this write: the first change that a verdict can depend on begins a new one.
pub(super) fn touch(connection: &Connection, generation: &mut Option<Generation>) -> Result<i64, StoreError> {
    let generation = match generation {
        Some(generation) => *generation,
        none => {
            connection
                .prepare_cached("UPDATE position SET generation = generation + 1")
                .and_then(|mut update| update.execute([]))
                .checked()?;
            *none.insert(reader::position(connection)?.generation)
        }
    };
    Ok(to_integer(generation.0))
}

/// Nobody else can write, so a look before tells whether the insert will meet a conflict; and unlike
/// a failed insert, a look leaves nothing to undo.
pub(super) fn insert_key(
    connection: &Connection,
    generation: &mut Option<Generation>,
    key: &Key,
) -> Result<bool, StoreError> {
    if is_taken(connection, key)? {
        return Ok(false);
    }
    let generation = touch(connection, generation)?;
    add_key(connection, generation, key, None)?;
    Ok(true)
}

/// Adds a key of an import that has not ended, with all its secrets. `Ok(false)`: a digest or the id is
/// taken.
pub(super) fn stage_key(connection: &Connection, import_pk: i64, key: &Key) -> Result<bool, StoreError> {
    if is_taken(connection, key)? {
        return Ok(false);
    }
    add_key(connection, STAGED_GENERATION, key, Some(import_pk))?;
    Ok(true)
}

/// The generation of a staged key. Whoever follows the store learns of it by the generation of its import.
const STAGED_GENERATION: i64 = 1;

/// Whether the store has a key with this id, or one of these digests.
fn is_taken(connection: &Connection, key: &Key) -> Result<bool, StoreError> {
    if reader::key_pk(connection, key.id)?.is_some() {
        return Ok(true);
    }
    for (index, secret) in key.secrets.iter().enumerate() {
        if key.secrets.iter().skip(index.saturating_add(1)).any(|other| other.digest == secret.digest)
            || has_digest(connection, secret)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add_key(connection: &Connection, generation: i64, key: &Key, import_pk: Option<i64>) -> Result<(), StoreError> {
    write_key(
        connection,
        "INSERT INTO keys (id, generation, state, environment, owner, scopes, addresses, rate_limit, rate_window, \
         not_before, expires_at, name, format, metadata, created_at, created_by, updated_at, suspended_at, revoked_at, \
         revoke_reason, revoke_note, suspended_for, suspended_by_restore, import_pk) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
         ?23, ?24)",
        generation,
        key,
        Some(import_pk),
    )?;
    let pk = connection.last_insert_rowid();
    // Whoever can write the store could have put them there, to be secrets of the next new key.
    if connection
        .prepare_cached("SELECT 1 FROM secrets WHERE key_pk = ?1")
        .and_then(|mut it| it.exists([pk]))
        .checked()?
    {
        return Err(StoreError::InvalidValue { column: "secrets.key_pk" });
    }
    for secret in &key.secrets {
        add_secret(connection, pk, secret)?;
    }
    Ok(())
}

pub(super) fn update_key(
    connection: &Connection,
    generation: &mut Option<Generation>,
    key: &Key,
) -> Result<(), StoreError> {
    let generation = touch(connection, generation)?;
    let updated = write_key(
        connection,
        "UPDATE keys SET generation = ?2, state = ?3, environment = ?4, owner = ?5, scopes = ?6, addresses = ?7, \
         rate_limit = ?8, rate_window = ?9, not_before = ?10, expires_at = ?11, name = ?12, format = ?13, metadata = ?14, \
         created_at = ?15, created_by = ?16, updated_at = ?17, suspended_at = ?18, revoked_at = ?19, revoke_reason = ?20, \
         revoke_note = ?21, suspended_for = ?22, suspended_by_restore = ?23 WHERE id = ?1",
        generation,
        key,
        None,
    )?;
    if updated == 0 { Err(StoreError::NoSuchKey { id: key.id }) } else { Ok(()) }
}

/// Runs a statement whose parameters are all fields of a key, in the order of the table, and the import it
/// belongs to where the statement has a place for it.
fn write_key(
    connection: &Connection,
    sql: &str,
    generation: i64,
    key: &Key,
    import_pk: Option<Option<i64>>,
) -> Result<usize, StoreError> {
    let metadata =
        serde_json::to_string(&key.metadata).map_err(|_| StoreError::InvalidValue { column: "keys.metadata" })?;
    let (state, environment) = (state_name(key.state), key.environment.as_str());
    let (scopes, addresses) = (join_words(&key.scopes), join_words(&key.addresses));
    let rate = (key.rate.map(|rate| rate.limit()), key.rate.map(|rate| rate.window()));
    let (not_before, expires_at) = (key.not_before.map(to_seconds), key.expires_at.map(to_seconds));
    let (created_at, updated_at) = (to_seconds(key.created_at), to_seconds(key.updated_at));
    let suspended_at = key.suspended_at.map(to_seconds);
    let revocation = key.revocation.as_ref();
    let revoked_at = revocation.map(|revocation| to_seconds(revocation.at));
    let reason = revocation.map(|revocation| revocation.reason.as_str());
    let note = revocation.and_then(|revocation| revocation.note.as_deref());
    let suspended_for = key.suspended_for.map(|user| user.as_bytes().to_vec());
    let fields: [&dyn ToSql; 23] = [
        key.id.as_bytes(),
        &generation,
        &state,
        &environment,
        &key.owner,
        &scopes,
        &addresses,
        &rate.0,
        &rate.1,
        &not_before,
        &expires_at,
        &key.name,
        &key.format,
        &metadata,
        &created_at,
        &key.created_by,
        &updated_at,
        &suspended_at,
        &revoked_at,
        &reason,
        &note,
        &suspended_for,
        &key.suspended_by_restore,
    ];
    let import_pk = import_pk.as_ref().map(|import_pk| import_pk as &dyn ToSql);
    let parameters = fields.into_iter().chain(import_pk);
    let mut statement = connection.prepare_cached(sql).checked()?;
    statement.execute(params_from_iter(parameters)).checked()
}

pub(super) fn insert_secret(
    connection: &Connection,
    generation: &mut Option<Generation>,
    key: KeyId,
    secret: &SecretInfo,
) -> Result<bool, StoreError> {
    let pk = existing_pk(connection, key)?;
    if has_digest(connection, secret)? {
        return Ok(false);
    }
    touch_key(connection, generation, pk)?;
    add_secret(connection, pk, secret)?;
    Ok(true)
}

pub(super) fn update_secret(
    connection: &Connection,
    generation: &mut Option<Generation>,
    key: KeyId,
    secret: &SecretInfo,
) -> Result<(), StoreError> {
    let pk = existing_pk(connection, key)?;
    touch_key(connection, generation, pk)?;
    let mut update = connection
        .prepare_cached(
            "UPDATE secrets SET retires_at = ?3, pending_grace = ?4, ended_at = coalesce(ended_at, ?5) \
             WHERE key_pk = ?1 AND number = ?2",
        )
        .checked()?;
    let times = (secret.retires_at.map(to_seconds), secret.pending_grace.map(to_integer));
    let ended_at = secret.ended_at.map(to_seconds);
    let updated = update.execute(params![pk, secret.number, times.0, times.1, ended_at]).checked()?;
    if updated == 0 { Err(StoreError::NoSuchKey { id: key }) } else { Ok(()) }
}

pub(super) fn insert_rotation(
    connection: &Connection,
    key: KeyId,
    request_id: &str,
    rotation: &RotationRow,
) -> Result<(), StoreError> {
    let pk = existing_pk(connection, key)?;
    let sql = "INSERT INTO rotations (key_pk, request_id, number, grace, from_first_use) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![pk, request_id, rotation.number, to_integer(rotation.grace), rotation.from_first_use];
    connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
    Ok(())
}

pub(super) fn insert_format(
    connection: &Connection,
    generation: &mut Option<Generation>,
    named: &NamedFormat,
) -> Result<bool, StoreError> {
    let format = &named.format;
    let sql = "INSERT INTO formats (name, ordinal, prefix, separator, environments, body_len, checksum, created_at) \
               SELECT ?1, coalesce(max(ordinal), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7 FROM formats \
               WHERE true ON CONFLICT (name) DO NOTHING";
    let values = params![
        named.name,
        format.prefix(),
        char::from(format.separator().as_byte()).to_string(),
        join_words(format.environments()),
        to_integer(format.body_len() as u64),
        match format.checksum() {
            Checksum::None => "none",
            Checksum::Crc32 => "crc32",
        },
        to_seconds(named.created_at),
    ];
    let inserted = connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).checked()?;
    if inserted > 0 {
        touch(connection, generation)?;
    }
    Ok(inserted > 0)
}

pub(super) fn replace_formats(
    connection: &Connection,
    generation: &mut Option<Generation>,
    formats: &[NamedFormat],
) -> Result<(), StoreError> {
    touch(connection, generation)?;
    // Keys name formats: they are looked at when all of this is written. It ends with the transaction.
    connection.execute_batch("PRAGMA defer_foreign_keys = ON; DELETE FROM formats").checked()?;
    for format in formats {
        insert_format(connection, generation, format)?;
    }
    let sql = "UPDATE keys SET format = NULL WHERE format NOT IN (SELECT name FROM formats)";
    connection.execute(sql, []).checked()?;
    Ok(())
}

/// No verdict depends on them, but whoever follows the generation learns of them so.
pub(super) fn set_settings(
    connection: &Connection,
    generation: &mut Option<Generation>,
    settings: &Settings,
) -> Result<(), StoreError> {
    touch(connection, generation)?;
    set_setting(connection, MAX_LIFETIME, settings.max_lifetime.map(|seconds| seconds.to_string()))?;
    tokens::set_settings(connection, &settings.tokens)?;
    users::set_settings(connection, &settings.logins)
}

/// Writes one setting; `None` takes it away.
pub(super) fn set_setting(connection: &Connection, name: &str, value: Option<String>) -> Result<(), StoreError> {
    match value {
        None => connection.execute("DELETE FROM settings WHERE name = ?1", [name]),
        Some(value) => connection.execute(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![name, value],
        ),
    }
    .checked()?;
    Ok(())
}

/// A secret that is not in the store (any more, after a restore) is passed over. Reports come from
/// many processes and out of order: a time never moves back, and the first use stays the first.
pub(super) fn add_usage(connection: &Connection, usage: &[UsageDelta]) -> Result<(), StoreError> {
    let mut add = connection
        .prepare_cached(
            "INSERT INTO usage (key_pk, number, uses, first_used_at, last_used_at) \
             SELECT key_pk, number, ?2, ?3, ?4 FROM secrets WHERE digest = ?1 \
             ON CONFLICT (key_pk, number) DO UPDATE SET \
             uses = uses + min(excluded.uses, 9223372036854775807 - uses), \
             first_used_at = min(first_used_at, excluded.first_used_at), \
             last_used_at = max(last_used_at, excluded.last_used_at)",
        )
        .checked()?;
    for delta in usage {
        let values =
            params![delta.digest.as_bytes(), to_integer(delta.uses), to_seconds(delta.first), to_seconds(delta.last)];
        add.execute(values).checked()?;
    }
    Ok(())
}

/// Days with a use that are kept of a key. They are counted, not dated: a clock that was ahead once must not
/// drive the real ones out.
const KEPT_DAYS: u64 = 2 * USAGE_DAYS as u64;

/// Counts uses to the day of the last one of them; days that are too old to be shown go.
pub(super) fn add_usage_days(connection: &Connection, usage: &[UsageDelta]) -> Result<(), StoreError> {
    let mut add = connection
        .prepare_cached(
            "INSERT INTO usage_days (key_pk, day, uses) SELECT key_pk, ?2, ?3 FROM secrets WHERE digest = ?1 \
             ON CONFLICT (key_pk, day) DO UPDATE SET uses = uses + min(excluded.uses, 9223372036854775807 - uses)",
        )
        .checked()?;
    let mut forget = connection
        .prepare_cached(
            "DELETE FROM usage_days WHERE key_pk = (SELECT key_pk FROM secrets WHERE digest = ?1) AND day < \
             (SELECT min(day) FROM (SELECT d.day FROM usage_days AS d JOIN secrets AS s ON s.key_pk = d.key_pk \
              WHERE s.digest = ?1 ORDER BY d.day DESC LIMIT ?2))",
        )
        .checked()?;
    for delta in usage {
        let day = delta.last.unix() / DAY;
        add.execute(params![delta.digest.as_bytes(), to_integer(day), to_integer(delta.uses)]).checked()?;
        forget.execute(params![delta.digest.as_bytes(), to_integer(KEPT_DAYS)]).checked()?;
    }
    Ok(())
}

fn existing_pk(connection: &Connection, id: KeyId) -> Result<i64, StoreError> {
    reader::key_pk(connection, id)?.ok_or(StoreError::NoSuchKey { id })
}

fn has_digest(connection: &Connection, secret: &SecretInfo) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM secrets WHERE digest = ?1").checked()?;
    statement.exists([secret.digest.as_bytes()]).checked()
}

fn touch_key(connection: &Connection, generation: &mut Option<Generation>, pk: i64) -> Result<(), StoreError> {
    let values = [pk, touch(connection, generation)?];
    let mut update = connection.prepare_cached("UPDATE keys SET generation = ?2 WHERE pk = ?1").checked()?;
    update.execute(values).checked()?;
    Ok(())
}

fn add_secret(connection: &Connection, pk: i64, secret: &SecretInfo) -> Result<(), StoreError> {
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO secrets (key_pk, number, digest, retires_at, pending_grace, display, origin, created_at, \
             ended_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .checked()?;
    insert
        .execute(params![
            pk,
            secret.number,
            secret.digest.as_bytes(),
            secret.retires_at.map(to_seconds),
            secret.pending_grace.map(to_integer),
            secret.display,
            origin_name(secret.origin),
            to_seconds(secret.created_at),
            secret.ended_at.map(to_seconds),
        ])
        .checked()?;
    if let (Some(first), Some(last)) = (secret.first_used_at, secret.last_used_at) {
        add_usage(connection, &[UsageDelta { digest: secret.digest, uses: secret.uses, first, last }])?;
    }
    if secret.origin == Origin::Imported {
        connection
            .prepare_cached("UPDATE position SET has_imports = 1 WHERE has_imports = 0")
            .and_then(|mut update| update.execute([]))
            .checked()?;
    }
    Ok(())
}
