//! The loop that follows the store, whoever writes it.

use std::time::Duration;

use keystile_validator::Timestamp;

use super::{Mirror, Moved, Stamp};
use crate::bell::Bell;
use crate::store::{Store, StoreError};

/// How often the store is asked whether anybody wrote: five times within the 100 ms in which a revoke of
/// another process must be known.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(20);
/// The pause between two steps while there are new keys to load. It leaves the mirror to whoever waits to
/// move it after a change of its own.
pub(crate) const BETWEEN_STEPS: Duration = Duration::from_millis(1);

/// Follows the store until the bell rings: asks it, and calls `follow` when there is anything to do.
pub(crate) fn follow_store(
    mirror: &Mirror,
    store: &dyn Store,
    stop: &Bell,
    now: impl Fn() -> Timestamp,
    follow: impl Fn() -> Result<Moved, StoreError>,
) {
    mirror.health.set_followed();
    let mut pause = FOLLOW_INTERVAL;
    while !stop.wait(pause) {
        pause = mirror.look_after(store, now(), &follow);
    }
}

impl Mirror {
    /// One turn of the loop; how long to wait before the next one.
    pub(super) fn look_after(
        &self,
        store: &dyn Store,
        now: Timestamp,
        follow: &impl Fn() -> Result<Moved, StoreError>,
    ) -> Duration {
        let stamp: Stamp = self.health.stamp();
        match store.has_changed() {
            Ok(false) if !self.is_behind(now) => {
                self.health.confirm(stamp);
                FOLLOW_INTERVAL
            }
            // When the store cannot be asked, following fails for the same reason.
            Ok(_) | Err(_) => match follow() {
                Ok(moved) if moved.has_more => BETWEEN_STEPS,
                // A failure is said to whoever asks for a verdict.
                Ok(_) | Err(_) => FOLLOW_INTERVAL,
            },
        }
    }

    /// Whether there is something to do although the store has not changed: an earlier attempt, of whatever
    /// thread, has failed or left new keys behind; or a key of the store has begun to sign or is gone.
    fn is_behind(&self, now: Timestamp) -> bool {
        !self.health.has_caught_up() || self.has_more() || self.issuers.are_due(now)
    }
}

/// Marks the mirror as unusable when it is dropped, also by a panic.
pub(crate) struct Abandon<'a>(pub(crate) &'a Mirror);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
