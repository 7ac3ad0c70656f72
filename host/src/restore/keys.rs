//! What becomes of keys when a backup is restored.
//!
//! Every row of the replaced store's table counts, also one that cannot be read whole and one that is not in force:
//! what was decided about it goes on to hold.

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use super::{RestoreSuspension, Restored, by_restore};
use crate::audit;
use crate::key::{Key, SecretInfo};
use crate::keys::{blank, revoked};
use crate::query::MAX_PAGE;
use crate::store::legible::KeyPlace;
use crate::store::{KeyOrdinal, ReadTransaction, RotationRow, StoreError, UnreadableRow, WriteTransaction};

/// Keeps in the restored store whatever the current one refuses of keys; says how many keys that changed.
pub(super) fn keep(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<u64, StoreError> {
    let mut kept = 0_u64;
    let mut beyond = KeyOrdinal::default();
    loop {
        let places = current.key_places(beyond, MAX_PAGE)?;
        let Some(last) = places.last() else { return Ok(kept) };
        beyond = last.ordinal;
        for place in places {
            let what = keep_key(restored, current, place, now, actor, told)?;
            if let Some(id) = place.id {
                keep_rotations(restored, current, id)?;
            }
            let Some((id, what)) = what else { continue };
            kept = kept.saturating_add(1);
            let detail = json!({ "kept": what });
            audit::append(restored, now, actor, "key.carried_over", Some(id.to_string()), &detail)?;
        }
    }
}

/// A rotation that was asked for once more goes on to be the same one: its request id is known, and so is the secret
/// that it made.
fn keep_rotations(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    id: KeyId,
) -> Result<(), StoreError> {
    let rotations = current.rotations(id)?;
    if rotations.is_empty() {
        return Ok(());
    }
    let secrets = current.secret_digests(id)?;
    let Some(kept) = restored.key(id)? else { return Ok(()) };
    for (request_id, rotation) in rotations {
        let digest = secrets.iter().find(|(number, _)| *number == rotation.number).map(|(_, digest)| *digest);
        let Some(secret) = kept.secrets.iter().find(|secret| Some(secret.digest) == digest) else { continue };
        if restored.rotation(id, &request_id)?.is_none() {
            restored.insert_rotation(id, &request_id, &RotationRow { number: secret.number, ..rotation })?;
        }
    }
    Ok(())
}

/// What was kept of a key; `None`: the backup says the same.
type Kept = Option<(KeyId, &'static str)>;

fn keep_key(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    place: KeyPlace,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<Kept, StoreError> {
    const NO_ID: StoreError = StoreError::InvalidValue { column: "keys.id" };
    let read = match place.id {
        // Its row is there. An index that does not lead to it is damaged, and the row counts.
        Some(id) => current.key(id).and_then(|key| key.ok_or(NO_ID)),
        None => Err(NO_ID),
    };
    let key = match read {
        Ok(key) => key,
        Err(error) => {
            let number = place.ordinal.0;
            let name = || place.id.map_or_else(|| format!("of key number {number}"), |id| id.to_string());
            let row = UnreadableRow::from_error(error, name)?;
            let Some(id) = place.id else { return Err(row.undecided()) };
            told.cannot_read(row);
            return Ok(keep_damaged(restored, current, (place, id), now, actor, told)?.map(|what| (id, what)));
        }
    };
    let id = key.id;
    let what = match restored.key(id)? {
        Some(old) if place.is_in_force => keep_limits(restored, old, key, now, actor, told)?,
        None if place.is_in_force => carry_over(restored, key, now, actor, told)?,
        Some(old) => {
            // Damage has taken it out of force, or an import brings it a second time.
            let was_active = old.state == KeyState::Active;
            let key = if key.state == KeyState::Active { by_restore(key, now) } else { key };
            if was_active && key.state == KeyState::Suspended {
                told.suspend(&key, RestoreSuspension::NotInForce);
            }
            keep_limits(restored, old, key, now, actor, told)?
        }
        // Staged, and nobody has decided anything about it: it goes with its import.
        None if key.state == KeyState::Active => None,
        None => carry_over(restored, key, now, actor, told)?,
    };
    Ok(what.map(|what| (id, what)))
}

/// A key that cannot be read whole. What can be read of it counts; what cannot is taken from the backup, and the key is
/// suspended, unless it was revoked. One that the backup does not know is revoked: its limits are not known.
fn keep_damaged(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    (place, id): (KeyPlace, KeyId),
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<Option<&'static str>, StoreError> {
    let Some(old) = restored.key(id)? else {
        let key = current.legible_key(place.ordinal, blank(id, now)?, now)?;
        if !place.is_in_force && key.state == KeyState::Active {
            return Ok(None);
        }
        let key = revoked(key, now);
        told.revoke(&key, RestoreSuspension::Unreadable);
        carry_over(restored, key, now, actor, told)?;
        return Ok(Some("revoked: it cannot be read, and the backup does not know it"));
    };
    let mut key = current.legible_key(place.ordinal, old.clone(), now)?;
    if old.state == KeyState::Revoked {
        (key.state, key.suspended_at, key.suspended_for) = (old.state, None, None);
        key.revocation = old.revocation.clone();
    }
    let what = match (key.state, old.state) {
        (KeyState::Revoked, KeyState::Revoked) => "revoked",
        (KeyState::Revoked, _) => {
            told.revoke(&key, RestoreSuspension::Unreadable);
            "revoked; it cannot be read"
        }
        (_, was) => {
            key = by_restore(key, now);
            if was == KeyState::Active {
                told.suspend(&key, RestoreSuspension::Unreadable);
            }
            "suspended; it cannot be read"
        }
    };
    Ok(keep_limits(restored, old, key, now, actor, told)?.map(|_| what))
}

/// A key of both stores: what the operator has decided about it since the backup goes on to hold.
fn keep_limits(
    restored: &mut dyn WriteTransaction,
    old: Key,
    current: Key,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<Option<&'static str>, StoreError> {
    let mut key =
        Key { secrets: old.secrets.clone(), name: old.name.clone(), metadata: old.metadata.clone(), ..current.clone() };
    let mut changed = false;
    for secret in &mut key.secrets {
        // A secret that the current store does not know was refused by it, and ends.
        let known = current.secrets.iter().find(|known| known.digest == secret.digest);
        let times =
            known.map_or((Some(now), None, Some(now)), |known| (known.retires_at, known.pending_grace, known.ended_at));
        let times = (times.0, times.1, secret.ended_at.or(times.2));
        if (secret.retires_at, secret.pending_grace, secret.ended_at) != times {
            (secret.retires_at, secret.pending_grace, secret.ended_at) = times;
            restored.update_secret(key.id, secret)?;
            changed = true;
        }
    }
    let mut next = key.secrets.last().map_or(1, |last| last.number.saturating_add(1));
    for secret in &current.secrets {
        if key.secrets.iter().all(|known| known.digest != secret.digest) {
            if restored.insert_secret(key.id, &SecretInfo { number: next, ..secret.clone() })? {
                next = next.saturating_add(1);
                changed = true;
            } else {
                contain_elsewhere(restored, &current, secret, now, actor, told)?;
            }
        }
    }
    let same =
        Key { updated_at: old.updated_at, secrets: old.secrets.clone(), format: old.format.clone(), ..key.clone() }
            == old;
    if same && !changed {
        return Ok(None);
    }
    key.updated_at = now;
    restored.update_key(&key)?;
    Ok(Some("state, limits and secrets"))
}

/// A key that the backup does not know, because it is younger: it is kept, so that no other backup can
/// bring it back as it once was, and switched off, because it is not of the time that was asked for.
fn carry_over(
    restored: &mut dyn WriteTransaction,
    mut key: Key,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<Option<&'static str>, StoreError> {
    let elsewhere = elsewhere(restored, &key)?;
    if !elsewhere.is_empty() {
        for secret in &elsewhere {
            contain_elsewhere(restored, &key, secret, now, actor, told)?;
        }
        return Ok(Some("what was decided, for the key of the backup that has the secret"));
    }
    let what = match key.state {
        KeyState::Active => {
            key = by_restore(key, now);
            told.suspend(&key, RestoreSuspension::MadeSince);
            "suspended, unknown to the backup"
        }
        KeyState::Suspended => "suspended",
        KeyState::Revoked => "revoked",
    };
    key.updated_at = now;
    if !restored.insert_key(&key)? {
        return Err(StoreError::InvalidRow { row: key.id.to_string(), column: "keys.id" });
    }
    Ok(Some(what))
}

/// The secrets of a key that another key of the restored store has.
fn elsewhere(restored: &dyn ReadTransaction, key: &Key) -> Result<Vec<SecretInfo>, StoreError> {
    let mut found = Vec::new();
    for secret in &key.secrets {
        if restored.key_by_digest(&secret.digest)?.is_some() {
            found.push(secret.clone());
        }
    }
    Ok(found)
}

/// A secret of the current store that is one of another key in the backup: an import that was made twice. That key
/// gets no more than what was decided about the secret: it ends where its key was revoked or it has ended, and the
/// key is suspended.
fn contain_elsewhere(
    restored: &mut dyn WriteTransaction,
    current: &Key,
    secret: &SecretInfo,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<(), StoreError> {
    let Some(other) = restored.key_by_digest(&secret.digest)? else { return Ok(()) };
    if current.state == KeyState::Revoked || secret.has_ended(now) {
        for known in other.secrets.iter().filter(|known| known.digest == secret.digest) {
            let ended = SecretInfo {
                retires_at: Some(known.retires_at.map_or(now, |at| at.min(now))),
                pending_grace: None,
                ended_at: known.ended_at.or(Some(now)),
                ..known.clone()
            };
            restored.update_secret(other.id, &ended)?;
        }
    }
    if other.state == KeyState::Active {
        let other = restored.key(other.id)?.unwrap_or(other);
        suspend(restored, other, RestoreSuspension::SecretElsewhere, now, actor, told)?;
    }
    Ok(())
}

/// Suspends a key of the backup, and says why.
fn suspend(
    restored: &mut dyn WriteTransaction,
    key: Key,
    reason: RestoreSuspension,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<(), StoreError> {
    let key = Key { updated_at: now, ..by_restore(key, now) };
    told.suspend(&key, reason);
    restored.update_key(&key)?;
    let detail = json!({ "kept": "suspended", "reason": reason.as_str() });
    audit::append(restored, now, actor, "key.carried_over", Some(key.id.to_string()), &detail)
}
