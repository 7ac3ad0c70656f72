//! The newest time that is known of a store. For verdicts, time never goes back.
//!
//! The store keeps the newest time that a writer has seen, and a process keeps what it has seen since. When the
//! clock is behind that, a verdict must allow at both times: what was over stays over, and what has not begun by the
//! clock has not begun. Deadlines are counted by the clock alone, so one that is made meanwhile can only be early.
//!
//! A clock that was ahead for a while leaves a time in the store that is yet to come. Then whatever expires before it
//! is refused, until the clock gets there or an operator accepts the earlier time ([`Keystile::accept_clock`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use keystile_validator::Timestamp;
use serde_json::json;

use crate::keys::MAX_GRACE;
use crate::keystile::{Inner, Keystile};
use crate::query::{KeyQuery, MAX_PAGE};
use crate::sessions::{end_sessions_from_the_future, end_sessions_over_by, end_sessions_without_key};
use crate::store::{ClockRow, ReadTransaction, StoreError, WriteTransaction};
use crate::text::rfc3339;
use crate::{KeyStatus, SortColumn};

/// Seconds by which a clock may be behind the newest time of its store before anybody hears of it. Clocks of two
/// machines, or of one that was set, differ by as much.
pub const CLOCK_TOLERANCE: u64 = 60;
/// Seconds after which the time is noted in the store, also when nothing else is written.
pub(crate) const NOTE_INTERVAL: u64 = 600;
/// Secrets that one write ends because their time is over. Others wait for the next write, and are refused by
/// their times until then.
pub(crate) const SECRETS_ENDED_AT_ONCE: usize = 200;

/// The time of a store: what the clock says, and the newest time that is known.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keystile.db");
/// use keystile::{Keystile, NewStore};
/// Keystile::create(&path, NewStore::default())?;
/// assert_eq!(Keystile::open(&path)?.time().behind(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTime {
    /// What the clock says.
    pub clock: Timestamp,
    /// The newest time that the store or this process has seen, at least that of the clock.
    pub newest: Timestamp,
}

impl StoreTime {
    /// Seconds by which the clock is behind, when they are more than [`CLOCK_TOLERANCE`]. Until the clock has caught
    /// up, whatever expires before `newest` is refused.
    pub fn behind(&self) -> Option<u64> {
        Some(self.newest.seconds_since(self.clock)).filter(|behind| *behind > CLOCK_TOLERANCE)
    }
}

/// What became of a store whose clock was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedClock {
    /// The newest time that was known before.
    pub from: Timestamp,
    /// What the clock says, which is the newest time from now on.
    pub to: Timestamp,
    /// Active keys that had expired by `from` and have not by `to`: they are allowed again.
    pub keys_valid_again: u64,
    /// Sessions that were ended because they had expired by `from`, or were begun after `to`.
    pub sessions_ended: u64,
    /// Replaced secrets that were ended because their grace was over by `from`.
    pub secrets_ended: u64,
    /// Replaced secrets whose grace was begun while the clock was ahead, and now counts from `to`.
    pub graces_shortened: u64,
}

impl Keystile {
    /// What the clock says, and the newest time that is known of the store. Whoever opens a store should look at
    /// [`StoreTime::behind`] and tell an operator.
    pub fn time(&self) -> StoreTime {
        let clock = self.inner.now();
        StoreTime { clock, newest: self.inner.newest_time().unwrap_or_else(|| self.inner.time.latest()) }
    }

    /// Accepts that it is as late as the clock says, although the store has seen a later time: for an operator who
    /// knows that the clock was ahead then, and is right now. With a clock that is slow, keys that have expired are
    /// allowed again until it is set.
    ///
    /// What was ended stays ended, and nothing that was revoked comes back: secrets and sessions that were over by
    /// the later time end for good. Keys that had expired by it and have not by the clock are allowed again.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses; nothing was changed then.
    pub fn accept_clock(&self) -> Result<AcceptedClock, StoreError> {
        let inner = &*self.inner;
        let mut transaction = inner.store().write()?;
        let StoreTime { clock, newest } = self.time();
        let accepted = accept(inner, &mut *transaction, newest, clock)?;
        transaction.commit()?;
        // The change is done. If it cannot be read back, everything is denied until the mirror has caught up.
        let _ = inner.follow();
        let _ = inner.newest_time();
        Ok(accepted)
    }
}

fn accept(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    from: Timestamp,
    now: Timestamp,
) -> Result<AcceptedClock, StoreError> {
    let row = inner.known_clock(transaction, now)?;
    let from = from.max(row.newest);
    let mut accepted = AcceptedClock {
        from,
        to: now,
        keys_valid_again: valid_again(&*transaction, from, now)?,
        sessions_ended: 0,
        secrets_ended: 0,
        graces_shortened: 0,
    };
    loop {
        let ended = transaction.end_secrets(from, SECRETS_ENDED_AT_ONCE)?;
        accepted.secrets_ended = accepted.secrets_ended.saturating_add(ended);
        if ended < SECRETS_ENDED_AT_ONCE as u64 {
            break;
        }
    }
    accepted.graces_shortened = transaction.shorten_graces(now, MAX_GRACE)?;
    accepted.sessions_ended = end_sessions_over_by(inner, transaction, from, now)?
        .saturating_add(end_sessions_from_the_future(inner, transaction, now)?)
        .saturating_add(end_sessions_without_key(inner, transaction, now)?);
    let detail = json!({
        "from": rfc3339(from),
        "to": rfc3339(now),
        "keys_valid_again": accepted.keys_valid_again,
        "sessions_ended": accepted.sessions_ended,
        "secrets_ended": accepted.secrets_ended,
        "graces_shortened": accepted.graces_shortened,
    });
    inner.audit(transaction, now, CLOCK_ACCEPTED, None, &detail)?;
    // Last, because an entry notes its time.
    let accepted_times = row.accepted.saturating_add(1);
    transaction.set_clock(ClockRow { newest: now, clock: now, steady_since: now, accepted: accepted_times })?;
    Ok(accepted)
}

/// The action of the entry by which the newest time goes back.
pub(crate) const CLOCK_ACCEPTED: &str = "clock.accepted";

/// How many active keys have expired at the later time and not at the earlier one.
fn valid_again(view: &dyn ReadTransaction, later: Timestamp, earlier: Timestamp) -> Result<u64, StoreError> {
    let mut query = KeyQuery {
        status: Some(KeyStatus::Expired),
        sort: SortColumn::ExpiresAt,
        descending: true,
        limit: MAX_PAGE,
        ..KeyQuery::default()
    };
    let mut count = 0_u64;
    loop {
        let page = view.keys(&query, later)?;
        for key in &page.keys {
            if key.expires_at.is_some_and(|at| at <= earlier) {
                return Ok(count);
            }
            count = count.saturating_add(1);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(count),
        }
    }
}

/// The newest time that this process knows.
#[derive(Debug, Default)]
pub(crate) struct Timekeeper {
    latest: AtomicU64,
    /// What the newest view of the store says.
    row: Mutex<Option<ClockRow>>,
    /// The newest time that is in the store, as far as this process knows.
    noted: AtomicU64,
    /// Whether something was refused because its time is over, which is not in the store yet.
    is_over: AtomicBool,
}

impl Timekeeper {
    /// Notes what the clock says. The hot path: a write only when a second has passed.
    pub(crate) fn saw(&self, now: Timestamp) {
        raise(&self.latest, now);
    }

    /// The newest time.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::from_unix(self.latest.load(Ordering::Acquire)).unwrap_or(Timestamp::MAX)
    }

    /// The time by which what has expired long ago may be forgotten, by the newest view; see [`forgettable`].
    pub(crate) fn forgettable(&self) -> Option<Timestamp> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner).and_then(ClockRow::forgettable)
    }

    /// Takes over what a view of the store says. When an earlier time was accepted, it is the newest one from now on.
    pub(crate) fn follow(&self, row: ClockRow) {
        let mut known = self.row.lock().unwrap_or_else(PoisonError::into_inner);
        match known.map(|known| known.accepted) {
            // A view from before the newest one.
            Some(accepted) if row.accepted < accepted => return,
            Some(accepted) if row.accepted > accepted => {
                self.latest.store(row.newest.unix(), Ordering::Release);
                self.noted.store(row.newest.unix(), Ordering::Release);
            }
            _ => {
                raise(&self.latest, row.newest);
                raise(&self.noted, row.newest);
            }
        }
        *known = Some(row);
    }

    /// Says that something was refused because its time is over.
    pub(crate) fn saw_end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// The time to note in the store; `None`: there is no need. `by_itself`: also when nothing has ended.
    fn due(&self, by_itself: bool) -> Option<Timestamp> {
        let (latest, noted) = (self.latest(), self.noted.load(Ordering::Acquire));
        let is_over = self.is_over.swap(false, Ordering::AcqRel);
        let passed = latest.unix().saturating_sub(noted);
        ((by_itself && passed >= NOTE_INTERVAL) || (is_over && passed > 0)).then_some(latest)
    }
}

/// The time by which what has expired long ago may be forgotten; `None`: nothing may, as right after the time has jumped
/// ahead, since the clock may be wrong. It is what the clock said at the last write, which in a write is this one:
/// nothing is ever forgotten by another time.
pub(crate) fn forgettable(view: &dyn ReadTransaction) -> Result<Option<Timestamp>, StoreError> {
    Ok(readable_clock(view)?.and_then(ClockRow::forgettable))
}

/// What a view says of the time; `None` when that cannot be read. Then every verdict is `unavailable`, and nobody is
/// kept from looking at the store and from revoking.
pub(crate) fn readable_clock(view: &dyn ReadTransaction) -> Result<Option<ClockRow>, StoreError> {
    match view.clock() {
        Err(StoreError::InvalidValue { .. }) => Ok(None),
        row => row.map(Some),
    }
}

fn raise(time: &AtomicU64, to: Timestamp) {
    if time.load(Ordering::Relaxed) < to.unix() {
        time.fetch_max(to.unix(), Ordering::AcqRel);
    }
}

impl Inner {
    /// What the clock says.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        self.time.saw(now);
        now
    }

    /// The newest time that is known of the store; `None`: it cannot be read.
    pub(crate) fn newest_time(&self) -> Option<Timestamp> {
        if self.mirror.is_on_demand() {
            let clock = self.store().read().and_then(|view| view.clock());
            self.time.follow(clock.ok()?);
        }
        Some(self.time.latest())
    }

    /// What the store says of the time in a write; when that cannot be read, what this process knows.
    pub(crate) fn known_clock(&self, view: &dyn ReadTransaction, now: Timestamp) -> Result<ClockRow, StoreError> {
        Ok(readable_clock(view)?.unwrap_or_else(|| {
            let known = *self.time.row.lock().unwrap_or_else(PoisonError::into_inner);
            let accepted = known.map_or(0, |known| known.accepted);
            ClockRow { newest: self.time.latest().max(now), clock: now, steady_since: now, accepted }
        }))
    }

    /// Whether a request is meant for this moment, and not for trying out another time.
    pub(crate) fn is_about_now(&self, time: Timestamp) -> bool {
        let now = self.now();
        now.seconds_since(time).max(time.seconds_since(now)) <= CLOCK_TOLERANCE
    }

    /// Notes in a write how late it is. What was over by the newest time stays over: replaced secrets end, and when
    /// the clock has gone back, so do sessions that had expired.
    pub(crate) fn note_time(&self, transaction: &mut dyn WriteTransaction, now: Timestamp) -> Result<(), StoreError> {
        let row = self.known_clock(transaction, now)?;
        let latest = row.newest.max(self.time.latest()).max(now);
        let ended = transaction.end_secrets(latest, SECRETS_ENDED_AT_ONCE)?;
        if ended > 0 {
            self.audit(transaction, now, "secrets.ended", None, &json!({ "secrets": ended }))?;
        }
        // Once for each time that it goes back, or refresh windows would be closed for as long as it is behind.
        if latest > now && (now < row.clock || latest > row.newest) {
            let sessions = end_sessions_over_by(self, transaction, latest, now)?;
            if sessions > 0 {
                let detail = json!({ "seconds": latest.seconds_since(now), "sessions": sessions });
                self.audit(transaction, now, "clock.went_back", None, &detail)?;
            }
        }
        transaction.note_time(now, latest)
    }

    /// Notes the time in the store, when something has ended since it was noted last, or it was long ago.
    pub(crate) fn note_time_if_due(&self) -> Result<(), StoreError> {
        if self.read_only {
            return Ok(());
        }
        let now = self.now();
        // A command that only reads does not wait for writers.
        let Some(latest) = self.time.due(!self.mirror.is_on_demand()) else { return Ok(()) };
        let noted = self.store().write().and_then(|mut transaction| {
            self.note_time(&mut *transaction, now)?;
            transaction.commit()
        });
        match noted {
            Ok(_) => {
                raise(&self.time.noted, latest);
                Ok(())
            }
            Err(error) => {
                self.time.saw_end();
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
