//! Everything the screen shows, and nothing else: the view draws it, `update` changes it.

use keystile::{
    AuditEntry, Finding, IssuerInfo, Key, KeyCounts, KeyId, NamedFormat, SecurityEvent, Session, SigningKey, Timestamp,
    User,
};

use crate::action::Place;
use crate::dialog::{Dialog, SecretDialog};
use crate::section::{ConcernCount, Section};
use crate::table::Table;
use crate::theme::Theme;
use crate::view::layout;

/// The state of the program.
#[derive(Debug)]
pub(crate) struct Model {
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    /// The time, as the store's clock has it.
    pub(crate) now: Timestamp,
    /// Which colours are asked for.
    pub(crate) theme: Theme,
    /// ASCII only, no borders.
    pub(crate) plain: bool,
    /// The path of the store.
    pub(crate) db: String,
    /// Why nothing may be changed, when that is so.
    pub(crate) read_only: Option<&'static str>,
    /// Whether the clock is behind the newest time that the store has seen.
    pub(crate) clock_behind: bool,
    /// Whether a store is open.
    pub(crate) store: StoreState,
    /// Since when the store is being opened, while it is.
    pub(crate) opening_since: Timestamp,
    /// Which things the main part lists.
    pub(crate) section: Section,
    /// What the main part shows of them.
    pub(crate) screen: Screen,
    /// The first line of the details in view.
    pub(crate) details_top: usize,
    /// The key whose uses were asked for last, and the uses of each day once they are there.
    pub(crate) usage: Option<(KeyId, Vec<u64>)>,
    /// The keys.
    pub(crate) keys: Table<Key>,
    /// Why they want attention.
    pub(crate) safety: Table<ConcernCount>,
    /// The users.
    pub(crate) users: Table<User>,
    /// Their sessions.
    pub(crate) sessions: Table<Session>,
    /// What the store's own tokens are signed with.
    pub(crate) signing_keys: Table<SigningKey>,
    /// The external issuers.
    pub(crate) issuers: Table<IssuerInfo>,
    /// The audit trail.
    pub(crate) audit: Table<AuditEntry>,
    /// What the doctor finds.
    pub(crate) health: Table<Finding>,
    /// What was tried on users and their sessions.
    pub(crate) security_events: Table<SecurityEvent>,
    /// How many keys raise which concern, once they were counted.
    pub(crate) counts: Option<KeyCounts>,
    /// How many times a credential was to be tried: an answer belongs to one of them.
    pub(crate) trials: u64,
    /// Since when the counts are older than the store.
    pub(crate) uncounted: Option<Timestamp>,
    /// What is asked right now.
    pub(crate) dialog: Option<Dialog>,
    /// Whether a change is on its way: the dialog that asked for it takes no keys until it is done.
    pub(crate) busy: bool,
    /// What was just done, or went wrong.
    pub(crate) toast: Option<Toast>,
    /// What went wrong since the start.
    pub(crate) errors: Vec<Problem>,
    /// When the clipboard is emptied.
    pub(crate) clear_clipboard_at: Option<Timestamp>,
    /// Whether the program ends.
    pub(crate) quit: bool,
}

/// Whether a store is open.
#[derive(Debug)]
pub(crate) enum StoreState {
    /// It is being opened.
    Opening,
    /// It cannot be opened.
    Failed {
        /// Whether there is nothing at its path.
        missing: bool,
        /// What happened, and what to do.
        problem: String,
    },
    /// It is open.
    Open {
        /// Its key formats.
        formats: Vec<NamedFormat>,
        /// The longest lifetime of its keys, in seconds.
        max_lifetime: Option<u64>,
    },
}

/// What the main part shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// The table, with the details beside it where there is room.
    List,
    /// The details alone.
    Details,
}

/// A message that goes away by itself.
#[derive(Debug)]
pub(crate) struct Toast {
    /// What it says.
    pub(crate) text: String,
    /// Whether something went wrong.
    pub(crate) bad: bool,
    /// When it goes away.
    pub(crate) until: Timestamp,
}

/// Something that went wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    /// When.
    pub(crate) at: Timestamp,
    /// What happened, and what to do.
    pub(crate) text: String,
}

/// Does something with the table that is in view, whatever it lists: `with_table!([&mut] model, table => …)`;
/// or with that of another section: `with_table!([&mut] model, in section, table => …)`.
macro_rules! with_table {
    ([$($borrow:tt)+] $model:expr, $table:ident => $do:expr) => {
        with_table!([$($borrow)+] $model, in $model.section, $table => $do)
    };
    ([$($borrow:tt)+] $model:expr, in $section:expr, $table:ident => $do:expr) => {
        match $section {
            $crate::section::Section::Keys => {
                let $table = $($borrow)+ $model.keys;
                $do
            }
            $crate::section::Section::Safety => {
                let $table = $($borrow)+ $model.safety;
                $do
            }
            $crate::section::Section::Users => {
                let $table = $($borrow)+ $model.users;
                $do
            }
            $crate::section::Section::Sessions => {
                let $table = $($borrow)+ $model.sessions;
                $do
            }
            $crate::section::Section::SigningKeys => {
                let $table = $($borrow)+ $model.signing_keys;
                $do
            }
            $crate::section::Section::Issuers => {
                let $table = $($borrow)+ $model.issuers;
                $do
            }
            $crate::section::Section::Audit => {
                let $table = $($borrow)+ $model.audit;
                $do
            }
            $crate::section::Section::Health => {
                let $table = $($borrow)+ $model.health;
                $do
            }
            $crate::section::Section::SecurityEvents => {
                let $table = $($borrow)+ $model.security_events;
                $do
            }
        }
    };
}

pub(crate) use with_table;

impl Model {
    /// The state at the start: the store is being opened.
    pub(crate) fn new(db: String, theme: Theme, plain: bool, read_only: bool, now: Timestamp) -> Model {
        Model {
            size: (80, 24),
            now,
            theme,
            plain,
            db,
            read_only: read_only.then_some(ASKED_FOR),
            clock_behind: false,
            store: StoreState::Opening,
            opening_since: now,
            section: Section::default(),
            screen: Screen::List,
            details_top: 0,
            usage: None,
            keys: Table::default(),
            safety: Table::default(),
            users: Table::default(),
            sessions: Table::default(),
            signing_keys: Table::default(),
            issuers: Table::default(),
            audit: Table::default(),
            health: Table::default(),
            security_events: Table::default(),
            counts: None,
            trials: 0,
            uncounted: None,
            dialog: None,
            busy: false,
            toast: None,
            errors: Vec::new(),
            clear_clipboard_at: None,
            quit: false,
        }
    }

    /// Whether nothing may be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    /// Why nothing may be changed, and what to do.
    pub(crate) fn why_read_only(&self) -> &'static str {
        self.read_only.unwrap_or_default()
    }

    /// Where keys are looked up when no dialog is open.
    pub(crate) fn places(&self) -> Vec<Place> {
        match self.store {
            StoreState::Open { .. } => vec![Place::In(self.section), Place::List, Place::Everywhere],
            StoreState::Opening | StoreState::Failed { .. } => vec![Place::Start, Place::Everywhere],
        }
    }

    /// The dialog that holds a secret.
    pub(crate) fn secret(&self) -> Option<&SecretDialog> {
        match &self.dialog {
            Some(Dialog::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    /// The same, to change it.
    pub(crate) fn secret_mut(&mut self) -> Option<&mut SecretDialog> {
        match &mut self.dialog {
            Some(Dialog::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    /// Rows of the table that are in view.
    pub(crate) fn table_height(&self) -> usize {
        layout::table_height(self.size, self.plain)
    }

    /// Says something for a few seconds.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.toast = Some(Toast { text: text.into(), bad: false, until: self.now.saturating_add(TOAST_SECONDS) });
    }

    /// Says why something is refused; that is no error.
    pub(crate) fn refuse(&mut self, text: impl Into<String>) {
        self.toast = Some(Toast { text: text.into(), bad: true, until: self.now.saturating_add(TOAST_SECONDS) });
    }

    /// Says what went wrong, and keeps it.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.errors.len() >= MAX_ERRORS {
            self.errors.remove(0);
        }
        self.errors.push(Problem { at: self.now, text: text.clone() });
        self.toast = Some(Toast { text, bad: true, until: self.now.saturating_add(2 * TOAST_SECONDS) });
    }
}

/// Why nothing may be changed: it was asked for.
const ASKED_FOR: &str = "read-only, as asked for · start without --read-only to change anything";
/// Why nothing may be changed: this user may not.
pub(crate) const NO_RIGHTS: &str = "read-only: this user can only read the store · start as one who may write it";
const TOAST_SECONDS: u64 = 4;
/// Most errors that are kept.
const MAX_ERRORS: usize = 200;
