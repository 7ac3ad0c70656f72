//! How states, times that may be none, and lists look to people.

use anstyle::Style;

use super::output::{BAD, GOOD, PLAIN, WAITING, WARNING};
use keystile::text::relative;
use keystile::{KeyStatus, Timestamp};

/// A relative time, or a word when there is none.
pub(super) fn relative_or(now: Timestamp, at: Option<Timestamp>, none: &str) -> String {
    at.map_or_else(|| none.to_owned(), |at| relative(now, at))
}

/// A number of things, with their name in the singular or the plural.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The colour of a state.
pub(super) fn state_style(status: KeyStatus) -> Style {
    match status {
        KeyStatus::Active => GOOD,
        KeyStatus::Suspended => WARNING,
        KeyStatus::Revoked | KeyStatus::Expired => BAD,
        KeyStatus::NotYetValid => WAITING,
        _ => PLAIN,
    }
}

/// Texts in a list, or a dash.
pub(super) fn joined<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return NONE.to_owned();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// What stands where there is nothing.
pub(super) const NONE: &str = "-";
