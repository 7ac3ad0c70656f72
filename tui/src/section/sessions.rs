//! Sessions of users.

use keystile::{Session, SessionId, SessionQuery, SessionStatus, Timestamp, UserId};

use super::{Column, Field, Listed, list, optional, plain, time};
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

/// Whose sessions are listed; `None`: everybody's.
pub(crate) type SessionsOf = Option<(UserId, String)>;

impl Row for Session {
    type Id = SessionId;
    type Cursor = SessionId;
    type Choice = SessionsOf;

    fn id(&self) -> SessionId {
        self.id
    }

    fn query(choice: &SessionsOf, wanted: Wanted<SessionId>) -> Query {
        let user = choice.as_ref().map(|(user, _)| *user);
        Query::Sessions(SessionQuery { user, limit: wanted.limit, after: wanted.after, ..SessionQuery::default() })
    }
}

impl Listed for Session {
    const COLUMNS: &'static [Column] = &[
        Column::new("STATE", 9, 0),
        Column::new("SESSION", 0, 0),
        Column::new("USER", 14, 3),
        Column::new("ADDRESS", 15, 2),
        Column::new("LAST USED", 9, 0),
        Column::new("EXPIRES", 8, 1),
    ];

    fn title(&self) -> String {
        self.id.to_string()
    }

    fn cell(&self, column: usize, now: Timestamp) -> (String, Role) {
        let text = match column {
            0 => return state(self, now),
            1 => self.id.to_string(),
            2 => self.user.to_string(),
            3 => self.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
            4 => text::relative(now, self.last_used_at),
            _ => text::relative(now, self.expires_at),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let (word, role) = state(self, now);
        let mut fields = vec![
            ("state", word, role),
            plain("id", self.id.to_string()),
            plain("user", self.user.to_string()),
            plain("client id", optional(self.client_id.as_deref())),
            plain("client", optional(self.client.as_deref())),
            plain("address", self.address.map_or_else(|| "-".to_owned(), |address| address.to_string())),
            plain("environment", optional(self.environment.as_ref().map(|environment| environment.as_str()))),
            plain("scopes", list(&self.scopes, "-")),
            plain("began", time(now, self.created_at)),
            plain("last used", time(now, self.last_used_at)),
            plain("expires", time(now, self.expires_at)),
        ];
        if let Some(key) = self.key {
            fields.push(plain("by key", key.to_string()));
        }
        if let Some(end) = self.end {
            fields.push(("ended", format!("{} as {}", time(now, end.at), end.reason), Role::Bad));
        }
        fields
    }

    fn nothing(_: bool) -> String {
        "Nobody is logged in.".to_owned()
    }
}

fn state(session: &Session, now: Timestamp) -> (String, Role) {
    match session.status(now) {
        SessionStatus::Active => ("● active".to_owned(), Role::Good),
        SessionStatus::Ended => ("✕ ended".to_owned(), Role::Bad),
        SessionStatus::Expired => ("◇ expired".to_owned(), Role::Faint),
        // A state that a newer library knows.
        status => (format!("? {status}"), Role::Text),
    }
}
