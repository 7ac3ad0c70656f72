//! The report: keys that an operator should look at.

use keystile_validator::Timestamp;

use super::Keys;
use super::error::ListKeysError;
use crate::key::{Key, KeyStatus, SortColumn};
use crate::query::{KeyQuery, MAX_PAGE};

/// Not used for so long: 90 days, in seconds.
pub const IDLE_SECONDS: u64 = 90 * 86_400;
/// A secret is old after so long: 90 days, in seconds.
pub const OLD_SECONDS: u64 = 90 * 86_400;
/// A key expires soon within so long: 7 days, in seconds.
pub const EXPIRING_SECONDS: u64 = 7 * 86_400;
/// Most keys that a section names; it counts all of them.
pub const MAX_REPORT_KEYS: usize = 100;

/// Keys that an operator should look at. Only keys that are in use or suspended are in it.
#[derive(Clone, Debug, Default)]
pub struct KeyReport {
    /// Used once, but not within the last 90 days.
    pub idle: ReportSection,
    /// The secret is older than 90 days.
    pub old: ReportSection,
    /// Expires within 7 days.
    pub expiring: ReportSection,
    /// Never used.
    pub never_used: ReportSection,
    /// Never expires.
    pub no_expiry: ReportSection,
}

/// One section of the report.
#[derive(Clone, Debug, Default)]
pub struct ReportSection {
    /// How many keys there are.
    pub count: u64,
    /// The first [`MAX_REPORT_KEYS`] of them, oldest first.
    pub keys: Vec<Key>,
}

impl ReportSection {
    fn add(&mut self, key: &Key) {
        self.count = self.count.saturating_add(1);
        if self.keys.len() < MAX_REPORT_KEYS {
            self.keys.push(key.clone());
        }
    }
}

impl Keys<'_> {
    /// The report as of now.
    ///
    /// # Errors
    /// [`ListKeysError`] when the store refuses.
    pub fn report(&self) -> Result<KeyReport, ListKeysError> {
        let now = self.inner.now();
        let mut report = KeyReport::default();
        let mut query =
            KeyQuery { sort: SortColumn::CreatedAt, descending: false, limit: MAX_PAGE, ..KeyQuery::default() };
        loop {
            let page = self.list(&query)?;
            page.keys.iter().for_each(|key| report.add(key, now));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(report),
            }
        }
    }
}

impl KeyReport {
    fn add(&mut self, key: &Key, now: Timestamp) {
        if matches!(key.status(now), KeyStatus::Revoked | KeyStatus::Expired) {
            return;
        }
        match key.last_used_at() {
            None => self.never_used.add(key),
            Some(last) if now.seconds_since(last) > IDLE_SECONDS => self.idle.add(key),
            Some(_) => {}
        }
        if key.active_secret().is_some_and(|secret| now.seconds_since(secret.created_at) > OLD_SECONDS) {
            self.old.add(key);
        }
        match key.expires_at {
            None => self.no_expiry.add(key),
            Some(at) if at.seconds_since(now) < EXPIRING_SECONDS => self.expiring.add(key),
            Some(_) => {}
        }
    }
}
