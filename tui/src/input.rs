//! A line of text that a person types.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation as _};

use crate::text::is_treacherous;

/// A line of text with a cursor that moves by what people see as characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    text: String,
    cursor: usize,
}

impl Input {
    /// A line that starts with a text, the cursor at its end.
    pub(crate) fn new(text: impl Into<String>) -> Input {
        let text = text.into();
        Input { cursor: text.len(), text }
    }

    /// What was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What was typed, in front of the cursor and from it on.
    pub(crate) fn split(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Whether the cursor is at the end.
    pub(crate) fn at_end(&self) -> bool {
        self.cursor == self.text.len()
    }

    /// Takes a key; whether it was one for a line of text.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if control => {
                let kept = self.text[..self.cursor].trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.text.drain(kept..self.cursor);
                self.cursor = kept;
            }
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(c.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace => {
                let from = self.before();
                self.text.drain(from..self.cursor);
                self.cursor = from;
            }
            KeyCode::Delete => {
                let to = self.after();
                self.text.drain(self.cursor..to);
            }
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    /// Puts in what was typed or pasted: its first line, without what a terminal would obey.
    pub(crate) fn insert(&mut self, text: &str) {
        let line = text.lines().next().unwrap_or_default();
        let clean: String = line.chars().filter(|c| !is_treacherous(*c)).collect();
        let room = MAX_LEN.saturating_sub(self.text.len());
        let fits = clean.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
        let end = fits.take_while(|end| *end <= room).last().unwrap_or(0);
        self.text.insert_str(self.cursor, &clean[..end]);
        self.cursor += end;
    }

    fn before(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn after(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }
}

/// Longest line, in bytes: more than any field holds, so that a field can say that it is too long.
pub(crate) const MAX_LEN: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(input: &mut Input, keys: &[KeyCode]) {
        for code in keys {
            input.key(KeyEvent::new(*code, KeyModifiers::NONE));
        }
    }

    #[test]
    fn a_cursor_moves_by_graphemes() {
        let mut input = Input::new("ae\u{301}👩‍👩‍👧");
        typed(&mut input, &[KeyCode::Backspace]);
        assert_eq!(input.text(), "ae\u{301}");
        typed(&mut input, &[KeyCode::Left, KeyCode::Char('x')]);
        assert_eq!(input.text(), "axe\u{301}");
        typed(&mut input, &[KeyCode::Home, KeyCode::Delete, KeyCode::End, KeyCode::Right, KeyCode::Char('!')]);
        assert_eq!(input.text(), "xe\u{301}!");
        input.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!(input.text(), "");
        typed(&mut input, &[KeyCode::Backspace, KeyCode::Delete, KeyCode::Left]);
        assert_eq!(input, Input::default());
    }

    #[test]
    fn a_paste_is_one_line_and_obeyed_by_nothing() {
        let mut input = Input::new("ab");
        input.key(KeyEvent::new(KeyCode::Left, KeyModifiers::NONE));
        input.insert("x\u{1b}[31my\u{202e}\nrm -rf /");
        assert_eq!(input.text(), "ax[31myb");
        input.insert(&"é".repeat(MAX_LEN));
        assert!(input.text().len() <= MAX_LEN);
    }
}
