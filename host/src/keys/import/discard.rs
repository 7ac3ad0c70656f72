//! Discarding staged keys, but for those that somebody has taken something away from.
//!
//! A staged key can be named by its id, and be revoked. When its import is discarded it is kept, on its own: its digest
//! stays taken, so that no other import brings it back.

use std::thread;

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use super::{MAX_STAGED_AT_ONCE, PAUSE};
use crate::audit;
use crate::ids::ImportId;
use crate::key::Key;
use crate::keys::{blank, new_key_id, revoked, suspended};
use crate::keystile::Inner;
use crate::store::legible::KeyPlace;
use crate::store::{StoreError, UnreadableRow, WriteTransaction};

/// Discards the staged keys of an import in short writes.
pub(super) fn discard(inner: &Inner, id: ImportId) -> Result<(), StoreError> {
    loop {
        let is_gone = inner.change(|transaction, now| {
            let Some(import) = transaction.import(id)?.filter(|import| import.completed_at.is_none()) else {
                return Ok(true);
            };
            let is_gone = discard_step(transaction, id, now, inner.actor())?;
            // Each write has its entry: one that names the keys it deletes, and who did it and when.
            let (action, keys) = match is_gone {
                true => ("import.discarded", import.keys),
                false => ("import.discarding", MAX_STAGED_AT_ONCE as u64),
            };
            inner.audit(transaction, now, action, Some(id.to_string()), &json!({ "keys": keys }))?;
            Ok::<bool, StoreError>(is_gone)
        })?;
        if is_gone {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

/// Discards at most [`MAX_STAGED_AT_ONCE`] staged keys of an import, then the import itself; says whether nothing is
/// left of it. Those that were revoked or suspended are kept, refused and without the import.
pub(crate) fn discard_step(
    transaction: &mut dyn WriteTransaction,
    import: ImportId,
    now: Timestamp,
    actor: &str,
) -> Result<bool, StoreError> {
    let places = transaction.decided_staged_keys(import, MAX_STAGED_AT_ONCE)?;
    let kept = places.into_iter().map(|place| kept(&*transaction, place, now)).collect::<Result<Vec<_>, _>>()?;
    let is_gone = transaction.discard_import(import, MAX_STAGED_AT_ONCE)?;
    for key in kept {
        if !transaction.insert_key(&key)? {
            return Err(StoreError::InvalidRow { row: key.id.to_string(), column: "keys.id" });
        }
        let detail = json!({ "import": import.to_string(), "state": state_of(&key) });
        audit::append(transaction, now, actor, "key.kept", Some(key.id.to_string()), &detail)?;
    }
    Ok(is_gone)
}

fn kept(view: &dyn WriteTransaction, place: KeyPlace, now: Timestamp) -> Result<Key, StoreError> {
    let id = match place.id {
        Some(id) => id,
        None => new_key_id(now).map_err(|_| StoreError::NoRandomBytes)?,
    };
    let key = match place.id.map_or(Err(StoreError::InvalidValue { column: "keys.id" }), |id| view.key(id)) {
        Ok(Some(key)) => key,
        Ok(None) => return unreadable(view, place, id, now),
        Err(error) => {
            UnreadableRow::from_error(error, String::new)?;
            return unreadable(view, place, id, now);
        }
    };
    Ok(match key.state {
        KeyState::Active => suspended(key, now, None),
        KeyState::Suspended | KeyState::Revoked => key,
    })
}

/// Nobody knows its limits.
fn unreadable(view: &dyn WriteTransaction, place: KeyPlace, id: KeyId, now: Timestamp) -> Result<Key, StoreError> {
    Ok(revoked(view.legible_key(place.ordinal, blank(id, now)?, now)?, now))
}

fn state_of(key: &Key) -> &'static str {
    if key.state == KeyState::Revoked { "revoked" } else { "suspended" }
}
