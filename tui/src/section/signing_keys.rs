//! Signing keys: what the store's own tokens are signed with.

use std::convert::Infallible;

use keystile::{SigningKey, SigningKeyState, Timestamp};

use super::{Column, Field, Listed, plain, time};
use crate::action::ActionId;
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

impl Row for SigningKey {
    type Id = String;
    type Cursor = Infallible;
    type Choice = ();

    fn id(&self) -> String {
        self.kid.clone()
    }

    fn query((): &(), _: Wanted<Infallible>) -> Query {
        Query::SigningKeys
    }
}

impl Listed for SigningKey {
    const COLUMNS: &'static [Column] = &[
        Column::new("STATE", 11, 0),
        Column::new("ALG", 6, 0),
        Column::new("KID", 0, 0),
        Column::new("SIGNS FROM", 12, 1),
        Column::new("KEPT UNTIL", 12, 2),
    ];

    fn title(&self) -> String {
        text::printable(&self.kid)
    }

    fn cell(&self, column: usize, now: Timestamp) -> (String, Role) {
        let text = match column {
            0 => return state(self),
            1 => self.algorithm.to_string(),
            2 => text::printable(&self.kid),
            3 => text::relative(now, self.signs_from),
            _ => self.kept_until.map_or_else(|| "-".to_owned(), |at| text::relative(now, at)),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let (word, role) = state(self);
        let mut fields = vec![
            ("state", word, role),
            plain("kid", text::printable(&self.kid)),
            plain("algorithm", self.algorithm.to_string()),
            plain("created", time(now, self.created_at)),
            plain("signs from", time(now, self.signs_from)),
        ];
        if let Some(at) = self.retired_at {
            fields.push(plain("signed until", time(now, at)));
        }
        if let Some(at) = self.kept_until {
            fields.push(("kept until", format!("{}: its last token is dead then", time(now, at)), Role::Text));
        }
        fields
    }

    fn nothing(_: bool) -> String {
        let key = ActionId::RotateSigningKey.action().key();
        format!("There are no signing keys yet: the first token makes one. Press {key} to make one now.")
    }
}

fn state(key: &SigningKey) -> (String, Role) {
    match key.state {
        SigningKeyState::Published => ("◌ published".to_owned(), Role::Waiting),
        SigningKeyState::Active => ("● active".to_owned(), Role::Good),
        SigningKeyState::Retiring => ("◐ retiring".to_owned(), Role::Warning),
        SigningKeyState::Gone => ("✕ gone".to_owned(), Role::Faint),
        // A state that a newer library knows.
        state => (format!("? {state}"), Role::Text),
    }
}
