//! How times, states and foreign texts look to people.

use anstyle::Style;

use super::output::{BAD, GOOD, WAITING, WARNING};
use crate::text::{is_treacherous, rfc3339};
use crate::{KeyStatus, Timestamp};

/// A text that a terminal shows and does not obey.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c if is_treacherous(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// How long ago, or in how long: `2m ago`, `in 6d`, `now`.
pub(super) fn relative(now: Timestamp, at: Timestamp) -> String {
    let (ahead, behind) = (at.seconds_since(now), now.seconds_since(at));
    let seconds = match ahead.max(behind) {
        // What was to last 90 days says so a second later too.
        long if long >= 3_600 => long.saturating_add(30) / 60 * 60,
        short => short,
    };
    let amount = match UNITS.iter().find(|(size, _)| seconds >= *size) {
        Some((size, unit)) => format!("{}{unit}", seconds / size),
        None => return "now".to_owned(),
    };
    if ahead > 0 { format!("in {amount}") } else { format!("{amount} ago") }
}

/// A relative time, or a word when there is none.
pub(super) fn relative_or(now: Timestamp, at: Option<Timestamp>, none: &str) -> String {
    at.map_or_else(|| none.to_owned(), |at| relative(now, at))
}

/// A time for reading closely: absolute and relative.
pub(super) fn exact(now: Timestamp, at: Timestamp) -> String {
    format!("{} ({})", rfc3339(at), relative(now, at))
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

/// Largest first.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative() {
        let now = Timestamp::from_unix(1_700_000_000).unwrap();
        let at = |offset: i64| Timestamp::from_unix(1_700_000_000_u64.saturating_add_signed(offset)).unwrap();
        for (offset, text) in [
            (0, "now"),
            (1, "in 1s"),
            (-59, "59s ago"),
            (-149, "2m ago"),
            (86_399, "in 1d"),
            (3_600, "in 1h"),
            (6 * 86_400 + 86_300, "in 6d"),
            (90 * 86_400 - 5, "in 90d"),
            (-400 * 86_400, "400d ago"),
        ] {
            assert_eq!(relative(now, at(offset)), text);
        }
    }

    #[test]
    fn foreign_texts_are_shown_not_obeyed() {
        assert_eq!(printable("Ærø 日本"), "Ærø 日本");
        assert_eq!(printable("a\u{1b}]0;x\u{7}\0"), "a\\u{1b}]0;x\\u{7}\\u{0}");
        assert_eq!(printable("a\nb\u{202e}"), "a\\nb\\u{202e}");
    }
}
