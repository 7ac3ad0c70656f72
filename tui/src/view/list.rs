//! The table of a section.

use keystile::SortColumn;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame;
use super::layout::{self, Areas};
use crate::model::Model;
use crate::section::{Column, Listed, Section};
use crate::table::Table;
use crate::text;
use crate::theme::Role;

/// The widest part gets at least so many columns.
const WIDEST: usize = 16;

pub(super) fn draw<R: Listed>(table: &Table<R>, model: &Model, areas: Areas, buffer: &mut Buffer) {
    frame(areas.list, &title::<R>(table, model), model.theme, areas.borders, buffer);
    let inner = layout::inside(areas.list, areas.borders);
    if inner.is_empty() {
        return;
    }
    let columns = columns(R::COLUMNS, usize::from(inner.width.saturating_sub(2)));
    let mut x = inner.x + 2;
    for (index, width) in &columns {
        let Some(column) = R::COLUMNS.get(*index) else { continue };
        let name = format!("{}{}", column.title, arrow(column, model));
        buffer.set_stringn(x, inner.y, name, *width, model.theme.style(Role::Title));
        x = x.saturating_add(u16::try_from(*width + 1).unwrap_or(u16::MAX));
    }
    let rows = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    if table.is_empty() {
        let words = if table.loaded { R::nothing(is_narrowed(table, model)) } else { "reading…".to_owned() };
        let width = usize::from(rows.width.saturating_sub(3)).max(1);
        for (y, line) in (rows.y..rows.bottom()).zip(text::wrap(&words, width)) {
            buffer.set_stringn(rows.x + 2, y, line, width, model.theme.style(Role::Text));
        }
        return;
    }
    let height = usize::from(rows.height);
    for (y, (one, selected)) in (rows.y..rows.bottom()).zip(table.view(height)) {
        let marked = table.marked().contains(&one.id());
        row(one, selected, marked, &columns, Rect { y, height: 1, ..rows }, model, buffer);
    }
}

/// Which way the keys are sorted, at the column that sorts them.
fn arrow(column: &Column, model: &Model) -> &'static str {
    let choice = &model.keys.choice;
    match (model.section == Section::Keys && column.sort == Some(choice.sort), choice.descending) {
        (false, _) => "",
        // An age grows the other way round.
        (true, down) if (column.sort == Some(SortColumn::CreatedAt)) != down => "▼",
        (true, _) => "▲",
    }
}

fn is_narrowed<R: Listed>(table: &Table<R>, model: &Model) -> bool {
    !table.filter.text().is_empty() || chosen(model).is_some()
}

/// What narrows the list beside the filter.
fn chosen(model: &Model) -> Option<String> {
    match model.section {
        Section::Keys => model.keys.choice.concern.map(|concern| concern.title().to_lowercase()),
        Section::Sessions => model.sessions.choice.as_ref().map(|(_, email)| format!("of {}", text::printable(email))),
        _ => None,
    }
}

fn title<R: Listed>(table: &Table<R>, model: &Model) -> String {
    let filter = table.filter.text();
    let mut title = model.section.title().to_owned();
    match (table.editing, filter.is_empty()) {
        (true, _) => {
            let (before, after) = table.filter.split();
            title.push_str(&format!(" [filter: \"{}|{}\"]", text::printable(before), text::printable(after)));
        }
        (false, false) => title.push_str(&format!(" [filter: \"{}\"]", text::printable(filter))),
        (false, true) => {}
    }
    if let Some(chosen) = chosen(model) {
        title.push_str(&format!(" [{chosen}]"));
    }
    if !table.marked().is_empty() {
        title.push_str(&format!(" [{} marked]", table.marked().len()));
    }
    if table.loaded {
        title.push_str(&format!(" {}", table.position()));
    }
    // A column that the table does not show is named here.
    let choice = &model.keys.choice;
    if model.section == Section::Keys && !R::COLUMNS.iter().any(|column| column.sort == Some(choice.sort)) {
        title.push_str(&format!(" by {} {}", choice.sort, if choice.descending { "▼" } else { "▲" }));
    }
    title
}

/// The columns that fit: where each stands in the list of columns, and its width.
fn columns(all: &[Column], width: usize) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, &Column)> = all.iter().enumerate().collect();
    let rest = |shown: &[(usize, &Column)]| {
        let fixed: usize = shown.iter().map(|(_, column)| column.width + 1).sum();
        (width + 1).saturating_sub(fixed)
    };
    while rest(&shown) < WIDEST {
        let Some(rank) = shown.iter().map(|(_, column)| column.rank).max().filter(|rank| *rank > 0) else { break };
        shown.retain(|(_, column)| column.rank != rank);
    }
    let rest = rest(&shown);
    shown.into_iter().map(|(index, column)| (index, if column.width == 0 { rest } else { column.width })).collect()
}

fn row<R: Listed>(
    one: &R,
    selected: bool,
    marked: bool,
    columns: &[(usize, usize)],
    place: Rect,
    model: &Model,
    buffer: &mut Buffer,
) {
    let marker = match (selected, marked) {
        (true, true) => ">+",
        (true, false) => "> ",
        (false, true) => " +",
        (false, false) => "  ",
    };
    buffer.set_stringn(place.x, place.y, marker, 2, model.theme.style(Role::Title));
    let mut x = place.x + 2;
    for (index, width) in columns {
        let (text, role) = one.cell(*index, model.now);
        buffer.set_stringn(x, place.y, text::cut(&text, *width), *width, model.theme.style(role));
        x = x.saturating_add(u16::try_from(*width + 1).unwrap_or(u16::MAX));
    }
    if selected {
        buffer.set_style(place, model.theme.style(Role::Selected));
    }
}

#[cfg(test)]
mod tests {
    use keystile::{AuditEntry, Finding, IssuerInfo, Key, SecurityEvent, Session, SigningKey, User};

    use super::*;
    use crate::section::ConcernCount;

    #[test]
    fn columns_never_take_more_than_there_is() {
        let tables: [&[Column]; 9] = [
            Key::COLUMNS,
            ConcernCount::COLUMNS,
            User::COLUMNS,
            Session::COLUMNS,
            SigningKey::COLUMNS,
            IssuerInfo::COLUMNS,
            AuditEntry::COLUMNS,
            Finding::COLUMNS,
            SecurityEvent::COLUMNS,
        ];
        for all in tables {
            for width in 36..300 {
                let shown = columns(all, width);
                let used: usize = shown.iter().map(|(_, width)| width + 1).sum();
                assert!(used <= width + 1, "{width}: {shown:?}");
            }
            assert_eq!(columns(all, 300).len(), all.len());
            assert_eq!(all.iter().filter(|column| column.width == 0).count(), 1);
        }
        assert_eq!(columns(Key::COLUMNS, 38).len(), 3);
    }
}
