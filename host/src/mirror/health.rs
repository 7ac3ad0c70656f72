//! Whether the mirror shows what the store says, and since when.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time since the view in force was taken, or was known to be the newest one, after which the mirror is not
/// healthy, in milliseconds. The store is asked every 20 ms, so only a hanging disk, a stopped thread or a very long load
/// takes so long.
const MAX_SILENCE: u64 = 5_000;

/// A verdict is given by a view that is at most so old, in milliseconds. When the last one that was confirmed is older,
/// as after a process was stopped and goes on, the verdict waits until the follower has looked at the store.
const FRESH: u64 = 250;

/// How long a verdict waits for that. After it, that verdict is `unavailable`, and so is every other one until the
/// follower has looked.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Whether the mirror may be used.
pub(super) struct Health {
    made: Instant,
    has_caught_up: AtomicBool,
    is_abandoned: AtomicBool,
    /// The newest moment at which the mirror showed all that was committed.
    last_seen: AtomicU64,
    /// Whether a thread looks at the store again and again. Without one, nobody is waited for.
    is_followed: AtomicBool,
    /// Whether a verdict has waited in vain since the last confirmation.
    is_silent: AtomicBool,
    /// Rung when anything of this changes, for the verdicts that wait.
    changed: Condvar,
    waiting: Mutex<()>,
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
            is_followed: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            changed: Condvar::new(),
            waiting: Mutex::new(()),
        }
    }

    /// Says that a thread looks at the store again and again from now on.
    pub(super) fn set_followed(&self) {
        self.is_followed.store(true, Ordering::Release);
    }

    /// This moment. Must be taken before the store is asked: what is committed later is not in the answer.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Says that the mirror shows all that was committed before this moment.
    pub(super) fn confirm(&self, Stamp(at): Stamp) {
        self.last_seen.fetch_max(at, Ordering::AcqRel);
        self.is_silent.store(false, Ordering::Release);
        self.wake();
    }

    /// Says how the last attempt to follow ended.
    pub(super) fn set_caught_up(&self, has_caught_up: bool) {
        self.has_caught_up.store(has_caught_up, Ordering::Release);
        if !has_caught_up {
            self.wake();
        }
    }

    /// Whether the last attempt to follow worked.
    pub(super) fn has_caught_up(&self) -> bool {
        self.has_caught_up.load(Ordering::Acquire)
    }

    /// Marks the mirror as unusable for good: the thread that follows the store has ended.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the mirror may be used, as far as that is known now.
    pub(super) fn is_good(&self) -> bool {
        self.is_usable() && self.is_confirmed_since(self.stamp(), MAX_SILENCE)
    }

    /// Whether a verdict of this moment may be given by the mirror: it shows what was committed until a moment ago.
    pub(super) fn is_fresh(&self) -> bool {
        if !self.is_followed.load(Ordering::Acquire) {
            return self.is_good();
        }
        self.is_usable() && self.is_confirmed_since(self.stamp(), FRESH)
    }

    /// The same; when nobody has looked at the store for longer, this waits until somebody has.
    pub(super) fn wait_until_fresh(&self) -> bool {
        self.is_fresh() || self.is_followed.load(Ordering::Acquire) && self.wait(LONGEST_WAIT)
    }

    #[cold]
    fn wait(&self, longest: Duration) -> bool {
        // A look at the store that has begun before may take longer than what is fresh. What it shows was committed
        // before this moment all the same.
        let now = self.stamp();
        let is_confirmed = || self.is_confirmed_since(now, FRESH);
        let waits = |(): &mut ()| self.is_usable() && !is_confirmed() && !self.is_silent.load(Ordering::Acquire);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.changed.wait_timeout_while(waiting, longest, waits);
        drop(result.unwrap_or_else(PoisonError::into_inner));
        if is_confirmed() {
            return self.is_usable();
        }
        if self.is_usable() {
            self.is_silent.store(true, Ordering::Release);
            self.wake();
        }
        false
    }

    fn wake(&self) {
        // Whoever has found nothing new, and does not wait yet, holds it.
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn is_usable(&self) -> bool {
        self.has_caught_up() && !self.is_abandoned.load(Ordering::Acquire)
    }

    /// Whether the mirror has shown all that was committed until so many milliseconds before this moment.
    fn is_confirmed_since(&self, Stamp(now): Stamp, longest: u64) -> bool {
        now.saturating_sub(self.last_seen.load(Ordering::Acquire)) <= longest
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

    /// A process that was stopped goes on: nothing is answered by what it knew before.
    #[test]
    fn an_old_view_is_waited_with() {
        let health = std::sync::Arc::new(aged(100_000));
        health.set_caught_up(true);
        let Stamp(now) = health.stamp();
        health.confirm(Stamp(now - 2 * FRESH));
        assert!(health.is_fresh() && health.wait_until_fresh(), "nobody follows: there is nothing to wait for");
        health.set_followed();
        assert!(!health.is_fresh() && health.is_good());
        let waits = std::thread::spawn({
            let health = std::sync::Arc::clone(&health);
            move || health.wait(Duration::MAX)
        });
        // A look that has begun too early says nothing.
        health.confirm(Stamp(now - FRESH - 1));
        assert!(!waits.is_finished());
        health.confirm(health.stamp());
        assert!(waits.join().unwrap());
        assert!(health.is_fresh() && health.wait_until_fresh());
    }

    #[test]
    fn waiting_ends_when_nobody_looks_or_a_look_fails() {
        let old = || {
            let health = std::sync::Arc::new(aged(100_000));
            health.set_caught_up(true);
            health.set_followed();
            health
        };
        let health = old();
        assert!(!health.wait(Duration::ZERO));
        assert!(!health.wait(Duration::MAX), "one has waited in vain: no other one does, until there is an answer");
        health.confirm(health.stamp());
        assert!(health.wait(Duration::MAX));
        for fails in [(|health: &Health| health.set_caught_up(false)) as fn(&Health), Health::abandon] {
            let health = old();
            let waits = std::thread::spawn({
                let health = std::sync::Arc::clone(&health);
                move || health.wait(Duration::MAX)
            });
            fails(&health);
            assert!(!waits.join().unwrap());
        }
    }
}
