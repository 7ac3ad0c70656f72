//! Restoring a backup, without bringing anything back that was refused in the meantime.

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

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use crate::audit;
use crate::clock::{Clock as _, SystemClock};
use crate::key::{Key, SecretInfo, SortColumn, UnknownName, names};
use crate::keys::{MAX_STAGED_AT_ONCE, suspended};
use crate::keystile::Keystile;
use crate::query::{KeyQuery, MAX_PAGE};
use crate::settings::describe;
use crate::store::{Generation, OtherStores, ReadTransaction, SqliteStore, StoreError, WriteTransaction};

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
    /// Users that were changed, made, suspended or deleted after the backup: the same holds for them.
    pub users_carried_over: u64,
    /// Sessions that were ended by the restore, because nobody can say whether they had ended since.
    pub sessions_ended: u64,
}

/// A key that a restore has suspended.
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
    /// Why it was suspended.
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
        /// The replaced store has its secret under another id.
        SecretElsewhere = "secret_elsewhere",
    }
}

impl Restored {
    fn suspend(&mut self, key: &Key, reason: RestoreSuspension) {
        self.keys_suspended = self.keys_suspended.saturating_add(1);
        if self.suspended.len() < MAX_LISTED_SUSPENDED {
            let (name, owner) = (key.name.clone(), key.owner.clone());
            self.suspended.push(SuspendedKey { id: key.id, name, owner, created_at: key.created_at, reason });
        }
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
        Keystile::restore_with(from, to, actor, RestoreOptions::default())
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
    pub fn restore_with(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        actor: &str,
        options: RestoreOptions,
    ) -> Result<Restored, RestoreError> {
        let now = SystemClock.now();
        let mut restored = Restored::default();
        let mut replaced = None;
        SqliteStore::restore(from.as_ref(), to.as_ref(), options.others, |transaction, current| {
            // It may be done again, when somebody has written meanwhile.
            restored = Restored::default();
            discard_staged(transaction)?;
            if let Some(current) = current {
                restored.carried_over = keep_refused(transaction, current, now, actor, &mut restored)?;
                crate::issuers::keep(transaction, current, now, actor)?;
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
    told: &mut Restored,
) -> Result<u64, StoreError> {
    let mut kept = 0_u64;
    keep_rules(restored, current, now, actor)?;
    keep_tokens(restored, current)?;
    let mut query = KeyQuery { sort: SortColumn::Id, descending: false, limit: MAX_PAGE, ..KeyQuery::default() };
    loop {
        let page = current.keys(&query, now)?;
        for current in page.keys {
            let id = current.id;
            let what = match restored.key(id)? {
                Some(key) => keep_limits(restored, key, current, now, actor, told)?,
                None => carry_over(restored, current, now, actor, told)?,
            };
            if let Some(what) = what {
                kept = kept.saturating_add(1);
                let detail = json!({ "kept": what });
                audit::append(restored, now, actor, "key.carried_over", Some(id.to_string()), &detail)?;
            }
        }
        for row in page.unreadable {
            // Nobody knows what was decided about it.
            let Ok(id) = row.row.parse() else {
                return Err(StoreError::InvalidRow { row: row.row, column: row.column });
            };
            if let Some(key) = restored.key(id)?.filter(|key| key.state == KeyState::Active) {
                suspend(restored, key, RestoreSuspension::Unreadable, now, actor, told)?;
                kept = kept.saturating_add(1);
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(kept),
        }
    }
}

/// Settings and formats stay those of the current store: names of issuer and audience, lifetimes and limits, and what
/// a key looks like.
fn keep_rules(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
) -> Result<(), StoreError> {
    let settings = current.settings()?;
    if restored.settings()? != settings {
        restored.set_settings(&settings)?;
        let detail = json!({ "kept": describe(&settings) });
        audit::append(restored, now, actor, "settings.carried_over", None, &detail)?;
    }
    // Before the keys, which name them.
    let formats = current.formats()?;
    if restored.formats()? != formats {
        restored.replace_formats(&formats)?;
        let names: Vec<_> = formats.iter().map(|format| &format.name).collect();
        audit::append(restored, now, actor, "formats.carried_over", None, &json!({ "kept": names }))?;
    }
    Ok(())
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
