//! What was done to a key, newest first.

use crossterm::event::{KeyCode, KeyEvent};
use keystile::{AuditEntry, Key, KeyId};

use super::Step;
use crate::message::Effect;
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// The newest entries of the audit trail that name a key.
#[derive(Debug)]
pub(crate) struct Audit {
    id: KeyId,
    name: String,
    /// `None` until they were read.
    entries: Option<Vec<AuditEntry>>,
    /// The first entry in view.
    top: usize,
}

/// Most entries that are listed.
pub(crate) const MAX_ENTRIES: usize = 500;

impl Audit {
    /// Waits for the entries of this key.
    pub(crate) fn new(key: &Key) -> Audit {
        Audit { id: key.id, name: text::printable(&key.name), entries: None, top: 0 }
    }

    /// Asks for the entries.
    pub(crate) fn read(&self) -> Effect {
        Effect::Audit(self.id)
    }

    /// Takes the entries, when they are those of its key.
    pub(crate) fn take(&mut self, id: KeyId, entries: Vec<AuditEntry>) {
        if id == self.id {
            self.top = self.top.min(entries.len().saturating_sub(1));
            self.entries = Some(entries);
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        let last = self.entries.as_ref().map_or(0, |entries| entries.len().saturating_sub(1));
        let to = match key.code {
            KeyCode::Esc => return Step::Close,
            KeyCode::Down | KeyCode::Char('j') => self.top.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::PageDown => self.top.saturating_add(10),
            KeyCode::PageUp => self.top.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => self.top,
        };
        self.top = to.min(last);
        Step::Stay
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let mut sheet = Sheet::new(&format!("Audit: {}", self.name), model, width);
        match &self.entries {
            None => sheet.text(Role::Faint, "reading…"),
            Some(entries) if entries.is_empty() => {
                sheet.text(Role::Text, "The trail has no entry that names this key.")
            }
            Some(entries) => {
                for entry in entries.iter().skip(self.top) {
                    let head = format!("{}  {}", text::minute(entry.at), text::printable(&entry.action));
                    sheet.text(Role::Title, &head);
                    sheet.text(Role::Text, &format!("{}. by {}", entry.sequence, text::printable(&entry.actor)));
                    if entry.detail != "{}" {
                        sheet.text(Role::Faint, &text::printable(&entry.detail));
                    }
                }
            }
        }
        sheet.hint("Down and Up scroll · Esc back");
        sheet
    }
}
