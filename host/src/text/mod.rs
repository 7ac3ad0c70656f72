//! Texts for people: what may be shown of a foreign one, times, durations. Front ends that show what is in
//! a store need these rules, and the same ones.
//!
//! Names, owners and notes come from people, and some of them from people whom nobody trusts: what a
//! terminal would obey is escaped ([`printable`]).

mod duration;
mod time;

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

/// Whether a text fits on a line of at most so many bytes: not empty, no space at its ends, and nothing
/// [treacherous](is_treacherous). Names are such lines.
///
/// ```
/// use keystile::text::is_line;
/// assert!(is_line("billing worker", 64));
/// assert!(!is_line("billing worker", 13) && !is_line(" worker", 64) && !is_line("a\nb", 64));
/// ```
pub fn is_line(text: &str, max_len: usize) -> bool {
    !text.is_empty() && text.len() <= max_len && text.trim() == text && !text.chars().any(is_treacherous)
}

/// Characters that a terminal obeys instead of showing: controls, bidirectional overrides, and the
/// invisible ones next to them.
///
/// ```
/// use keystile::text::is_treacherous;
/// assert!(is_treacherous('\u{1b}') && is_treacherous('\u{202e}') && is_treacherous('\u{200b}'));
/// assert!(!is_treacherous('é') && !is_treacherous(' '));
/// ```
pub fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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

    #[test]
    fn lines_hold_what_a_terminal_shows() {
        for good in ["a", "Ærøskøbing – 1", "日本", "a b"] {
            assert!(is_line(good, 64), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a\0b",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{200b}",
            "\u{feff}a",
            "a\u{61c}",
            "\u{e0041}",
            "toolong",
        ] {
            assert!(!is_line(bad, 6), "{bad:?}");
        }
    }
}
