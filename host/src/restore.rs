//! Restoring a backup, without bringing anything back that was refused in the meantime.

#[cfg(test)]
mod damaged;
mod keys;
#[cfg(test)]
mod law;
#[cfg(test)]
mod suspended;
#[cfg(test)]
mod tests;
mod users;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use keystile_validator::{KeyId, Timestamp};
use serde_json::json;

use crate::audit;
use crate::clock::{Clock as _, SystemClock};
use crate::key::{Key, UnknownName, names};
use crate::keys::{discard_step, suspended};
use crate::keystile::Keystile;
use crate::settings::describe;
use crate::store::legible::{DamagedRevocation, Found};
use crate::store::{
    OtherStores, ReadTransaction, RevocationKind, RevocationRow, SqliteStore, StoreError, UnreadableRow,
    WriteTransaction, undecided,
};

/// Keys that a restore has suspended and lists, at most; beyond that they are counted.
pub const MAX_LISTED_SUSPENDED: usize = 1_000;

/// How to restore a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    others: OtherStores,
}

impl RestoreOptions {
    /// Lets the backup of another store take the place of the one that is there. Nothing of what that store refuses is
    /// carried over then: whatever was revoked, suspended or deleted there is allowed again where the backup allows it.
    pub fn replace_other_store(mut self, replace: bool) -> RestoreOptions {
        self.others = if replace { OtherStores::Replaced } else { OtherStores::Refused };
        self
    }
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Keys in the store now.
    pub keys: u64,
    /// Keys that were changed or made after the backup: what was decided about them goes on to hold,
    /// and those that the backup does not know are kept suspended.
    pub carried_over: u64,
    /// Keys that were active and that the restore has suspended.
    pub keys_suspended: u64,
    /// The first [`MAX_LISTED_SUSPENDED`] of them. Each says so itself ([`Key::suspended_by_restore`]), and
    /// [`Keys::resume`](crate::Keys::resume) switches it on again.
    pub suspended: Vec<SuspendedKey>,
    /// Keys that the restore has revoked, because the replaced store has revoked them or the backup does not know them,
    /// and their rows in the replaced store cannot be read.
    pub keys_revoked: u64,
    /// The first [`MAX_LISTED_SUSPENDED`] of them.
    pub revoked: Vec<SuspendedKey>,
    /// Rows of the replaced store that could not be read. Whatever they may have refused is refused.
    pub rows_unreadable: u64,
    /// The first [`MAX_LISTED_SUSPENDED`] of them.
    pub unreadable: Vec<UnreadableRow>,
    /// Users that were changed, made, suspended or deleted after the backup: the same holds for them.
    pub users_carried_over: u64,
    /// Sessions that were ended by the restore, because nobody can say whether they had ended since.
    pub sessions_ended: u64,
}

/// A key that a restore has suspended or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendedKey {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// Who it acts for.
    pub owner: Option<String>,
    /// When it was made or imported.
    pub created_at: Timestamp,
    /// Why it was suspended or revoked.
    pub reason: RestoreSuspension,
}

names! {
    /// Why a restore suspends a key.
    RestoreSuspension {
        /// The backup does not know it: it was made or imported since.
        MadeSince = "made_since",
        /// The replaced store does not know it, and its owner's address is that of another user there.
        OwnerChanged = "owner_changed",
        /// What the replaced store says of it cannot be read.
        Unreadable = "unreadable",
        /// The replaced store has it in an import that is not in force.
        NotInForce = "not_in_force",
        /// The replaced store has its secret under another id.
        SecretElsewhere = "secret_elsewhere",
    }
}

impl Restored {
    fn suspend(&mut self, key: &Key, reason: RestoreSuspension) {
        self.keys_suspended = self.keys_suspended.saturating_add(1);
        list(&mut self.suspended, || SuspendedKey::new(key, reason));
    }

    fn revoke(&mut self, key: &Key, reason: RestoreSuspension) {
        self.keys_revoked = self.keys_revoked.saturating_add(1);
        list(&mut self.revoked, || SuspendedKey::new(key, reason));
    }

    fn cannot_read(&mut self, row: UnreadableRow) {
        self.rows_unreadable = self.rows_unreadable.saturating_add(1);
        list(&mut self.unreadable, || row);
    }
}

/// Adds to a list, if there is room.
fn list<T>(list: &mut Vec<T>, item: impl FnOnce() -> T) {
    if list.len() < MAX_LISTED_SUSPENDED {
        list.push(item());
    }
}

impl SuspendedKey {
    fn new(key: &Key, reason: RestoreSuspension) -> SuspendedKey {
        let (name, owner) = (key.name.clone(), key.owner.clone());
        SuspendedKey { id: key.id, name, owner, created_at: key.created_at, reason }
    }
}

impl Keystile {
    /// Puts a backup in the place of a store. Processes that have the store open go on with the
    /// restored one. Nothing comes back that the replaced store refuses: states, limits and secrets of
    /// keys stay as they are now, and keys that the backup does not know are kept, suspended. Settings, key
    /// formats, signing keys and external issuers stay as they are now, and what was revoked stays revoked.
    /// Users are kept as keys are, with their passwords; sessions and locks are those of the replaced store.
    ///
    /// So what comes back is what nobody decides by: names and metadata of keys, names of users, and the keys and
    /// users that the replaced store does not know. Where there is no store, everything is that of the backup, and all
    /// sessions end. A backup of another store is refused ([`StoreError::OtherStore`]);
    /// [`restore_with`](Keystile::restore_with) can allow it.
    ///
    /// # Errors
    /// [`RestoreError`]; the store is then what it was.
    pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>, actor: &str) -> Result<Restored, RestoreError> {
        Keystile::restore_with(from.as_ref(), to.as_ref(), actor, RestoreOptions::default())
    }

    /// [`restore`](Keystile::restore), with options.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let (old, new, backup) = (folder.path().join("old.db"), folder.path().join("new.db"), folder.path().join("backup"));
    /// use keystile::{Keystile, NewStore, RestoreError, RestoreOptions, StoreError};
    /// Keystile::create(&old, NewStore::default())?;
    /// Keystile::create(&new, NewStore::default())?;
    /// Keystile::open(&old)?.backup(&backup)?;
    /// let refused = Keystile::restore(&backup, &new, "ops").unwrap_err();
    /// assert!(matches!(refused, RestoreError::Store(StoreError::OtherStore { .. })));
    /// Keystile::restore_with(&backup, &new, "ops", RestoreOptions::default().replace_other_store(true))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RestoreError`]; the store is then what it was.
    pub fn restore_with(from: &Path, to: &Path, actor: &str, how: RestoreOptions) -> Result<Restored, RestoreError> {
        let now = SystemClock.now();
        let mut restored = Restored::default();
        let mut replaced = None;
        SqliteStore::restore(from, to, how.others, |transaction, current| {
            // It may be done again, when somebody has written meanwhile.
            restored = Restored::default();
            discard_staged(transaction, now, actor)?;
            if let Some(current) = current {
                restored.carried_over = keep_refused(transaction, current, now, actor, &mut restored)?;
                let mut unreadable = Vec::new();
                crate::issuers::keep(transaction, current, now, actor, &mut unreadable)?;
                unreadable.into_iter().for_each(|row| restored.cannot_read(row));
                restored.users_carried_over = users::keep(transaction, current, now, actor, &mut restored)?;
                // The trail of the store that is replaced ends here; with a note of its head, a copy of
                // it can be told from a forgery.
                replaced = current.last_audit()?.map(|head| format!("{}:{}", head.sequence, head.hash));
            } else {
                restored.sessions_ended = users::end_sessions(transaction, now)?;
            }
            restored.keys = transaction.key_count()?;
            let detail = json!({
                "carried_over": restored.carried_over,
                "keys_suspended": restored.keys_suspended,
                "users_carried_over": restored.users_carried_over,
                "sessions_ended": restored.sessions_ended,
                "replaced_head": replaced,
            });
            audit::append(transaction, now, actor, RESTORED, None, &detail)
        })
        .map_err(|error| match UnreadableRow::from_error(error, || "without a name".to_owned()) {
            // Of the replaced store it is `Undecided`.
            Ok(row) => {
                RestoreError::Store(StoreError::DamagedBackup { path: from.to_owned(), problem: row.to_string() })
            }
            Err(error) => RestoreError::Store(error),
        })?;
        Ok(restored)
    }
}

/// The action of the last entry of a restore.
pub(crate) const RESTORED: &str = "store.restored";

/// An import that was in progress when the backup was made is not part of it.
fn discard_staged(restored: &mut dyn WriteTransaction, now: Timestamp, actor: &str) -> Result<(), StoreError> {
    for import in restored.staged_imports()? {
        while !discard_step(restored, import.id, now, actor)? {}
    }
    Ok(())
}

/// Keeps in the restored store whatever the current one refuses beside users and issuers; says how many keys that
/// changed.
fn keep_refused(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<u64, StoreError> {
    keep_rules(restored, current, now, actor)?;
    keep_tokens(restored, current, now, told)?;
    keys::keep(restored, current, now, actor, told)
}

/// Settings and formats stay those of the current store: names of issuer and audience, lifetimes and limits, and what
/// a key looks like.
fn keep_rules(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
) -> Result<(), StoreError> {
    let settings = undecided(current.settings())?;
    if restored.settings()? != settings {
        restored.set_settings(&settings)?;
        let detail = json!({ "kept": describe(&settings) });
        audit::append(restored, now, actor, "settings.carried_over", None, &detail)?;
    }
    // Before the keys, which name them.
    let formats = undecided(current.formats())?;
    if restored.formats()? != formats {
        restored.replace_formats(&formats)?;
        let names: Vec<_> = formats.iter().map(|format| &format.name).collect();
        audit::append(restored, now, actor, "formats.carried_over", None, &json!({ "kept": names }))?;
    }
    Ok(())
}

/// No revoked token comes back, and no signing key that the current store has retired; those that sign
/// now go on. A signing key that cannot be read is left out: nothing that it has signed is accepted.
fn keep_tokens(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    told: &mut Restored,
) -> Result<(), StoreError> {
    let (signing_keys, unreadable) = current.readable_signing_keys()?;
    unreadable.into_iter().for_each(|key| told.cannot_read(key.row));
    restored.replace_signing_keys(&signing_keys)?;
    if let Some(check) = undecided(current.sealing_check())? {
        restored.set_sealing_check(&check)?;
    }
    // The last token that it refuses may have been made by a clock that was ahead.
    let latest = undecided(current.clock())?.newest.max(now);
    current.each_revocation(&mut |found| {
        let revocation = match found {
            Found::Whole(revocation) => revocation,
            Found::Damaged(DamagedRevocation { issuer: Some(issuer), kind: Some(kind), value: Some(value) }, row) => {
                told.cannot_read(row);
                // It refuses all that it may have refused.
                let issued_before = (kind == RevocationKind::Subject).then(|| latest.saturating_add(1));
                RevocationRow { issuer, kind, value, revoked_at: now, issued_before, expires_at: Timestamp::MAX }
            }
            Found::Damaged(_, row) => return Err(row.undecided()),
        };
        restored.put_revocation(&revocation)
    })
}

/// A key that the restore suspends.
fn by_restore(key: Key, now: Timestamp) -> Key {
    Key { suspended_by_restore: true, ..suspended(key, now, None) }
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
