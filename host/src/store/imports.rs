//! Imports in the store: keys that are staged in many short writes and come into force in one.

use keystile_validator::Timestamp;

use super::legible::KeyPlace;
use super::{Generation, StoreError};
use crate::ids::{ImportId, UserId};
use crate::key::Key;

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportRow {
    /// Its id.
    pub(crate) id: ImportId,
    /// How many keys it has staged.
    pub(crate) keys: u64,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// Who began it.
    pub(crate) started_by: String,
    /// Until when whoever began it is taken for alive. After that, its staged keys may be discarded.
    pub(crate) leased_until: Timestamp,
    /// When its keys came into force; `None`: they are staged.
    pub(crate) completed_at: Option<Timestamp>,
}

/// Which import, in the order in which they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImportOrdinal(pub(crate) i64);

/// The part of a view of a store that is about imports.
pub(crate) trait ReadImports {
    /// An import.
    fn import(&self, id: ImportId) -> Result<Option<ImportRow>, StoreError>;

    /// The imports that are not completed, oldest first.
    fn staged_imports(&self) -> Result<Vec<ImportRow>, StoreError>;

    /// The imports that were completed after this generation, each handed out as soon as it is read.
    fn completed_imports(&self, after: Generation, each: &mut dyn FnMut(ImportOrdinal)) -> Result<(), StoreError>;

    /// Of the staged keys of an import that are deleted next, at most so many: those that somebody has decided about.
    /// They are revoked, suspended by themselves, have a secret that was replaced, or cannot be read.
    fn decided_staged_keys(&self, id: ImportId, limit: usize) -> Result<Vec<KeyPlace>, StoreError>;

    /// A suspended user that a key of this import would act for.
    fn suspended_owner_in_import(&self, id: ImportId) -> Result<Option<UserId>, StoreError>;
}

/// The part of a write that is about imports.
pub(crate) trait WriteImports: ReadImports {
    /// Begins an import.
    fn insert_import(&mut self, import: &ImportRow) -> Result<(), StoreError>;

    /// Stages a key with all its secrets: it is not in force, and no list has it. No new generation.
    /// `Ok(false)`: a digest or the id is already there, and nothing was staged.
    fn stage_key(&mut self, import: ImportId, key: &Key) -> Result<bool, StoreError>;

    /// Writes how many keys an import has staged, and its lease. `Ok(false)`: there is no such import, or
    /// it was completed.
    fn renew_import(&mut self, import: ImportId, keys: u64, leased_until: Timestamp) -> Result<bool, StoreError>;

    /// Puts all keys of an import into force. A new generation.
    fn complete_import(&mut self, import: ImportId, at: Timestamp) -> Result<(), StoreError>;

    /// Deletes at most so many staged keys of an import, then the import itself. `Ok(true)`: nothing is
    /// left of it.
    fn discard_import(&mut self, import: ImportId, limit: usize) -> Result<bool, StoreError>;
}
