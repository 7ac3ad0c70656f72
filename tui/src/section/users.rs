//! Users.

use keystile::{Timestamp, User, UserId, UserQuery, UserStatus};

use super::{Column, Field, Listed, optional, plain, relative_or, time, time_or};
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

impl Row for User {
    type Id = UserId;
    type Cursor = UserId;
    type Choice = ();
    const FILTER: Option<&'static str> = Some("e-mail address, name, organization or id");

    fn id(&self) -> UserId {
        self.id
    }

    fn query((): &(), wanted: Wanted<UserId>) -> Query {
        Query::Users(UserQuery {
            search: wanted.search,
            limit: wanted.limit,
            after: wanted.after,
            ..UserQuery::default()
        })
    }
}

impl Listed for User {
    const COLUMNS: &'static [Column] = &[
        Column::new("STATE", 11, 0),
        Column::new("E-MAIL", 0, 0),
        Column::new("NAME", 18, 3),
        Column::new("ORGANIZATION", 14, 2),
        Column::new("ADMIN", 5, 4),
        Column::new("LAST LOGIN", 10, 1),
    ];

    fn title(&self) -> String {
        text::printable(self.email.as_str())
    }

    fn cell(&self, column: usize, now: Timestamp) -> (String, Role) {
        let text = match column {
            0 => return state(self),
            1 => text::printable(self.email.as_str()),
            2 => optional(self.name.as_deref()),
            3 => optional(self.organization.as_deref()),
            4 => if self.admin { "admin" } else { "-" }.to_owned(),
            _ => relative_or(now, self.last_login_at, "never"),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let (word, role) = state(self);
        let mut fields = vec![
            ("state", word, role),
            plain("e-mail", text::printable(self.email.as_str())),
            plain("id", self.id.to_string()),
            plain("name", optional(self.name.as_deref())),
            plain("organization", optional(self.organization.as_deref())),
            plain("admin", if self.admin { "yes" } else { "no" }),
            plain("created", format!("{} by {}", time(now, self.created_at), text::printable(&self.created_by))),
            plain("updated", time(now, self.updated_at)),
        ];
        if let Some(at) = self.suspended_at {
            fields.push(("suspended", time(now, at), Role::Warning));
        }
        fields.push(plain("password", time_or(now, self.password_set_at, "none: it cannot log in with one")));
        fields.push(plain("last login", time_or(now, self.last_login_at, "never")));
        fields
    }

    fn nothing(filtered: bool) -> String {
        let nothing = if filtered {
            "No user fits the filter. Press Esc to clear it."
        } else {
            "There are no users. Make one with: keystile users create EMAIL"
        };
        nothing.to_owned()
    }
}

fn state(user: &User) -> (String, Role) {
    match user.status() {
        UserStatus::Active => ("● active".to_owned(), Role::Good),
        UserStatus::Suspended => ("○ suspended".to_owned(), Role::Warning),
        // A state that a newer library knows.
        _ => ("? unknown".to_owned(), Role::Text),
    }
}
