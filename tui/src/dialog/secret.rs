//! A secret, this once.

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use keystile::{Key, Secret, User};

use super::Step;
use crate::action::ActionId;
use crate::input::Input;
use crate::message::Effect;
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// Holds a secret until it was taken and somebody says that it is stored; then it is wiped.
#[derive(Debug)]
pub(crate) struct SecretDialog {
    secret: Arc<Secret>,
    title: &'static str,
    name: String,
    prefix: String,
    /// When the old secret dies, after a rotation.
    old: Option<String>,
    shown: bool,
    taken: bool,
    /// Whether the screen has shown for a while that it was taken.
    seen: bool,
    /// The path of a file, while it is typed.
    pub(crate) path: Option<Input>,
    /// What was done with it.
    note: Option<(Role, String)>,
}

impl SecretDialog {
    /// Holds the secret of a key, hidden.
    pub(crate) fn new(title: &'static str, key: &Key, secret: Secret, old: Option<String>) -> SecretDialog {
        SecretDialog::hide(title, &key.name, key.display(), secret, old)
    }

    /// Holds the new password of a user, hidden.
    pub(crate) fn password(user: &User, password: Secret) -> SecretDialog {
        let old = "The old password is refused, and all sessions of the user have ended.".to_owned();
        let name = user.name.as_deref().unwrap_or("password");
        SecretDialog::hide("New password", name, user.email.as_str(), password, Some(old))
    }

    fn hide(title: &'static str, name: &str, prefix: &str, secret: Secret, old: Option<String>) -> SecretDialog {
        SecretDialog {
            secret: Arc::new(secret),
            title,
            name: text::printable(name),
            prefix: text::printable(prefix),
            old,
            shown: false,
            taken: false,
            seen: false,
            path: None,
            note: None,
        }
    }

    /// Whether it was shown, copied or written, so that it may be closed.
    pub(crate) fn was_taken(&self) -> bool {
        self.taken
    }

    /// Whether it was taken, and that was not on the screen for long enough yet.
    pub(crate) fn waits_to_be_seen(&self) -> bool {
        self.taken && !self.seen
    }

    /// The screen has shown for a while that it was taken.
    pub(crate) fn seen(&mut self) {
        self.seen = self.taken;
    }

    /// Shows or hides it.
    pub(crate) fn toggle(&mut self) {
        self.shown = !self.shown;
        self.taken |= self.shown;
    }

    /// Hands it to the clipboard.
    pub(crate) fn copy(&mut self) -> Effect {
        self.taken = true;
        let sent = "Sent to the terminal's clipboard, if it takes any; emptied in 30 s, or when you leave.";
        self.note = Some((Role::Good, sent.to_owned()));
        Effect::Copy(Arc::clone(&self.secret))
    }

    /// Asks for the path of a file.
    pub(crate) fn ask_path(&mut self) {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = self.prefix.trim_end_matches('…').chars().map(plain).collect();
        self.path = Some(Input::new(format!("./{name}.secret")));
        self.note = None;
    }

    /// It was written, or not.
    pub(crate) fn written(&mut self, result: Result<PathBuf, String>) {
        self.note = Some(match result {
            Ok(path) => {
                (self.taken, self.path) = (true, None);
                (Role::Good, format!("Written to {}, for your eyes only.", text::printable(&path.to_string_lossy())))
            }
            Err(problem) => (Role::Bad, problem),
        });
    }

    /// Takes a key while the path is typed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        let Some(path) = &mut self.path else { return Step::Stay };
        match key.code {
            KeyCode::Esc => self.path = None,
            KeyCode::Enter if path.text().is_empty() => {}
            KeyCode::Enter => {
                return Step::Do(Effect::WriteSecret {
                    path: PathBuf::from(path.text()),
                    secret: Arc::clone(&self.secret),
                });
            }
            _ => {
                path.key(key);
            }
        }
        Step::Stay
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let mut sheet = Sheet::new(self.title, model, width);
        sheet.text(Role::Title, &format!("{} ({})", self.name, self.prefix));
        sheet.text(Role::Warning, "Its secret is here this once; only a digest is kept.");
        if let Some(old) = &self.old {
            sheet.text(Role::Text, old);
        }
        sheet.blank();
        let secret = self.secret.expose_secret();
        if self.shown {
            sheet.secret(secret);
        } else {
            sheet.text(Role::Faint, "•••••••••••••••• (hidden)");
        }
        sheet.blank();
        let keys = [ActionId::ShowSecret, ActionId::CopySecret, ActionId::WriteSecret, ActionId::StoredSecret]
            .map(|id| id.action().key());
        if let Some(path) = &self.path {
            sheet.input("file", path, true, None);
            sheet.hint("Enter writes a new file · Esc back");
        } else {
            let [show, copy, write, stored] = &keys;
            sheet.hint(if self.seen {
                format!("{show} show · {copy} copy · {write} write · {stored} stored it")
            } else {
                format!("{show} show · {copy} copy · {write} write to a file")
            });
        }
        if let Some((role, note)) = &self.note {
            sheet.text(*role, note);
            // What became of it, unless the secret itself is looked at.
            if !self.shown && self.path.is_none() {
                sheet.look_at_the_last();
            }
        } else if self.taken && self.path.is_none() {
            sheet.text(Role::Text, &format!("Press {} once you have stored it; it is wiped then.", keys[3]));
        }
        sheet
    }
}
