//! A change that can be undone, or that hurts nobody for long: yes or no?

use crossterm::event::{KeyCode, KeyEvent};
use keystile::{IssuerInfo, Key, KeyId, Session, User};

use super::{Ring, Step};
use crate::message::{Change, Effect};
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// A question with two buttons; the focus starts on Cancel.
#[derive(Debug)]
pub(crate) struct Confirm {
    /// What is done: the title and the button.
    verb: &'static str,
    /// What it is done to; printable.
    name: String,
    /// What else it is known by, and what is worth knowing of it.
    about: Vec<(Role, String)>,
    /// What follows from it.
    consequence: &'static str,
    change: Change,
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
    fn new(verb: &'static str, name: &str, consequence: &'static str, change: Change) -> Confirm {
        Confirm {
            verb,
            name: text::printable(name),
            about: Vec::new(),
            consequence,
            change,
            focus: Ring(Button::Cancel),
            problem: None,
        }
    }

    /// Suspend this key?
    pub(crate) fn suspend(key: &Key, model: &Model) -> Confirm {
        let change = Change::SuspendKeys(vec![key.id]);
        Confirm::new("Suspend", &key.name, SUSPENDS, change).about_key(key, model)
    }

    /// Suspend all these keys?
    pub(crate) fn suspend_all(keys: &[&Key]) -> Confirm {
        let name = format!("{} marked keys", keys.len());
        let mut confirm = Confirm::new("Suspend", &name, SUSPENDS, Change::SuspendKeys(ids(keys)));
        confirm.about = vec![(Role::Title, names(keys))];
        confirm
    }

    /// Resume this key?
    pub(crate) fn resume(key: &Key, model: &Model) -> Confirm {
        let consequence = "Its secrets are valid again, as far as they were before.";
        Confirm::new("Resume", &key.name, consequence, Change::ResumeKey(key.id)).about_key(key, model)
    }

    /// Suspend this user?
    pub(crate) fn suspend_user(user: &User) -> Confirm {
        let consequence = "All its sessions end now, its tokens and the keys with its address as their owner are refused, and it cannot log in. Resume lets it in again, and resumes those keys.";
        Confirm::new("Suspend", user.email.as_str(), consequence, Change::SuspendUser(user.id))
    }

    /// Resume this user?
    pub(crate) fn resume_user(user: &User) -> Confirm {
        Confirm::new(
            "Resume",
            user.email.as_str(),
            "It can log in again, and the keys that were suspended with it are resumed.",
            Change::ResumeUser(user.id),
        )
    }

    /// Unlock this user?
    pub(crate) fn unlock_user(user: &User) -> Confirm {
        let consequence = "Wrong passwords so far are forgotten, and it can try to log in at once.";
        Confirm::new("Unlock", user.email.as_str(), consequence, Change::UnlockUser(user.id))
    }

    /// Give this user another password?
    pub(crate) fn reset_password(user: &User) -> Confirm {
        let consequence =
            "It gets a new password, which is shown once, here. The old one is refused, and all its sessions end now.";
        Confirm::new("Reset password", user.email.as_str(), consequence, Change::ResetPassword(user.id))
    }

    /// End all sessions of this user?
    pub(crate) fn end_sessions(user: &User) -> Confirm {
        let consequence = "It has to log in again everywhere; the tokens of its sessions are refused from now on. To refuse every token of it, suspend it.";
        Confirm::new("End all sessions", user.email.as_str(), consequence, Change::EndSessions(user.id))
    }

    /// End this session?
    pub(crate) fn end_session(session: &Session, model: &Model) -> Confirm {
        let consequence = "Its tokens are refused from now on; its user has to log in again there.";
        let mut confirm =
            Confirm::new("End session", &session.id.to_string(), consequence, Change::EndSession(session.id));
        let client = text::printable(session.client.as_deref().unwrap_or("an unknown client"));
        let used = text::relative(model.now, session.last_used_at);
        confirm.about =
            vec![(Role::Title, session.user.to_string()), (Role::Faint, format!("{client}, last used {used}"))];
        confirm
    }

    /// Enable this issuer?
    pub(crate) fn enable_issuer(info: &IssuerInfo) -> Confirm {
        let name = &info.issuer.name;
        Confirm::new("Enable", name, "Its tokens are let in again.", Change::EnableIssuer(name.clone()))
            .about_issuer(info)
    }

    /// Disable this issuer?
    pub(crate) fn disable_issuer(info: &IssuerInfo) -> Confirm {
        let name = &info.issuer.name;
        let consequence = "All its tokens are refused from now on. Enable lets them in again.";
        Confirm::new("Disable", name, consequence, Change::DisableIssuer(name.clone())).about_issuer(info)
    }

    fn about_key(mut self, key: &Key, model: &Model) -> Confirm {
        let used = key.last_used_at().map(|at| format!("last used {}", text::relative(model.now, at)));
        let used = used.unwrap_or_else(|| "never used".to_owned());
        self.about = vec![(Role::Title, text::printable(key.display())), (Role::Faint, used)];
        self
    }

    fn about_issuer(mut self, info: &IssuerInfo) -> Confirm {
        self.about = vec![(Role::Title, text::printable(&info.issuer.issuer))];
        self
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
            (KeyCode::Enter, Button::Confirm) => Step::Submit(Effect::Change(self.change.clone())),
            _ => Step::Stay,
        }
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        // The title stays in view on the smallest terminal.
        let mut sheet = Sheet::new(&format!("{}: {}", self.verb, self.name), model, width);
        for (role, line) in &self.about {
            sheet.text(*role, line);
        }
        sheet.blank();
        sheet.text(Role::Text, self.consequence);
        sheet.problem(self.problem.as_deref());
        sheet.blank();
        sheet.buttons(&[
            (self.verb, self.focus.0 == Button::Confirm, true),
            ("Cancel", self.focus.0 == Button::Cancel, true),
        ]);
        sheet.hint("Tab moves · Enter chooses · Esc cancels");
        sheet
    }
}

/// The ids of keys.
pub(super) fn ids(keys: &[&Key]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id).collect()
}

/// The first few of many keys, by name and prefix.
pub(super) fn names(keys: &[&Key]) -> String {
    let name = |key: &&Key| format!("{} ({})", text::printable(&key.name), text::printable(key.display()));
    let mut names = keys.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    if keys.len() > NAMED {
        names.push_str(&format!(" and {} more", keys.len() - NAMED));
    }
    names
}

/// Keys that are named of many.
const NAMED: usize = 4;

const SUSPENDS: &str = "All its secrets are refused from now on, everywhere. Resume switches it on again.";
