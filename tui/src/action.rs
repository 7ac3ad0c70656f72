//! What an operator can do, in ONE table: keys, help, palette, bottom bar and docs/keys.md come from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use keystile::{KeyState, KeyStatus};

use crate::model::{Model, Screen, StoreState};

/// The name of an action inside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ActionId {
    New,
    Rotate,
    Revoke,
    Suspend,
    Resume,
    Details,
    Audit,
    Filter,
    Sort,
    Reverse,
    Down,
    Up,
    PageDown,
    PageUp,
    Top,
    Bottom,
    Back,
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
    /// On the keys, in the table and in the details.
    Keys,
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
    pub(crate) const ALL: [Place; 4] = [Place::Keys, Place::Start, Place::Everywhere, Place::Secret];

    /// The title of its part of the documents.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Place::Keys => "Keys",
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
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::Enter => f.write_str("Enter"),
            KeyCode::Esc => f.write_str("Esc"),
            KeyCode::Up => f.write_str("Up"),
            KeyCode::Down => f.write_str("Down"),
            KeyCode::PageUp => f.write_str("PageUp"),
            KeyCode::PageDown => f.write_str("PageDown"),
            KeyCode::Home => f.write_str("Home"),
            KeyCode::End => f.write_str("End"),
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
    /// The keys that do it; the first one is shown.
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
    /// Whether it can be done now; if not, why: read-only mode comes first.
    pub(crate) fn check(&self, model: &Model) -> Result<(), String> {
        if self.mutating && model.is_read_only() {
            return Err(model.why_read_only().to_owned());
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
    here.into_iter().find(|action| action.keys.iter().any(|binding| binding.is(key)))
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

/// All of them; the order is that of the help.
pub(crate) const ACTIONS: &[Action] = &[
    Action {
        id: ActionId::New,
        name: "new",
        keys: &[letter('n')],
        description: "Create a key and show its secret once",
        mutating: true,
        place: Place::Keys,
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Rotate,
        name: "rotate",
        keys: &[letter('R')],
        description: "Give the key a new secret; the old one stays valid for a grace period",
        mutating: true,
        place: Place::Keys,
        in_bar: true,
        available: can_rotate,
    },
    Action {
        id: ActionId::Revoke,
        name: "revoke",
        keys: &[letter('X')],
        description: "End the key for good, with all its secrets",
        mutating: true,
        place: Place::Keys,
        in_bar: true,
        available: can_revoke,
    },
    Action {
        id: ActionId::Suspend,
        name: "suspend",
        keys: &[letter('S')],
        description: "Switch the key off; it can be resumed",
        mutating: true,
        place: Place::Keys,
        in_bar: true,
        available: can_suspend,
    },
    Action {
        id: ActionId::Resume,
        name: "resume",
        keys: &[letter('U')],
        description: "Switch a suspended key on again",
        mutating: true,
        place: Place::Keys,
        in_bar: true,
        available: can_resume,
    },
    Action {
        id: ActionId::Details,
        name: "details",
        keys: &[on(KeyCode::Enter)],
        description: "Show all of the key, on the whole screen",
        mutating: false,
        place: Place::Keys,
        in_bar: true,
        available: can_show,
    },
    Action {
        id: ActionId::Filter,
        name: "filter",
        keys: &[letter('/')],
        description: "List only keys with a text in name, owner, id, prefix or metadata",
        mutating: false,
        place: Place::Keys,
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Audit,
        name: "audit",
        keys: &[letter('a')],
        description: "List what was done to the key, newest first",
        mutating: false,
        place: Place::Keys,
        in_bar: true,
        available: can_show,
    },
    Action {
        id: ActionId::Sort,
        name: "sort",
        keys: &[letter('o')],
        description: "Choose the column to sort by",
        mutating: false,
        place: Place::Keys,
        in_bar: true,
        available: open,
    },
    Action {
        id: ActionId::Reverse,
        name: "reverse",
        keys: &[letter('O')],
        description: "Turn the order around",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Down,
        name: "down",
        keys: &[on(KeyCode::Down), letter('j')],
        description: "One key down",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Up,
        name: "up",
        keys: &[on(KeyCode::Up), letter('k')],
        description: "One key up",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::PageDown,
        name: "page down",
        keys: &[on(KeyCode::PageDown), control('f')],
        description: "A page down; in the details, their next page",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::PageUp,
        name: "page up",
        keys: &[on(KeyCode::PageUp), control('b')],
        description: "A page up; in the details, their page before",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Top,
        name: "first",
        keys: &[on(KeyCode::Home), letter('g')],
        description: "To the first key",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Bottom,
        name: "last",
        keys: &[on(KeyCode::End), letter('G')],
        description: "To the last key",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: open,
    },
    Action {
        id: ActionId::Back,
        name: "back",
        keys: &[on(KeyCode::Esc)],
        description: "Leave the details, then clear the filter; never quits",
        mutating: false,
        place: Place::Keys,
        in_bar: false,
        available: can_go_back,
    },
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
        _ => Err("no store is open".to_owned()),
    }
}

fn can_show(model: &Model) -> Result<(), String> {
    open(model)?;
    model.keys.selected().map(|_| ()).ok_or_else(|| model.keys.why_none().to_owned())
}

fn can_rotate(model: &Model) -> Result<(), String> {
    can_show(model)?;
    match model.keys.selected().map(|key| (key.status(model.now), key.expires_at)) {
        Some((KeyStatus::Revoked, _)) => Err("the key is revoked, for good".to_owned()),
        Some((_, Some(at))) if model.now >= at => Err("the key is expired, and a new secret would be too".to_owned()),
        _ => Ok(()),
    }
}

fn can_revoke(model: &Model) -> Result<(), String> {
    can_show(model)?;
    match model.keys.selected().map(|key| key.state) {
        Some(KeyState::Revoked) => Err("the key is revoked already".to_owned()),
        _ => Ok(()),
    }
}

fn can_suspend(model: &Model) -> Result<(), String> {
    can_show(model)?;
    match model.keys.selected().map(|key| key.state) {
        Some(KeyState::Revoked) => Err("the key is revoked, for good".to_owned()),
        Some(KeyState::Suspended) => Err("the key is suspended already".to_owned()),
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
    if model.screen == Screen::Details || !model.keys.filter.text().is_empty() {
        Ok(())
    } else {
        Err("there is nothing to leave; q quits".to_owned())
    }
}

fn can_make(model: &Model) -> Result<(), String> {
    match model.store {
        StoreState::Failed { missing: true, .. } => Ok(()),
        StoreState::Open { .. } => Err("a store is open".to_owned()),
        _ => Err("there is something at this path already".to_owned()),
    }
}

fn can_retry(model: &Model) -> Result<(), String> {
    match model.store {
        StoreState::Failed { .. } => Ok(()),
        StoreState::Open { .. } => Err("a store is open".to_owned()),
        StoreState::Opening => Err("the store is being opened".to_owned()),
    }
}

fn has_secret(model: &Model) -> Result<(), String> {
    model.secret().map(|_| ()).ok_or_else(|| "no new secret is waiting".to_owned())
}

fn can_close_secret(model: &Model) -> Result<(), String> {
    match model.secret() {
        None => Err("no new secret is waiting".to_owned()),
        Some(secret) if secret.waits_to_be_seen() => Err("not so fast · look at it, then press y again".to_owned()),
        Some(secret) if secret.was_taken() => Ok(()),
        Some(_) => Err("show it, copy it or write it first".to_owned()),
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
    for place in Place::ALL {
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
| `X` | on the focused button `Revoke`, once the prefix is typed: revokes |
| `Esc` | cancels; a secret that waits is kept |
| `Ctrl-U`, `Ctrl-W` | in a text: delete to its start, delete a word |

Pasted text goes to text fields only.
";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        for place in [Place::Keys, Place::Start, Place::Secret] {
            let mut seen = HashSet::new();
            for action in ACTIONS.iter().filter(|action| action.place == place || action.place == Place::Everywhere) {
                // The dialog takes all keys itself: nothing from everywhere works in it.
                if place == Place::Secret && action.place == Place::Everywhere {
                    continue;
                }
                for key in action.keys {
                    assert!(seen.insert(*key), "{key} is bound twice at {place:?}");
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
        for id in [ActionId::Rotate, ActionId::Revoke, ActionId::Suspend] {
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
