//! Dialogs: what they ask, which keys they take, what they lead to.

mod audit;
mod confirm;
mod new_key;
mod picker;
mod revoke;
mod rotate;
mod secret;
mod signing;
mod trial;

use crossterm::event::{KeyCode, KeyEvent};
use keystile::KeyId;

pub(crate) use audit::{Audit, MAX_ENTRIES};
pub(crate) use confirm::Confirm;
pub(crate) use new_key::NewKeyForm;
pub(crate) use picker::{Picker, PickerKind};
pub(crate) use revoke::Revoke;
pub(crate) use rotate::Rotate;
pub(crate) use secret::SecretDialog;
pub(crate) use signing::Signing;
pub(crate) use trial::TrialForm;

use crate::action::ActionId;
use crate::input::Input;
use crate::message::Effect;
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// What is asked right now.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// A list to choose from: help, commands, columns.
    Picker(Picker),
    /// Past errors, from this line on.
    Errors(usize),
    /// What was done to a key.
    Audit(Audit),
    /// A change that can be undone?
    Confirm(Box<Confirm>),
    /// Revoke a key?
    Revoke(Box<Revoke>),
    /// Rotate a key?
    Rotate(Box<Rotate>),
    /// A new signing key?
    Signing(Signing),
    /// What is the verdict on a credential?
    Trial(Box<TrialForm>),
    /// What should a new key be?
    NewKey(Box<NewKeyForm>),
    /// A secret, this once.
    Secret(Box<SecretDialog>),
}

/// What a key leads to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The dialog stays.
    Stay,
    /// The dialog closes, and nothing was done.
    Close,
    /// The dialog closes, and this action is dispatched.
    Run(ActionId),
    /// The dialog closes, and this action is dispatched if this key is still the selected one.
    RunOn(ActionId, KeyId),
    /// The dialog closes, and this column is sorted by.
    Sort(keystile::SortColumn),
    /// The dialog waits for this change.
    Submit(Effect),
    /// The dialog stays, and this is done.
    Do(Effect),
}

impl Dialog {
    /// Takes a key.
    pub(crate) fn key(&mut self, key: KeyEvent, model: &Model) -> Step {
        match self {
            Dialog::Picker(picker) => picker.key(key, model),
            Dialog::Errors(top) => {
                match key.code {
                    KeyCode::Down | KeyCode::PageDown | KeyCode::Char('j') => *top = top.saturating_add(1),
                    KeyCode::Up | KeyCode::PageUp | KeyCode::Char('k') => *top = top.saturating_sub(1),
                    KeyCode::Esc | KeyCode::Enter | KeyCode::Char('!') => return Step::Close,
                    _ => {}
                }
                *top = (*top).min(model.errors.len().saturating_sub(1));
                Step::Stay
            }
            Dialog::Audit(audit) => audit.key(key),
            Dialog::Confirm(confirm) => confirm.key(key),
            Dialog::Signing(signing) => signing.key(key),
            Dialog::Trial(trial) => trial.key(key),
            Dialog::Revoke(revoke) => revoke.key(key),
            Dialog::Rotate(rotate) => rotate.key(key),
            Dialog::NewKey(form) => form.key(key, model),
            // Its keys are actions; only the path of the file is text.
            Dialog::Secret(secret) => secret.key(key),
        }
    }

    /// The text field that has the focus.
    pub(crate) fn text_field(&mut self) -> Option<&mut Input> {
        match self {
            Dialog::Picker(picker) => Some(&mut picker.input),
            Dialog::Errors(_) | Dialog::Audit(_) | Dialog::Confirm(_) | Dialog::Signing(_) => None,
            Dialog::Trial(trial) => trial.text_field(),
            Dialog::Revoke(revoke) => revoke.text_field(),
            Dialog::Rotate(rotate) => rotate.text_field(),
            Dialog::NewKey(form) => form.text_field(),
            Dialog::Secret(secret) => secret.path.as_mut(),
        }
    }

    /// What it looks like, in so many columns.
    pub(crate) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        match self {
            Dialog::Picker(picker) => picker.sheet(model, width),
            Dialog::Errors(top) => errors(*top, model, width),
            Dialog::Audit(audit) => audit.sheet(model, width),
            Dialog::Confirm(confirm) => confirm.sheet(model, width),
            Dialog::Signing(signing) => signing.sheet(model, width),
            Dialog::Trial(trial) => trial.sheet(model, width),
            Dialog::Revoke(revoke) => revoke.sheet(model, width),
            Dialog::Rotate(rotate) => rotate.sheet(model, width),
            Dialog::NewKey(form) => form.sheet(model, width),
            Dialog::Secret(secret) => secret.sheet(model, width),
        }
    }

    /// Shows why a change was refused.
    pub(crate) fn refused(&mut self, problem: String) {
        match self {
            Dialog::Confirm(confirm) => confirm.problem = Some(problem),
            Dialog::Signing(signing) => signing.problem = Some(problem),
            Dialog::Revoke(revoke) => revoke.problem = Some(problem),
            Dialog::Rotate(rotate) => rotate.problem = Some(problem),
            Dialog::NewKey(form) => form.problem = Some(problem),
            Dialog::Picker(_) | Dialog::Errors(_) | Dialog::Audit(_) | Dialog::Trial(_) | Dialog::Secret(_) => {}
        }
    }
}

fn errors<'a>(top: usize, model: &'a Model, width: usize) -> Sheet<'a> {
    let mut sheet = Sheet::new("Errors", model, width);
    if model.errors.is_empty() {
        sheet.text(Role::Good, "Nothing went wrong since the start.");
    }
    // The newest first.
    for problem in model.errors.iter().rev().skip(top) {
        sheet.text(Role::Faint, &text::minute(problem.at));
        sheet.text(Role::Text, &text::printable(&problem.text));
    }
    sheet.hint("Esc back");
    sheet
}

/// The focus among fields and buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring<F: 'static>(pub(crate) F);

impl<F: Copy + PartialEq> Ring<F> {
    /// Moves through the fields that there are now; whether the key was one that moves.
    pub(crate) fn key(&mut self, key: KeyEvent, fields: &[F]) -> bool {
        let at = fields.iter().position(|field| *field == self.0).unwrap_or(0);
        let count = fields.len().max(1);
        let to = match key.code {
            KeyCode::Tab | KeyCode::Down => (at + 1) % count,
            KeyCode::BackTab | KeyCode::Up => (at + count - 1) % count,
            _ => return false,
        };
        if let Some(field) = fields.get(to) {
            self.0 = *field;
        }
        true
    }
}

/// Moves a choice by Left and Right, around the ends; whether the key was one of them.
pub(crate) fn choose(chosen: &mut usize, count: usize, key: KeyEvent) -> bool {
    let count = count.max(1);
    match key.code {
        KeyCode::Left => *chosen = (*chosen + count - 1) % count,
        KeyCode::Right | KeyCode::Char(' ') => *chosen = (*chosen + 1) % count,
        _ => return false,
    }
    true
}
