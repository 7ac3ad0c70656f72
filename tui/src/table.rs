//! The rows on the screen: as many pages of them as were looked at, in the order of the store.
//!
//! They are read from the first row on, or, where the store can, from the last one backwards when somebody
//! goes there: neither end is far, however many rows there are. Rows are counted from the end that was
//! read from.
//!
//! A page knows where it starts. When the store changes, only the pages in view are read again; those
//! above are read again when somebody scrolls up to them, those below when somebody scrolls down.

use std::fmt::Debug;

use keystile::bounds::{MAX_PAGE, MAX_SEARCH_LEN};

use crate::input::Input;
use crate::message::{Effect, Query};

/// Rows that are read at once when somebody scrolls.
const PAGE: usize = 200;

/// Most rows that can be marked at once.
pub(crate) const MAX_MARKED: usize = 1_000;

/// What a table can list.
pub(crate) trait Row: Sized {
    /// What a row is known by, wherever it is.
    type Id: Clone + PartialEq + Debug;
    /// Where a page starts.
    type Cursor: Clone + Debug;
    /// What else decides which rows are read, and in which order.
    type Choice: Clone + Debug + Default;
    /// Whether rows can be read from the last one backwards.
    const BACKWARDS: bool = false;
    /// What a filter looks at; `None`: it cannot be filtered.
    const FILTER: Option<&'static str> = None;

    /// What the row is known by.
    fn id(&self) -> Self::Id;

    /// Asks for rows.
    fn query(choice: &Self::Choice, wanted: Wanted<Self::Cursor>) -> Query;
}

/// Which rows are asked for.
#[derive(Debug)]
pub(crate) struct Wanted<C> {
    /// The text that they must have somewhere.
    pub(crate) search: Option<String>,
    /// Where they start.
    pub(crate) after: Option<C>,
    /// How many.
    pub(crate) limit: usize,
    /// Whether they are read from the last one backwards.
    pub(crate) backwards: bool,
}

/// Rows that were asked for.
#[derive(Debug)]
pub(crate) struct Page<R: Row> {
    /// The rows, in order.
    pub(crate) rows: Vec<R>,
    /// Where the next page starts.
    pub(crate) next: Option<R::Cursor>,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table<R: Row> {
    /// What was read so far.
    rows: Vec<R>,
    /// Where the pages start: an index of `rows` and the cursor that reads on from there.
    starts: Vec<(usize, Option<R::Cursor>)>,
    next: Option<R::Cursor>,
    /// Rows in front of this one are older than the store.
    fresh_from: usize,
    /// Whether anything was read yet.
    pub(crate) loaded: bool,
    selected: usize,
    selected_id: Option<R::Id>,
    /// The first row in view.
    pub(crate) top: usize,
    /// What else decides which rows are read, and in which order.
    pub(crate) choice: R::Choice,
    /// What was typed as a filter.
    pub(crate) filter: Input,
    /// Whether the filter is being typed.
    pub(crate) editing: bool,
    /// The newest request; answers to older ones are late.
    request: u64,
    in_flight: bool,
    dirty: bool,
    /// Whether row 0 is the last one, as it was read from there.
    from_end: bool,
    /// Another filter or order was asked for, and what is shown is from before.
    stale: bool,
    /// The row that was selected was not among those that were read again.
    lost: bool,
    /// What is marked, for one change to many.
    marked: Vec<R::Id>,
    /// What is selected once it is read.
    followed: Option<R::Id>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Table<R> {
        Table {
            rows: Vec::new(),
            starts: vec![(0, None)],
            next: None,
            fresh_from: 0,
            loaded: false,
            selected: 0,
            selected_id: None,
            top: 0,
            choice: R::Choice::default(),
            filter: Input::default(),
            editing: false,
            request: 0,
            in_flight: false,
            dirty: false,
            from_end: false,
            stale: false,
            lost: false,
            marked: Vec::new(),
            followed: None,
        }
    }
}

impl<R: Row> Table<R> {
    /// What was read so far, in order.
    pub(crate) fn rows(&self) -> &[R] {
        &self.rows
    }

    /// The selected row. None while what is shown is not what was asked for, and when the row that was
    /// selected is no longer where it was: nothing may be done to whatever stands in its place.
    pub(crate) fn selected(&self) -> Option<&R> {
        if self.stale || self.lost { None } else { self.rows.get(self.selected) }
    }

    /// Why no row is selected.
    pub(crate) fn why_none(&self) -> &'static str {
        if self.stale {
            "the list is being read · wait for it"
        } else if self.lost {
            "what was selected has left its place · select it again"
        } else {
            "nothing is selected"
        }
    }

    /// The rows in view, from the top of the screen down; whether each is the selected one. A row that has
    /// only taken the place of the selected one is not.
    pub(crate) fn view(&self, height: usize) -> Vec<(&R, bool)> {
        let rows = self.rows.iter().enumerate().skip(self.top).take(height);
        let mut view: Vec<_> = rows.map(|(index, row)| (row, index == self.selected && !self.lost)).collect();
        if self.from_end {
            view.reverse();
        }
        view
    }

    /// Where the selected row is, for people: its number and how many there are, as far as that is known.
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

    /// Whether there are rows that were not read yet.
    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Reads from the start: another filter or order. What is shown stays until the answer comes.
    pub(crate) fn restart(&mut self) -> Effect {
        // Marks of rows that are no longer in view would be changed unseen.
        self.marked.clear();
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

    /// Whether nothing was read of what is asked for, or nothing fits.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Comes into view: what is shown stays until the answer is there. Whatever was asked for before it
    /// went out of view is not waited for.
    pub(crate) fn enter(&mut self, height: usize) -> Option<Effect> {
        self.in_flight = false;
        if self.loaded { self.refresh(height) } else { Some(self.read_anew()) }
    }

    /// Selects this row once it is read.
    pub(crate) fn follow(&mut self, id: R::Id) {
        self.followed = Some(id);
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

    /// What is marked.
    pub(crate) fn marked(&self) -> &[R::Id] {
        &self.marked
    }

    /// Marks a row, or takes its mark away; whether there was room for the mark.
    pub(crate) fn mark(&mut self, id: &R::Id) -> bool {
        match self.marked.iter().position(|marked| marked == id) {
            Some(at) => {
                self.marked.swap_remove(at);
            }
            None if self.marked.len() >= MAX_MARKED => return false,
            None => self.marked.push(id.clone()),
        }
        true
    }

    /// The rows that are marked, in their order.
    pub(crate) fn marked_rows(&self) -> Vec<&R> {
        self.rows.iter().filter(|row| self.marked.contains(&row.id())).collect()
    }

    /// Takes the marks of these rows away.
    pub(crate) fn unmark_some(&mut self, ids: &[R::Id]) {
        self.marked.retain(|marked| !ids.contains(marked));
    }

    /// Whether rows were asked for, and are not there yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.in_flight
    }

    /// Takes all marks away.
    pub(crate) fn unmark(&mut self) {
        self.marked.clear();
    }

    /// Selects the row so many rows further down the screen.
    pub(crate) fn step(&mut self, by: isize, height: usize) -> Option<Effect> {
        let by = if self.from_end { by.saturating_neg() } else { by };
        self.select(self.selected.saturating_add_signed(by), height)
    }

    /// Selects a row, and reads what is missing around it.
    pub(crate) fn select(&mut self, row: usize, height: usize) -> Option<Effect> {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        self.lost = false;
        self.selected_id = self.selected().map(R::id);
        self.scroll(height);
        self.read_around(height)
    }

    /// Selects the first row.
    pub(crate) fn select_first(&mut self, height: usize) -> Option<Effect> {
        if self.from_end && self.has_more() {
            return Some(self.restart());
        }
        self.select(if self.from_end { usize::MAX } else { 0 }, height)
    }

    /// Selects the last row.
    pub(crate) fn select_last(&mut self, height: usize) -> Option<Effect> {
        if R::BACKWARDS && !self.from_end && self.has_more() {
            (self.rows, self.loaded, self.from_end) = (Vec::new(), false, true);
            return Some(self.read_anew());
        }
        self.select(if self.from_end { 0 } else { usize::MAX }, height)
    }

    /// Takes the answer to a request; late ones are passed over.
    pub(crate) fn loaded(&mut self, request: u64, start: usize, page: Page<R>, height: usize) -> Option<Effect> {
        if request != self.request {
            return None;
        }
        self.in_flight = false;
        self.loaded = true;
        self.stale = false;
        self.rows.truncate(start);
        self.rows.extend(page.rows);
        self.marked.retain(|id| self.rows.iter().any(|row| row.id() == *id));
        self.next = page.next;
        self.starts.retain(|(index, _)| *index <= start);
        self.fresh_from = self.fresh_from.min(start);
        // The selection follows its row, wherever it is now.
        let place = |id: &R::Id| self.rows.iter().position(|row| row.id() == *id);
        let followed = self.followed.take().as_ref().and_then(place);
        let found = followed.or_else(|| self.selected_id.as_ref().and_then(place));
        self.lost = found.is_none() && (self.lost || self.selected_id.is_some());
        self.selected = found.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
        self.selected_id = self.selected().map(R::id);
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
        if self.stale {
            // An answer that was an error is asked for again.
            return Some(self.load(0, PAGE));
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
        let wanted = Wanted {
            search: self.search(),
            after,
            limit: wanted.clamp(PAGE.min(MAX_PAGE), MAX_PAGE),
            backwards: self.from_end,
        };
        Effect::Load { request: self.request, start, query: R::query(&self.choice, wanted) }
    }

    /// The filter as the store takes it.
    fn search(&self) -> Option<String> {
        let text = self.filter.text();
        let end = text.floor_char_boundary(MAX_SEARCH_LEN);
        (end > 0).then(|| text[..end].to_owned())
    }
}
