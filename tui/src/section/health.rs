//! Health: what the doctor finds, and what this program sees.

use std::convert::Infallible;

use keystile::{Finding, Severity, Timestamp};

use super::{Column, Field, Listed, plain};
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

impl Row for Finding {
    /// What was looked at, and what was found.
    type Id = (&'static str, String);
    type Cursor = Infallible;
    type Choice = ();

    fn id(&self) -> (&'static str, String) {
        (self.check, self.message.clone())
    }

    fn query((): &(), _: Wanted<Infallible>) -> Query {
        Query::Health
    }
}

impl Listed for Finding {
    const COLUMNS: &'static [Column] =
        &[Column::new("STATE", 9, 0), Column::new("WHAT", 14, 0), Column::new("FOUND", 0, 0)];

    fn title(&self) -> String {
        self.check.to_owned()
    }

    fn cell(&self, column: usize, _: Timestamp) -> (String, Role) {
        match column {
            0 => state(self.severity),
            1 => (self.check.to_owned(), Role::Text),
            _ => (text::printable(&self.message), Role::Text),
        }
    }

    fn fields(&self, _: Timestamp) -> Vec<Field> {
        let (word, role) = state(self.severity);
        let mut parts = self.message.splitn(2, " · ");
        let mut fields = vec![("state", word, role), plain("what", self.check)];
        fields.extend(parts.next().map(|found| plain("found", text::printable(found))));
        fields.extend(parts.next().map(|advice| plain("to do", text::printable(advice))));
        fields
    }

    fn nothing(_: bool) -> String {
        "Nothing was looked at yet.".to_owned()
    }
}

fn state(severity: Severity) -> (String, Role) {
    match severity {
        Severity::Ok => ("● ok".to_owned(), Role::Good),
        Severity::Warning => ("◐ warning".to_owned(), Role::Warning),
        Severity::Error => ("✕ error".to_owned(), Role::Bad),
    }
}
