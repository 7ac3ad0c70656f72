//! The report: keys that an operator should look at.

use keystile_validator::Timestamp;

use super::Keys;
use super::concern::Concern;
use super::error::ListKeysError;
use crate::key::{Key, SortColumn};
use crate::query::{KeyQuery, MAX_PAGE};
use crate::store::UnreadableRow;

/// Most keys that a section names; it counts all of them.
pub const MAX_REPORT_KEYS: usize = 100;

/// Keys that an operator should look at: one section for each of [`Concern::ALL`], in that order.
#[derive(Clone, Debug)]
pub struct KeyReport {
    /// The sections.
    pub sections: Vec<ReportSection>,
    /// Keys that cannot be read, and may belong into any of them.
    pub unreadable: Vec<UnreadableRow>,
}

/// One section of the report.
#[derive(Clone, Debug)]
pub struct ReportSection {
    /// Why its keys want attention.
    pub concern: Concern,
    /// How many keys there are.
    pub count: u64,
    /// The first [`MAX_REPORT_KEYS`] of them, oldest first.
    pub keys: Vec<Key>,
}

impl ReportSection {
    fn new(concern: Concern) -> ReportSection {
        ReportSection { concern, count: 0, keys: Vec::new() }
    }

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
        let mut report = KeyReport {
            sections: Concern::ALL.iter().copied().map(ReportSection::new).collect(),
            unreadable: Vec::new(),
        };
        let mut query =
            KeyQuery { sort: SortColumn::CreatedAt, descending: false, limit: MAX_PAGE, ..KeyQuery::default() };
        loop {
            let page = self.list(&query)?;
            report.add(&page.keys, now);
            report.unreadable.extend(page.unreadable);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(report),
            }
        }
    }
}

impl KeyReport {
    fn add(&mut self, keys: &[Key], now: Timestamp) {
        for section in &mut self.sections {
            let concern = section.concern;
            keys.iter().filter(|key| key.raises(concern, now)).for_each(|key| section.add(key));
        }
    }
}
