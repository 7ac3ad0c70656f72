//! Concerns: why a key wants an operator's attention.

use std::fmt;
use std::str::FromStr;

use keystile_validator::Timestamp;

use super::Keys;
use crate::key::{Key, KeyStatus, UnknownName, names};
use crate::store::StoreError;

/// Not used for so long: 90 days, in seconds.
pub const IDLE_SECONDS: u64 = 90 * 86_400;
/// A secret is old after so long: 90 days, in seconds.
pub const OLD_SECONDS: u64 = 90 * 86_400;
/// A key expires soon within so long: 7 days, in seconds.
pub const EXPIRING_SECONDS: u64 = 7 * 86_400;
/// Refused for so long without anybody missing it, a key is safe to remove: 30 days, in seconds.
pub const UNMISSED_SECONDS: u64 = 30 * 86_400;

names! {
    /// Why a key wants an operator's attention. But for [`Concern::SafeToRemove`], only keys that are in
    /// use, suspended or not yet valid raise one.
    Concern {
        /// Never expires.
        NoExpiry = "no_expiry",
        /// The secret is older than 90 days.
        Old = "old",
        /// Used once, but not within the last 90 days.
        Idle = "idle",
        /// Never used.
        NeverUsed = "never_used",
        /// Expires within 7 days.
        Expiring = "expiring",
        /// Has no scopes: nothing limits it where the caller asks for none.
        NoScopes = "no_scopes",
        /// Nobody would miss it: suspended or expired for 30 days, or made 90 days ago and never used
        /// since. It can be revoked.
        SafeToRemove = "safe_to_remove",
    }
}

impl Concern {
    /// What it means, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Concern::NoExpiry => "Without an expiry",
            Concern::Old => "Secret older than 90 days",
            Concern::Idle => "Not used for 90 days",
            Concern::NeverUsed => "Never used",
            Concern::Expiring => "Expiring within 7 days",
            Concern::NoScopes => "Without scopes",
            Concern::SafeToRemove => "Safe to remove",
        }
    }
}

impl Key {
    /// Whether the key raises this concern at this time.
    pub fn raises(&self, concern: Concern, now: Timestamp) -> bool {
        let since = |at: Timestamp| now.seconds_since(at);
        let status = self.status(now);
        if concern == Concern::SafeToRemove {
            return match status {
                KeyStatus::Suspended => self.suspended_at.is_some_and(|at| since(at) > UNMISSED_SECONDS),
                KeyStatus::Expired => self.expires_at.is_some_and(|at| since(at) > UNMISSED_SECONDS),
                KeyStatus::Active => self.last_used_at().is_none() && since(self.created_at) > IDLE_SECONDS,
                KeyStatus::Revoked | KeyStatus::NotYetValid => false,
            };
        }
        if matches!(status, KeyStatus::Revoked | KeyStatus::Expired) {
            return false;
        }
        match concern {
            Concern::NoExpiry => self.expires_at.is_none(),
            Concern::Old => self.active_secret().is_some_and(|secret| since(secret.created_at) > OLD_SECONDS),
            Concern::Idle => self.last_used_at().is_some_and(|last| since(last) > IDLE_SECONDS),
            Concern::NeverUsed => self.last_used_at().is_none(),
            // One that is suspended may be expired by now.
            Concern::Expiring => self.expires_at.is_some_and(|at| at > now && at.seconds_since(now) < EXPIRING_SECONDS),
            Concern::NoScopes => self.scopes.is_empty(),
            Concern::SafeToRemove => false,
        }
    }
}

/// How many keys there are, and how many raise each concern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// All keys, whatever their state.
    pub keys: u64,
    /// One number for each of [`Concern::ALL`], in that order.
    pub(crate) concerns: Vec<u64>,
}

impl KeyCounts {
    /// How many keys raise this concern.
    pub fn of(&self, concern: Concern) -> u64 {
        let counts = Concern::ALL.iter().zip(&self.concerns);
        counts.into_iter().find(|(known, _)| **known == concern).map_or(0, |(_, count)| *count)
    }
}

impl Keys<'_> {
    /// Counts all keys, and those that raise each concern as of now. It looks at every key: some 100 ms
    /// for 100,000 of them.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Concern, Keystile, NewKey, NewStore};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() })?;
    /// let counts = keystile.keys().counts()?;
    /// assert_eq!((counts.keys, counts.of(Concern::NeverUsed), counts.of(Concern::Idle)), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn counts(&self) -> Result<KeyCounts, StoreError> {
        self.inner.store().read()?.key_counts(self.inner.now())
    }
}
