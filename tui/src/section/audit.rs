//! The audit trail, newest first.

use keystile::{AuditEntry, AuditQuery, Timestamp};

use super::{Column, Field, Listed, optional, plain, time};
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

impl Row for AuditEntry {
    type Id = u64;
    type Cursor = u64;
    type Choice = ();
    const FILTER: Option<&'static str> = Some("actor, action, subject or detail");

    fn id(&self) -> u64 {
        self.sequence
    }

    fn query((): &(), wanted: Wanted<u64>) -> Query {
        Query::Audit(AuditQuery { subject: None, search: wanted.search, limit: wanted.limit, before: wanted.after })
    }
}

impl Listed for AuditEntry {
    const COLUMNS: &'static [Column] = &[
        Column::new("SEQ", 8, 3),
        Column::new("AT", 20, 1),
        Column::new("ACTION", 22, 0),
        Column::new("ACTOR", 14, 2),
        Column::new("SUBJECT", 0, 0),
    ];

    fn title(&self) -> String {
        format!("{}. {}", self.sequence, text::printable(&self.action))
    }

    fn cell(&self, column: usize, _: Timestamp) -> (String, Role) {
        let text = match column {
            0 => self.sequence.to_string(),
            1 => text::minute(self.at),
            2 => text::printable(&self.action),
            3 => text::printable(&self.actor),
            _ => optional(self.subject.as_deref()),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let mut fields = vec![
            plain("at", time(now, self.at)),
            plain("action", text::printable(&self.action)),
            plain("actor", text::printable(&self.actor)),
            plain("subject", optional(self.subject.as_deref())),
        ];
        if self.detail != "{}" {
            fields.push(plain("detail", text::printable(&self.detail)));
        }
        fields.push(("hash", self.hash.to_string(), Role::Faint));
        fields
    }

    fn nothing(filtered: bool) -> String {
        let nothing =
            if filtered { "No entry fits the filter. Press Esc to clear it." } else { "Nothing was done yet." };
        nothing.to_owned()
    }
}
