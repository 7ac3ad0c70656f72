//! Walking the trail, and comparing every row with its newest entry. See `docs/trail.md`.

use std::collections::HashMap;
use std::fmt;

use keystile_validator::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{AuditEntry, AuditHash, BoundRow, RECHAINED, RowId, RowKind, RowState};
use crate::restore::RESTORED;
use crate::store::{ReadTransaction, Store, StoreError};
use crate::timekeeping::{CLOCK_ACCEPTED, readable_clock};

/// What verifying the trail and the rows found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditReport {
    /// Every entry follows from the one before, and every row is as its newest entry has left it.
    Intact {
        /// How many entries there are.
        entries: u64,
        /// The hash of the newest one.
        head: AuditHash,
    },
    /// The chain is broken. Rows were not compared.
    Broken {
        /// The first entry that does not follow.
        sequence: u64,
        /// What is wrong with it.
        problem: AuditProblem,
    },
    /// The chain is whole, but something else than Keystile has written to the store.
    Differs {
        /// How many entries there are.
        entries: u64,
        /// The hash of the newest one.
        head: AuditHash,
        /// What differs: the first [`MAX_DIFFERENCES`](crate::bounds::MAX_DIFFERENCES).
        differences: Vec<Difference>,
        /// How many differences there are beyond those.
        more: u64,
    },
}

/// What is wrong with an audit entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditProblem {
    /// An entry is missing before it.
    Gap,
    /// It does not continue the entry before.
    WrongPrevious,
    /// Its fields do not give its hash.
    WrongHash,
    /// It holds what no Keystile writes.
    Unreadable,
    /// The rows that it names cannot be read.
    WrongRows,
    /// The trail was broken there before it was chained anew by an update of the schema.
    BrokenBefore,
    /// The entry that was noted elsewhere is not in the trail, or is another one there.
    CheckpointMissing,
    /// The entry that was noted elsewhere is from before the trail was chained anew, and not its last.
    CheckpointTooOld,
}

impl fmt::Display for AuditProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuditProblem::Gap => "an entry is missing before it",
            AuditProblem::WrongPrevious => "it does not continue the entry before",
            AuditProblem::WrongHash => "its content was changed",
            AuditProblem::Unreadable => "it cannot be read",
            AuditProblem::WrongRows => "the rows that it names cannot be read",
            AuditProblem::BrokenBefore => "the trail was broken there already when it was chained anew",
            AuditProblem::CheckpointMissing => "the noted entry is missing, or is another one here",
            AuditProblem::CheckpointTooOld => {
                "the noted entry is of the trail before it was chained anew, which can no longer be compared"
            }
        })
    }
}

/// Something that Keystile has not written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What differs.
    pub what: DifferenceKind,
    /// The entry that it differs from, or that found it.
    pub entry: Option<EntryName>,
}

/// What an entry is called in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName {
    /// Its sequence.
    pub sequence: u64,
    /// What was done.
    pub action: String,
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sequence, self.action)
    }
}

/// A way in which the store differs from its trail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The row is not as its newest entry has left it.
    Changed(RowId),
    /// No entry names the row.
    Added(RowId),
    /// The row is gone, and its newest entry has left it there.
    Removed(RowId),
    /// The entry found the row changed, and took the change over.
    FoundChanged(RowId),
    /// Rows of this table belong to no row that the trail knows.
    Stray(String),
    /// This table, index, trigger or view is not what Keystile has made.
    Schema(String),
    /// The newest time that the store has seen is earlier than its entries.
    Clock,
}

impl DifferenceKind {
    /// The name in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            DifferenceKind::Changed(_) => "changed",
            DifferenceKind::Added(_) => "added",
            DifferenceKind::Removed(_) => "removed",
            DifferenceKind::FoundChanged(_) => "found_changed",
            DifferenceKind::Stray(_) => "stray",
            DifferenceKind::Schema(_) => "schema",
            DifferenceKind::Clock => "clock",
        }
    }

    /// The row, where it is about one.
    pub const fn row(&self) -> Option<&RowId> {
        match self {
            DifferenceKind::Changed(row)
            | DifferenceKind::Added(row)
            | DifferenceKind::Removed(row)
            | DifferenceKind::FoundChanged(row) => Some(row),
            DifferenceKind::Stray(_) | DifferenceKind::Schema(_) | DifferenceKind::Clock => None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry.as_ref().map(ToString::to_string).unwrap_or_default();
        match &self.what {
            DifferenceKind::Changed(row) => write!(f, "{row} differs from its newest entry ({entry})"),
            DifferenceKind::Added(row) => write!(f, "{row} is in no entry"),
            DifferenceKind::Removed(row) => {
                write!(f, "{row} is gone, but its newest entry ({entry}) has left it there")
            }
            DifferenceKind::FoundChanged(row) => {
                write!(f, "{row} was changed by something else before its entry ({entry})")
            }
            DifferenceKind::Stray(table) => write!(f, "rows of {table} belong to nothing"),
            DifferenceKind::Schema(name) => write!(f, "the definition of {name} is not Keystile's"),
            DifferenceKind::Clock => write!(f, "the newest time of the store is earlier than an entry ({entry})"),
        }
    }
}

/// An entry that was noted outside of the store: it must still be in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The sequence of the entry.
    pub sequence: u64,
    /// Its hash.
    pub hash: AuditHash,
}

/// Differences that a report lists; the others are counted.
pub const MAX_DIFFERENCES: usize = 1_000;

/// Entries read at once while walking the trail. One of them can name [`MAX_ROWS`](super::MAX_ROWS) rows.
const WALK: usize = 100;

/// Verifies the trail and all rows, in one view of the store.
pub(crate) fn verify(store: &dyn Store, checkpoint: Option<Checkpoint>) -> Result<AuditReport, StoreError> {
    verify_view(&*store.read()?, checkpoint)
}

pub(crate) fn verify_view(
    view: &dyn ReadTransaction,
    checkpoint: Option<Checkpoint>,
) -> Result<AuditReport, StoreError> {
    let mut newest = Newest::new()?;
    let mut found = Found { view, listed: Vec::new(), more: 0 };
    let seen_up_to = checkpoint.map_or(0, |checkpoint| checkpoint.sequence);
    let mut before_rechaining = None;
    let mut checkpoint_seen = checkpoint.is_none();
    let mut last: Option<AuditEntry> = None;
    // The latest entry since the time of the store last went back, which only these do.
    let mut latest: Option<(Timestamp, u64)> = None;
    loop {
        let after = last.as_ref().map_or(0, |last| last.sequence);
        let entries = match view.audit(None, after, WALK) {
            // One of them cannot be read. Those before it are looked at one by one.
            Err(StoreError::InvalidValue { .. }) => match view.audit(None, after, 1) {
                Err(StoreError::InvalidValue { .. }) => {
                    let (sequence, problem) = (after.saturating_add(1), AuditProblem::Unreadable);
                    return Ok(AuditReport::Broken { sequence, problem });
                }
                entries => entries?,
            },
            entries => entries?,
        };
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let sequence = entry.sequence;
            if let Some(problem) = problem(last.as_ref(), &entry) {
                return Ok(AuditReport::Broken { sequence, problem });
            }
            for bound in entry.rows.iter() {
                let Some(bound) = bound else {
                    return Ok(AuditReport::Broken { sequence, problem: AuditProblem::WrongRows });
                };
                if newest.follow(sequence, &bound) && sequence > seen_up_to {
                    found.add(DifferenceKind::FoundChanged(bound.row), Some(sequence))?;
                }
            }
            checkpoint_seen |= checkpoint.is_some_and(|c| c.sequence == sequence && c.hash == entry.hash);
            if let Some(old) = Rechained::read(&entry) {
                checkpoint_seen |= checkpoint.is_some_and(|c| old.old_head == format!("{}:{}", c.sequence, c.hash));
                if let Some(broken) = old.broken_at.filter(|_| sequence > seen_up_to) {
                    return Ok(AuditReport::Broken { sequence: broken, problem: AuditProblem::BrokenBefore });
                }
                before_rechaining = Some(sequence);
            }
            if [CLOCK_ACCEPTED, RESTORED].contains(&entry.action.as_str())
                || latest.is_none_or(|(at, _)| entry.at >= at)
            {
                latest = Some((entry.at, sequence));
            }
            last = Some(entry);
        }
    }
    if let (false, Some(Checkpoint { sequence, .. })) = (checkpoint_seen, checkpoint) {
        let problem = match before_rechaining {
            Some(rechained) if sequence < rechained => AuditProblem::CheckpointTooOld,
            _ => AuditProblem::CheckpointMissing,
        };
        return Ok(AuditReport::Broken { sequence, problem });
    }
    compare_rows(view, newest, &mut found)?;
    if let Some((at, sequence)) = latest
        && readable_clock(view)?.is_some_and(|clock| clock.newest < at)
    {
        found.add(DifferenceKind::Clock, Some(sequence))?;
    }
    let Found { listed: differences, more, .. } = found;
    let entries = last.as_ref().map_or(0, |last| last.sequence);
    let head = last.map_or(AuditHash([0; 32]), |last| last.hash);
    if differences.is_empty() {
        return Ok(AuditReport::Intact { entries, head });
    }
    Ok(AuditReport::Differs { entries, head, differences, more })
}

fn problem(last: Option<&AuditEntry>, entry: &AuditEntry) -> Option<AuditProblem> {
    let (sequence, previous) = match last {
        None => (1, AuditHash([0; 32])),
        Some(last) => (last.sequence.saturating_add(1), last.hash),
    };
    if entry.sequence != sequence {
        Some(AuditProblem::Gap)
    } else if entry.previous != previous {
        Some(AuditProblem::WrongPrevious)
    } else if entry.hash != entry.expected_hash() {
        Some(AuditProblem::WrongHash)
    } else {
        None
    }
}

fn compare_rows(view: &dyn ReadTransaction, mut newest: Newest, found: &mut Found<'_>) -> Result<(), StoreError> {
    view.row_states(&mut |kind, id, state| {
        let row = || RowId { kind, id: id.to_vec() };
        match newest.take(kind, id) {
            None => found.add(DifferenceKind::Added(row()), None),
            Some(known) if Some(known.state) != state => {
                found.add(DifferenceKind::Changed(row()), Some(known.sequence))
            }
            Some(_) => Ok(()),
        }
    })?;
    let mut removed: Vec<_> = newest.rows.iter().map(|(place, known)| (known.sequence, *place)).collect();
    removed.sort_unstable();
    for (sequence, place) in removed {
        if found.is_full() {
            found.more = found.more.saturating_add(1);
        } else if let Some(row) = newest.row_at(view, sequence, place)? {
            found.add(DifferenceKind::Removed(row), Some(sequence))?;
        }
    }
    for what in view.strays()? {
        found.add(what, None)?;
    }
    Ok(())
}

/// What an entry says with [`RECHAINED`].
#[derive(Deserialize)]
struct Rechained {
    old_head: String,
    broken_at: Option<u64>,
}

impl Rechained {
    fn read(entry: &AuditEntry) -> Option<Rechained> {
        if entry.action == RECHAINED { serde_json::from_str(&entry.detail).ok() } else { None }
    }
}

/// The newest state of every row, by the trail.
struct Newest {
    key: [u8; 16],
    rows: HashMap<Place, Known>,
}

/// Where a row is in [`Newest`]: a hash under a random key, so that nobody can prepare two ids that share
/// a place.
type Place = [u8; 16];

#[derive(Clone, Copy)]
struct Known {
    sequence: u64,
    state: RowState,
}

impl Newest {
    fn new() -> Result<Newest, StoreError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| StoreError::NoRandomBytes)?;
        Ok(Newest { key, rows: HashMap::new() })
    }

    fn place(&self, kind: RowKind, id: &[u8]) -> Place {
        let hash = Sha256::new().chain_update(self.key).chain_update([kind.number()]).chain_update(id).finalize();
        let mut place = [0; 16];
        place.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        place
    }

    /// Takes in what an entry says of a row. Whether the row was not as the entry before had left it.
    fn follow(&mut self, sequence: u64, bound: &BoundRow) -> bool {
        let place = self.place(bound.row.kind, &bound.row.id);
        let before = match bound.state {
            Some(state) => self.rows.insert(place, Known { sequence, state }),
            None => self.rows.remove(&place),
        };
        bound.found_changed || before.map_or(0, |before| before.sequence) != bound.previous
    }

    fn take(&mut self, kind: RowKind, id: &[u8]) -> Option<Known> {
        self.rows.remove(&self.place(kind, id))
    }

    /// The row at a place, as the entry names it.
    fn row_at(&self, view: &dyn ReadTransaction, sequence: u64, place: Place) -> Result<Option<RowId>, StoreError> {
        let entry = view.audit(None, sequence.saturating_sub(1), 1)?.pop();
        let rows = entry.iter().flat_map(|entry| entry.rows.iter().flatten());
        Ok(rows.map(|bound| bound.row).find(|row| self.place(row.kind, &row.id) == place))
    }
}

/// The differences found so far.
struct Found<'a> {
    view: &'a dyn ReadTransaction,
    listed: Vec<Difference>,
    more: u64,
}

impl Found<'_> {
    fn is_full(&self) -> bool {
        self.listed.len() >= MAX_DIFFERENCES
    }

    fn add(&mut self, what: DifferenceKind, sequence: Option<u64>) -> Result<(), StoreError> {
        if self.is_full() {
            self.more = self.more.saturating_add(1);
            return Ok(());
        }
        let entry = match sequence {
            None => None,
            Some(sequence) => self.view.audit(None, sequence.saturating_sub(1), 1)?.pop(),
        };
        let entry = entry.map(|entry| EntryName { sequence: entry.sequence, action: entry.action });
        self.listed.push(Difference { what, entry });
        Ok(())
    }
}
