//! Suspend or resume a key?

use crossterm::event::{KeyCode, KeyEvent};
use keystile::{KeyId, Timestamp};

use super::{Ring, Step};
use crate::message::Effect;
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// A question with two buttons; the focus starts on Cancel.
#[derive(Debug)]
pub(crate) struct Confirm {
    id: KeyId,
    name: String,
    prefix: String,
    last_used: Option<Timestamp>,
    suspend: bool,
    focus: Ring<Button>,
    /// Why it was refused.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Button {
    Confirm,
    Cancel,
}

impl Confirm {
    /// Asks whether to suspend (or else resume) this key.
    pub(crate) fn new(key: &keystile::Key, suspend: bool) -> Confirm {
        Confirm {
            id: key.id,
            name: text::printable(&key.name),
            prefix: text::printable(key.display()),
            last_used: key.last_used_at(),
            suspend,
            focus: Ring(Button::Cancel),
            problem: None,
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if self.focus.key(key, &[Button::Confirm, Button::Cancel]) {
            return Step::Stay;
        }
        match (key.code, self.focus.0) {
            (KeyCode::Left | KeyCode::Right, _) => {
                self.focus.0 = if self.focus.0 == Button::Cancel { Button::Confirm } else { Button::Cancel };
                Step::Stay
            }
            (KeyCode::Esc, _) | (KeyCode::Enter, Button::Cancel) => Step::Close,
            (KeyCode::Enter, Button::Confirm) if self.suspend => Step::Submit(Effect::Suspend(self.id)),
            (KeyCode::Enter, Button::Confirm) => Step::Submit(Effect::Resume(self.id)),
            _ => Step::Stay,
        }
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let verb = if self.suspend { "Suspend" } else { "Resume" };
        // The title stays in view on the smallest terminal.
        let mut sheet = Sheet::new(&format!("{verb}: {}", self.name), model, width);
        sheet.text(Role::Title, &self.prefix);
        let used = self
            .last_used
            .map_or_else(|| "never used".to_owned(), |at| format!("last used {}", text::relative(model.now, at)));
        sheet.text(Role::Faint, &used);
        sheet.blank();
        if self.suspend {
            sheet.text(Role::Text, "All its secrets are refused from now on, everywhere. Resume switches it on again.");
        } else {
            sheet.text(Role::Text, "Its secrets are valid again, as far as they were before.");
        }
        sheet.problem(self.problem.as_deref());
        sheet.blank();
        sheet.buttons(&[
            (verb, self.focus.0 == Button::Confirm, true),
            ("Cancel", self.focus.0 == Button::Cancel, true),
        ]);
        sheet.hint("Tab moves · Enter chooses · Esc cancels");
        sheet
    }
}
