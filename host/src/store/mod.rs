//! The store: where keys live. Plain data types in and out; nothing outside [`sqlite`] knows SQL.
//!
//! A write happens in one transaction: begin with [`Store::write`], read and change through it,
//! then [`WriteTransaction::commit`]. Dropped without a commit, nothing has happened. A commit that
//! returned is on disk.

pub(crate) mod containment;
mod error;
pub(crate) mod imports;
mod issuers;
pub(crate) mod legible;
pub(crate) mod security_events;
mod sqlite;
mod tokens;
mod unreadable;
pub(crate) mod users;

use std::path::Path;
use std::time::Duration;

use keystile_validator::{Digest, KeyId, KeyRecord, Timestamp};

pub use error::StoreError;
pub(crate) use issuers::{IssuersMark, KeySetRow, LeaseId, ReadIssuers, WriteIssuers};
#[cfg(test)]
pub(crate) use sqlite::faults;
pub(crate) use sqlite::{
    Mode, OtherStores, RESERVE, SqliteStore, leftovers_of, network_file_system_of, rename_without_replacing, reserve_of,
};
pub(crate) use tokens::{ReadTokens, RevocationKind, RevocationRow, SigningKeyRow, THIS_STORE, WriteTokens};
pub use unreadable::UnreadableRow;
pub(crate) use unreadable::undecided;

use crate::audit::{AuditEntry, AuditPage, AuditQuery, DifferenceKind, NewEntry, RowKind, RowState};
use crate::ids::UserId;
use crate::key::{Key, NamedFormat, SecretInfo, Settings};
use crate::keys::KeyCounts;
use crate::query::{KeyPage, KeyQuery};
use crate::user::Email;

/// Counts the changes of a store that a verdict can depend on. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u64);

/// Where a store stands: a restore begins a new epoch, inside which the generation grows.
/// Positions are ordered by epoch first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Grows with each restore.
    pub(crate) epoch: u64,
    /// Grows with each change.
    pub(crate) generation: Generation,
}

/// What a store knows of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockRow {
    /// The newest time that a writer has seen.
    pub(crate) newest: Timestamp,
    /// What the clock of the last writer said.
    pub(crate) clock: Timestamp,
    /// Since when the time has not jumped ahead by more than [`CLOCK_JUMP`].
    pub(crate) steady_since: Timestamp,
    /// How often an earlier time was accepted. It only grows.
    pub(crate) accepted: u64,
}

impl ClockRow {
    /// The time by which what has expired long ago may be forgotten; `None`: nothing may, because the time has jumped
    /// ahead lately.
    pub(crate) fn forgettable(self) -> Option<Timestamp> {
        (self.clock >= self.steady_since.saturating_add(CLOCK_JUMP)).then_some(self.clock)
    }
}

/// Seconds by which the time may move on between two writes. Beyond that the clock may be wrong, and nothing is
/// forgotten by it until it has gone on for as long.
pub(crate) const CLOCK_JUMP: u64 = 86_400;

/// Where a key lies in the order in which keys were added. 0 is before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyOrdinal(pub(crate) i64);

/// How far [`ReadTransaction::records_beyond`] has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordsStep {
    /// All records of keys up to this one were handed out.
    pub(crate) up_to: KeyOrdinal,
    /// Whether there are keys beyond it.
    pub(crate) has_more: bool,
}

/// A place that keeps keys.
pub(crate) trait Store: Send + Sync {
    /// A consistent view: everything read through it is of one moment.
    fn read(&self) -> Result<Box<dyn ReadTransaction + '_>, StoreError>;

    /// Begins a write; waits for its turn behind other writers, in this process and in others.
    fn write(&self) -> Result<Box<dyn WriteTransaction + '_>, StoreError>;

    /// Whether anything was committed, by this process or another, since this was last asked. Cheap:
    /// it is asked every few milliseconds, from one thread.
    fn has_changed(&self) -> Result<bool, StoreError>;

    /// Writes a consistent copy into a new file, while others go on reading and writing.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;

    /// Whether a write has failed since this was last asked because no space was left; the room that is kept for
    /// changes that can only take away is free then.
    fn spend_reserve(&self) -> bool;

    /// Keeps room again, as far as there is space.
    fn fill_reserve(&self);

    /// Gets what was deleted out of the file and its journal; waits this long for readers that are in the way. What
    /// is left over stays noted in the store.
    fn erase(&self, patience: Duration) -> Result<Erasure, StoreError>;

    /// Whether all that was deleted is out of the file and its journal.
    fn erasure(&self) -> Result<Erasure, StoreError>;

    /// What an operator should know of the health of the store.
    fn inspect(&self) -> Result<Inspection, StoreError>;
}

/// Whether what was deleted is out of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Erasure {
    /// It is.
    Done,
    /// Some of it is left, because somebody reads or writes, or because the store cannot be written here.
    Waiting,
}

/// How urgent it is to get out of the file what a write deletes. Ordered: the last one is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// At the next occasion: it is done often.
    Later = 1,
    /// At once.
    Soon = 2,
    /// At once, and a store that is small enough is written anew.
    Person = 3,
}

impl Urgency {
    /// All of them.
    pub(crate) const ALL: [Urgency; 3] = [Urgency::Later, Urgency::Soon, Urgency::Person];
}

/// The facts that `doctor` reports of a store.
#[derive(Clone, Debug)]
pub(crate) struct Inspection {
    /// Version of the engine, such as `SQLite 3.51.3`.
    pub(crate) engine: String,
    /// Version of the schema.
    pub(crate) schema: u32,
    /// Problems an integrity check found; empty: none.
    pub(crate) integrity: Vec<String>,
    /// Settings that are not as they must be, such as a journal that is no WAL; empty: none.
    pub(crate) settings: Vec<String>,
    /// Size on disk in bytes, with the journal.
    pub(crate) bytes: u64,
    /// Keys.
    pub(crate) keys: u64,
    /// Secrets of all keys.
    pub(crate) secrets: u64,
}

/// A consistent view of a store.
pub(crate) trait ReadTransaction:
    containment::ReadBare
    + imports::ReadImports
    + legible::ReadLegible
    + ReadIssuers
    + ReadTokens
    + users::ReadUsers
    + security_events::ReadSecurityEvents
{
    /// Where the store stands.
    fn position(&self) -> Result<Position, StoreError>;

    /// What the store knows of the time.
    fn clock(&self) -> Result<ClockRow, StoreError>;

    /// The settings.
    fn settings(&self) -> Result<Settings, StoreError>;

    /// The key formats, in the order they were added; the first one is the default.
    fn formats(&self) -> Result<Vec<NamedFormat>, StoreError>;

    /// Whether any digest was imported.
    fn has_imports(&self) -> Result<bool, StoreError>;

    /// How many keys there are.
    fn key_count(&self) -> Result<u64, StoreError>;

    /// A key with all its secrets.
    fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError>;

    /// The key that has a secret with this digest.
    fn key_by_digest(&self, digest: &Digest) -> Result<Option<Key>, StoreError>;

    /// The active keys whose owner is this address, in whatever letter case it was written.
    fn active_keys_of(&self, owner: &Email) -> Result<Vec<KeyId>, StoreError>;

    /// All keys whose owner is this address, also staged ones.
    fn keys_of(&self, owner: &Email) -> Result<Vec<KeyId>, StoreError>;

    /// The suspended keys that share the suspension of this user.
    fn keys_suspended_for(&self, user: UserId) -> Result<Vec<KeyId>, StoreError>;

    /// A page of keys. `now` decides what is expired.
    fn keys(&self, query: &KeyQuery, now: Timestamp) -> Result<KeyPage, StoreError>;

    /// How many keys there are, and how many raise each concern.
    fn key_counts(&self, now: Timestamp) -> Result<KeyCounts, StoreError>;

    /// How often a key was used on each day that it was used, oldest first: the day since the Unix epoch,
    /// and the uses.
    fn usage_days(&self, id: KeyId) -> Result<Vec<(u64, u64)>, StoreError>;

    /// The records of all secrets of the keys that changed after this generation, of those up to this
    /// ordinal. Keys beyond it cost nothing, however many changed. `each` is called for every row as soon as it is
    /// read, also for one that has no record: of a staged key, or of a key without a secret.
    fn changed_records(
        &self,
        after: Generation,
        up_to: KeyOrdinal,
        each: &mut dyn FnMut(Option<&KeyRecord>),
    ) -> Result<(), StoreError>;

    /// The records of all secrets of all keys; says where the last key lies.
    fn all_records(&self, each: &mut dyn FnMut(&KeyRecord)) -> Result<KeyOrdinal, StoreError>;

    /// The records of all secrets of the keys beyond this ordinal that came with no import, in the order in which
    /// the keys were added: at most `limit` records and those that complete the last key.
    fn records_beyond(
        &self,
        beyond: KeyOrdinal,
        limit: usize,
        each: &mut dyn FnMut(&KeyRecord),
    ) -> Result<RecordsStep, StoreError>;

    /// The same for the keys of an import that was completed.
    fn records_of_import(
        &self,
        import: imports::ImportOrdinal,
        beyond: KeyOrdinal,
        limit: usize,
        each: &mut dyn FnMut(&KeyRecord),
    ) -> Result<RecordsStep, StoreError>;

    /// Which secret a rotation with this request id made, and the grace it was asked for.
    fn rotation(&self, key: KeyId, request_id: &str) -> Result<Option<RotationRow>, StoreError>;

    /// The newest audit entry.
    fn last_audit(&self) -> Result<Option<AuditEntry>, StoreError>;

    /// Audit entries with a sequence above `after`, oldest first, at most `limit`; only those of a
    /// subject when one is given.
    fn audit(&self, subject: Option<&str>, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// The same entries, and apart from them those that cannot be read.
    fn readable_audit(
        &self,
        subject: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<AuditEntry>, Vec<UnreadableRow>), StoreError>;

    /// A page of audit entries, newest first.
    fn recent_audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError>;

    /// The latest recorded time of an action on a subject. Not always the time of the newest entry, because the
    /// clock may have been set back.
    fn latest_audit_time(&self, subject: &str, action: &str) -> Result<Option<Timestamp>, StoreError>;

    /// The state of every row that the audit trail binds, with the row's kind and id, in no particular order;
    /// no state where the row's nonce is missing.
    fn row_states(&self, each: &mut EachRowState<'_>) -> Result<(), StoreError>;

    /// Reads every row of every table, as whatever uses it does, and hands out those that cannot be read.
    fn check_rows(&self, each: &mut dyn FnMut(UnreadableRow)) -> Result<(), StoreError>;

    /// What is in the store and is bound by nothing: rows of further tables that belong to no row, and
    /// definitions that are not ours.
    fn strays(&self) -> Result<Vec<DifferenceKind>, StoreError>;
}

/// What takes the kind, the id and the state of a row.
pub(crate) type EachRowState<'a> = dyn FnMut(RowKind, &[u8], Option<RowState>) -> Result<(), StoreError> + 'a;

/// What is remembered of a rotation, to answer a repeated request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RotationRow {
    /// The number of the secret it made.
    pub(crate) number: u32,
    /// The grace that was asked for, in seconds.
    pub(crate) grace: u64,
    /// Whether the grace starts at the first use of the new secret.
    pub(crate) from_first_use: bool,
}

/// Uses of one secret since they were last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageDelta {
    /// The secret.
    pub(crate) digest: Digest,
    /// How often it was allowed.
    pub(crate) uses: u64,
    /// The first time.
    pub(crate) first: Timestamp,
    /// The last time.
    pub(crate) last: Timestamp,
}

/// A write in progress.
pub(crate) trait WriteTransaction:
    ReadTransaction
    + containment::Contain
    + imports::WriteImports
    + WriteIssuers
    + WriteTokens
    + users::WriteUsers
    + security_events::WriteSecurityEvents
{
    /// Adds a key with all its secrets. `Ok(false)`: a digest or the id is already there, and
    /// nothing was added.
    fn insert_key(&mut self, key: &Key) -> Result<bool, StoreError>;

    /// Writes all fields of a key but its secrets.
    fn update_key(&mut self, key: &Key) -> Result<(), StoreError>;

    /// Adds a secret to a key. `Ok(false)`: the digest is already there, and nothing was added.
    fn insert_secret(&mut self, key: KeyId, secret: &SecretInfo) -> Result<bool, StoreError>;

    /// Writes `retires_at`, `pending_grace` and `ended_at` of a secret.
    fn update_secret(&mut self, key: KeyId, secret: &SecretInfo) -> Result<(), StoreError>;

    /// Remembers a rotation under its request id.
    fn insert_rotation(&mut self, key: KeyId, request_id: &str, rotation: &RotationRow) -> Result<(), StoreError>;

    /// Adds a format. `Ok(false)`: the name is taken.
    fn insert_format(&mut self, format: &NamedFormat) -> Result<bool, StoreError>;

    /// Puts these formats in the place of all that are there, in this order. A key of another format has none from
    /// then on, as an imported one.
    fn replace_formats(&mut self, formats: &[NamedFormat]) -> Result<(), StoreError>;

    /// Writes the settings.
    fn set_settings(&mut self, settings: &Settings) -> Result<(), StoreError>;

    /// Notes what the clock says, and that it is at least this late. The newest time only grows. No new generation.
    fn note_time(&mut self, clock: Timestamp, newest: Timestamp) -> Result<(), StoreError>;

    /// Puts this in the place of what the store knows of the time.
    fn set_clock(&mut self, clock: ClockRow) -> Result<(), StoreError>;

    /// Ends secrets that retire at this time or before, at most `limit` of them; says how many. No new
    /// generation: their records are refused by their times.
    fn end_secrets(&mut self, up_to: Timestamp, limit: usize) -> Result<u64, StoreError>;

    /// Shortens graces that were begun while the clock was ahead of `now`; says how many. A grace lasts for as long
    /// as it was asked for, counted from `now`, and for `longest` seconds at most.
    fn shorten_graces(&mut self, now: Timestamp, longest: u64) -> Result<u64, StoreError>;

    /// Adds up uses; times only move forwards. No new generation.
    fn add_usage(&mut self, usage: &[UsageDelta]) -> Result<(), StoreError>;

    /// Appends an entry to the audit trail. It names the rows that were changed since the entry before.
    fn append_audit(&mut self, entry: &NewEntry<'_>) -> Result<(), StoreError>;

    /// How urgent it is to get out of the file what this write deletes; `None`: it deletes nothing.
    fn erases(&self) -> Result<Option<Urgency>, StoreError>;

    /// Makes all of it durable and visible, and says where the store stands now.
    fn commit(self: Box<Self>) -> Result<Position, StoreError>;
}
