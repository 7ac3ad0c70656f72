//! Try a credential: what is the verdict, and why?

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use keystile::bounds::MAX_CREDENTIAL_LEN;
use keystile::text::start_of;
use keystile::{Check, Explanation, Outcome};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Ring, Step};
use crate::input::Input;
use crate::message::{Credential, Effect, Trial};
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// A credential that is never shown, what it is tried for, and the verdict.
#[derive(Debug)]
pub(crate) struct TrialForm {
    credential: Credential,
    scopes: Input,
    environment: Input,
    address: Input,
    focus: Ring<Field>,
    /// Which trial this is: the form, and how often what is presented has changed. An answer to another one
    /// says nothing of this credential.
    number: (u64, u64),
    /// What came of it.
    explained: Option<Box<Result<Explanation, String>>>,
    /// The first line of the verdict in view.
    top: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Credential,
    Scopes,
    Environment,
    Address,
}

const FIELDS: [Field; 4] = [Field::Credential, Field::Scopes, Field::Environment, Field::Address];

impl TrialForm {
    /// Nothing is presented yet.
    pub(crate) fn new(form: u64) -> TrialForm {
        TrialForm {
            number: (form, 0),
            // It never grows, so no copy of it is left behind.
            credential: Credential(Zeroizing::new(String::with_capacity(MAX_CREDENTIAL_LEN))),
            scopes: Input::default(),
            environment: Input::default(),
            address: Input::default(),
            focus: Ring(Field::Credential),
            explained: None,
            top: 0,
        }
    }

    /// Takes the verdict, when it is that on what is presented now.
    pub(crate) fn take(&mut self, number: (u64, u64), explained: Box<Result<Explanation, String>>) {
        if number == self.number {
            (self.explained, self.top) = (Some(explained), 0);
        }
    }

    /// Something else is presented, or is about to be.
    fn start_anew(&mut self) {
        self.number.1 = self.number.1.wrapping_add(1);
        self.explained = None;
    }

    /// Takes pasted text, when the credential has the focus: all of its first line, in place of one that was
    /// judged already.
    pub(crate) fn paste(&mut self, pasted: &str) -> Option<Result<(), &'static str>> {
        if self.focus.0 != Field::Credential {
            return None;
        }
        if self.explained.is_some() {
            self.credential.0.zeroize();
        }
        self.start_anew();
        // Nothing looks further than a credential, with white space before it, can be long.
        let line = start_of(pasted, 2 * MAX_CREDENTIAL_LEN).trim().lines().next().unwrap_or_default();
        let room = MAX_CREDENTIAL_LEN.saturating_sub(self.credential.0.len());
        // What does not fit is no credential: its start alone would get another verdict.
        if line.len() > room {
            return Some(Err("longer than any credential · paste it alone"));
        }
        self.credential.0.push_str(line);
        Some(Ok(()))
    }

    pub(super) fn text_field(&mut self) -> Option<&mut Input> {
        match self.focus.0 {
            Field::Credential => None,
            Field::Scopes => Some(&mut self.scopes),
            Field::Environment => Some(&mut self.environment),
            Field::Address => Some(&mut self.address),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if self.explained.is_some() {
            let last = self.steps().saturating_sub(1);
            match key.code {
                KeyCode::Down | KeyCode::PageDown => self.top = self.top.saturating_add(1).min(last),
                KeyCode::Up | KeyCode::PageUp => self.top = self.top.saturating_sub(1),
                _ => {}
            }
            if matches!(key.code, KeyCode::Down | KeyCode::PageDown | KeyCode::Up | KeyCode::PageUp) {
                return Step::Stay;
            }
        }
        if self.focus.key(key, &FIELDS) {
            self.start_anew();
            return Step::Stay;
        }
        match key.code {
            KeyCode::Esc => return Step::Close,
            KeyCode::Enter => {
                return self.trial().map_or(Step::Stay, |trial| Step::Do(Effect::Explain(Box::new(trial))));
            }
            _ => {
                self.start_anew();
                match self.text_field() {
                    Some(field) => {
                        field.key(key);
                    }
                    None => self.type_credential(key),
                }
            }
        }
        Step::Stay
    }

    fn type_credential(&mut self, key: KeyEvent) {
        let credential = &mut self.credential.0;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => credential.zeroize(),
            KeyCode::Char(c) if !control && credential.len() + c.len_utf8() <= MAX_CREDENTIAL_LEN => credential.push(c),
            KeyCode::Backspace => {
                credential.pop();
            }
            _ => {}
        }
    }

    /// What to try. `None`: a field does not fit, which its line says.
    fn trial(&self) -> Option<Trial> {
        let environment = Some(self.environment.text()).filter(|text| !text.is_empty());
        let address = Some(self.address.text().trim()).filter(|text| !text.is_empty());
        Some(Trial {
            number: self.number,
            credential: Credential(self.credential.0.clone()),
            environment: environment.map(|text| text.parse().ok()).map_or(Some(None), |known| known.map(Some))?,
            scopes: words(self.scopes.text()).map(|scope| scope.parse().ok()).collect::<Option<_>>()?,
            address: address.map(|text| text.parse().ok()).map_or(Some(None), |known| known.map(Some))?,
        })
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let mut sheet = Sheet::new("Try a credential", model, width);
        let focus = self.focus.0;
        let count = self.credential.0.chars().count();
        let hidden = match count {
            0 => "paste it: it is not shown".to_owned(),
            1 => "• (1 character)".to_owned(),
            _ => format!("•••••••• ({count} characters)"),
        };
        sheet.hidden("credential", &hidden, focus == Field::Credential);
        if let Some(explained) = &self.explained {
            sheet.hint("Down scrolls · Tab asks again · Esc back");
            match &**explained {
                Err(problem) => sheet.problem(Some(problem)),
                Ok(explanation) => verdict(&mut sheet, explanation, self.top),
            }
            return sheet;
        }
        let scope = words(self.scopes.text()).find(|scope| scope.parse::<keystile::Scope>().is_err());
        let scope = scope.map(|scope| format!("{scope} is no scope · give such as invoices:read"));
        sheet.input("scopes", &self.scopes, focus == Field::Scopes, scope.as_deref());
        let environment = self.environment.text();
        let environment = (!environment.is_empty() && environment.parse::<keystile::Environment>().is_err())
            .then_some("not an environment · give such as live or test");
        sheet.input("environment", &self.environment, focus == Field::Environment, environment);
        let address = self.address.text().trim();
        let address = (!address.is_empty() && address.parse::<std::net::IpAddr>().is_err())
            .then_some("not an address · give such as 203.0.113.7");
        sheet.input("address", &self.address, focus == Field::Address, address);
        sheet.hint("Enter judges · Ctrl-U clears · Esc back");
        sheet.blank();
        sheet.text(Role::Faint, "It is judged as a caller's would be; no use is counted.");
        sheet
    }

    /// How many checks the verdict names.
    fn steps(&self) -> usize {
        self.explained
            .as_ref()
            .and_then(|explained| explained.as_ref().as_ref().ok())
            .map_or(0, |known| known.steps.len())
    }
}

fn verdict(sheet: &mut Sheet<'_>, explanation: &Explanation, top: usize) {
    match explanation.verdict.code() {
        None => sheet.text(Role::Good, "● allow"),
        Some(code) => sheet.text(Role::Bad, &format!("✕ deny: {code} ({})", code.status())),
    }
    if let Some(key) = &explanation.key {
        sheet.text(Role::Text, &format!("key {} ({})", text::printable(&key.name), text::printable(key.display())));
    }
    if explanation.steps.is_empty() {
        sheet.text(Role::Warning, "Nobody could look: see the section Health, and what went wrong by !.");
    }
    for (check, outcome) in explanation.steps.iter().skip(top) {
        let (symbol, role) = match outcome {
            Outcome::Passed => ("●", Role::Good),
            Outcome::Failed => ("✕", Role::Bad),
            _ => ("◌", Role::Faint),
        };
        sheet.text(role, &format!("{symbol} {}", meaning(*check)));
    }
}

/// What a check asks for.
fn meaning(check: Check) -> &'static str {
    match check {
        Check::Form => "it looks like a key or a token",
        Check::Checksum => "its checksum is right",
        Check::Known => "the store knows it",
        Check::Issuer => "its issuer is known",
        Check::Algorithm => "its issuer signs with this algorithm",
        Check::SigningKey => "its issuer has this signing key",
        Check::Signature => "its signature is right",
        Check::NotRevoked => "it is not revoked",
        Check::NotSuspended => "it is not suspended",
        Check::NotRotated => "its secret was not rotated away",
        Check::Time => "it is within its time",
        Check::Claims => "it is within its time, for us, and its claims are sound",
        Check::Environment => "it is of the environment",
        Check::Address => "it comes from an allowed address",
        Check::Scope => "it has the scopes",
        // A check that a newer library makes.
        check => check.as_str(),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}
