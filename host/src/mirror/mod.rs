//! The mirror: what this process holds in memory of its store, moved by one view at a time.
//!
//! | file | holds |
//! | --- | --- |
//! | `mod` | the mirror: where it stands, and how it moves |
//! | `health` | whether it may be used |
//! | `records`, `revocations`, `issuers` | its parts; the key formats are one more |
//! | `own_issuer` | the store as an issuer, in the form that the validator reads |
//! | `look` | what one verdict is given by: the mirror, or one view of the store |
//! | `follower` | the loop that follows the store |
//!
//! A move reads all parts from one view before it puts any of them in force, so that a read that fails
//! leaves every part as it was. Until a later move works, every verdict is `unavailable`. So it is while a move reads
//! more changes than [`CHANGES_AT_ONCE`].
//!
//! Keys that are new to the mirror are the one exception: they follow in bounded steps, in the order in
//! which they were added, and are unknown until they are there. So an import of any size keeps a revoke
//! waiting for one step at most.

mod follower;
mod health;
mod issuers;
mod look;
mod own_issuer;
mod records;
mod revocations;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use keystile_validator::{Timestamp, wire};

pub(crate) use follower::{Abandon, BETWEEN_STEPS, follow_store};
pub(crate) use issuers::FollowedIssuers;
pub(crate) use look::{Basis, Look};
pub(crate) use revocations::KEPT_AFTER_EXPIRY;

use health::{Extent, Health, Stamp};
use issuers::Issuers;
use records::{AllRecords, Changes, Records};
use revocations::Revocations;

use crate::sandbox::Sandbox;
use crate::sealing::Sealing;
use crate::store::imports::ImportOrdinal;
use crate::store::{KeyOrdinal, Position, ReadTransaction, Store, StoreError};
use crate::timekeeping::Timekeeper;

/// Records of keys that are new to the mirror, at most so many in one step; the last key may bring a few more.
/// While 1,000,000 keys followed in such steps, a revoke of another process was denied after 22 ms at most.
pub(crate) const RECORDS_A_STEP: usize = 10_000;

/// Changes that are read while what is in force stays so: rows of key records, revocations and completed imports,
/// together. When there are more, every verdict is `unavailable` until all of them are in force. Reading so many takes
/// some 20 ms, so that a change is in force elsewhere within 100 ms, or nothing is.
pub(crate) const CHANGES_AT_ONCE: usize = 2_500;

/// What a process holds of its store.
pub(crate) struct Mirror {
    /// Whether records, formats and revocations are looked up in the store, a view a verdict.
    on_demand: bool,
    records_a_step: usize,
    changes_at_once: usize,
    /// Locked from before a view is taken until all of it is in force, so that moves happen one after the
    /// other, and whoever waits here then sees a later view.
    progress: Mutex<Progress>,
    /// How often the parts were moved. Locked for writing while they are put in force: whoever reads under
    /// it sees all parts of one view.
    moves: RwLock<u64>,
    records: Records,
    formats: RwLock<Arc<[u8]>>,
    revocations: Revocations,
    issuers: Issuers,
    health: Health,
    has_more: AtomicBool,
}

/// How far the mirror has followed.
#[derive(Default)]
struct Progress {
    /// The position of the view in force.
    position: Option<Position>,
    /// Keys up to this one are in the mirror, as of that position, but for those of `imports`. Those beyond it
    /// are new.
    loaded_up_to: KeyOrdinal,
    /// Imports that were completed and whose keys are not all in the mirror, each with the last one that is.
    imports: VecDeque<(ImportOrdinal, KeyOrdinal)>,
    /// How often an earlier time was accepted, as of that position.
    clock_accepted: u64,
}

/// What a mirror follows.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn Store,
    /// Gets the issuers.
    pub(crate) sandbox: &'a Sandbox,
    /// Opens the secrets of HMAC keys, which the validator needs.
    pub(crate) sealing: &'a Sealing,
    /// Gets what the store knows of the time.
    pub(crate) time: &'a Timekeeper,
    /// Decides which keys of the store are in use.
    pub(crate) now: Timestamp,
}

/// What a move did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Whether there are new keys that the next move brings.
    pub(crate) has_more: bool,
    /// Whether the sandbox has other issuers now.
    pub(crate) documents_changed: bool,
    /// Whether external issuers are others now.
    pub(crate) external_changed: bool,
}

/// Why a part was not read.
enum MoveError {
    /// The view is older than what is in force.
    Older,
    /// It could not be read.
    Store(StoreError),
}

impl From<StoreError> for MoveError {
    fn from(error: StoreError) -> MoveError {
        MoveError::Store(error)
    }
}

impl Mirror {
    /// A mirror that holds nothing yet. With `on_demand` it never holds more than the issuers.
    pub(crate) fn new(on_demand: bool, records_a_step: usize, changes_at_once: usize) -> Mirror {
        Mirror {
            on_demand,
            records_a_step,
            changes_at_once,
            progress: Mutex::default(),
            moves: RwLock::default(),
            records: Records::new(),
            formats: RwLock::new(Arc::from([])),
            revocations: Revocations::default(),
            issuers: Issuers::default(),
            health: Health::new(),
            has_more: AtomicBool::new(false),
        }
    }

    /// Whether records are looked up in the store instead of being held here.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.on_demand
    }

    /// Whether there are new keys that the next move brings.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more.load(Ordering::Acquire)
    }

    /// How many secrets are held.
    pub(crate) fn secrets(&self) -> u64 {
        self.records.len()
    }

    /// All enabled external issuers, as last read.
    pub(crate) fn external_issuers(&self) -> FollowedIssuers {
        self.issuers.external()
    }

    /// Whether the mirror is known to be what the store says. When not, nothing may be allowed.
    pub(crate) fn is_healthy(&self) -> bool {
        self.health.is_good()
    }

    /// Marks the mirror as unusable for good: nobody follows the store any more.
    pub(crate) fn abandon(&self) {
        self.health.abandon();
    }

    /// Drops revocations that refuse nothing any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.revocations.sweep(now);
    }

    /// Catches up with the store: with all changes of what is here, and with a bounded number of new keys.
    /// On demand there is nothing to catch up with.
    ///
    /// # Errors
    /// [`StoreError`] when any part cannot be read. Every verdict is `unavailable` then, until a later call
    /// works.
    pub(crate) fn follow(&self, source: &Source<'_>) -> Result<Moved, StoreError> {
        if self.on_demand {
            return Ok(Moved::default());
        }
        let mut progress = lock(&self.progress);
        let stamp = self.health.stamp();
        let result = source.store.read().and_then(|view| self.move_to(&mut progress, &*view, source, stamp));
        if let Ok(moved) = &result {
            self.has_more.store(moved.has_more, Ordering::Release);
            self.health.confirm(stamp);
        }
        self.health.set_caught_up(result.is_ok());
        result
    }

    /// Moves to what this view shows. It was taken after `stamp`.
    fn move_to(
        &self,
        progress: &mut Progress,
        view: &dyn ReadTransaction,
        source: &Source<'_>,
        stamp: Stamp,
    ) -> Result<Moved, StoreError> {
        let target = view.position()?;
        let clock = view.clock()?;
        let here = match progress.position {
            // What is here was acknowledged, and is in the store no more.
            Some(here) if target < here => return Err(went_back(here, target)),
            Some(here) if target.epoch > here.epoch => {
                // A restore: what is here may allow what the store refuses now, however long loading takes.
                self.health.set_caught_up(false);
                None
            }
            Some(_) if clock.accepted != progress.clock_accepted => {
                // An earlier time was accepted: what was dropped here by the later one refuses again.
                self.health.set_caught_up(false);
                None
            }
            here => here,
        };
        let mut moved = match here {
            Some(here) => {
                let mut extent = Extent::new(&self.health, self.changes_at_once);
                let mut completed = Vec::new();
                view.completed_imports(here.generation, &mut |import| {
                    extent.count();
                    completed.push((import, KeyOrdinal::default()));
                })?;
                let moved = self.take_changes(here, progress.loaded_up_to, target, view, source, &mut extent)?;
                progress.imports.extend(completed);
                moved
            }
            None => {
                let (moved, last) = self.take_all(target, view, source)?;
                *progress = Progress {
                    position: Some(target),
                    loaded_up_to: last,
                    imports: VecDeque::new(),
                    clock_accepted: clock.accepted,
                };
                // The time may go back now that nothing of the later one is in force.
                source.time.follow(clock);
                return Ok(moved);
            }
        };
        source.time.follow(clock);
        progress.position = Some(target);
        self.health.confirm(stamp);
        // Last, because it takes long: what has changed is in force by now.
        moved.has_more = self.take_new(progress, view)?;
        Ok(moved)
    }

    /// Takes one step of the keys that are new: those that were added one by one, then those of imports. Whether
    /// there are more.
    fn take_new(&self, progress: &mut Progress, view: &dyn ReadTransaction) -> Result<bool, StoreError> {
        let (new, step) = Changes::read_new(view, progress.loaded_up_to, self.records_a_step)?;
        self.records.put(&new);
        progress.loaded_up_to = step.up_to;
        if step.has_more {
            return Ok(true);
        }
        let Some((import, beyond)) = progress.imports.front_mut() else { return Ok(false) };
        let (new, step) = Changes::read_imported(view, *import, *beyond, self.records_a_step)?;
        self.records.put(&new);
        *beyond = step.up_to;
        if !step.has_more {
            progress.imports.pop_front();
        }
        Ok(!progress.imports.is_empty())
    }

    /// Puts in force what has changed since `here`, but for keys that are new.
    fn take_changes(
        &self,
        here: Position,
        loaded_up_to: KeyOrdinal,
        target: Position,
        view: &dyn ReadTransaction,
        source: &Source<'_>,
        extent: &mut Extent<'_>,
    ) -> Result<Moved, StoreError> {
        let changed = match here == target {
            true => None,
            false => Some((
                Changes::read(view, here.generation, loaded_up_to, extent)?,
                Revocations::read_changed(view, here.generation, extent)?,
                read_formats(view)?,
            )),
        };
        let issuers = self.read_issuers(view, target, source)?;
        if changed.is_none() && issuers.is_none() {
            return Ok(Moved::default());
        }
        let mut moves = self.moves.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((records, revocations, formats)) = changed {
            self.records.put(&records);
            self.revocations.put(revocations);
            self.set_formats(formats);
        }
        let moved = issuers.map(|issuers| self.put_issuers(issuers, source)).unwrap_or_default();
        *moves = moves.wrapping_add(1);
        Ok(moved)
    }

    /// Puts everything of this view in the place of what is here: at the start, and after a restore.
    fn take_all(
        &self,
        target: Position,
        view: &dyn ReadTransaction,
        source: &Source<'_>,
    ) -> Result<(Moved, KeyOrdinal), StoreError> {
        let (records, last) = AllRecords::read(view)?;
        let (revocations, formats) = (Revocations::read_all(view)?, read_formats(view)?);
        let issuers = self.read_issuers(view, target, source)?;
        let mut moves = self.moves.write().unwrap_or_else(PoisonError::into_inner);
        let old = self.records.replace(records);
        self.revocations.put(revocations);
        self.set_formats(formats);
        let moved = issuers.map(|issuers| self.put_issuers(issuers, source)).unwrap_or_default();
        *moves = moves.wrapping_add(1);
        drop(moves);
        drop(old);
        Ok((moved, last))
    }

    fn read_issuers(
        &self,
        view: &dyn ReadTransaction,
        target: Position,
        source: &Source<'_>,
    ) -> Result<Option<issuers::IssuerChanges>, StoreError> {
        self.issuers.read(view, target, source).map_err(|error| match error {
            MoveError::Store(error) => error,
            MoveError::Older => went_back(target, target),
        })
    }

    fn put_issuers(&self, changes: issuers::IssuerChanges, source: &Source<'_>) -> Moved {
        let issuers::IssuerChanges { documents_changed, external_changed, .. } = changes;
        self.issuers.put(changes, source.sandbox);
        Moved { has_more: false, documents_changed, external_changed }
    }

    fn set_formats(&self, formats: Arc<[u8]>) {
        *self.formats.write().unwrap_or_else(PoisonError::into_inner) = formats;
    }

    /// The key formats, in the validator's binary form.
    fn formats(&self) -> Arc<[u8]> {
        self.formats.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn went_back(known: Position, found: Position) -> StoreError {
    StoreError::WentBack { known: known.generation.0, found: found.generation.0 }
}

/// The key formats of a view, in the validator's binary form.
fn read_formats(view: &dyn ReadTransaction) -> Result<Arc<[u8]>, StoreError> {
    let formats: Vec<_> = view.formats()?.into_iter().map(|named| named.format).collect();
    let mut bytes = Vec::new();
    // The store never holds more formats than fit.
    wire::encode_formats(&formats, &mut bytes).map_err(|_| StoreError::InvalidValue { column: "formats" })?;
    Ok(Arc::from(bytes))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data is replaced as a whole, so a panic elsewhere cannot have left it half-made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
