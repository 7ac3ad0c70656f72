//! The keys on the screen: as many pages of them as were looked at, in the order of the store.
//!
//! A page knows where it starts. When the store changes, only the pages in view are read again; those
//! above are read again when somebody scrolls up to them, those below when somebody scrolls down.

use keystile::bounds::{MAX_PAGE, MAX_SEARCH_LEN};
use keystile::{Cursor, Key, KeyId, KeyPage, KeyQuery, SortColumn};

use crate::input::Input;
use crate::message::Effect;

/// Keys that are read at once when somebody scrolls.
const PAGE: usize = 200;

/// The table of keys.
#[derive(Debug)]
pub(crate) struct KeyTable {
    /// What was read so far.
    rows: Vec<Key>,
    /// Where the pages start: an index of `rows` and the cursor that reads on from there.
    starts: Vec<(usize, Option<Cursor>)>,
    next: Option<Cursor>,
    /// Rows in front of this one are older than the store.
    fresh_from: usize,
    /// Whether anything was read yet.
    pub(crate) loaded: bool,
    selected: usize,
    selected_id: Option<KeyId>,
    /// The first row in view.
    pub(crate) top: usize,
    /// The column that is sorted by.
    pub(crate) sort: SortColumn,
    /// Whether the largest comes first.
    pub(crate) descending: bool,
    /// What was typed as a filter.
    pub(crate) filter: Input,
    /// Whether the filter is being typed.
    pub(crate) editing: bool,
    /// The newest request; answers to older ones are late.
    request: u64,
    in_flight: bool,
    dirty: bool,
    /// Reads on to the end, page by page.
    pub(crate) to_end: bool,
}

impl Default for KeyTable {
    fn default() -> KeyTable {
        KeyTable {
            rows: Vec::new(),
            starts: vec![(0, None)],
            next: None,
            fresh_from: 0,
            loaded: false,
            selected: 0,
            selected_id: None,
            top: 0,
            sort: SortColumn::CreatedAt,
            descending: true,
            filter: Input::default(),
            editing: false,
            request: 0,
            in_flight: false,
            dirty: false,
            to_end: false,
        }
    }
}

impl KeyTable {
    /// What was read so far, in order.
    pub(crate) fn rows(&self) -> &[Key] {
        &self.rows
    }

    /// The selected key.
    pub(crate) fn selected(&self) -> Option<&Key> {
        self.rows.get(self.selected)
    }

    /// The row of the selected key.
    pub(crate) fn selected_row(&self) -> usize {
        self.selected
    }

    /// Whether there are keys that were not read yet.
    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Reads from the start: another filter or order. What is shown stays until the answer comes.
    pub(crate) fn restart(&mut self) -> Effect {
        (self.top, self.selected, self.selected_id, self.to_end) = (0, 0, None, false);
        self.starts = vec![(0, None)];
        self.in_flight = false;
        self.load(0, PAGE)
    }

    /// Selects this key once it is read.
    pub(crate) fn follow(&mut self, id: KeyId) {
        self.selected_id = Some(id);
    }

    /// The store has changed: reads what is in view again.
    pub(crate) fn refresh(&mut self, height: usize) -> Option<Effect> {
        if self.in_flight {
            self.dirty = true;
            return None;
        }
        self.dirty = false;
        let start = self.page_of(self.top);
        self.fresh_from = start;
        let wanted = self.top.saturating_add(height).saturating_sub(start).saturating_add(PAGE / 2);
        Some(self.load(start, wanted))
    }

    /// Selects the row that is so far from the selected one.
    pub(crate) fn step(&mut self, by: isize, height: usize) -> Option<Effect> {
        self.to_end = false;
        self.select(self.selected.saturating_add_signed(by), height)
    }

    /// Selects a row, and reads what is missing around it.
    pub(crate) fn select(&mut self, row: usize, height: usize) -> Option<Effect> {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        self.selected_id = self.selected().map(|key| key.id);
        self.scroll(height);
        self.read_around(height)
    }

    /// Selects the last key, however far it is.
    pub(crate) fn select_last(&mut self, height: usize) -> Option<Effect> {
        self.to_end = self.has_more();
        self.select(usize::MAX, height)
    }

    /// Takes the answer to a request; late ones are passed over.
    pub(crate) fn loaded(&mut self, request: u64, start: usize, page: KeyPage, height: usize) -> Option<Effect> {
        if request != self.request {
            return None;
        }
        self.in_flight = false;
        self.loaded = true;
        self.rows.truncate(start);
        self.rows.extend(page.keys);
        self.next = page.next;
        self.starts.retain(|(index, _)| *index <= start);
        self.fresh_from = self.fresh_from.min(start);
        // The selection follows its key, wherever it is now.
        let found = self.selected_id.and_then(|id| self.rows.iter().position(|key| key.id == id));
        self.selected = found.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
        self.selected_id = self.selected().map(|key| key.id);
        if self.to_end {
            self.selected = self.rows.len().saturating_sub(1);
            self.selected_id = self.selected().map(|key| key.id);
            self.to_end = self.has_more();
        }
        self.scroll(height);
        if self.dirty { self.refresh(height) } else { self.read_around(height) }
    }

    /// A request failed: the next change or key tries again.
    pub(crate) fn failed(&mut self, request: u64) {
        if request == self.request {
            (self.in_flight, self.to_end) = (false, false);
        }
    }

    /// Keeps the selected row in view, and the view full.
    pub(crate) fn scroll(&mut self, height: usize) {
        let height = height.max(1);
        self.top = self.top.min(self.rows.len().saturating_sub(height)).min(self.selected);
        self.top = self.top.max(self.selected.saturating_add(1).saturating_sub(height));
    }

    fn read_around(&mut self, height: usize) -> Option<Effect> {
        if self.in_flight {
            return None;
        }
        if self.top < self.fresh_from {
            return self.refresh(height);
        }
        let near_end = self.selected.saturating_add(height.saturating_mul(2)) >= self.rows.len();
        if self.has_more() && (near_end || self.to_end) {
            let start = self.rows.len();
            self.starts.push((start, self.next.clone()));
            return Some(self.load(start, if self.to_end { MAX_PAGE } else { PAGE }));
        }
        None
    }

    /// The start of the page that a row is on.
    fn page_of(&self, row: usize) -> usize {
        self.starts.iter().rev().map(|(index, _)| *index).find(|index| *index <= row).unwrap_or(0)
    }

    fn load(&mut self, start: usize, wanted: usize) -> Effect {
        self.request = self.request.wrapping_add(1);
        self.in_flight = true;
        let after = self.starts.iter().find(|(index, _)| *index == start).and_then(|(_, cursor)| cursor.clone());
        let query = KeyQuery {
            search: self.search(),
            sort: self.sort,
            descending: self.descending,
            limit: wanted.clamp(PAGE.min(MAX_PAGE), MAX_PAGE),
            after,
            ..KeyQuery::default()
        };
        Effect::Load { request: self.request, start, query: Box::new(query) }
    }

    /// The filter as the store takes it.
    fn search(&self) -> Option<String> {
        let text = self.filter.text();
        let end = text.floor_char_boundary(MAX_SEARCH_LEN);
        (end > 0).then(|| text[..end].to_owned())
    }
}
