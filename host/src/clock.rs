//! The clock: time is handed in, and this file is the only one that asks the system for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use keystile_validator::Timestamp;

/// Where the host gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one clock that asks the system")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as 1970: keys with a start are then not yet valid.
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Timestamp::from_unix(seconds).unwrap_or(Timestamp::MAX)
    }
}

/// A clock that stands still until it is set: for tests, and for judging at another time.
///
/// ```
/// use keystile::{Clock, ManualClock, Timestamp};
/// let clock = ManualClock::at(Timestamp::from_unix(1_700_000_000)?);
/// clock.advance(60);
/// assert_eq!(clock.now().unix(), 1_700_000_060);
/// # Ok::<(), keystile::TimestampError>(())
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at(now: Timestamp) -> ManualClock {
        ManualClock(AtomicU64::new(now.unix()))
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix(), Ordering::SeqCst);
    }

    /// Moves the time forwards by so many seconds.
    pub fn advance(&self, seconds: u64) {
        self.set(self.now().saturating_add(seconds));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
