//! Safety: why keys want attention, and how many do.

use std::convert::Infallible;

use keystile::{Concern, KeyCounts, Timestamp};

use super::{Column, Field, Listed, plain};
use crate::action::ActionId;
use crate::message::Query;
use crate::table::{Page, Row, Wanted};
use crate::theme::Role;

/// A concern, and how many keys raise it.
#[derive(Debug)]
pub(crate) struct ConcernCount {
    /// The concern.
    pub(crate) concern: Concern,
    /// How many keys raise it.
    pub(crate) count: u64,
}

impl ConcernCount {
    /// All of them.
    pub(crate) fn page(counts: &KeyCounts) -> Page<ConcernCount> {
        let row = |concern: &Concern| ConcernCount { concern: *concern, count: counts.of(*concern) };
        Page { rows: Concern::ALL.iter().map(row).collect(), next: None }
    }
}

impl Row for ConcernCount {
    type Id = Concern;
    type Cursor = Infallible;
    type Choice = ();

    fn id(&self) -> Concern {
        self.concern
    }

    fn query((): &(), _: Wanted<Infallible>) -> Query {
        Query::Counts
    }
}

impl Listed for ConcernCount {
    const COLUMNS: &'static [Column] = &[Column::new("KEYS", 9, 0), Column::new("CONCERN", 0, 0)];

    fn title(&self) -> String {
        self.concern.title().to_owned()
    }

    fn cell(&self, column: usize, _: Timestamp) -> (String, Role) {
        let role = match (self.count, self.concern) {
            (0, _) => Role::Faint,
            (_, Concern::Expiring) => Role::Bad,
            (_, Concern::SafeToRemove) => Role::Good,
            _ => Role::Warning,
        };
        match column {
            0 => (format!("{:>8}", self.count), role),
            _ => (self.concern.title().to_owned(), Role::Text),
        }
    }

    fn fields(&self, _: Timestamp) -> Vec<Field> {
        let (why, advice) = match self.concern {
            Concern::NoExpiry => {
                ("It stays valid until somebody thinks of it.", "Give it an expiry, or rotate it now and then.")
            }
            Concern::Old => (
                "The longer a secret lives, the more places know it.",
                "Rotate it: that gives a new one, with a grace period.",
            ),
            Concern::Idle => (
                "Nobody has used it for 90 days. A yearly job may.",
                "Suspend it: that can be undone. Revoke it when nobody has missed it.",
            ),
            Concern::NeverUsed => ("It may be new, or it may have been made for nothing.", "Ask whoever it is for."),
            Concern::Expiring => ("Whoever uses it will be refused.", "Tell its owner, or make a new one."),
            Concern::NoScopes => {
                ("Nothing limits it where a caller asks for no scope.", "Give it the scopes that it needs.")
            }
            Concern::SafeToRemove => (
                "Suspended or expired for 30 days, or made 90 days ago and never used: nobody would miss it.",
                "Revoke it. Several of a list can be marked and revoked at once.",
            ),
            _ => ("A newer store knows what this is.", "Use a newer version of this program."),
        };
        vec![
            plain("keys", self.count.to_string()),
            plain("why", why),
            plain("to do", advice),
            plain("list", format!("press {}", ActionId::Details.action().key())),
        ]
    }

    fn nothing(_: bool) -> String {
        "Nothing is counted yet.".to_owned()
    }
}
