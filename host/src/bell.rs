//! A bell that threads wait for.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A bell that threads wait for. It stays rung until it is reset.
#[derive(Default)]
pub(crate) struct Bell {
    rang: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Wakes all threads that wait for it.
    pub(crate) fn ring(&self) {
        *self.rang.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Makes threads wait for the next ring.
    pub(crate) fn reset(&self) {
        *self.rang.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Whether it has rung since it was last reset.
    pub(crate) fn has_rung(&self) -> bool {
        *self.rang.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the bell rings, or so long; whether it rang.
    pub(crate) fn wait(&self, longest: Duration) -> bool {
        let rang = self.rang.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.changed.wait_timeout_while(rang, longest, |rang| !*rang);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }
}
