//! Restoring a backup, without bringing anything back that was refused in the meantime.

#[cfg(test)]
mod tests;
mod users;

use std::fmt;
use std::path::Path;

use keystile_validator::{KeyState, Timestamp};
use serde_json::json;

use crate::audit;
use crate::clock::{Clock as _, SystemClock};
use crate::key::{Key, SecretInfo, SortColumn};
use crate::keys::MAX_STAGED_AT_ONCE;
use crate::keystile::Keystile;
use crate::query::{KeyQuery, MAX_PAGE};
use crate::store::{Generation, ReadTransaction, SqliteStore, StoreError, WriteTransaction};

/// What a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Keys in the store now.
    pub keys: u64,
    /// Keys that were changed or made after the backup: what was decided about them goes on to hold,
    /// and those that the backup does not know are kept suspended.
    pub carried_over: u64,
    /// Users that were changed, made, suspended or deleted after the backup: the same holds for them.
    pub users_carried_over: u64,
    /// Sessions that were ended by the restore, because nobody can say whether they had ended since.
    pub sessions_ended: u64,
}

impl Keystile {
    /// Puts a backup in the place of a store. Processes that have the store open go on with the
    /// restored one. Nothing comes back that the replaced store refuses: states, limits and secrets of
    /// keys stay as they are now, and keys that the backup does not know are kept, suspended. Signing
    /// keys stay, and what was revoked stays revoked. So it is with external issuers: settings and keys
    /// stay, and those that only one of both knows are disabled. Users are kept as keys are, with their
    /// passwords; sessions and locks are those of the replaced store.
    ///
    /// # Errors
    /// [`RestoreError`]; the store is then what it was.
    pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>, actor: &str) -> Result<Restored, RestoreError> {
        let now = SystemClock.now();
        let mut restored = Restored::default();
        let mut replaced = None;
        SqliteStore::restore(from.as_ref(), to.as_ref(), |transaction, current| {
            discard_staged(transaction)?;
            if let Some(current) = current {
                restored.carried_over = keep_refused(transaction, current, now, actor)?;
                crate::issuers::keep_refused(transaction, current, now, actor)?;
                restored.users_carried_over = users::keep(transaction, current, now, actor)?;
                // The trail of the store that is replaced ends here; with a note of its head, a copy of
                // it can be told from a forgery.
                replaced = current.last_audit()?.map(|head| format!("{}:{}", head.sequence, head.hash));
            } else {
                restored.sessions_ended = users::end_sessions(transaction, now)?;
            }
            restored.keys = transaction.key_count()?;
            let detail = json!({
                "carried_over": restored.carried_over,
                "users_carried_over": restored.users_carried_over,
                "sessions_ended": restored.sessions_ended,
                "replaced_head": replaced,
            });
            audit::append(transaction, now, actor, RESTORED, None, &detail)
        })
        .map_err(RestoreError::Store)?;
        Ok(restored)
    }
}

/// The action of the last entry of a restore.
pub(crate) const RESTORED: &str = "store.restored";

/// An import that was in progress when the backup was made is not part of it.
fn discard_staged(restored: &mut dyn WriteTransaction) -> Result<(), StoreError> {
    for import in restored.staged_imports()? {
        while !restored.discard_import(import.id, MAX_STAGED_AT_ONCE)? {}
    }
    Ok(())
}

/// Keeps in the restored store whatever the current one refuses; says how many keys that changed.
fn keep_refused(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
) -> Result<u64, StoreError> {
    let mut kept = 0_u64;
    for format in current.formats()? {
        // Keys that are carried over name their format. One that is there already stays as it is.
        restored.insert_format(&format)?;
    }
    keep_tokens(restored, current)?;
    let mut query = KeyQuery { sort: SortColumn::Id, descending: false, limit: MAX_PAGE, ..KeyQuery::default() };
    loop {
        let page = current.keys(&query, now)?;
        for current in page.keys {
            let id = current.id;
            let what = match restored.key(id)? {
                Some(key) => keep_limits(restored, key, current, now)?,
                None => carry_over(restored, current, now)?,
            };
            if let Some(what) = what {
                kept = kept.saturating_add(1);
                let detail = json!({ "kept": what });
                audit::append(restored, now, actor, "key.carried_over", Some(id.to_string()), &detail)?;
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(kept),
        }
    }
}

/// No revoked token comes back, and no signing key that the current store has retired; those that sign
/// now go on.
fn keep_tokens(restored: &mut dyn WriteTransaction, current: &dyn ReadTransaction) -> Result<(), StoreError> {
    restored.replace_signing_keys(&current.signing_keys()?)?;
    if let Some(check) = current.sealing_check()? {
        restored.set_sealing_check(&check)?;
    }
    let mut revocations = Vec::new();
    current.revocations(Generation(0), &mut |revocation| revocations.push(revocation))?;
    revocations.iter().try_for_each(|revocation| restored.put_revocation(revocation))
}

/// A key of both stores: what the operator has decided about it since the backup goes on to hold.
fn keep_limits(
    restored: &mut dyn WriteTransaction,
    old: Key,
    current: Key,
    now: Timestamp,
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
            restored.insert_secret(key.id, &SecretInfo { number: next, ..secret.clone() })?;
            next = next.saturating_add(1);
            changed = true;
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
) -> Result<Option<&'static str>, StoreError> {
    let what = match key.state {
        KeyState::Active => {
            key.state = KeyState::Suspended;
            key.suspended_at = Some(now);
            "suspended, unknown to the backup"
        }
        KeyState::Suspended => "suspended",
        KeyState::Revoked => "revoked",
    };
    key.updated_at = now;
    restored.insert_key(&key)?;
    Ok(Some(what))
}

/// Why a backup was not restored.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup or the store refused.
    Store(StoreError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RestoreError {}
