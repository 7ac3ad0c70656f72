//! Rate limits: how often each key was used in its current window.
//!
//! A window starts with the first allowed call and ends a fixed time later, whatever comes in
//! between. A place in it is taken before the verdict and given back when the verdict is a deny, so
//! that calls at the same time cannot share one and a denied call burns none. The counts live in
//! this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keystile_validator::{KeyId, Rate, Timestamp, Usage};

const SHARDS: usize = 64;

/// The windows of all keys that have a rate and were used lately.
pub(crate) struct RateWindows {
    shards: Box<[Mutex<HashMap<KeyId, Window>>]>,
}

#[derive(Clone, Copy)]
struct Window {
    used: u32,
    resets_at: Timestamp,
}

/// A place in a window that was taken for one call.
pub(crate) struct Reservation {
    key: KeyId,
    resets_at: Timestamp,
    /// What the validator is told: the calls before this one.
    pub(crate) usage: Usage,
    taken: bool,
}

impl RateWindows {
    pub(crate) fn new() -> RateWindows {
        RateWindows { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Takes a place for one call, when there is one left.
    pub(crate) fn reserve(&self, key: KeyId, rate: Rate, now: Timestamp) -> Reservation {
        let ends = now.saturating_add(u64::from(rate.window()));
        let mut shard = self.shard(key);
        let window = shard.entry(key).or_insert(Window { used: 0, resets_at: ends });
        if now >= window.resets_at {
            *window = Window { used: 0, resets_at: ends };
        }
        // The clock went back, or the window became shorter: it never lasts longer than a full one.
        window.resets_at = window.resets_at.min(ends);
        let usage = Usage { used: window.used, resets_at: window.resets_at };
        let taken = window.used < rate.limit();
        if taken {
            window.used = window.used.saturating_add(1);
        }
        Reservation { key, resets_at: window.resets_at, usage, taken }
    }

    /// Gives the place back: the call was denied.
    pub(crate) fn release(&self, reservation: &Reservation) {
        if !reservation.taken {
            return;
        }
        if let Some(window) = self.shard(reservation.key).get_mut(&reservation.key)
            && window.resets_at == reservation.resets_at
        {
            window.used = window.used.saturating_sub(1);
        }
    }

    /// Forgets the windows that are over.
    pub(crate) fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, window| now < window.resets_at);
        }
    }

    fn shard(&self, key: KeyId) -> std::sync::MutexGuard<'_, HashMap<KeyId, Window>> {
        // The last bytes of a UUIDv7 are random.
        let number = usize::from(key.as_bytes()[15]) % SHARDS;
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds).unwrap()
    }

    const KEY: KeyId = KeyId::from_bytes([9; 16]);

    #[test]
    fn a_window_has_a_fixed_end_and_then_starts_from_nothing() {
        let windows = RateWindows::new();
        let rate = Rate::new(2, 60).unwrap();
        let used = |now| windows.reserve(KEY, rate, at(now)).usage;
        assert_eq!(used(100), Usage { used: 0, resets_at: at(160) });
        assert_eq!(used(150), Usage { used: 1, resets_at: at(160) });
        assert_eq!(used(159), Usage { used: 2, resets_at: at(160) }, "refused calls do not move the end");
        assert_eq!(used(160), Usage { used: 0, resets_at: at(220) });
    }

    #[test]
    fn a_denied_call_burns_nothing() {
        let windows = RateWindows::new();
        let rate = Rate::new(1, 60).unwrap();
        for _ in 0..5 {
            let reservation = windows.reserve(KEY, rate, at(0));
            assert_eq!(reservation.usage.used, 0);
            windows.release(&reservation);
        }
        let last = windows.reserve(KEY, rate, at(0));
        assert!(last.taken);
        let refused = windows.reserve(KEY, rate, at(0));
        windows.release(&refused);
        assert_eq!(windows.reserve(KEY, rate, at(0)).usage.used, 1, "a refused call gives nothing back");
    }

    #[test]
    fn a_clock_that_goes_back_does_not_lock_a_key_out() {
        let windows = RateWindows::new();
        let rate = Rate::new(1, 60).unwrap();
        windows.reserve(KEY, rate, at(1_000_000));
        assert_eq!(windows.reserve(KEY, rate, at(100)).usage, Usage { used: 1, resets_at: at(160) });
        assert_eq!(windows.reserve(KEY, rate, at(160)).usage.used, 0);
    }

    #[test]
    fn windows_that_are_over_are_forgotten() {
        let windows = RateWindows::new();
        windows.reserve(KEY, Rate::new(1, 60).unwrap(), at(0));
        windows.sweep(at(60));
        assert!(windows.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
