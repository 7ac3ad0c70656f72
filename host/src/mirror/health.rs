//! Whether the mirror shows what the store says, and since when.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Longest time since the view in force was taken, or was known to be the newest one, after which every
/// verdict is `unavailable`, in milliseconds. The store is asked every 20 ms, so only a hanging disk, a
/// stopped thread or a very long load takes so long.
const MAX_SILENCE: u64 = 5_000;

/// Whether the mirror may be used.
pub(super) struct Health {
    made: Instant,
    has_caught_up: AtomicBool,
    is_abandoned: AtomicBool,
    /// The newest moment at which the mirror showed all that was committed.
    last_seen: AtomicU64,
}

/// How much has changed since the view in force, as far as it was read. While more than a bound of it is read, nothing
/// may be allowed: what is in force may be wrong for too long.
pub(super) struct Extent<'a> {
    health: &'a Health,
    /// Changes until the bound is reached.
    left: usize,
}

impl<'a> Extent<'a> {
    /// With this bound.
    pub(super) fn new(health: &'a Health, bound: usize) -> Extent<'a> {
        Extent { health, left: bound }
    }

    /// Counts a change that was read.
    pub(super) fn count(&mut self) {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.health.set_caught_up(false),
        }
    }
}

/// A moment in the life of a mirror, in milliseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp(u64);

impl Health {
    /// Not usable until the first follow has worked.
    pub(super) fn new() -> Health {
        Health {
            made: Instant::now(),
            has_caught_up: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            last_seen: AtomicU64::new(0),
        }
    }

    /// This moment. Must be taken before the store is asked: what is committed later is not in the answer.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Says that the mirror shows all that was committed before this moment.
    pub(super) fn confirm(&self, Stamp(at): Stamp) {
        self.last_seen.fetch_max(at, Ordering::AcqRel);
    }

    /// Says how the last attempt to follow ended.
    pub(super) fn set_caught_up(&self, has_caught_up: bool) {
        self.has_caught_up.store(has_caught_up, Ordering::Release);
    }

    /// Whether the last attempt to follow worked.
    pub(super) fn has_caught_up(&self) -> bool {
        self.has_caught_up.load(Ordering::Acquire)
    }

    /// Marks the mirror as unusable for good: the thread that follows the store has ended.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
    }

    /// Whether the mirror may be used.
    pub(super) fn is_good(&self) -> bool {
        let Stamp(now) = self.stamp();
        self.has_caught_up()
            && !self.is_abandoned.load(Ordering::Acquire)
            && now.saturating_sub(self.last_seen.load(Ordering::Acquire)) <= MAX_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A mirror that was made so long ago.
    fn aged(milliseconds: u64) -> Health {
        let made = Instant::now().checked_sub(Duration::from_millis(milliseconds)).unwrap();
        Health { made, ..Health::new() }
    }

    #[test]
    fn a_mirror_is_not_good_before_its_first_follow_nor_without_a_follower() {
        let health = Health::new();
        assert!(!health.is_good());
        health.set_caught_up(true);
        assert!(health.is_good());
        health.abandon();
        assert!(!health.is_good());
    }

    /// What counts is when the view was taken, however long reading it took.
    #[test]
    fn silence_counts_from_the_stamp() {
        let health = aged(100_000);
        health.set_caught_up(true);
        let Stamp(now) = health.stamp();
        health.confirm(Stamp(now - MAX_SILENCE - 1));
        assert!(!health.is_good(), "a view from before the longest silence");
        health.confirm(Stamp(now - MAX_SILENCE / 2));
        assert!(health.is_good());
        // A slower thread confirms an older view: the newer one stays in force.
        health.confirm(Stamp(0));
        assert!(health.is_good());
    }
}
