//! The keys on the screen: as many pages of them as were looked at, in the order of the store.
//!
//! They are read from the first key on, or from the last one backwards when somebody goes there: neither
//! end is far, however many keys there are. Rows are counted from the end that was read from.
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
    /// Whether row 0 is the last key, as it was read from there.
    from_end: bool,
    /// Another filter or order was asked for, and what is shown is from before.
    stale: bool,
    /// The key that was selected was not among those that were read again.
    lost: bool,
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
            from_end: false,
            stale: false,
            lost: false,
        }
    }
}

impl KeyTable {
    /// What was read so far, in order.
    pub(crate) fn rows(&self) -> &[Key] {
        &self.rows
    }

    /// The selected key. None while what is shown is not what was asked for, and when the key that was
    /// selected is no longer where it was: nothing may be done to whatever stands in its place.
    pub(crate) fn selected(&self) -> Option<&Key> {
        if self.stale || self.lost { None } else { self.rows.get(self.selected) }
    }

    /// Why no key is selected.
    pub(crate) fn why_none(&self) -> &'static str {
        if self.stale {
            "the list is being read · wait for it"
        } else if self.lost {
            "the key that was selected has left its place · select it again"
        } else {
            "no key is selected"
        }
    }

    /// The rows in view, from the top of the screen down; whether each is the selected one. A row that has
    /// only taken the place of the selected key is not.
    pub(crate) fn view(&self, height: usize) -> Vec<(&Key, bool)> {
        let rows = self.rows.iter().enumerate().skip(self.top).take(height);
        let mut view: Vec<_> = rows.map(|(row, key)| (key, row == self.selected && !self.lost)).collect();
        if self.from_end {
            view.reverse();
        }
        view
    }

    /// Where the selected key is, for people: its number and how many there are, as far as that is known.
    pub(crate) fn position(&self) -> String {
        let count = self.rows.len();
        match (count, self.from_end, self.has_more()) {
            (0, ..) => "0".to_owned(),
            (_, false, more) => format!("{}/{count}{}", self.selected + 1, if more { "+" } else { "" }),
            (_, true, false) => format!("{}/{count}", count - self.selected),
            (_, true, true) if self.selected == 0 => "last".to_owned(),
            (_, true, true) => format!("last-{}", self.selected),
        }
    }

    /// Whether there are keys that were not read yet.
    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Reads from the start: another filter or order. What is shown stays until the answer comes.
    pub(crate) fn restart(&mut self) -> Effect {
        // What was read backwards would be shown the wrong way round.
        if std::mem::take(&mut self.from_end) {
            (self.rows, self.loaded) = (Vec::new(), false);
        }
        self.read_anew()
    }

    fn read_anew(&mut self) -> Effect {
        (self.top, self.selected, self.selected_id, self.next) = (0, 0, None, None);
        self.starts = vec![(0, None)];
        self.in_flight = false;
        (self.stale, self.lost) = (true, false);
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

    /// Selects the key so many rows further down the screen.
    pub(crate) fn step(&mut self, by: isize, height: usize) -> Option<Effect> {
        let by = if self.from_end { by.saturating_neg() } else { by };
        self.select(self.selected.saturating_add_signed(by), height)
    }

    /// Selects a row, and reads what is missing around it.
    pub(crate) fn select(&mut self, row: usize, height: usize) -> Option<Effect> {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        self.lost = false;
        self.selected_id = self.selected().map(|key| key.id);
        self.scroll(height);
        self.read_around(height)
    }

    /// Selects the first key.
    pub(crate) fn select_first(&mut self, height: usize) -> Option<Effect> {
        if self.from_end && self.has_more() {
            return Some(self.restart());
        }
        self.select(if self.from_end { usize::MAX } else { 0 }, height)
    }

    /// Selects the last key.
    pub(crate) fn select_last(&mut self, height: usize) -> Option<Effect> {
        if !self.from_end && self.has_more() {
            (self.rows, self.loaded, self.from_end) = (Vec::new(), false, true);
            return Some(self.read_anew());
        }
        self.select(if self.from_end { 0 } else { usize::MAX }, height)
    }

    /// Takes the answer to a request; late ones are passed over.
    pub(crate) fn loaded(&mut self, request: u64, start: usize, page: KeyPage, height: usize) -> Option<Effect> {
        if request != self.request {
            return None;
        }
        self.in_flight = false;
        self.loaded = true;
        self.stale = false;
        self.rows.truncate(start);
        self.rows.extend(page.keys);
        self.next = page.next;
        self.starts.retain(|(index, _)| *index <= start);
        self.fresh_from = self.fresh_from.min(start);
        // The selection follows its key, wherever it is now.
        let found = self.selected_id.and_then(|id| self.rows.iter().position(|key| key.id == id));
        self.lost = found.is_none() && (self.lost || self.selected_id.is_some());
        self.selected = found.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
        self.selected_id = self.selected().map(|key| key.id);
        self.scroll(height);
        if self.dirty { self.refresh(height) } else { self.read_around(height) }
    }

    /// A request failed: the next change or key tries again.
    pub(crate) fn failed(&mut self, request: u64) {
        if request == self.request {
            self.in_flight = false;
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
        if self.has_more() && near_end {
            let start = self.rows.len();
            self.starts.push((start, self.next.clone()));
            return Some(self.load(start, PAGE));
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
            descending: self.descending != self.from_end,
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
