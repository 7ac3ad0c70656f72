//! What an operator can do, in ONE table: keys, help, palette, bottom bar and docs/keys.md come from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use keystile::{KeyId, KeyState, KeyStatus, SessionStatus, UserId};

use crate::keymap;
use crate::model::{Model, Screen, StoreState, with_table};
use crate::section::Section;
use crate::table::{Row, Table};

/// The name of an action inside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ActionId {
    New,
    Rotate,
    Revoke,
    Suspend,
    Resume,
    Audit,
    Mark,
    Unmark,
    Sort,
    Reverse,
    SuspendUser,
    ResumeUser,
    UnlockUser,
    ResetPassword,
    SessionsOf,
    EndSession,
    EndSessions,
    AllSessions,
    RotateSigningKey,
    RefreshIssuer,
    EnableIssuer,
    DisableIssuer,
    VerifyAudit,
    Subject,
    LookAgain,
    UserOfEvent,
    Details,
    Filter,
    Down,
    Up,
    PageDown,
    PageUp,
    Top,
    Bottom,
    Back,
    Go(Section),
    NextSection,
    PreviousSection,
    Try,
    MakeStore,
    Retry,
    Palette,
    Help,
    Errors,
    Quit,
    ShowSecret,
    CopySecret,
    WriteSecret,
    StoredSecret,
}

/// Where an action is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In one section, in its table and in the details.
    In(Section),
    /// In every section, in its table and in the details.
    List,
    /// Before a store is open.
    Start,
    /// Wherever no dialog is open.
    Everywhere,
    /// In the dialog that holds a secret.
    Secret,
}

#[cfg(test)]
impl Place {
    /// Every place, in the order of the documents.
    pub(crate) fn all() -> impl Iterator<Item = Place> {
        let sections = Section::ALL.into_iter().map(Place::In);
        sections.chain([Place::List, Place::Start, Place::Everywhere, Place::Secret])
    }

    /// The title of its part of the documents.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Place::In(section) => section.title(),
            Place::List => "Every section",
            Place::Start => "Before a store is open",
            Place::Everywhere => "Everywhere but in dialogs",
            Place::Secret => "The secret of a new or rotated key",
        }
    }
}

/// A key to press.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Binding(pub(crate) KeyCode, pub(crate) KeyModifiers);

impl Binding {
    /// Whether this is the key that was pressed. Shift is in the character already.
    pub(crate) fn is(self, key: KeyEvent) -> bool {
        self.0 == key.code && self.1 == key.modifiers.difference(KeyModifiers::SHIFT)
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.1.contains(KeyModifiers::CONTROL) {
            f.write_str("Ctrl-")?;
        }
        match self.0 {
            KeyCode::Char(c) if self.1.contains(KeyModifiers::CONTROL) => write!(f, "{}", c.to_ascii_uppercase()),
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::Enter => f.write_str("Enter"),
            KeyCode::Esc => f.write_str("Esc"),
            KeyCode::Up => f.write_str("Up"),
            KeyCode::Down => f.write_str("Down"),
            KeyCode::PageUp => f.write_str("PageUp"),
            KeyCode::PageDown => f.write_str("PageDown"),
            KeyCode::Tab => f.write_str("Tab"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            KeyCode::Home => f.write_str("Home"),
            KeyCode::End => f.write_str("End"),
            KeyCode::F(number) => write!(f, "F{number}"),
            code => write!(f, "{code:?}"),
        }
    }
}

/// One row of the table.
pub(crate) struct Action {
    /// Its name inside the program.
    pub(crate) id: ActionId,
    /// Its name for people; those of the command line where there is one.
    pub(crate) name: &'static str,
    /// The keys that do it, unless a file gives it others.
    pub(crate) keys: &'static [Binding],
    /// What it does, in a line.
    pub(crate) description: &'static str,
    /// Whether it leads to a change of the store, and so is refused in read-only mode.
    pub(crate) mutating: bool,
    /// Where it is to be had.
    pub(crate) place: Place,
    /// Whether the bottom bar names it.
    pub(crate) in_bar: bool,
    /// Whether it can be done now; if not, why.
    pub(crate) available: fn(&Model) -> Result<(), String>,
}

impl Action {
    /// The keys that do it in this run; the first one is shown.
    pub(crate) fn bindings(&self) -> &'static [Binding] {
        keymap::bindings(self.id).unwrap_or(self.keys)
    }

    /// The key that is shown for it.
    pub(crate) fn key(&self) -> String {
        self.bindings().first().map(ToString::to_string).unwrap_or_default()
    }

    /// Whether it can be done now; if not, why: read-only mode comes first.
    pub(crate) fn check(&self, model: &Model) -> Result<(), String> {
        if self.mutating && model.is_read_only() {
            return Err(model.why_read_only().to_owned());
        }
        // Nothing is done to what is not in view.
        if let Place::In(section) = self.place
            && section != model.section
        {
            let digit = ActionId::Go(section).action().key();
            return Err(format!("this is done in {} · press {digit} first", section.title()));
        }
        (self.available)(model)
    }
}

impl ActionId {
    /// Its row of the table.
    pub(crate) fn action(self) -> &'static Action {
        // A test walks all actions: each is in the table once.
        ACTIONS.iter().find(|action| action.id == self).unwrap_or(&ACTIONS[0])
    }
}

/// The action of this key at one of these places.
pub(crate) fn find(places: &[Place], key: KeyEvent) -> Option<&'static Action> {
    let here = ACTIONS.iter().filter(|action| places.contains(&action.place));
    here.into_iter().find(|action| action.bindings().iter().any(|binding| binding.is(key)))
}

const fn on(code: KeyCode) -> Binding {
    Binding(code, KeyModifiers::NONE)
}

const fn letter(c: char) -> Binding {
    on(KeyCode::Char(c))
}

const fn control(c: char) -> Binding {
    Binding(KeyCode::Char(c), KeyModifiers::CONTROL)
}

/// The way to a section.
const fn go(section: Section, name: &'static str, keys: &'static [Binding], description: &'static str) -> Action {
    Action {
        id: ActionId::Go(section),
        name,
        keys,
        description,
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    }
}

/// All of them; the order is that of the help.
pub(crate) const ACTIONS: &[Action] = &[
    Action {
        id: ActionId::New,
        name: "new",
        keys: &[letter('n')],
        description: "Create a key and show its secret once",
        mutating: true,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Rotate,
        name: "rotate",
        keys: &[letter('R')],
        description: "Give the key a new secret; the old one stays valid for a grace period",
        mutating: true,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: can_rotate,
    },
    Action {
        id: ActionId::Revoke,
        name: "revoke",
        keys: &[letter('X')],
        description: "End the key for good, or all that are marked",
        mutating: true,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: can_revoke,
    },
    Action {
        id: ActionId::Suspend,
        name: "suspend",
        keys: &[letter('S')],
        description: "Switch the key off, or all that are marked; it can be resumed",
        mutating: true,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: can_suspend,
    },
    Action {
        id: ActionId::Resume,
        name: "resume",
        keys: &[letter('U')],
        description: "Switch a suspended key on again",
        mutating: true,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: can_resume,
    },
    Action {
        id: ActionId::Details,
        name: "details",
        keys: &[on(KeyCode::Enter)],
        description: "Show all of it, on the whole screen; of a concern, the keys that raise it",
        mutating: false,
        place: Place::List,
        in_bar: true,
        available: can_show_any,
    },
    Action {
        id: ActionId::Filter,
        name: "filter",
        keys: &[letter('/')],
        description: "List only what has a text somewhere",
        mutating: false,
        place: Place::List,
        in_bar: true,
        available: can_filter,
    },
    Action {
        id: ActionId::Audit,
        name: "audit",
        keys: &[letter('a')],
        description: "List what was done to the key, newest first",
        mutating: false,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: can_show,
    },
    Action {
        id: ActionId::Mark,
        name: "mark",
        keys: &[letter(' ')],
        description: "Mark the key for one change to many, or take its mark away",
        mutating: false,
        place: Place::In(Section::Keys),
        in_bar: false,
        available: can_show,
    },
    Action {
        id: ActionId::Unmark,
        name: "unmark",
        keys: &[letter('u')],
        description: "Take all marks away",
        mutating: false,
        place: Place::In(Section::Keys),
        in_bar: false,
        available: can_unmark,
    },
    Action {
        id: ActionId::Sort,
        name: "sort",
        keys: &[letter('o')],
        description: "Choose the column to sort by",
        mutating: false,
        place: Place::In(Section::Keys),
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Reverse,
        name: "reverse",
        keys: &[letter('O')],
        description: "Turn the order around",
        mutating: false,
        place: Place::In(Section::Keys),
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::SuspendUser,
        name: "suspend user",
        keys: &[letter('S')],
        description: "Switch the user off and end all sessions; it can be resumed",
        mutating: true,
        place: Place::In(Section::Users),
        in_bar: true,
        available: can_suspend_user,
    },
    Action {
        id: ActionId::ResumeUser,
        name: "resume user",
        keys: &[letter('U')],
        description: "Switch a suspended user on again",
        mutating: true,
        place: Place::In(Section::Users),
        in_bar: true,
        available: can_resume_user,
    },
    Action {
        id: ActionId::EndSessions,
        name: "end sessions",
        keys: &[letter('X')],
        description: "End all sessions of the user: it has to log in again",
        mutating: true,
        place: Place::In(Section::Users),
        in_bar: true,
        available: has_user,
    },
    Action {
        id: ActionId::SessionsOf,
        name: "sessions of user",
        keys: &[letter('s')],
        description: "List the sessions of the user",
        mutating: false,
        place: Place::In(Section::Users),
        in_bar: true,
        available: has_user,
    },
    Action {
        id: ActionId::ResetPassword,
        name: "reset password",
        keys: &[letter('P')],
        description: "Give the user a new password, shown once, and end all sessions",
        mutating: true,
        place: Place::In(Section::Users),
        in_bar: true,
        available: has_user,
    },
    Action {
        id: ActionId::UnlockUser,
        name: "unlock",
        keys: &[letter('L')],
        description: "Let the user try to log in again, after too many wrong passwords",
        mutating: true,
        place: Place::In(Section::Users),
        in_bar: false,
        available: has_user,
    },
    Action {
        id: ActionId::EndSession,
        name: "end session",
        keys: &[letter('X')],
        description: "End the session: its user has to log in again there",
        mutating: true,
        place: Place::In(Section::Sessions),
        in_bar: true,
        available: can_end_session,
    },
    Action {
        id: ActionId::AllSessions,
        name: "all sessions",
        keys: &[letter('A')],
        description: "List the sessions of everybody",
        mutating: false,
        place: Place::In(Section::Sessions),
        in_bar: true,
        available: can_list_all_sessions,
    },
    Action {
        id: ActionId::RotateSigningKey,
        name: "new signing key",
        keys: &[letter('R')],
        description: "Make the next signing key; the old one is kept until its last token is dead",
        mutating: true,
        place: Place::In(Section::SigningKeys),
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::RefreshIssuer,
        name: "fetch",
        keys: &[letter('F')],
        description: "Fetch the keys of the issuer now",
        mutating: true,
        place: Place::In(Section::Issuers),
        in_bar: true,
        available: can_refresh_issuer,
    },
    Action {
        id: ActionId::EnableIssuer,
        name: "enable",
        keys: &[letter('E')],
        description: "Let the tokens of the issuer in",
        mutating: true,
        place: Place::In(Section::Issuers),
        in_bar: true,
        available: can_enable_issuer,
    },
    Action {
        id: ActionId::DisableIssuer,
        name: "disable",
        keys: &[letter('D')],
        description: "Refuse the tokens of the issuer",
        mutating: true,
        place: Place::In(Section::Issuers),
        in_bar: true,
        available: can_disable_issuer,
    },
    Action {
        id: ActionId::VerifyAudit,
        name: "verify",
        keys: &[letter('v')],
        description: "Check that no entry of the trail was changed, removed or put in between",
        mutating: false,
        place: Place::In(Section::Audit),
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Subject,
        name: "go to subject",
        keys: &[letter('t')],
        description: "Go to the key or the user that the entry is about",
        mutating: false,
        place: Place::In(Section::Audit),
        in_bar: true,
        available: can_go_to_subject,
    },
    Action {
        id: ActionId::LookAgain,
        name: "look again",
        keys: &[letter('r')],
        description: "Look at everything again",
        mutating: false,
        place: Place::In(Section::Health),
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::UserOfEvent,
        name: "go to user",
        keys: &[letter('t')],
        description: "Go to the user that the event happened to",
        mutating: false,
        place: Place::In(Section::SecurityEvents),
        in_bar: true,
        available: can_go_to_user,
    },
    Action {
        id: ActionId::Try,
        name: "try credential",
        keys: &[letter('T')],
        description: "Judge a key or a token and say why, step by step, without showing it",
        mutating: false,
        place: Place::List,
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Down,
        name: "down",
        keys: &[on(KeyCode::Down), letter('j')],
        description: "One down",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Up,
        name: "up",
        keys: &[on(KeyCode::Up), letter('k')],
        description: "One up",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::PageDown,
        name: "page down",
        keys: &[on(KeyCode::PageDown), control('f')],
        description: "A page down; in the details, their next page",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::PageUp,
        name: "page up",
        keys: &[on(KeyCode::PageUp), control('b')],
        description: "A page up; in the details, their page before",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Top,
        name: "first",
        keys: &[on(KeyCode::Home), letter('g')],
        description: "To the first one",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Bottom,
        name: "last",
        keys: &[on(KeyCode::End), letter('G')],
        description: "To the last one",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Back,
        name: "back",
        keys: &[on(KeyCode::Esc)],
        description: "Leave the details, clear the filter, take the marks away; never quits",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: can_go_back,
    },
    Action {
        id: ActionId::NextSection,
        name: "next section",
        keys: &[on(KeyCode::Tab)],
        description: "To the next section",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::PreviousSection,
        name: "previous section",
        keys: &[on(KeyCode::BackTab)],
        description: "To the section before",
        mutating: false,
        place: Place::List,
        in_bar: false,
        available: open,
    },
    go(Section::Keys, "keys", &[letter('1')], "Go to the section keys"),
    go(Section::Safety, "safety", &[letter('2')], "Go to the section safety"),
    go(Section::Users, "users", &[letter('3')], "Go to the section users"),
    go(Section::Sessions, "sessions", &[letter('4')], "Go to the section sessions"),
    go(Section::SigningKeys, "signing keys", &[letter('5')], "Go to the section signing keys"),
    go(Section::Issuers, "issuers", &[letter('6')], "Go to the section issuers"),
    go(Section::Audit, "audit trail", &[letter('7')], "Go to the section audit trail"),
    go(Section::Health, "health", &[letter('8')], "Go to the section health"),
    go(Section::SecurityEvents, "security events", &[letter('9')], "Go to the section security events"),
    Action {
        id: ActionId::MakeStore,
        name: "make store",
        keys: &[letter('m')],
        description: "Make a new store at this path, with the key that seals it beside it",
        mutating: true,
        place: Place::Start,
        in_bar: true,
        available: can_make,
    },
    Action {
        id: ActionId::Retry,
        name: "try again",
        keys: &[letter('r')],
        description: "Open the store again",
        mutating: false,
        place: Place::Start,
        in_bar: true,
        available: can_retry,
    },
    Action {
        id: ActionId::Palette,
        name: "command",
        keys: &[letter(':')],
        description: "Run an action by its name",
        mutating: false,
        place: Place::Everywhere,
        in_bar: true,
        available: always,
    },
    Action {
        id: ActionId::Help,
        name: "help",
        keys: &[letter('?')],
        description: "List every action; type to filter, Enter runs it",
        mutating: false,
        place: Place::Everywhere,
        in_bar: true,
        available: always,
    },
    Action {
        id: ActionId::Errors,
        name: "errors",
        keys: &[letter('!')],
        description: "List past errors in full",
        mutating: false,
        place: Place::Everywhere,
        in_bar: false,
        available: always,
    },
    Action {
        id: ActionId::Quit,
        name: "quit",
        keys: &[letter('q'), control('c')],
        description: "Leave the program",
        mutating: false,
        place: Place::Everywhere,
        in_bar: true,
        available: always,
    },
    Action {
        id: ActionId::ShowSecret,
        name: "show",
        keys: &[letter('s')],
        description: "Show the secret, or hide it again",
        mutating: false,
        place: Place::Secret,
        in_bar: true,
        available: has_secret,
    },
    Action {
        id: ActionId::CopySecret,
        name: "copy",
        keys: &[letter('c')],
        description: "Send the secret to the terminal's clipboard (OSC 52), for 30 seconds",
        mutating: false,
        place: Place::Secret,
        in_bar: true,
        available: has_secret,
    },
    Action {
        id: ActionId::WriteSecret,
        name: "write",
        keys: &[letter('w')],
        description: "Write the secret to a new file that only you can read",
        mutating: false,
        place: Place::Secret,
        in_bar: true,
        available: has_secret,
    },
    Action {
        id: ActionId::StoredSecret,
        name: "I stored it",
        keys: &[letter('y')],
        description: "Close and wipe the secret; it cannot be shown again",
        mutating: false,
        place: Place::Secret,
        in_bar: true,
        available: can_close_secret,
    },
];

fn always(_: &Model) -> Result<(), String> {
    Ok(())
}

fn open(model: &Model) -> Result<(), String> {
    match model.store {
        StoreState::Open { .. } => Ok(()),
        _ => Err("no store is open · make one, or open one with --db".to_owned()),
    }
}

fn can_show(model: &Model) -> Result<(), String> {
    open(model)?;
    one(&model.keys).map(|_| ())
}

/// What is selected in a table, or why nothing is.
fn one<R: Row>(table: &Table<R>) -> Result<&R, String> {
    table.selected().ok_or_else(|| table.why_none().to_owned())
}

fn can_show_any(model: &Model) -> Result<(), String> {
    open(model)?;
    with_table!([&] model, table => one(table).map(|_| ()))
}

fn can_filter(model: &Model) -> Result<(), String> {
    fn filter_of<R: Row>(_: &Table<R>) -> Option<&'static str> {
        R::FILTER
    }
    open(model)?;
    match with_table!([&] model, table => filter_of(table)) {
        Some(_) => Ok(()),
        None if model.section == Section::Sessions => {
            let key = ActionId::SessionsOf.action().key();
            Err(format!("sessions are found by their user · choose one in Users and press {key}"))
        }
        None => Err("this list is short enough to be read · scroll through it".to_owned()),
    }
}

fn can_unmark(model: &Model) -> Result<(), String> {
    if model.keys.marked().is_empty() {
        Err(format!("nothing is marked · {} marks", ActionId::Mark.action().key()))
    } else {
        Ok(())
    }
}

fn has_user(model: &Model) -> Result<(), String> {
    open(model)?;
    one(&model.users).map(|_| ())
}

fn can_suspend_user(model: &Model) -> Result<(), String> {
    match one(&model.users)?.suspended_at {
        Some(_) => Err("the user is suspended already · resume lets it in again".to_owned()),
        None => Ok(()),
    }
}

fn can_resume_user(model: &Model) -> Result<(), String> {
    match one(&model.users)?.suspended_at {
        Some(_) => Ok(()),
        None => Err("the user is not suspended · there is nothing to resume".to_owned()),
    }
}

fn can_end_session(model: &Model) -> Result<(), String> {
    match one(&model.sessions)?.status(model.now) {
        SessionStatus::Active => Ok(()),
        _ => Err("the session is over already · there is nothing to end".to_owned()),
    }
}

fn can_list_all_sessions(model: &Model) -> Result<(), String> {
    match model.sessions.choice {
        Some(_) => Ok(()),
        None => Err("those of everybody are listed · choose a user in Users to see only theirs".to_owned()),
    }
}

fn can_refresh_issuer(model: &Model) -> Result<(), String> {
    match one(&model.issuers)?.issuer.is_fetched() {
        true => Ok(()),
        false => Err("its keys were given, and are not fetched · give others with keystile issuers refresh".to_owned()),
    }
}

fn can_enable_issuer(model: &Model) -> Result<(), String> {
    match one(&model.issuers)?.issuer.enabled {
        true => Err("the issuer is enabled already · disable refuses its tokens".to_owned()),
        false => Ok(()),
    }
}

fn can_disable_issuer(model: &Model) -> Result<(), String> {
    match one(&model.issuers)?.issuer.enabled {
        true => Ok(()),
        false => Err("the issuer is disabled already · enable lets its tokens in".to_owned()),
    }
}

fn can_go_to_subject(model: &Model) -> Result<(), String> {
    match one(&model.audit)?.subject.as_deref().and_then(subject) {
        Some(_) => Ok(()),
        None => Err("the entry is about no key and no user · its details say what it is about".to_owned()),
    }
}

fn can_go_to_user(model: &Model) -> Result<(), String> {
    match one(&model.security_events)?.user {
        Some(_) => Ok(()),
        None => Err("the event happened to no user · its details say what it is about".to_owned()),
    }
}

/// What an entry of the audit trail is about, when it has a section of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Key(KeyId),
    User(UserId),
}

/// Reads the subject of an entry.
pub(crate) fn subject(text: &str) -> Option<Subject> {
    let key = text.parse().map(Subject::Key).ok();
    key.or_else(|| text.parse().map(Subject::User).ok())
}

fn can_rotate(model: &Model) -> Result<(), String> {
    can_show(model)?;
    match model.keys.selected().map(|key| (key.status(model.now), key.expires_at)) {
        Some((KeyStatus::Revoked, _)) => Err("the key is revoked, for good · make a new one".to_owned()),
        Some((_, Some(at))) if model.now >= at => {
            Err("the key is expired, and a new secret would be too · make a new key".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether a change is one to all that are marked: two or more, in view.
fn is_many(model: &Model) -> bool {
    model.screen == Screen::List && model.keys.marked().len() > 1
}

fn can_revoke(model: &Model) -> Result<(), String> {
    if is_many(model) {
        return Ok(());
    }
    can_show(model)?;
    match model.keys.selected().map(|key| key.state) {
        Some(KeyState::Revoked) => Err("the key is revoked already · there is nothing left to end".to_owned()),
        _ => Ok(()),
    }
}

fn can_suspend(model: &Model) -> Result<(), String> {
    if is_many(model) {
        return Ok(());
    }
    can_show(model)?;
    match model.keys.selected().map(|key| key.state) {
        Some(KeyState::Revoked) => Err("the key is revoked, for good · it is refused already".to_owned()),
        Some(KeyState::Suspended) => Err("the key is suspended already · resume switches it on again".to_owned()),
        _ => Ok(()),
    }
}

fn can_resume(model: &Model) -> Result<(), String> {
    can_show(model)?;
    match model.keys.selected().map(|key| key.state) {
        Some(KeyState::Suspended) => Ok(()),
        _ => Err("only a suspended key can be resumed".to_owned()),
    }
}

fn can_go_back(model: &Model) -> Result<(), String> {
    fn is_narrowed<R: Row>(table: &Table<R>) -> bool {
        !table.filter.text().is_empty() || !table.marked().is_empty()
    }
    let chosen = match model.section {
        Section::Keys => model.keys.choice.concern.is_some(),
        Section::Sessions => model.sessions.choice.is_some(),
        _ => false,
    };
    if model.screen == Screen::Details || chosen || with_table!([&] model, table => is_narrowed(table)) {
        Ok(())
    } else {
        Err("there is nothing to leave · quit ends the program".to_owned())
    }
}

fn can_make(model: &Model) -> Result<(), String> {
    match model.store {
        StoreState::Failed { missing: true, .. } => Ok(()),
        StoreState::Open { .. } => Err("a store is open · start with --db for another one".to_owned()),
        _ => Err("there is something at this path already · start with --db for another one".to_owned()),
    }
}

fn can_retry(model: &Model) -> Result<(), String> {
    match model.store {
        StoreState::Failed { .. } => Ok(()),
        StoreState::Open { .. } => Err("a store is open · start with --db for another one".to_owned()),
        StoreState::Opening => Err("the store is being opened · wait for it".to_owned()),
    }
}

fn has_secret(model: &Model) -> Result<(), String> {
    model.secret().map(|_| ()).ok_or_else(|| "no new secret is waiting · make or rotate a key for one".to_owned())
}

fn can_close_secret(model: &Model) -> Result<(), String> {
    match model.secret() {
        None => Err("no new secret is waiting · make or rotate a key for one".to_owned()),
        Some(secret) if secret.waits_to_be_seen() => {
            Err(format!("not so fast · look at it, then press {} again", ActionId::StoredSecret.action().key()))
        }
        Some(secret) if secret.was_taken() => Ok(()),
        Some(_) => Err("the secret was not taken yet · show it, copy it or write it first".to_owned()),
    }
}

/// docs/keys.md, from the table.
#[cfg(test)]
pub(crate) fn document() -> String {
    let mut text = String::from(
        "# Keys of `keystile-tui`\n\n\
         Written from the table of actions in `tui/src/action.rs`; a test compares the two. `?` shows the same, \
         filters it as you type, and runs an action with Enter.\n",
    );
    for place in Place::all() {
        text.push_str(&format!(
            "\n## {}\n| key | action | what it does | changes the store |\n| --- | --- | --- | --- |\n",
            place.title()
        ));
        for action in ACTIONS.iter().filter(|action| action.place == place) {
            let keys: Vec<String> = action.keys.iter().map(|key| format!("`{key}`")).collect();
            let mutating = if action.mutating { "yes" } else { "" };
            text.push_str(&format!(
                "| {} | {} | {} | {mutating} |\n",
                keys.join(", "),
                action.name,
                action.description
            ));
        }
    }
    text.push_str(DIALOGS);
    text
}

#[cfg(test)]
const DIALOGS: &str = "
## In dialogs
| key | what it does |
| --- | --- |
| `Tab`, `Down` | the next field or button |
| `Shift-Tab`, `Up` | the field or button before |
| `Left`, `Right` | another choice; in a text, the cursor |
| `Enter` | the focused button; never confirms a revoke |
| `X` | on the focused button `Revoke`, once what it asks for is typed: revokes |
| `Esc` | cancels; a secret that waits is kept |
| `Ctrl-U`, `Ctrl-W` | in a text: delete to its start, delete a word |

Pasted text goes to text fields only.

## Other keys
`keystile-tui --keymap FILE` reads other keys from a file, and without it from `keystile/keymap.toml` in \
`$XDG_CONFIG_HOME` (or else in `~/.config`) when it is there. Each line names an action of the tables above, with \
hyphens for spaces, and all of its keys, by the names that the tables give them, or `F1` to `F12`:
```toml
page-down = [\"PageDown\", \"Ctrl-D\"]
revoke = \"F9\"
```
A line that makes no sense, a key that two actions would have at one place, and a key that is pressed by mistake too \
easily for what it does (a capital of the tables must be a capital, a key with `Ctrl`, or `F1` to `F12`) are told at \
the start, each with its line, and the program does not start. `Ctrl-C` always leaves it. Keys in dialogs stay as \
they are.
";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        let sections = Section::ALL.into_iter().map(|section| vec![Place::In(section), Place::List, Place::Everywhere]);
        // The dialog of a secret takes all keys itself: nothing from everywhere works in it.
        let others = [vec![Place::Start, Place::Everywhere], vec![Place::Secret]];
        for places in sections.chain(others) {
            let mut seen = HashSet::new();
            for action in ACTIONS.iter().filter(|action| places.contains(&action.place)) {
                for key in action.keys {
                    assert!(seen.insert(*key), "{key} is bound twice at {places:?}");
                }
            }
        }
    }

    #[test]
    fn every_action_is_in_the_table_once_and_has_a_key() {
        let mut seen = HashSet::new();
        for action in ACTIONS {
            assert!(seen.insert(action.id), "{:?}", action.id);
            assert!(!action.keys.is_empty() && !action.description.is_empty(), "{:?}", action.id);
            assert_eq!(action.id.action().id, action.id);
        }
    }

    #[test]
    fn what_destroys_is_a_capital() {
        for id in [
            ActionId::Rotate,
            ActionId::Revoke,
            ActionId::Suspend,
            ActionId::SuspendUser,
            ActionId::ResetPassword,
            ActionId::EndSession,
            ActionId::EndSessions,
            ActionId::RotateSigningKey,
            ActionId::DisableIssuer,
        ] {
            assert!(matches!(id.action().keys[0].0, KeyCode::Char(c) if c.is_ascii_uppercase()), "{id:?}");
        }
    }

    #[test]
    fn the_document_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keys.md");
        if std::env::var_os("KEYSTILE_WRITE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, document(), "write it anew: KEYSTILE_WRITE_DOCS=1 cargo test -p keystile-tui document");
    }
}
