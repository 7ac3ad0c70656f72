//! External issuers.

use std::convert::Infallible;

use keystile::{IssuerInfo, KeySource, Timestamp};

use super::{Column, Field, Listed, list, plain, relative_or, time, time_or};
use crate::message::Query;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::Role;

impl Row for IssuerInfo {
    type Id = String;
    type Cursor = Infallible;
    type Choice = ();

    fn id(&self) -> String {
        self.issuer.name.clone()
    }

    fn query((): &(), _: Wanted<Infallible>) -> Query {
        Query::Issuers
    }
}

impl Listed for IssuerInfo {
    const COLUMNS: &'static [Column] = &[
        Column::new("STATE", 10, 0),
        Column::new("NAME", 16, 0),
        Column::new("ISSUER", 0, 0),
        Column::new("ALG", 12, 2),
        Column::new("KEYS", 5, 3),
        Column::new("FETCHED", 9, 1),
    ];

    fn title(&self) -> String {
        text::printable(&self.issuer.name)
    }

    fn cell(&self, column: usize, now: Timestamp) -> (String, Role) {
        let text = match column {
            0 => return state(self),
            1 => text::printable(&self.issuer.name),
            2 => text::printable(&self.issuer.issuer),
            3 => list(&self.issuer.algorithms, "-"),
            4 => self.key_set.keys.len().to_string(),
            _ => relative_or(now, self.key_set.fetched_at, "never"),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let (word, role) = state(self);
        let issuer = &self.issuer;
        let source = match &issuer.source {
            KeySource::Url(url) => text::printable(url.without_query()),
            KeySource::Given => "given by an operator".to_owned(),
        };
        let token_type = issuer.token_type.map_or("any of JWT, at+jwt, or none", |kind| kind.as_str());
        let mut fields = vec![
            ("state", word, role),
            plain("issuer", text::printable(&issuer.issuer)),
            plain("algorithms", list(&issuer.algorithms, "-")),
        ];
        if issuer.audiences.is_empty() {
            fields.push(("audiences", "any: tokens for others are let in, too".to_owned(), Role::Warning));
        } else {
            fields.push(plain("audiences", list(&issuer.audiences, "any")));
        }
        fields.extend([
            plain("typ", token_type),
            plain("leeway", format!("{} s", issuer.leeway)),
            plain("environment", text::printable(&issuer.environment_text())),
            plain("keys from", source),
            plain("fetched", time_or(now, self.key_set.fetched_at, "never")),
        ]);
        if let Some(problem) = self.key_set.problem {
            let times = self.key_set.failures;
            fields.push(("problem", format!("{} ({times} in a row)", problem.code()), Role::Bad));
        }
        fields.push(plain(
            "added",
            format!("{} by {}", time(now, issuer.created_at), text::printable(&issuer.created_by)),
        ));
        for key in &self.key_set.keys {
            let kid = text::printable(key.kid.as_deref().unwrap_or("without a kid"));
            let algorithm = key.algorithm.map(|algorithm| format!(" {algorithm}")).unwrap_or_default();
            fields.push(plain("key", format!("{kid} {}{algorithm}", text::printable(&key.kty))));
        }
        fields
    }

    fn nothing(_: bool) -> String {
        "There are no external issuers. Add one with: keystile issuers add NAME --issuer URL --jwks-url URL --alg RS256"
            .to_owned()
    }
}

fn state(info: &IssuerInfo) -> (String, Role) {
    match (info.issuer.enabled, info.key_set.keys.is_empty()) {
        (false, _) => ("○ disabled".to_owned(), Role::Warning),
        (true, true) => ("✕ no keys".to_owned(), Role::Bad),
        (true, false) => ("● enabled".to_owned(), Role::Good),
    }
}
