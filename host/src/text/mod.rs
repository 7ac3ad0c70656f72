//! Texts for people: what may be shown of a foreign one, times, durations. Front ends that show what is in
//! a store need these rules, and the same ones.
//!
//! Names, owners and notes come from people, and some of them from people whom nobody trusts: what a
//! terminal would obey is escaped ([`printable`]).

mod duration;
mod time;

pub use keystile_validator::text::{is_line, is_treacherous};

pub use duration::{DurationError, MAX_DURATION, format_duration, parse_duration};
pub use time::{exact, parse_rfc3339, relative, rfc3339};

/// A text that a terminal shows and does not obey: [treacherous](is_treacherous) characters are escaped as
/// Rust writes them.
///
/// ```
/// use keystile::text::printable;
/// assert_eq!(printable("Ærø 日本"), "Ærø 日本");
/// assert_eq!(printable("a\u{1b}[31m\nb\u{202e}"), r"a\u{1b}[31m\nb\u{202e}");
/// ```
pub fn printable(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_are_shown_not_obeyed() {
        assert_eq!(printable("Ærø 日本"), "Ærø 日本");
        assert_eq!(printable("a\u{1b}]0;x\u{7}\0"), "a\\u{1b}]0;x\\u{7}\\u{0}");
        assert_eq!(printable("a\nb\u{202e}"), "a\\nb\\u{202e}");
    }
}
