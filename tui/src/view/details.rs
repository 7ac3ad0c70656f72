//! All of one key.

use keystile::{Key, SecretInfo, Timestamp};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{frame, layout};
use crate::model::Model;
use crate::text;
use crate::theme::{self, Role};

pub(super) fn draw(model: &Model, place: Rect, top: usize, borders: bool, buffer: &mut Buffer) {
    let Some(key) = model.keys.selected() else {
        frame(place, "Details", model.theme, borders, buffer);
        return;
    };
    frame(place, &text::printable(&key.name), model.theme, borders, buffer);
    let inner = layout::inside(place, borders);
    let width = usize::from(inner.width.saturating_sub(2));
    let lines = lines(key, model.now, width);
    let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, value, role)) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        buffer.set_stringn(inner.x + 1, y, label, LABEL, model.theme.style(Role::Title));
        let x = inner.x + 1 + u16::try_from(LABEL + 1).unwrap_or(0);
        buffer.set_stringn(x, y, value, width.saturating_sub(LABEL + 1), model.theme.style(*role));
    }
}

/// Lines of a key's details in so many columns.
pub(crate) fn count(key: &Key, now: Timestamp, width: usize) -> usize {
    lines(key, now, width).len()
}

const LABEL: usize = 11;

fn lines(key: &Key, now: Timestamp, width: usize) -> Vec<(&'static str, String, Role)> {
    let (symbol, word, role) = theme::state(key, now);
    let time = |at: Timestamp| format!("{} ({})", text::minute(at), text::relative(now, at));
    let optional = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), time);
    let list = |items: Vec<String>, none: &str| if items.is_empty() { none.to_owned() } else { items.join(" ") };
    let mut fields: Vec<(&'static str, String, Role)> = vec![
        ("state", format!("{symbol} {word}"), role),
        ("prefix", text::printable(key.display()), Role::Text),
        ("id", key.id.to_string(), Role::Text),
        ("owner", text::printable(key.owner.as_deref().unwrap_or("-")), Role::Text),
        ("environment", key.environment.to_string(), Role::Text),
        ("format", text::printable(key.format.as_deref().unwrap_or("-")), Role::Text),
        ("scopes", list(key.scopes.iter().map(ToString::to_string).collect(), "-"), Role::Text),
        ("addresses", list(key.addresses.iter().map(ToString::to_string).collect(), "any"), Role::Text),
        ("limit", key.rate.map_or_else(|| "unlimited".to_owned(), |rate| rate.to_string()), Role::Text),
        ("created", format!("{} by {}", time(key.created_at), text::printable(&key.created_by)), Role::Text),
        ("updated", time(key.updated_at), Role::Text),
    ];
    if key.not_before.is_some() {
        fields.push(("valid from", optional(key.not_before, "always"), Role::Text));
    }
    fields.push(("expires", optional(key.expires_at, "never"), Role::Text));
    if let Some(at) = key.suspended_at {
        fields.push(("suspended", time(at), Role::Warning));
    }
    if let Some(revocation) = &key.revocation {
        let note = revocation.note.as_deref().map(|note| format!(": {}", text::printable(note))).unwrap_or_default();
        fields.push(("revoked", format!("{} as {}{note}", time(revocation.at), revocation.reason), Role::Bad));
    }
    let times = if key.uses() == 1 { "time" } else { "times" };
    fields.push((
        "used",
        format!("{} {times}, last: {}", key.uses(), optional(key.last_used_at(), "never")),
        Role::Text,
    ));
    for (index, secret) in key.secrets.iter().enumerate().rev() {
        let active = index + 1 == key.secrets.len();
        let (what, role) = secret_line(secret, active, now);
        fields.push(("secret", format!("{} {} {what}", secret.number, text::printable(&secret.display)), role));
    }
    for (name, value) in &key.metadata {
        fields.push(("metadata", format!("{}={}", text::printable(name), text::printable(value)), Role::Text));
    }
    let room = width.saturating_sub(LABEL + 1);
    let wrapped = |(label, value, role): (&'static str, String, Role)| {
        let lines = text::wrap(&value, room).into_iter().enumerate();
        lines.map(move |(index, line)| (if index == 0 { label } else { "" }, line, role))
    };
    fields.into_iter().flat_map(wrapped).collect()
}

/// What a secret is worth at this time.
fn secret_line(secret: &SecretInfo, active: bool, now: Timestamp) -> (String, Role) {
    match (active, secret.retires_at, secret.pending_grace) {
        (true, ..) => ("active".to_owned(), Role::Text),
        (false, Some(at), _) if at <= now => ("refused as rotated".to_owned(), Role::Faint),
        (false, Some(at), _) => (format!("old, valid for {}", text::countdown(now, at)), Role::Warning),
        (false, None, Some(grace)) => {
            let grace = text::format_duration(grace);
            (format!("old, valid until {grace} after the first use of a newer one"), Role::Warning)
        }
        (false, None, None) => ("old, valid".to_owned(), Role::Warning),
    }
}
