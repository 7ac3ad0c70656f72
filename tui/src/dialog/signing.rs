//! A new signing key?

use crossterm::event::{KeyCode, KeyEvent};
use keystile::{SigningAlgorithm, SigningKeyRotation};

use super::{Ring, Step, choose};
use crate::message::{Change, Effect};
use crate::model::Model;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// The question before a new signing key is made.
#[derive(Debug)]
pub(crate) struct Signing {
    algorithm: usize,
    when: usize,
    focus: Ring<Field>,
    /// Why it was refused.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Algorithm,
    When,
    Make,
    Cancel,
}

const FIELDS: [Field; 4] = [Field::Algorithm, Field::When, Field::Make, Field::Cancel];

/// From when on it signs, and what follows from that.
const WHENS: [(&str, &str); 3] = [
    (
        "when every verifier has it",
        "It is published first; the old key signs until every verifier has fetched the new one.",
    ),
    ("at once", "Until a verifier fetches the key set anew, it refuses what the new key has signed."),
    (
        "at once, old tokens refused",
        "For a private key that leaked: whatever older keys have signed is refused from now on, so everybody has to log in again.",
    ),
];

/// The last of them.
const REFUSES_OLDER: usize = WHENS.len() - 1;

impl Signing {
    /// Asks what the key should be like.
    pub(crate) fn new() -> Signing {
        Signing { algorithm: 0, when: 0, focus: Ring(Field::Cancel), problem: None }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if self.focus.key(key, &FIELDS) {
            return Step::Stay;
        }
        match (key.code, self.focus.0) {
            (KeyCode::Esc, _) | (KeyCode::Enter, Field::Cancel) => return Step::Close,
            // What ends everybody's sessions needs a key that nothing else leads to.
            (KeyCode::Enter, Field::Make) if self.when < REFUSES_OLDER => return self.submit(),
            (KeyCode::Char('X'), Field::Make) => return self.submit(),
            (KeyCode::Enter, Field::Algorithm) => self.focus.0 = Field::When,
            (_, Field::Algorithm) => {
                choose(&mut self.algorithm, SigningAlgorithm::ALL.len() + 1, key);
            }
            (_, Field::When) => {
                choose(&mut self.when, WHENS.len(), key);
            }
            _ => {}
        }
        Step::Stay
    }

    fn submit(&self) -> Step {
        let rotation = SigningKeyRotation {
            algorithm: self.algorithm.checked_sub(1).and_then(|at| SigningAlgorithm::ALL.get(at)).copied(),
            at_once: self.when > 0,
            refuse_older: self.when == REFUSES_OLDER,
        };
        Step::Submit(Effect::Change(Change::RotateSigningKey(rotation)))
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let mut sheet = Sheet::new("New signing key", model, width);
        let focus = self.focus.0;
        let algorithm = self.algorithm.checked_sub(1).and_then(|at| SigningAlgorithm::ALL.get(at));
        let algorithm = algorithm.map_or("as the settings say", |algorithm| algorithm.as_str());
        let (when, consequence) = WHENS.get(self.when).copied().unwrap_or_default();
        sheet.choice("algorithm", algorithm, focus == Field::Algorithm);
        sheet.choice("signs", when, focus == Field::When);
        sheet.blank();
        sheet.text(if self.when == 0 { Role::Text } else { Role::Warning }, consequence);
        sheet.problem(self.problem.as_deref());
        sheet.blank();
        sheet.buttons(&[("Make", focus == Field::Make, true), ("Cancel", focus == Field::Cancel, true)]);
        sheet.hint(if self.when == REFUSES_OLDER && focus == Field::Make {
            "X makes it and refuses the old · Esc cancels"
        } else {
            "Left and Right choose · Tab moves · Esc cancels"
        });
        sheet
    }
}
