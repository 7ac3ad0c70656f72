//! Importing digests from other systems: their keys go on working, and nobody learns a secret.
//!
//! An import is all or nothing, and no other writer waits for all of it: keys are staged in short writes, and
//! one last write puts them into force.

mod discard;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use keystile_validator::{AddressRange, Digest, Environment, KeyState, Rate, Scope, Timestamp};
use serde_json::json;

use self::discard::discard;
pub(crate) use self::discard::discard_step;
use super::create::{describe, new_key_id, without_duplicates};
use super::error::ImportKeysError;
use super::field::{KeyFieldError, check_expiry, check_fields, check_no_secret};
use super::{Keys, within_lifetime};
use crate::ids::ImportId;
use crate::key::{Key, MAX_DISPLAY_LEN, Origin, SecretInfo};
use crate::keystile::Inner;
use crate::secret_forms::SecretForms;
use crate::store::imports::ImportRow;
use crate::store::{StoreError, WriteTransaction};
use crate::text::is_line;

/// Most keys in one import.
pub const MAX_IMPORT: usize = 1_000_000;

/// A key of another system, known by the digest of its secret.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    /// The SHA-256 of the whole secret.
    pub digest: Digest,
    /// What people call it.
    pub name: String,
    /// What lists may show of the secret, such as its first characters.
    pub display: Option<String>,
    /// Who it acts for.
    pub owner: Option<String>,
    /// Its environment.
    pub environment: Environment,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where it may be used from; empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// How often it may be used.
    pub rate: Option<Rate>,
    /// What the operator wants to remember with it.
    pub metadata: BTreeMap<String, String>,
    /// From when on it is valid; `None`: at once.
    pub not_before: Option<Timestamp>,
    /// From when on it is expired; `None`: never, or at the longest lifetime of the store.
    pub expires_at: Option<Timestamp>,
}

impl ImportedKey {
    /// A key of this digest, name and environment, without limits: all else can be set afterwards.
    pub fn new(digest: Digest, name: impl Into<String>, environment: Environment) -> ImportedKey {
        ImportedKey {
            digest,
            name: name.into(),
            display: None,
            owner: None,
            environment,
            scopes: Vec::new(),
            addresses: Vec::new(),
            rate: None,
            metadata: BTreeMap::new(),
            not_before: None,
            expires_at: None,
        }
    }
}

/// What an import has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The id of the import: [`KeyQuery::import`](crate::KeyQuery::import) lists its keys.
    pub id: ImportId,
    /// How many keys came with it.
    pub keys: u64,
}

/// An import in progress. Its keys are staged in the store in short writes, so that other writers never wait
/// for all of it: none of them is in force, and no list has them, until [`Import::complete`].
///
/// When it is dropped before that, its keys are discarded. When its process is killed, the next import
/// discards them.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keystile.db");
/// use keystile::{Digest, Environment, ImportedKey, Keystile, NewStore};
/// Keystile::create(&path, NewStore::default())?;
/// let keystile = Keystile::open(&path)?;
/// let mut import = keystile.keys().begin_import();
/// import.add(ImportedKey::new(Digest::of(b"a secret of another system"), "billing", Environment::new("live")?))?;
/// assert!(!keystile.verify("a secret of another system", &keystile.request()).is_allow());
/// assert_eq!(import.complete()?.keys, 1);
/// assert!(keystile.verify("a secret of another system", &keystile.request()).is_allow());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Import<'a> {
    inner: &'a Inner,
    /// `None`: nothing is staged yet.
    id: Option<ImportId>,
    waiting: Vec<ImportedKey>,
    /// How many keys are staged.
    staged: usize,
    /// Whether a call has failed: some keys are missing, so the others must not come into force.
    has_failed: bool,
}

impl<'a> Keys<'a> {
    /// Imports keys by their digests, all of them or none.
    ///
    /// # Errors
    /// [`ImportKeysError`] names the first key that does not fit; nothing was imported then.
    pub fn import(&self, keys: impl IntoIterator<Item = ImportedKey>) -> Result<Imported, ImportKeysError> {
        let mut import = self.begin_import();
        for key in keys {
            import.add(key)?;
        }
        import.complete()
    }

    /// Begins an import of keys that come one by one. Nothing is written yet.
    pub fn begin_import(&self) -> Import<'a> {
        Import { inner: self.inner, id: None, waiting: Vec::new(), staged: 0, has_failed: false }
    }
}

impl Import<'_> {
    /// Adds a key. It is staged at once or together with later ones, so an error may name an earlier key.
    ///
    /// # Errors
    /// [`ImportKeysError`], whatever its cause; then nothing will be imported, and every later call is
    /// [`ImportKeysError::Failed`]: drop the import and begin again.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Digest, ImportKeysError, ImportedKey, Keystile, NewStore};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// let key = |number: u32| ImportedKey::new(Digest::of(&number.to_le_bytes()), "k", "live".parse().unwrap());
    /// let mut import = keystile.keys().begin_import();
    /// // The same digest twice: found when the keys are staged, 500 at a time.
    /// let added: Vec<_> = (0..500).map(|number| import.add(key(number.max(1)))).collect();
    /// assert!(matches!(added[499], Err(ImportKeysError::DuplicateDigest { index: 1 })));
    /// assert!(matches!(import.add(key(1_000)), Err(ImportKeysError::Failed)));
    /// assert!(matches!(import.complete(), Err(ImportKeysError::Failed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add(&mut self, key: ImportedKey) -> Result<(), ImportKeysError> {
        if self.has_failed {
            return Err(ImportKeysError::Failed);
        }
        let added = self.take(key);
        self.has_failed = added.is_err();
        added
    }

    fn take(&mut self, key: ImportedKey) -> Result<(), ImportKeysError> {
        let given = self.staged.saturating_add(self.waiting.len()).saturating_add(1);
        if given > MAX_IMPORT {
            return Err(ImportKeysError::Count { given });
        }
        self.waiting.push(key);
        if self.waiting.len() < MAX_STAGED_AT_ONCE {
            return Ok(());
        }
        self.stage(false)?;
        // Whoever waits for the store in another process asks again every few milliseconds: without a pause
        // it would hardly ever find it free.
        thread::sleep(PAUSE);
        Ok(())
    }

    /// Puts all keys into force, in one write. When it returns, this process judges by them; others learn of
    /// them within a moment, of many keys in steps.
    ///
    /// # Errors
    /// [`ImportKeysError`]; nothing was imported then.
    pub fn complete(mut self) -> Result<Imported, ImportKeysError> {
        if self.has_failed {
            return Err(ImportKeysError::Failed);
        }
        if self.id.is_none() && self.waiting.is_empty() {
            return Err(ImportKeysError::Count { given: 0 });
        }
        let completed = self.stage(true);
        // Also after an error: a commit may have happened whose answer was lost.
        self.inner.load_new_keys();
        completed?;
        match self.id.take() {
            Some(id) => Ok(Imported { id, keys: self.staged as u64 }),
            None => Err(ImportKeysError::Count { given: 0 }),
        }
    }

    /// Stages the keys that wait, and puts all into force when they are the last ones: a small import is one
    /// write.
    fn stage(&mut self, is_last: bool) -> Result<(), ImportKeysError> {
        if self.id.is_none() {
            discard_abandoned(self.inner)?;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (first, known) = (self.staged, self.id);
        let total = first.saturating_add(waiting.len()) as u64;
        let id = self.inner.change(|transaction, now| {
            let leased_until = now.saturating_add(LEASE_SECONDS);
            let id = match known {
                Some(id) => id,
                None => begin(self.inner, transaction, now, leased_until)?,
            };
            if !transaction.renew_import(id, total, leased_until)? {
                return Err(ImportKeysError::Discarded);
            }
            let max_lifetime = transaction.settings()?.max_lifetime;
            let forms = SecretForms::of(&*transaction);
            for (offset, imported) in waiting.into_iter().enumerate() {
                let index = first.saturating_add(offset);
                let key = new_key(imported, now, max_lifetime, self.inner.actor()).map_err(|error| error.at(index))?;
                check_no_secret(&forms, &key, None).map_err(|error| ImportKeysError::Field { index, error })?;
                if !transaction.stage_key(id, &key)? {
                    return Err(ImportKeysError::DuplicateDigest { index });
                }
                let mut detail = describe(&*transaction, &key)?;
                if let Some(fields) = detail.as_object_mut() {
                    fields.insert("import".to_owned(), id.to_string().into());
                }
                self.inner.audit(transaction, now, "key.imported", Some(key.id.to_string()), &detail)?;
            }
            if is_last {
                // Asked when the keys come into force: the user may have been suspended since they were staged.
                if let Some(user) = transaction.suspended_owner_in_import(id)? {
                    return Err(ImportKeysError::OwnerSuspended { user });
                }
                transaction.complete_import(id, now)?;
                let detail = json!({ "keys": total });
                self.inner.audit(transaction, now, "import.completed", Some(id.to_string()), &detail)?;
            }
            Ok(id)
        })?;
        self.id = Some(id);
        self.staged = usize::try_from(total).unwrap_or(usize::MAX);
        Ok(())
    }
}

impl Drop for Import<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // What is left over is not in force, and the next import discards it.
            let _ = discard(self.inner, id);
        }
    }
}

fn begin(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    leased_until: Timestamp,
) -> Result<ImportId, ImportKeysError> {
    // Again, now that nobody else can write.
    if let Some(other) = transaction.staged_imports()?.into_iter().find(|other| is_alive(other, now)) {
        return Err(ImportKeysError::Running { started_by: other.started_by, until: other.leased_until });
    }
    let import = ImportRow {
        id: ImportId::generate(now).map_err(|_| ImportKeysError::Generator)?,
        keys: 0,
        started_at: now,
        started_by: inner.actor().to_owned(),
        leased_until,
        completed_at: None,
    };
    transaction.insert_import(&import)?;
    Ok(import.id)
}

/// Discards what imports have left behind whose processes were killed.
fn discard_abandoned(inner: &Inner) -> Result<(), StoreError> {
    let now = inner.now();
    let abandoned: Vec<_> =
        inner.store().read()?.staged_imports()?.into_iter().filter(|import| !is_alive(import, now)).collect();
    abandoned.into_iter().try_for_each(|import| discard(inner, import.id))
}

/// Whether the process of an import is taken for alive. A lease that no import can have yet is from a clock
/// that was ahead.
pub(crate) fn is_alive(import: &ImportRow, now: Timestamp) -> bool {
    now < import.leased_until && import.leased_until <= now.saturating_add(LEASE_SECONDS)
}

/// What does not fit of a key.
enum Misfit {
    Field(KeyFieldError),
    Generator,
}

impl Misfit {
    fn at(self, index: usize) -> ImportKeysError {
        match self {
            Misfit::Field(error) => ImportKeysError::Field { index, error },
            Misfit::Generator => ImportKeysError::Generator,
        }
    }
}

impl From<KeyFieldError> for Misfit {
    fn from(error: KeyFieldError) -> Misfit {
        Misfit::Field(error)
    }
}

fn new_key(imported: ImportedKey, now: Timestamp, max_lifetime: Option<u64>, actor: &str) -> Result<Key, Misfit> {
    check_expiry(imported.expires_at, now)?;
    let expires_at = within_lifetime(imported.expires_at, now, max_lifetime)?;
    let display = imported.display.unwrap_or_else(|| "(imported)".to_owned());
    if !is_line(&display, MAX_DISPLAY_LEN) {
        return Err(KeyFieldError::Display.into());
    }
    let key = Key {
        id: new_key_id(now).map_err(|_| Misfit::Generator)?,
        name: imported.name,
        owner: imported.owner,
        format: None,
        environment: imported.environment,
        scopes: without_duplicates(imported.scopes),
        addresses: without_duplicates(imported.addresses),
        rate: imported.rate,
        metadata: imported.metadata,
        created_at: now,
        created_by: actor.to_owned(),
        updated_at: now,
        not_before: imported.not_before,
        expires_at,
        state: KeyState::Active,
        suspended_at: None,
        suspended_for: None,
        suspended_by_restore: false,
        revocation: None,
        secrets: vec![SecretInfo {
            number: 1,
            digest: imported.digest,
            display,
            origin: Origin::Imported,
            created_at: now,
            retires_at: None,
            pending_grace: None,
            ended_at: None,
            uses: 0,
            first_used_at: None,
            last_used_at: None,
        }],
    };
    check_fields(&key)?;
    Ok(key)
}

/// Most keys that one write stages: other writers wait for no more than these.
pub(crate) const MAX_STAGED_AT_ONCE: usize = 500;
/// How long a process is taken for alive after it has staged keys, in seconds.
const LEASE_SECONDS: u64 = 60;
/// How long an import lets others write between two of its own writes: longer than the store's longest wait
/// between two looks at a lock, which is 5 ms.
const PAUSE: Duration = Duration::from_millis(10);
