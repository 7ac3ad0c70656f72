//! The table of keys.

use keystile::{Key, SortColumn, Timestamp};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame;
use super::layout::{self, Areas};
use crate::model::Model;
use crate::text;
use crate::theme::{self, Role};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    State,
    Prefix,
    Name,
    Owner,
    Environment,
    Expires,
    LastUsed,
}

/// Each column with its name, its width, and the column of the store that sorts it.
const COLUMNS: [(Column, &str, usize, Option<SortColumn>); 7] = [
    (Column::State, "STATE", 11, Some(SortColumn::State)),
    (Column::Prefix, "PREFIX", 14, None),
    (Column::Name, "NAME", 0, Some(SortColumn::Name)),
    (Column::Owner, "OWNER", 10, Some(SortColumn::Owner)),
    (Column::Environment, "ENV", 6, Some(SortColumn::Environment)),
    (Column::Expires, "EXPIRES", 8, Some(SortColumn::ExpiresAt)),
    (Column::LastUsed, "LAST USED", 9, Some(SortColumn::LastUsedAt)),
];
/// What goes first when there is little room.
const GO_FIRST: [Column; 4] = [Column::Environment, Column::Owner, Column::LastUsed, Column::Expires];
/// The name gets at least so many columns.
const NAME: usize = 16;

pub(super) fn draw(model: &Model, areas: Areas, buffer: &mut Buffer) {
    frame(areas.keys, &title(model), model.theme, areas.borders, buffer);
    let inner = layout::inside(areas.keys, areas.borders);
    if inner.is_empty() {
        return;
    }
    let columns = columns(usize::from(inner.width.saturating_sub(2)));
    let mut x = inner.x + 2;
    for (column, width) in &columns {
        let (name, sort) =
            COLUMNS.iter().find(|known| known.0 == *column).map_or(("", None), |known| (known.1, known.3));
        let arrow = match (sort == Some(model.keys.sort), model.keys.descending) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        buffer.set_stringn(x, inner.y, format!("{name}{arrow}"), *width, model.theme.style(Role::Title));
        x = x.saturating_add(u16::try_from(*width + 1).unwrap_or(u16::MAX));
    }
    let rows = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    if model.keys.rows().is_empty() {
        let text = match (model.keys.loaded, model.keys.filter.text().is_empty()) {
            (false, _) => "reading…",
            (true, true) => "There are no keys yet. Press n to make one.",
            (true, false) => "No key fits the filter. Press Esc to clear it.",
        };
        buffer.set_stringn(
            rows.x + 2,
            rows.y,
            text,
            usize::from(rows.width.saturating_sub(2)),
            model.theme.style(Role::Text),
        );
        return;
    }
    let height = usize::from(rows.height);
    for (y, (key, selected)) in (rows.y..rows.bottom()).zip(model.keys.view(height)) {
        row(key, selected, &columns, Rect { y, height: 1, ..rows }, model, buffer);
    }
}

fn title(model: &Model) -> String {
    let keys = &model.keys;
    let filter = keys.filter.text();
    let chip = match (keys.editing, filter.is_empty()) {
        (true, _) => {
            let (before, after) = keys.filter.split();
            format!(" [filter: \"{}|{}\"]", text::printable(before), text::printable(after))
        }
        (false, false) => format!(" [filter: \"{}\"]", text::printable(filter)),
        (false, true) => String::new(),
    };
    let position = if keys.loaded { format!(" {}", keys.position()) } else { String::new() };
    // A column that the table does not show is named here.
    let order = if COLUMNS.iter().any(|known| known.3 == Some(keys.sort)) {
        String::new()
    } else {
        format!(" by {} {}", keys.sort, if keys.descending { "▼" } else { "▲" })
    };
    format!("Keys{chip}{position}{order}")
}

/// The columns that fit, each with its width.
fn columns(width: usize) -> Vec<(Column, usize)> {
    let mut shown: Vec<(Column, usize)> = COLUMNS.iter().map(|(column, _, width, _)| (*column, *width)).collect();
    let rest = |shown: &[(Column, usize)]| {
        let fixed: usize = shown.iter().map(|(_, width)| width + 1).sum();
        (width + 1).saturating_sub(fixed)
    };
    for column in GO_FIRST {
        if rest(&shown) >= NAME {
            break;
        }
        shown.retain(|(known, _)| *known != column);
    }
    let name = rest(&shown);
    for (column, width) in &mut shown {
        if *column == Column::Name {
            *width = name;
        }
    }
    shown
}

fn row(key: &Key, selected: bool, columns: &[(Column, usize)], place: Rect, model: &Model, buffer: &mut Buffer) {
    let (symbol, word, role) = theme::state(key, model.now);
    if selected {
        buffer.set_stringn(place.x, place.y, "> ", 2, model.theme.style(Role::Title));
    }
    let relative = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| text::relative(model.now, at));
    let mut x = place.x + 2;
    for (column, width) in columns {
        let (text, role) = match column {
            Column::State => (format!("{symbol} {word}"), role),
            Column::Prefix => (text::printable(key.display()), Role::Text),
            Column::Name => (text::printable(&key.name), Role::Text),
            Column::Owner => (text::printable(key.owner.as_deref().unwrap_or("-")), Role::Text),
            Column::Environment => (key.environment.to_string(), Role::Text),
            Column::Expires => (relative(key.expires_at), Role::Text),
            Column::LastUsed => (relative(key.last_used_at()), Role::Text),
        };
        buffer.set_stringn(x, place.y, text::cut(&text, *width), *width, model.theme.style(role));
        x = x.saturating_add(u16::try_from(*width + 1).unwrap_or(u16::MAX));
    }
    if selected {
        buffer.set_style(place, model.theme.style(Role::Selected));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_never_take_more_than_there_is() {
        for width in 0..300 {
            let shown = columns(width);
            let used: usize = shown.iter().map(|(_, width)| width + 1).sum();
            assert!(used <= width + 1 || width < 38, "{width}: {shown:?}");
        }
        assert_eq!(columns(38).len(), 3);
        assert_eq!(columns(76).len(), 6);
        assert_eq!(columns(120).len(), 7);
    }
}
