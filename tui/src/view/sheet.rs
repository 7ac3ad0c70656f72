//! What a dialog shows, line by line, and how it is drawn.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::{frame, layout};
use crate::input::Input;
use crate::model::Model;
use crate::text;
use crate::theme::{Role, Theme};

/// The lines of a dialog.
pub(crate) struct Sheet<'a> {
    title: String,
    /// Stays in view however long the rest is.
    head: Option<Line<'a>>,
    lines: Vec<Line<'a>>,
    hint: Cow<'static, str>,
    /// The line that must be in view.
    focus: usize,
    theme: Theme,
    width: usize,
}

/// Columns of the names of fields.
const LABEL: usize = 12;

impl<'a> Sheet<'a> {
    /// A sheet without lines.
    pub(crate) fn new(title: &str, model: &Model, width: usize) -> Sheet<'a> {
        let title = if model.busy { format!("working… {title}") } else { title.to_owned() };
        Sheet {
            title,
            head: None,
            lines: Vec::new(),
            hint: Cow::Borrowed(""),
            focus: 0,
            theme: model.theme,
            width: width.max(1),
        }
    }

    /// What the keys do here.
    pub(crate) fn hint(&mut self, hint: impl Into<Cow<'static, str>>) {
        self.hint = hint.into();
    }

    /// An empty line.
    pub(crate) fn blank(&mut self) {
        self.lines.push(Line::default());
    }

    /// A text, in as many lines as it needs.
    pub(crate) fn text(&mut self, role: Role, text: &str) {
        let style = self.theme.style(role);
        self.lines.extend(text::wrap(text, self.width).into_iter().map(|line| Line::styled(line, style)));
    }

    /// A note to the field above.
    pub(crate) fn note(&mut self, note: &str) {
        let style = self.theme.style(Role::Faint);
        let indent = (LABEL + 2).min(self.width / 2);
        for line in text::wrap(note, self.width - indent) {
            self.lines.push(Line::styled(format!("{}{line}", " ".repeat(indent)), style));
        }
    }

    /// Why something was refused.
    pub(crate) fn problem(&mut self, problem: Option<&str>) {
        if let Some(problem) = problem {
            self.text(Role::Bad, &text::printable(problem));
        }
    }

    /// A row of a list.
    pub(crate) fn row(&mut self, text: &str, selected: bool, role: Role) {
        if selected {
            self.focus = self.lines.len();
        }
        let marker = if selected { "> " } else { "  " };
        let text = text::cut(text, self.width.saturating_sub(2));
        let mut style = self.theme.style(role);
        if selected {
            style = style.patch(self.theme.style(Role::Selected));
        }
        self.lines.push(Line::styled(format!("{marker}{text}"), style));
    }

    /// A choice by Left and Right.
    pub(crate) fn choice(&mut self, label: &str, value: &str, focused: bool) {
        self.choice_with(label, value, focused, None);
    }

    /// A choice by Left and Right, and why it does not fit.
    pub(crate) fn choice_with(&mut self, label: &str, value: &str, focused: bool, problem: Option<&str>) {
        let value = text::cut(&text::printable(value), self.width.saturating_sub(LABEL + 6));
        let value = if focused { format!("‹ {value} ›") } else { format!("  {value}") };
        let style = self.theme.style(if focused { Role::Selected } else { Role::Text });
        self.field(label, vec![Span::styled(value, style)], focused, problem);
    }

    /// A line of text that is typed, and why it does not fit.
    pub(crate) fn input(&mut self, label: &str, input: &Input, focused: bool, problem: Option<&str>) {
        let spans = self.typed(input, focused);
        self.field(label, spans, focused, problem);
    }

    /// A line that is typed and not shown.
    pub(crate) fn hidden(&mut self, label: &str, shown: &str, focused: bool) {
        let style = self.theme.style(if focused { Role::Selected } else { Role::Faint });
        self.field(label, vec![Span::styled(shown.to_owned(), style)], focused, None);
    }

    /// A line of text that is typed, above a list.
    pub(crate) fn head(&mut self, label: &str, input: &Input) {
        let mut spans = vec![Span::styled(format!("{label:<LABEL$}"), self.theme.style(Role::Title))];
        spans.extend(self.typed(input, true));
        self.head = Some(Line::from(spans));
    }

    fn typed(&self, input: &Input, focused: bool) -> Vec<Span<'a>> {
        let room = self.width.saturating_sub(LABEL + 3).max(1);
        let style = self.theme.style(Role::Text);
        let (before, after) = input.split();
        if !focused {
            return vec![Span::styled(text::cut(input.text(), room), style)];
        }
        // The part around the cursor: what is in front of it is cut at its start.
        let mut from = before.char_indices().map(|(at, _)| at).chain([before.len()]);
        let from = from.find(|from| text::width(&before[*from..]) < room).unwrap_or(before.len());
        let shown = &before[from..];
        let cursor_len = after.char_indices().nth(1).map_or(after.len(), |(at, _)| at);
        let (under, rest) = after.split_at(cursor_len);
        let under = if under.is_empty() { " " } else { under };
        let rest = text::cut(rest, room.saturating_sub(text::width(shown) + text::width(under)));
        vec![
            Span::styled(shown.to_owned(), style),
            Span::styled(under.to_owned(), style.add_modifier(Modifier::REVERSED)),
            Span::styled(rest, style),
        ]
    }

    fn field(&mut self, label: &str, value: Vec<Span<'a>>, focused: bool, problem: Option<&str>) {
        if focused {
            self.focus = self.lines.len();
        }
        let marker = if focused { "> " } else { "  " };
        let mut spans = vec![Span::styled(format!("{marker}{label:<LABEL$}"), self.theme.style(Role::Title))];
        spans.extend(value);
        self.lines.push(Line::from(spans));
        if let Some(problem) = problem {
            let style = self.theme.style(Role::Bad);
            let indent = (LABEL + 2).min(self.width / 2);
            for line in text::wrap(&text::printable(problem), self.width - indent) {
                self.lines.push(Line::styled(format!("{}{line}", " ".repeat(indent)), style));
            }
            if focused {
                // The reason is as much in view as its field.
                self.focus = self.lines.len().saturating_sub(1);
            }
        }
    }

    /// Buttons: name, whether it has the focus, whether it does anything now.
    pub(crate) fn buttons(&mut self, buttons: &[(&'static str, bool, bool)]) {
        let mut spans = Vec::new();
        for (name, focused, enabled) in buttons {
            if *focused {
                self.focus = self.lines.len();
            }
            let role = match (focused, enabled) {
                (true, _) => Role::Selected,
                (false, true) => Role::Text,
                (false, false) => Role::Faint,
            };
            spans.push(Span::raw(if *focused { "> " } else { "  " }));
            spans.push(Span::styled(format!("[ {name} ]"), self.theme.style(role)));
            spans.push(Span::raw("  "));
        }
        self.lines.push(Line::from(spans));
    }

    /// A secret, over as many lines as it needs. It is borrowed all the way to the cells: no copy of it is
    /// left behind.
    pub(crate) fn secret(&mut self, secret: &'a str) {
        let style = self.theme.style(Role::Title);
        let mut rest = secret;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(self.width).map_or(rest.len(), |(at, _)| at);
            let (line, after) = rest.split_at(end);
            self.lines.push(Line::styled(line, style));
            rest = after;
        }
        self.look_at_the_last();
    }

    /// Keeps the last line so far in view, where there is not room for all.
    pub(crate) fn look_at_the_last(&mut self) {
        self.focus = self.lines.len().saturating_sub(1);
    }

    /// Draws it over whatever is there.
    pub(crate) fn draw(self, area: Rect, borders: bool, buffer: &mut Buffer) {
        let head = usize::from(self.head.is_some());
        let place = layout::dialog(area, self.lines.len() + head, borders);
        for y in place.top()..place.bottom() {
            for x in place.left()..place.right() {
                if let Some(cell) = buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
        frame(place, &self.title, self.theme, borders, buffer);
        let mut inner = layout::inside(place, borders);
        if borders {
            inner.x += 1;
            inner.width = inner.width.saturating_sub(2);
        }
        let bottom = inner.bottom();
        if inner.height == 0 {
            return;
        }
        // The last line is for the keys.
        inner.height -= 1;
        buffer.set_stringn(inner.x, bottom - 1, &self.hint, usize::from(inner.width), self.theme.style(Role::Faint));
        if let Some(line) = &self.head
            && inner.height > 0
        {
            buffer.set_line(inner.x, inner.y, line, inner.width);
            inner.y += 1;
            inner.height -= 1;
        }
        let height = usize::from(inner.height);
        let top = (self.focus + 1).saturating_sub(height).min(self.lines.len().saturating_sub(height));
        for (y, line) in (inner.y..inner.bottom()).zip(self.lines.iter().skip(top)) {
            buffer.set_line(inner.x, y, line, inner.width);
        }
    }
}
