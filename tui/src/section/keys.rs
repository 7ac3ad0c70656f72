//! Keys.

use keystile::{Concern, Cursor, Key, KeyId, KeyQuery, SecretInfo, SortColumn, Timestamp};

use super::{Column, Field, Listed, list, optional, plain, relative_or, time, time_or};
use crate::action::ActionId;
use crate::message::Query;
use crate::model::Model;
use crate::table::{Row, Wanted};
use crate::text;
use crate::theme::{self, Role};

/// Which keys are listed, and in which order.
#[derive(Clone, Debug)]
pub(crate) struct KeyChoice {
    /// The column that is sorted by.
    pub(crate) sort: SortColumn,
    /// Whether the largest comes first.
    pub(crate) descending: bool,
    /// Only keys that raise this concern.
    pub(crate) concern: Option<Concern>,
}

impl Default for KeyChoice {
    fn default() -> KeyChoice {
        KeyChoice { sort: SortColumn::CreatedAt, descending: true, concern: None }
    }
}

impl Row for Key {
    type Id = KeyId;
    type Cursor = Cursor;
    type Choice = KeyChoice;
    const BACKWARDS: bool = true;
    const FILTER: Option<&'static str> = Some("name, owner, id, prefix or metadata");

    fn id(&self) -> KeyId {
        self.id
    }

    fn query(choice: &KeyChoice, wanted: Wanted<Cursor>) -> Query {
        Query::Keys(Box::new(KeyQuery {
            search: wanted.search,
            concern: choice.concern,
            sort: choice.sort,
            descending: choice.descending != wanted.backwards,
            limit: wanted.limit,
            after: wanted.after,
            ..KeyQuery::default()
        }))
    }
}

impl Listed for Key {
    const COLUMNS: &'static [Column] = &[
        Column::sorted("STATE", 11, 0, SortColumn::State),
        Column::new("PREFIX", 14, 0),
        Column::sorted("NAME", 0, 0, SortColumn::Name),
        Column::sorted("OWNER", 10, 3, SortColumn::Owner),
        Column::sorted("ENV", 6, 4, SortColumn::Environment),
        Column::new("SCOPES", 14, 6),
        Column::sorted("EXPIRES", 8, 1, SortColumn::ExpiresAt),
        Column::sorted("LAST USED", 9, 2, SortColumn::LastUsedAt),
        Column::sorted("AGE", 6, 5, SortColumn::CreatedAt),
    ];

    fn title(&self) -> String {
        text::printable(&self.name)
    }

    fn cell(&self, column: usize, now: Timestamp) -> (String, Role) {
        let text = match column {
            0 => {
                let (symbol, word, role) = theme::state(self, now);
                return (format!("{symbol} {word}"), role);
            }
            1 => text::printable(self.display()),
            2 => text::printable(&self.name),
            3 => optional(self.owner.as_deref()),
            4 => self.environment.to_string(),
            5 => list(&self.scopes, "-"),
            6 => relative_or(now, self.expires_at, "never"),
            7 => relative_or(now, self.last_used_at(), "never"),
            _ => text::age(now, self.created_at),
        };
        (text, Role::Text)
    }

    fn fields(&self, now: Timestamp) -> Vec<Field> {
        let (symbol, word, role) = theme::state(self, now);
        let mut fields = vec![
            ("state", format!("{symbol} {word}"), role),
            plain("prefix", text::printable(self.display())),
            plain("id", self.id.to_string()),
            plain("owner", optional(self.owner.as_deref())),
            plain("environment", self.environment.to_string()),
            plain("format", optional(self.format.as_deref())),
            plain("scopes", list(&self.scopes, "-")),
            plain("addresses", list(&self.addresses, "any")),
            plain("limit", self.rate.map_or_else(|| "unlimited".to_owned(), |rate| rate.to_string())),
            plain("created", format!("{} by {}", time(now, self.created_at), text::printable(&self.created_by))),
            plain("updated", time(now, self.updated_at)),
        ];
        if self.not_before.is_some() {
            fields.push(plain("valid from", time_or(now, self.not_before, "always")));
        }
        fields.push(plain("expires", time_or(now, self.expires_at, "never")));
        if let Some(at) = self.suspended_at {
            let with = match self.suspended_for {
                Some(user) => format!(" with its owner, {user}"),
                None if self.suspended_by_restore => " by a restore".to_owned(),
                None => String::new(),
            };
            fields.push(("suspended", format!("{}{with}", time(now, at)), Role::Warning));
        }
        if let Some(revocation) = &self.revocation {
            let note = revocation.note.as_deref().map(|note| format!(": {}", text::printable(note)));
            let at = time(now, revocation.at);
            fields.push(("revoked", format!("{at} as {}{}", revocation.reason, note.unwrap_or_default()), Role::Bad));
        }
        let times = if self.uses() == 1 { "time" } else { "times" };
        fields.push(plain(
            "used",
            format!("{} {times}, last: {}", self.uses(), time_or(now, self.last_used_at(), "never")),
        ));
        for (index, secret) in self.secrets.iter().enumerate().rev() {
            let active = index + 1 == self.secrets.len();
            let (what, role) = worth(secret, active, now);
            fields.push(("secret", format!("{} {} {what}", secret.number, text::printable(&secret.display)), role));
        }
        for concern in Concern::ALL.iter().filter(|concern| self.raises(**concern, now)) {
            fields.push(("attention", concern.title().to_lowercase(), Role::Warning));
        }
        for (name, value) in &self.metadata {
            fields.push(plain("metadata", format!("{}={}", text::printable(name), text::printable(value))));
        }
        fields
    }

    fn usage_of(&self, model: &Model) -> Option<Field> {
        let (_, days) = model.usage.as_ref().filter(|(id, days)| *id == self.id && !days.is_empty())?;
        Some(plain("last 30 days", sparkline(days)))
    }

    fn nothing(filtered: bool) -> String {
        if filtered {
            "No key fits the filter. Press Esc to clear it.".to_owned()
        } else {
            format!("There are no keys yet. Press {} to make one.", ActionId::New.action().key())
        }
    }
}

/// One bar for each day, as high as its share of the busiest day; a day without a use has a dot.
fn sparkline(days: &[u64]) -> String {
    let most = u128::from(days.iter().copied().max().unwrap_or_default());
    let bar = |uses: &u64| match (u128::from(*uses) * BARS.len() as u128).div_ceil(most.max(1)) {
        0 => '·',
        height => usize::try_from(height).ok().and_then(|height| BARS.get(height - 1)).copied().unwrap_or('█'),
    };
    days.iter().map(bar).collect()
}

/// Lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What a secret is worth at this time.
fn worth(secret: &SecretInfo, active: bool, now: Timestamp) -> (String, Role) {
    match (active, secret.retires_at, secret.pending_grace) {
        (true, ..) => ("active".to_owned(), Role::Text),
        (false, ..) if secret.has_ended(now) => ("refused as rotated".to_owned(), Role::Faint),
        (false, Some(at), _) => (format!("old, valid for {}", text::countdown(now, at)), Role::Warning),
        (false, None, Some(grace)) => {
            let grace = text::format_duration(grace);
            (format!("old, valid until {grace} after the first use of a newer one"), Role::Warning)
        }
        (false, None, None) => ("old, valid".to_owned(), Role::Warning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_day_has_the_highest_bar() {
        assert_eq!(sparkline(&[0, 1, 4, 8, 0]), "·▁▄█·");
        assert_eq!(sparkline(&[0, u64::MAX, 1]), "·█▁");
        assert_eq!(sparkline(&[0, 0]), "··");
        assert_eq!(sparkline(&[]), "");
    }
}
