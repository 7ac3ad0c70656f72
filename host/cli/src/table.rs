//! Tables for people.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::{PLAIN, TITLE};
use keystile::text::printable;

/// A table: columns with titles, and rows of cells.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    /// What a narrow terminal keeps first: 0 is always shown.
    rank: u8,
    /// The narrowest it may be cut to; `None`: it is never cut.
    narrowest: Option<usize>,
}

impl Column {
    /// A column that is always whole.
    pub(super) const fn new(title: &'static str) -> Column {
        Column { title, rank: 0, narrowest: None }
    }

    /// Its texts may be cut, down to so many places.
    pub(super) const fn cut_to(self, narrowest: usize) -> Column {
        Column { narrowest: Some(narrowest), ..self }
    }

    /// It is left out where there is no room; those with the highest rank first.
    pub(super) const fn rank(self, rank: u8) -> Column {
        Column { rank, ..self }
    }
}

/// A cell: a text and how it looks.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a colour.
    pub(super) fn styled(text: impl AsRef<str>, style: Style) -> Cell {
        Cell { text: printable(text.as_ref()), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::styled(text, PLAIN)
    }
}

impl Table {
    /// A table without rows.
    pub(super) fn new(columns: &[Column]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The text of the table, and the titles of the columns that had no room.
    pub(super) fn render(&self, width: Option<usize>) -> (String, Vec<&'static str>) {
        let (widths, omitted) = self.layout(width);
        let shown = || widths.iter().enumerate().filter_map(|(index, width)| width.map(|width| (index, width)));
        let last = shown().next_back().map_or(0, |(index, _)| index);
        let mut text = String::new();
        let mut line = |cell: &dyn Fn(usize) -> (String, Style)| {
            for (index, width) in shown() {
                let (cell, style) = cell(index);
                let cell = cut(&cell, width);
                // What was cut may be a place short of the width, when a wide character did not fit.
                let padding = if index == last { 0 } else { width.saturating_sub(cell.width()) + GAP };
                let _ = write!(text, "{style}{cell}{style:#}{:padding$}", "");
            }
            // An empty last cell leaves its padding behind.
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        };
        line(&|index| (self.columns.get(index).map_or("", |column| column.title).to_owned(), TITLE));
        for row in &self.rows {
            line(&|index| row.get(index).map_or((String::new(), PLAIN), |cell| (cell.text.clone(), cell.style)));
        }
        (text, omitted)
    }

    /// The width of each column; `None`: there is no room for it.
    fn layout(&self, available: Option<usize>) -> (Vec<Option<usize>>, Vec<&'static str>) {
        let natural = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.text.width());
            Some(cells.chain([column.title.width()]).max().unwrap_or(0))
        };
        let mut widths: Vec<Option<usize>> = self.columns.iter().enumerate().map(natural).collect();
        let mut omitted = Vec::new();
        let Some(available) = available else { return (widths, omitted) };

        let narrowest =
            |column: &Column, width: usize| column.narrowest.map_or(width, |narrowest| width.min(narrowest));
        loop {
            let least =
                self.columns.iter().zip(&widths).filter_map(|(column, width)| width.map(|w| narrowest(column, w)));
            let ranked =
                self.columns.iter().enumerate().filter(|(index, column)| widths[*index].is_some() && column.rank > 0);
            match ranked.max_by_key(|(_, column)| column.rank) {
                Some((index, column)) if line_width(least) > available => {
                    widths[index] = None;
                    omitted.push(column.title);
                }
                _ => break,
            }
        }
        while line_width(widths.iter().flatten().copied()) > available {
            let cuttable = self
                .columns
                .iter()
                .zip(widths.iter_mut())
                .filter_map(|(column, width)| width.as_mut().filter(|width| **width > narrowest(column, **width)));
            match cuttable.max_by_key(|width| **width) {
                Some(width) => *width -= 1,
                None => break,
            }
        }
        (widths, omitted)
    }
}

fn line_width(columns: impl Iterator<Item = usize>) -> usize {
    columns.fold(0, |sum, width| if sum == 0 { width } else { sum + GAP + width })
}

/// The text in at most so many places of a terminal.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut shown: String = text
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used < width
        })
        .collect();
    shown.push('…');
    shown
}

/// Places between two columns.
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            Column::new("STATE"),
            Column::new("NAME").cut_to(6),
            Column::new("OWNER").cut_to(6).rank(1),
            Column::new("ID"),
        ]);
        table.row(vec!["active".into(), "billing worker".into(), "ada@example.com".into(), "key_1".into()]);
        table.row(vec!["revoked".into(), "日本語の名前".into(), "-".into(), "key_2".into()]);
        table
    }

    #[test]
    fn a_pipe_gets_everything() {
        let plain = anstream::adapter::strip_str(&table().render(None).0).to_string();
        assert_eq!(
            plain,
            "STATE    NAME            OWNER            ID\n\
             active   billing worker  ada@example.com  key_1\n\
             revoked  日本語の名前    -                key_2\n"
        );
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        for width in 30..60 {
            let (text, omitted) = table().render(Some(width));
            let plain = anstream::adapter::strip_str(&text).to_string();
            assert!(plain.lines().all(|line| line.width() <= width), "{width}:\n{plain}");
            assert!(plain.contains("key_1") && plain.contains("revoked"), "{width}:\n{plain}");
            assert_eq!(omitted.is_empty(), plain.contains("OWNER"), "{width}:\n{plain}");
        }
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        let mut table = Table::new(&[Column::new("NAME")]);
        table.row(vec!["a\u{1b}[2J\u{202e}b\nc".into()]);
        assert!(table.render(None).0.ends_with("a\\u{1b}[2J\\u{202e}b\\nc\n"));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, width, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本", 4, "日本"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
        ] {
            assert_eq!(cut(text, width), expected);
        }
    }
}
