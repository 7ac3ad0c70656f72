//! Security events, newest first: what was tried on users and their sessions.

use keystile::{SecurityEvent, SecurityEventKind, SecurityEventQuery, Timestamp};

use super::{Column, Field, Listed, plain, time};
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

impl Row for SecurityEvent {
    type Id = u64;
    type Cursor = u64;
    type Choice = ();

    fn id(&self) -> u64 {
        self.id
    }

    fn query((): &(), wanted: Wanted<u64>) -> Query {
        let all = SecurityEventQuery::default();
        Query::SecurityEvents(SecurityEventQuery { limit: wanted.limit, before: wanted.after, ..all })
    }
}

impl Listed for SecurityEvent {
    const COLUMNS: &'static [Column] = &[
        Column::new("LAST", 9, 0),
        Column::new("KIND", 15, 0),
        Column::new("COUNT", 6, 1),
        Column::new("ADDRESS", 15, 2),
        Column::new("WHO", 0, 0),
    ];

    fn title(&self) -> String {
        format!("{}. {}", self.id, self.kind)
    }

    fn cell(&self, column: usize, now: Timestamp) -> (String, Role) {
        let text = match column {
            0 => text::relative(now, self.last_at),
            1 => return kind(self.kind),
            2 => self.count.to_string(),
            3 => address(self),
            _ => who(self),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let (word, role) = kind(self.kind);
        let mut fields = vec![("kind", word, role), plain("means", meaning(self.kind))];
        fields.push(plain("count", self.count.to_string()));
        fields.extend(self.user.map(|user| plain("user", user.to_string())));
        fields.extend(self.session.map(|session| plain("session", session.to_string())));
        fields.extend(self.account.map(|account| plain("account", format!("unknown account {account}"))));
        fields.push(plain("address", address(self)));
        fields.push(plain("last", time(now, self.last_at)));
        fields.push(plain("first", time(now, self.first_at)));
        fields
    }

    fn nothing(_: bool) -> String {
        "No login has failed, and no refresh token was used again.".to_owned()
    }
}

fn kind(kind: SecurityEventKind) -> (String, Role) {
    let role = match kind {
        SecurityEventKind::TokenReused => Role::Bad,
        SecurityEventKind::LoginLocked => Role::Warning,
        _ => Role::Text,
    };
    (kind.to_string(), role)
}

/// What it means, and what to do.
fn meaning(kind: SecurityEventKind) -> &'static str {
    match kind {
        SecurityEventKind::LoginFailed => "a wrong password, or a user who is suspended",
        SecurityEventKind::UnknownAccount => "a login to an account that does not exist",
        SecurityEventKind::LoginLocked => "too many logins failed, so more are refused for a while",
        SecurityEventKind::TokenReused => {
            "a refresh token was used again, so its session was ended · when the user did not do that, somebody has \
             copied it"
        }
        // A kind that a newer library knows.
        _ => "see the documentation of this version",
    }
}

fn address(event: &SecurityEvent) -> String {
    event.address.map_or_else(|| "-".to_owned(), |address| address.to_string())
}

/// The session or the user it happened to, or the hash of the account that was named.
fn who(event: &SecurityEvent) -> String {
    match (event.session, event.user, event.account) {
        (Some(session), _, _) => session.to_string(),
        (None, Some(user), _) => user.to_string(),
        (None, None, Some(account)) => format!("unknown account {account}"),
        (None, None, None) => "-".to_owned(),
    }
}
