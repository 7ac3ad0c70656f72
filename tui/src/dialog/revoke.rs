//! Revoke a key? The prefix must be typed, and Enter never confirms.

use crossterm::event::{KeyCode, KeyEvent};
use keystile::bounds::MAX_NOTE_LEN;
use keystile::{Key, KeyId, KeyState, RevokeReason, Timestamp};

use super::confirm::{ids, names};
use super::{Ring, Step, choose};
use crate::action::ActionId;
use crate::input::Input;
use crate::message::{Change, Effect};
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// The question before a key is ended for good.
#[derive(Debug)]
pub(crate) struct Revoke {
    ids: Vec<KeyId>,
    /// The first few of them, when they are many.
    many: Option<String>,
    name: String,
    /// What must be typed.
    expected: String,
    last_used: Option<Timestamp>,
    suspended: bool,
    reason: usize,
    note: Input,
    typed: Input,
    focus: Ring<Field>,
    /// Why it was refused.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Reason,
    Note,
    Prefix,
    Revoke,
    Cancel,
}

const FIELDS: [Field; 5] = [Field::Reason, Field::Note, Field::Prefix, Field::Revoke, Field::Cancel];

impl Revoke {
    /// Asks whether to revoke all these keys.
    pub(crate) fn all(keys: &[&Key]) -> Revoke {
        let name = format!("{} marked keys", keys.len());
        Revoke {
            expected: name.clone(),
            name,
            many: Some(names(keys)),
            last_used: None,
            suspended: true,
            reason: 0,
            note: Input::default(),
            typed: Input::default(),
            focus: Ring(Field::Cancel),
            problem: None,
            ids: ids(keys),
        }
    }

    /// Asks whether to revoke this key.
    pub(crate) fn new(key: &Key) -> Revoke {
        Revoke {
            ids: vec![key.id],
            many: None,
            name: text::printable(&key.name),
            expected: expected(key),
            last_used: key.last_used_at(),
            suspended: key.state == KeyState::Suspended,
            reason: 0,
            note: Input::default(),
            typed: Input::default(),
            focus: Ring(Field::Cancel),
            problem: None,
        }
    }

    fn is_typed(&self) -> bool {
        self.typed.text() == self.expected
    }

    fn note_problem(&self) -> Option<String> {
        let note = self.note.text();
        let fits = note.is_empty() || (note.trim() == note && note.len() <= MAX_NOTE_LEN);
        (!fits).then(|| format!("not a note · give at most {MAX_NOTE_LEN} bytes without spaces at the ends"))
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if self.focus.key(key, &FIELDS) {
            return Step::Stay;
        }
        match (key.code, self.focus.0) {
            (KeyCode::Esc, _) | (KeyCode::Enter, Field::Cancel) => return Step::Close,
            // From field to field; never onto a button.
            (KeyCode::Enter, Field::Reason) => self.focus.0 = Field::Note,
            (KeyCode::Enter, Field::Note) => self.focus.0 = Field::Prefix,
            (KeyCode::Enter, _) => {}
            (KeyCode::Char('S'), Field::Cancel | Field::Revoke) if !self.suspended => {
                if let [id] = self.ids[..] {
                    return Step::RunOn(ActionId::Suspend, id);
                }
            }
            (KeyCode::Char('X'), Field::Revoke) if self.is_typed() && self.note_problem().is_none() => {
                return Step::Submit(self.effect());
            }
            (_, Field::Reason) => {
                choose(&mut self.reason, RevokeReason::ALL.len(), key);
            }
            (_, Field::Note | Field::Prefix) => {
                if let Some(input) = self.text_field() {
                    input.key(key);
                }
            }
            (_, Field::Revoke | Field::Cancel) => {}
        }
        Step::Stay
    }

    fn effect(&self) -> Effect {
        let reason = RevokeReason::ALL.get(self.reason).copied().unwrap_or(RevokeReason::Unspecified);
        let note = self.note.text();
        let note = (!note.is_empty()).then(|| note.to_owned());
        Effect::Change(Change::RevokeKeys { ids: self.ids.clone(), reason, note })
    }

    pub(super) fn text_field(&mut self) -> Option<&mut Input> {
        match self.focus.0 {
            Field::Note => Some(&mut self.note),
            Field::Prefix => Some(&mut self.typed),
            Field::Reason | Field::Revoke | Field::Cancel => None,
        }
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        // The title stays in view on the smallest terminal.
        let mut sheet = Sheet::new(&format!("Revoke for good: {}", self.name), model, width);
        if let Some(names) = &self.many {
            sheet.text(Role::Title, names);
            sheet.text(Role::Bad, "This ends the keys for good, with all their secrets. It cannot be undone.");
        } else {
            let used = self
                .last_used
                .map_or_else(|| "never used".to_owned(), |at| format!("last used {}", text::relative(model.now, at)));
            sheet.text(Role::Faint, &used);
            sheet.text(Role::Bad, "This ends the key for good, with all its secrets. It cannot be undone.");
        }
        if !self.suspended {
            sheet.text(Role::Text, "To switch it off for now, press S on a button: suspend can be undone.");
        }
        sheet.blank();
        let focus = self.focus.0;
        let reason = RevokeReason::ALL.get(self.reason).map_or("", |reason| reason.as_str());
        sheet.choice("reason", reason, focus == Field::Reason);
        sheet.input("note", &self.note, focus == Field::Note, self.note_problem().as_deref());
        let wrong = (!self.typed.text().is_empty() && !self.expected.starts_with(self.typed.text()))
            .then(|| format!("not what is asked for · type {}", text::printable(&self.expected)));
        sheet.text(Role::Text, &format!("Type {} to confirm:", text::printable(&self.expected)));
        sheet.input("confirm", &self.typed, focus == Field::Prefix, wrong.as_deref());
        sheet.problem(self.problem.as_deref());
        sheet.blank();
        sheet.buttons(&[("Revoke", focus == Field::Revoke, self.is_typed()), ("Cancel", focus == Field::Cancel, true)]);
        sheet.hint(match focus {
            Field::Revoke if self.is_typed() => "X revokes · Esc cancels",
            Field::Revoke => "type the confirmation first · Esc cancels",
            Field::Reason => "Left and Right choose · Tab moves · Esc cancels",
            _ => "Tab moves · Esc cancels",
        });
        sheet
    }
}

/// What must be typed to revoke a key: what lists show of its secret, else its name, else its id.
fn expected(key: &Key) -> String {
    let typeable = |text: &str| !text.is_empty() && text::printable(text) == text && text.trim() == text;
    let prefix = key.display().trim_end_matches(['…', '.']);
    [prefix, key.name.as_str()]
        .into_iter()
        .find(|text| typeable(text))
        .map_or_else(|| key.id.to_string(), str::to_owned)
}
