//! The sections of the screen: each lists one kind of thing. One file each says how it is read, what its
//! columns are and what its details.

mod audit;
mod health;
mod issuers;
mod keys;
mod safety;
mod security_events;
mod sessions;
mod signing_keys;
mod users;

use keystile::{SortColumn, Timestamp};

pub(crate) use safety::ConcernCount;

use crate::model::Model;
use crate::table::Row;
use crate::text;
use crate::theme::Role;

/// A part of the program that lists one kind of thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Section {
    /// API keys.
    #[default]
    Keys,
    /// Why keys want attention, and how many do.
    Safety,
    /// Users.
    Users,
    /// Sessions of users.
    Sessions,
    /// What the store's own tokens are signed with.
    SigningKeys,
    /// External issuers.
    Issuers,
    /// The audit trail.
    Audit,
    /// What the doctor finds.
    Health,
    /// What was tried on users and their sessions.
    SecurityEvents,
}

impl Section {
    /// All of them, in the order of their digits.
    pub(crate) const ALL: [Section; 9] = [
        Section::Keys,
        Section::Safety,
        Section::Users,
        Section::Sessions,
        Section::SigningKeys,
        Section::Issuers,
        Section::Audit,
        Section::Health,
        Section::SecurityEvents,
    ];

    /// Its title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Section::Keys => "Keys",
            Section::Safety => "Safety",
            Section::Users => "Users",
            Section::Sessions => "Sessions",
            Section::SigningKeys => "Signing keys",
            Section::Issuers => "Issuers",
            Section::Audit => "Audit",
            Section::Health => "Health",
            Section::SecurityEvents => "Security events",
        }
    }

    /// The one so many further on, around the ends.
    pub(crate) fn step(self, by: usize) -> Section {
        let at = Section::ALL.iter().position(|section| *section == self).unwrap_or(0);
        Section::ALL.get((at + by) % Section::ALL.len()).copied().unwrap_or_default()
    }
}

/// A column of a table.
pub(crate) struct Column {
    /// Its name.
    pub(crate) title: &'static str,
    /// Columns of the terminal; 0: what is left.
    pub(crate) width: usize,
    /// The largest goes first when there is little room; 0 stays.
    pub(crate) rank: u8,
    /// The column of the store that sorts it.
    pub(crate) sort: Option<SortColumn>,
}

impl Column {
    const fn new(title: &'static str, width: usize, rank: u8) -> Column {
        Column { title, width, rank, sort: None }
    }

    const fn sorted(title: &'static str, width: usize, rank: u8, sort: SortColumn) -> Column {
        Column { title, width, rank, sort: Some(sort) }
    }
}

/// A line of the details: its label, its text, and what it means.
pub(crate) type Field = (&'static str, String, Role);

/// What a row looks like. Foreign texts in it are printable.
pub(crate) trait Listed: Row {
    /// The columns, one of them as wide as there is room.
    const COLUMNS: &'static [Column];

    /// What the title of the details says.
    fn title(&self) -> String;

    /// What stands in a column.
    fn cell(&self, column: usize, now: Timestamp) -> (String, Role);

    /// The details.
    fn fields(&self, now: Timestamp) -> Vec<Field>;

    /// A line of the details that is read by itself, once it is there.
    fn usage_of(&self, _: &Model) -> Option<Field> {
        None
    }

    /// What stands in place of an empty table.
    fn nothing(filtered: bool) -> String;
}

/// A field in plain text.
fn plain(label: &'static str, value: impl Into<String>) -> Field {
    (label, value.into(), Role::Text)
}

/// A time, absolute and relative.
fn time(now: Timestamp, at: Timestamp) -> String {
    format!("{} ({})", text::minute(at), text::relative(now, at))
}

/// The same, or a word when there is none.
fn time_or(now: Timestamp, at: Option<Timestamp>, none: &str) -> String {
    at.map_or_else(|| none.to_owned(), |at| time(now, at))
}

/// A relative time, or a word when there is none.
fn relative_or(now: Timestamp, at: Option<Timestamp>, none: &str) -> String {
    at.map_or_else(|| none.to_owned(), |at| text::relative(now, at))
}

/// A text of a person, or a dash when there is none.
fn optional(value: Option<&str>) -> String {
    text::printable(value.unwrap_or("-"))
}

/// Words in a list, or one word when there are none.
fn list<T: ToString>(items: &[T], none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    text::printable(&items.iter().map(T::to_string).collect::<Vec<_>>().join(" "))
}
