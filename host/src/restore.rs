//! Restoring a backup, without bringing anything back that was refused in the meantime.

use std::fmt;
use std::path::Path;

use keystile_validator::{KeyState, Timestamp};
use serde_json::json;

use crate::audit;
use crate::clock::{Clock as _, SystemClock};
use crate::key::{Key, KeyStatus, SortColumn};
use crate::keystile::Keystile;
use crate::query::{KeyQuery, MAX_PAGE};
use crate::store::{ReadTransaction, SqliteStore, StoreError, WriteTransaction};

/// What a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Keys in the store now.
    pub keys: u64,
    /// Keys that were revoked or suspended, and secrets that were replaced, after the backup was
    /// made, and that stay refused.
    pub kept_refused: u64,
}

impl Keystile {
    /// Puts a backup in the place of a store. Processes that have the store open go on with the
    /// restored one. What was revoked, suspended or rotated since the backup stays refused, as long
    /// as the store that is replaced can still be read.
    ///
    /// # Errors
    /// [`RestoreError`]; the store is then what it was.
    pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>, actor: &str) -> Result<Restored, RestoreError> {
        let now = SystemClock.now();
        let mut restored = Restored::default();
        SqliteStore::restore(from.as_ref(), to.as_ref(), |transaction, current| {
            if let Some(current) = current {
                restored.kept_refused = keep_refused(transaction, current, now)?;
            }
            restored.keys = transaction.key_count()?;
            let detail = json!({ "kept_refused": restored.kept_refused });
            audit::append(transaction, now, actor, "store.restored", None, &detail)
        })
        .map_err(RestoreError::Store)?;
        Ok(restored)
    }
}

/// Refuses in the restored store whatever the current one refuses; says how much that was.
fn keep_refused(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut kept = 0_u64;
    let mut query = KeyQuery { sort: SortColumn::Id, descending: false, limit: MAX_PAGE, ..KeyQuery::default() };
    loop {
        let page = current.keys(&query, now)?;
        for current in &page.keys {
            if let Some(key) = restored.key(current.id)? {
                kept += keep_key_refused(restored, key, current, now)?;
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(kept),
        }
    }
}

fn keep_key_refused(
    restored: &mut dyn WriteTransaction,
    mut key: Key,
    current: &Key,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut kept = 0;
    let stricter = match (key.state, current.state) {
        (KeyState::Active | KeyState::Suspended, KeyState::Revoked) | (KeyState::Active, KeyState::Suspended) => true,
        (_, _) => false,
    };
    if stricter {
        key.state = current.state;
        key.suspended_at = current.suspended_at;
        key.revocation.clone_from(&current.revocation);
        key.updated_at = now;
        restored.update_key(&key)?;
        kept += 1;
    }
    for secret in &mut key.secrets {
        let Some(now_known) = current.secrets.iter().find(|known| known.digest == secret.digest) else { continue };
        let Some(retires_at) = now_known.retires_at else { continue };
        if secret.retires_at.is_none_or(|before| before > retires_at) {
            secret.retires_at = Some(retires_at);
            secret.pending_grace = None;
            restored.update_secret(key.id, secret)?;
            kept += 1;
        }
    }
    debug_assert!(!stricter || matches!(key.status(now), KeyStatus::Revoked | KeyStatus::Suspended));
    Ok(kept)
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
