//! All of one row.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{frame, layout};
use crate::model::Model;
use crate::section::{Field, Listed};
use crate::table::Table;
use crate::text;
use crate::theme::Role;

pub(super) fn draw<R: Listed>(
    table: &Table<R>,
    model: &Model,
    place: Rect,
    top: usize,
    borders: bool,
    buffer: &mut Buffer,
) {
    let Some(one) = table.selected() else {
        frame(place, "Details", model.theme, borders, buffer);
        return;
    };
    frame(place, &one.title(), model.theme, borders, buffer);
    let inner = layout::inside(place, borders);
    let width = usize::from(inner.width.saturating_sub(2));
    let lines = lines(one, model, width);
    let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, value, role)) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        buffer.set_stringn(inner.x + 1, y, label, LABEL, model.theme.style(Role::Title));
        let x = inner.x + 1 + u16::try_from(LABEL + 1).unwrap_or(0);
        buffer.set_stringn(x, y, value, width.saturating_sub(LABEL + 1), model.theme.style(*role));
    }
}

/// Lines of the details of what is selected, in so many columns.
pub(crate) fn count<R: Listed>(table: &Table<R>, model: &Model, width: usize) -> usize {
    table.selected().map_or(0, |one| lines(one, model, width).len())
}

const LABEL: usize = 12;

fn lines<R: Listed>(one: &R, model: &Model, width: usize) -> Vec<Field> {
    let mut fields = one.fields(model.now);
    fields.extend(one.usage_of(model));
    let room = width.saturating_sub(LABEL + 1);
    let wrapped = |(label, value, role): Field| {
        let lines = text::wrap(&value, room).into_iter().enumerate();
        lines.map(move |(index, line)| (if index == 0 { label } else { "" }, line, role))
    };
    fields.into_iter().flat_map(wrapped).collect()
}
