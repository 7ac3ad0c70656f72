//! One transaction, with both of its faces.

use std::ops::Deref;
use std::sync::Arc;

use keystile_validator::{Digest, KeyId, KeyRecord, Timestamp};
use rusqlite::Connection;

use super::checked::Checked as _;
use super::connection::checkpoint;
use super::guard::{Claim, Place};
use super::trail::{self, Trail};
use super::{check_files, clock, erasure, list, reader, records, unreadable, writer};
use crate::audit::{AuditEntry, AuditPage, AuditQuery, DifferenceKind, NewEntry};
use crate::ids::UserId;
use crate::key::{Key, NamedFormat, SecretInfo, Settings};
use crate::keys::KeyCounts;
use crate::query::{KeyPage, KeyQuery};
use crate::store::imports::ImportOrdinal;
use crate::store::{
    ClockRow, EachRowState, Generation, KeyOrdinal, Position, ReadTransaction, RecordsStep, RotationRow, StoreError,
    UnreadableRow, Urgency, UsageDelta, WriteTransaction,
};
use crate::user::Email;

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    /// Read. What it sees is fixed by the first thing it reads.
    Read,
    /// Write, alone: begun only when nobody else writes.
    Write,
}

/// How much a transaction has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Less than [`STEPS_BETWEEN_COUNTS`] steps, such as a revoke.
    Small,
    /// At least so many, such as a part of an import.
    Large,
}

/// Steps after which the notes of the trail are counted.
const STEPS_BETWEEN_COUNTS: u32 = 100;

/// A transaction on a connection, which it gives back when it ends. Dropped, it is undone.
///
/// There is one type for both faces; a reader is handed out as a [`ReadTransaction`], on a
/// connection that refuses to write.
pub(super) struct Transaction<C: Deref<Target = Connection>> {
    connection: C,
    /// The generation of this write, once something has changed that a verdict depends on.
    generation: Option<Generation>,
    /// The end of the audit trail, as of this write.
    trail: Trail,
    /// A step has failed: committing the others would leave half a change.
    failed: bool,
    /// The files that are written to, when others may use them too.
    claim: Option<Arc<Claim>>,
    /// Steps since the notes of the trail were last counted.
    steps: u32,
    size: Size,
}

impl<C: Deref<Target = Connection>> Transaction<C> {
    pub(super) fn begin(connection: C, behavior: Behavior) -> Result<Transaction<C>, StoreError> {
        if !connection.is_autocommit() {
            // The end of the transaction before has failed, and nobody was there to be told.
            connection.execute_batch("ROLLBACK").checked()?;
        }
        let begin = match behavior {
            Behavior::Read => "BEGIN DEFERRED",
            Behavior::Write => "BEGIN IMMEDIATE",
        };
        connection.prepare_cached(begin).and_then(|mut begin| begin.execute([])).checked()?;
        Ok(Transaction {
            connection,
            generation: None,
            trail: Trail::default(),
            failed: false,
            claim: None,
            steps: 0,
            size: Size::Small,
        })
    }

    /// Has a commit make sure that it goes into the files that everybody uses, and the guard know what was read.
    pub(super) fn guarded_by(self, claim: &Arc<Claim>) -> Transaction<C> {
        // Written out, because a type that is dropped cannot be taken apart.
        let mut transaction = self;
        transaction.claim = Some(Arc::clone(claim));
        transaction
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Puts the store at this position: what changes from now on is of this generation.
    pub(super) fn move_to(&mut self, position: Position) -> Result<(), StoreError> {
        self.step(|connection, _| writer::set_position(connection, position))?;
        self.generation = Some(position.generation);
        Ok(())
    }

    fn write_trail(
        &mut self,
        write: impl FnOnce(&mut Trail, &Connection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut trail = std::mem::take(&mut self.trail);
        self.step(|connection, _| write(&mut trail, connection))?;
        self.trail = trail;
        Ok(())
    }

    /// One step of a write.
    pub(super) fn step<T>(
        &mut self,
        step: impl FnOnce(&Connection, &mut Option<Generation>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // The engine ends a transaction by itself on some errors, such as a full disk: whatever
        // came after would be committed alone.
        if self.failed || self.connection.is_autocommit() {
            return Err(StoreError::RolledBack);
        }
        let result = step(&self.connection, &mut self.generation).and_then(|value| {
            // A commit is a step too, and nothing is written after it.
            if !self.connection.is_autocommit() {
                self.bound_notes()?;
            }
            Ok(value)
        });
        self.failed = result.is_err();
        if let (Some(claim), Err(error)) = (&self.claim, &result) {
            claim.note(error);
        }
        result
    }

    /// Binds rows by entries of their own when many are noted: a restore changes all rows, and what is noted of
    /// them is in memory.
    fn bound_notes(&mut self) -> Result<(), StoreError> {
        self.steps = self.steps.saturating_add(1);
        if self.steps < STEPS_BETWEEN_COUNTS {
            return Ok(());
        }
        self.bind_many()
    }

    /// The same now: after a step that changes many rows.
    pub(super) fn bind_many(&mut self) -> Result<(), StoreError> {
        self.steps = 0;
        self.size = Size::Large;
        self.trail.bind_many(&self.connection)
    }
}

impl<C: Deref<Target = Connection>> Drop for Transaction<C> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // A failure shows when the next transaction begins on this connection.
            let _ = self.connection.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
        }
    }
}

impl<C: Deref<Target = Connection>> ReadTransaction for Transaction<C> {
    fn position(&self) -> Result<Position, StoreError> {
        let position = reader::position(&self.connection)?;
        if let Some(claim) = &self.claim {
            claim.note_position(position);
        }
        Ok(position)
    }

    fn clock(&self) -> Result<ClockRow, StoreError> {
        reader::clock(&self.connection)
    }

    fn settings(&self) -> Result<Settings, StoreError> {
        reader::settings(&self.connection)
    }

    fn formats(&self) -> Result<Vec<NamedFormat>, StoreError> {
        reader::formats(&self.connection)
    }

    fn has_imports(&self) -> Result<bool, StoreError> {
        reader::has_imports(&self.connection)
    }

    fn key_count(&self) -> Result<u64, StoreError> {
        reader::key_count(&self.connection)
    }

    fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError> {
        reader::key(&self.connection, id)
    }

    fn key_by_digest(&self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        reader::key_by_digest(&self.connection, digest)
    }

    fn active_keys_of(&self, owner: &Email) -> Result<Vec<KeyId>, StoreError> {
        reader::active_keys_of(&self.connection, owner)
    }

    fn keys_of(&self, owner: &Email) -> Result<Vec<KeyId>, StoreError> {
        reader::keys_of(&self.connection, owner)
    }

    fn keys_suspended_for(&self, user: UserId) -> Result<Vec<KeyId>, StoreError> {
        reader::keys_suspended_for(&self.connection, user)
    }

    fn keys(&self, query: &KeyQuery, now: Timestamp) -> Result<KeyPage, StoreError> {
        list::keys(&self.connection, query, now)
    }

    fn key_counts(&self, now: Timestamp) -> Result<KeyCounts, StoreError> {
        list::counts(&self.connection, now)
    }

    fn usage_days(&self, id: KeyId) -> Result<Vec<(u64, u64)>, StoreError> {
        reader::usage_days(&self.connection, id)
    }

    fn changed_records(
        &self,
        after: Generation,
        up_to: KeyOrdinal,
        each: &mut dyn FnMut(Option<&KeyRecord>),
    ) -> Result<(), StoreError> {
        records::changed(&self.connection, after, up_to, each)
    }

    fn all_records(&self, each: &mut dyn FnMut(&KeyRecord)) -> Result<KeyOrdinal, StoreError> {
        records::all(&self.connection, each)
    }

    fn records_of_import(
        &self,
        import: ImportOrdinal,
        beyond: KeyOrdinal,
        limit: usize,
        each: &mut dyn FnMut(&KeyRecord),
    ) -> Result<RecordsStep, StoreError> {
        records::of_import(&self.connection, import, beyond, limit, each)
    }

    fn records_beyond(
        &self,
        beyond: KeyOrdinal,
        limit: usize,
        each: &mut dyn FnMut(&KeyRecord),
    ) -> Result<RecordsStep, StoreError> {
        records::beyond(&self.connection, beyond, limit, each)
    }

    fn rotation(&self, key: KeyId, request_id: &str) -> Result<Option<RotationRow>, StoreError> {
        reader::rotation(&self.connection, key, request_id)
    }

    fn last_audit(&self) -> Result<Option<AuditEntry>, StoreError> {
        let newest = AuditQuery { limit: 1, ..AuditQuery::default() };
        Ok(reader::recent_audit(&self.connection, &newest)?.entries.pop())
    }

    fn audit(&self, subject: Option<&str>, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        reader::audit(&self.connection, subject, after, limit)
    }

    fn readable_audit(
        &self,
        subject: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<AuditEntry>, Vec<UnreadableRow>), StoreError> {
        reader::readable_audit(&self.connection, subject, after, limit)
    }

    fn latest_audit_time(&self, subject: &str, action: &str) -> Result<Option<Timestamp>, StoreError> {
        reader::latest_audit_time(&self.connection, subject, action)
    }

    fn recent_audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        reader::recent_audit(&self.connection, query)
    }

    fn row_states(&self, each: &mut EachRowState<'_>) -> Result<(), StoreError> {
        trail::row_states(&self.connection, each)
    }

    fn check_rows(&self, each: &mut dyn FnMut(UnreadableRow)) -> Result<(), StoreError> {
        unreadable::check_rows(&self.connection, each)
    }

    fn strays(&self) -> Result<Vec<DifferenceKind>, StoreError> {
        trail::strays(&self.connection)
    }
}

impl<C: Deref<Target = Connection>> WriteTransaction for Transaction<C> {
    fn insert_key(&mut self, key: &Key) -> Result<bool, StoreError> {
        self.step(|connection, generation| writer::insert_key(connection, generation, key))
    }

    fn update_key(&mut self, key: &Key) -> Result<(), StoreError> {
        self.step(|connection, generation| writer::update_key(connection, generation, key))
    }

    fn insert_secret(&mut self, key: KeyId, secret: &SecretInfo) -> Result<bool, StoreError> {
        self.step(|connection, generation| writer::insert_secret(connection, generation, key, secret))
    }

    fn update_secret(&mut self, key: KeyId, secret: &SecretInfo) -> Result<(), StoreError> {
        self.step(|connection, generation| writer::update_secret(connection, generation, key, secret))
    }

    fn insert_rotation(&mut self, key: KeyId, request_id: &str, rotation: &RotationRow) -> Result<(), StoreError> {
        self.step(|connection, _| writer::insert_rotation(connection, key, request_id, rotation))
    }

    fn insert_format(&mut self, format: &NamedFormat) -> Result<bool, StoreError> {
        self.step(|connection, generation| writer::insert_format(connection, generation, format))
    }

    fn replace_formats(&mut self, formats: &[NamedFormat]) -> Result<(), StoreError> {
        self.step(|connection, generation| writer::replace_formats(connection, generation, formats))
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), StoreError> {
        self.step(|connection, generation| writer::set_settings(connection, generation, settings))
    }

    fn note_time(&mut self, clock: Timestamp, newest: Timestamp) -> Result<(), StoreError> {
        self.step(|connection, _| clock::note(connection, clock, newest))
    }

    fn set_clock(&mut self, row: ClockRow) -> Result<(), StoreError> {
        self.step(|connection, _| clock::set(connection, row))
    }

    fn end_secrets(&mut self, up_to: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.step(|connection, _| clock::end_secrets(connection, up_to, limit))
    }

    fn shorten_graces(&mut self, now: Timestamp, longest: u64) -> Result<u64, StoreError> {
        self.step(|connection, _| clock::shorten_graces(connection, now, longest))
    }

    fn add_usage(&mut self, usage: &[UsageDelta]) -> Result<(), StoreError> {
        self.step(|connection, _| {
            writer::add_usage(connection, usage)?;
            writer::add_usage_days(connection, usage)
        })
    }

    fn append_audit(&mut self, entry: &NewEntry<'_>) -> Result<(), StoreError> {
        self.write_trail(|trail, connection| trail.append(connection, entry))?;
        self.note_time(entry.at, entry.at)
    }

    fn erases(&self) -> Result<Option<Urgency>, StoreError> {
        erasure::urgency(&self.connection)
    }

    fn commit(mut self: Box<Self>) -> Result<Position, StoreError> {
        self.write_trail(Trail::close)?;
        if let Some(claim) = &self.claim {
            check_files(claim)?;
        }
        let (position, store_id) = self.step(|connection, _| {
            erasure::note(connection)?;
            let position = reader::position(connection)?;
            // An id that cannot be read keeps nobody from revoking.
            let store_id = reader::store_id(connection).ok();
            connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).checked()?;
            Ok((position, store_id))
        })?;
        if let Some(claim) = &self.claim {
            // Whoever exchanged the files before the commit, it is noticed now, and nothing is acknowledged.
            let lost = |_| StoreError::Unacknowledged { path: claim.path().to_owned() };
            claim.note_position(position);
            if let Some(store_id) = store_id {
                claim.publish(&Place { store_id, position });
            }
            check_files(claim).map_err(lost)?;
            checkpoint(&self.connection, claim, self.size);
        }
        Ok(position)
    }
}
