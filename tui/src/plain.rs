//! Plain screens: no borders and only ASCII of our own, for screen readers and simple terminals.

use ratatui::buffer::Buffer;

/// Puts ASCII in place of our own symbols. The same symbols in what people have written
/// are replaced too.
pub(crate) fn flatten(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if let Some((_, ascii)) = SYMBOLS.iter().find(|(symbol, _)| *symbol == cell.symbol()) {
            cell.set_symbol(ascii);
        }
    }
}

/// Each symbol of ours that is not ASCII, and what stands for it; both one column wide.
pub(crate) const SYMBOLS: &[(&str, &str)] = &[
    ("●", "*"),
    ("◐", "%"),
    ("○", "o"),
    ("✕", "x"),
    ("◇", "-"),
    ("◌", "."),
    ("…", "~"),
    ("·", "-"),
    ("▲", "^"),
    ("▼", "v"),
    ("‹", "<"),
    ("›", ">"),
    ("•", "#"),
    ("≥", ">"),
    ("×", "x"),
    ("▁", "_"),
    ("▂", "."),
    ("▃", ","),
    ("▄", "-"),
    ("▅", "="),
    ("▆", "+"),
    ("▇", "*"),
    ("█", "#"),
    ("↑", "^"),
    ("↓", "v"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_keep_their_width() {
        for (symbol, ascii) in SYMBOLS {
            assert_eq!((crate::text::width(symbol), ascii.len()), (1, 1), "{symbol}");
            assert!(ascii.is_ascii());
        }
    }
}
