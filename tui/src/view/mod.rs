//! Draws the model. Nothing here changes anything.

mod details;
pub(crate) mod layout;
mod list;
pub(crate) mod sheet;

use keystile::Concern;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::action::{ACTIONS, ActionId};
use crate::model::{Model, Screen, StoreState, with_table};
use crate::plain;
use crate::section::Section;
use crate::text;
use crate::theme::{Role, Theme};
pub(crate) use details::count as count_details;
use layout::Areas;

/// Seconds after which opening a store takes long.
const LONG: u64 = 2;
const LOCKED: &str = "It takes long: another process seems to keep the store locked. It is waited for up to a \
                      minute; end that process, or press q to quit.";

/// Draws all of the screen.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    match layout::areas(area, model.plain) {
        None => too_small(model, area, buffer),
        Some(areas) => all(model, areas, buffer),
    }
    if model.plain {
        plain::flatten(buffer);
    }
}

fn too_small(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (width, height) = layout::SMALLEST;
    let text = if model.secret().is_some() {
        format!("need {width}×{height} · a secret waits")
    } else {
        format!("need {width}×{height} · q quits")
    };
    if area.height > 0 {
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), model.theme.style(Role::Text));
    }
}

fn all(model: &Model, areas: Areas, buffer: &mut Buffer) {
    header(model, areas.header, buffer);
    match (&model.store, model.screen) {
        (StoreState::Opening, _) => {
            let mut lines = vec!["Opening the store…".to_owned()];
            if model.now.seconds_since(model.opening_since) >= LONG {
                lines.extend([String::new(), LOCKED.to_owned()]);
            }
            start(&lines, model, areas, buffer);
        }
        (StoreState::Failed { missing, problem }, _) => {
            let [make, retry, quit] =
                [ActionId::MakeStore, ActionId::Retry, ActionId::Quit].map(|id| id.action().key());
            let next = match (*missing, model.is_read_only()) {
                (true, false) => format!("Press {make} to make a store here, {retry} to try again, {quit} to quit."),
                _ => format!("Press {retry} to try again, {quit} to quit."),
            };
            start(&[text::printable(problem), String::new(), next.to_owned()], model, areas, buffer);
        }
        (StoreState::Open { .. }, Screen::List) => with_table!([&] model, table => {
            list::draw(table, model, areas, buffer);
            if let Some(place) = areas.details {
                details::draw(table, model, place, 0, areas.borders, buffer);
            }
        }),
        (StoreState::Open { .. }, Screen::Details) => {
            let place = areas.details.map_or(areas.list, |details| areas.list.union(details));
            with_table!([&] model, table => {
                details::draw(table, model, place, model.details_top, areas.borders, buffer);
            });
        }
    }
    bar(model, areas.bar, buffer);
    if let Some(dialog) = &model.dialog {
        let room = areas.details.map_or(areas.list, |details| areas.list.union(details));
        let width = layout::dialog_columns(room, areas.borders);
        dialog.sheet(model, width).draw(room, areas.borders, buffer);
    }
}

fn header(model: &Model, place: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let mut x = place.x + 1;
    let mut put = |text: &str, role: Role| {
        let room = usize::from(place.right().saturating_sub(x));
        x = buffer.set_stringn(x, place.y, text, room, theme.style(role)).0;
    };
    put("keystile", Role::Title);
    put("  ", Role::Text);
    put(&text::cut(&model.db, usize::from(place.width) / 3), Role::Text);
    if model.is_read_only() {
        put("  ", Role::Text);
        put("READ-ONLY", Role::Warning);
    }
    if model.clock_behind {
        put("  ", Role::Text);
        put("CLOCK BEHIND", Role::Bad);
    }
    // What cannot wait comes first, as far as there is room.
    if let Some(counts) = &model.counts {
        let warnings = [
            (Concern::Expiring, "expire < 7d", Role::Bad),
            (Concern::Idle, "idle > 90d", Role::Warning),
            (Concern::Old, "secrets > 90d", Role::Warning),
        ];
        for (concern, words, role) in warnings.into_iter().filter(|(concern, ..)| counts.of(*concern) > 0) {
            let warning = format!("   {} {words}", counts.of(concern));
            if usize::from(x) + text::width(&warning) + 8 <= usize::from(place.right()) {
                x = buffer.set_stringn(x, place.y, warning, usize::from(place.width), theme.style(role)).0;
            }
        }
    }
    let open = matches!(model.store, StoreState::Open { .. });
    let ends = [ActionId::Go(Section::Keys), ActionId::Go(Section::SecurityEvents), ActionId::Help];
    let [first, last, help] = ends.map(|id| id.action().key());
    let hints = [format!("{first}-{last} sections   {help} help "), format!("{help} help ")];
    let hints = hints.into_iter().skip(usize::from(!open));
    let start = |hint: &str| place.right().saturating_sub(u16::try_from(text::width(hint)).unwrap_or(u16::MAX));
    // The longest that fits.
    let fits = hints.map(|hint| (start(&hint), hint)).find(|(at, _)| x + 2 < *at);
    if let (Some((at, hint)), None) = (fits, &model.dialog) {
        buffer.set_stringn(at, place.y, hint, usize::from(place.width), theme.style(Role::Faint));
    }
}

fn start(lines: &[String], model: &Model, areas: Areas, buffer: &mut Buffer) {
    let place = areas.details.map_or(areas.list, |details| areas.list.union(details));
    frame(place, "Store", model.theme, areas.borders, buffer);
    let inner = layout::inside(place, areas.borders);
    let width = usize::from(inner.width.saturating_sub(2));
    let lines = lines.iter().flat_map(|line| text::wrap(line, width));
    for (y, line) in (inner.y..inner.bottom()).zip(lines) {
        buffer.set_stringn(inner.x + 1, y, line, width, model.theme.style(Role::Text));
    }
}

/// The line at the bottom: what was just said, else what can be done.
fn bar(model: &Model, place: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let room = usize::from(place.width.saturating_sub(1));
    if let Some(toast) = &model.toast {
        let role = if toast.bad { Role::Bad } else { Role::Good };
        let text = text::printable(&toast.text);
        let text = if text::width(&text) > room && toast.bad {
            format!("{} (!)", text::cut(&text, room.saturating_sub(4)))
        } else {
            text::cut(&text, room)
        };
        buffer.set_stringn(place.x + 1, place.y, text, room, theme.style(role));
        return;
    }
    if model.dialog.is_some() {
        return;
    }
    let here = model.places();
    // Help and quit are always there; the others as far as there is room for them.
    let last = [ActionId::Help, ActionId::Quit];
    let name = |id: ActionId| {
        let action = id.action();
        format!("{} {}", action.key(), action.name)
    };
    let kept: usize = last.iter().map(|id| text::width(&name(*id)) + 2).sum();
    let mut text = String::new();
    let named =
        ACTIONS.iter().filter(|action| action.in_bar && here.contains(&action.place) && !last.contains(&action.id));
    for action in named.filter(|action| action.check(model).is_ok()) {
        let name = name(action.id);
        if text::width(&text) + text::width(&name) + 2 + kept > room {
            break;
        }
        text.push_str(&name);
        text.push_str("  ");
    }
    for id in last {
        text.push_str(&name(id));
        text.push_str("  ");
    }
    buffer.set_stringn(place.x + 1, place.y, text.trim_end(), room, theme.style(Role::Faint));
}

/// A frame with its title: borders, or a title line.
pub(crate) fn frame(place: Rect, title: &str, theme: Theme, borders: bool, buffer: &mut Buffer) {
    if place.is_empty() {
        return;
    }
    let style = theme.style(Role::Faint);
    let room = usize::from(place.width.saturating_sub(2));
    if !borders {
        buffer.set_stringn(place.x, place.y, text::cut(title, room), room, theme.style(Role::Title));
        return;
    }
    let (left, right, top, bottom) = (place.left(), place.right() - 1, place.top(), place.bottom() - 1);
    let mut put = |x: u16, y: u16, symbol: &str| {
        if let Some(cell) = buffer.cell_mut((x, y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    };
    for x in left..=right {
        put(x, top, "─");
        put(x, bottom, "─");
    }
    for y in top..=bottom {
        put(left, y, "│");
        put(right, y, "│");
    }
    for (x, y, symbol) in [(left, top, "┌"), (right, top, "┐"), (left, bottom, "└"), (right, bottom, "┘")] {
        put(x, y, symbol);
    }
    if room > 2 {
        let title = format!(" {} ", text::cut(title, room - 2));
        // Over the line of the frame, which is faint.
        let style = theme.style(Role::Title).remove_modifier(Modifier::DIM);
        buffer.set_stringn(left + 1, top, title, room, style);
    }
}
