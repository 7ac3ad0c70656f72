//! Texts for people: what may be shown of a foreign one, times, durations. Front ends that show what is in
//! a store need these rules, and the same ones.
//!
//! Names, owners and notes come from people, and some of them from people whom nobody trusts: what a
//! terminal would obey is escaped ([`printable`]).

mod duration;
mod secrets;
mod time;

pub use keystile_validator::text::{is_line, is_treacherous};

pub use duration::{DurationError, MAX_DURATION, format_duration, parse_duration};
pub use secrets::hide_secrets;
pub(crate) use secrets::{REFRESH_TOKEN_PREFIX, is_token, words};
pub use time::{exact, parse_rfc3339, relative, rfc3339};

/// The start of a text, at most so many bytes of whole characters, for what looks no further.
///
/// ```
/// assert_eq!(keystile::text::start_of("día", 2), "d");
/// assert_eq!(keystile::text::start_of("día", 9), "día");
/// ```
pub fn start_of(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

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
