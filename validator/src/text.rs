//! Texts that people read and type: what fits on a line, and what a terminal would obey.

/// Whether a text fits on a line of at most so many bytes: not empty, no space at its ends, and nothing
/// [treacherous](is_treacherous). Names are such lines.
///
/// ```
/// use keystile_validator::text::is_line;
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
/// use keystile_validator::text::is_treacherous;
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
