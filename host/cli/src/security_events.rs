//! `keystile security-events list`.

use serde::Serialize;

use super::args::SecurityEventListArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::json::UnreadableJson;
use super::people::NONE;
use super::table::{Column, Table};
use keystile::text::rfc3339;
use keystile::{SecurityEvent, SecurityEventQuery};

/// Lists security events.
pub(super) fn list(args: &SecurityEventListArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let user = match &args.user {
        None => None,
        Some(user) => Some(keystile.users().find(user)?.id),
    };
    let query = SecurityEventQuery { kind: args.kind, user, limit: args.limit, before: args.before };
    let page = keystile.security_events(&query)?;
    if context.output.is_json() {
        let events = page.events.iter().map(EventJson::from).collect();
        let unreadable = UnreadableJson::all(&page.unreadable);
        context.output.json(&PageJson { events, unreadable, next: page.next })?;
        return Ok(context.end_without(&page.unreadable));
    }
    if page.events.is_empty() && page.unreadable.is_empty() {
        context.output.note("no security events");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        Column::new("LAST"),
        Column::new("KIND"),
        Column::new("COUNT"),
        Column::new("WHO").cut_to(12).rank(1),
        Column::new("ADDRESS").rank(2),
        Column::new("FIRST").rank(3),
        Column::new("ID").rank(4),
    ]);
    for event in &page.events {
        table.row(vec![
            rfc3339(event.last_at).into(),
            event.kind.as_str().into(),
            event.count.to_string().into(),
            who(event).into(),
            event.address.map_or_else(|| NONE.to_owned(), |address| address.to_string()).into(),
            rfc3339(event.first_at).into(),
            event.id.to_string().into(),
        ]);
    }
    context.output.table(&table)?;
    if let Some(next) = page.next {
        context.output.hint(format_args!("there are more: add --before {next}"));
    }
    Ok(context.end_without(&page.unreadable))
}

/// The session or the user it happened to, or the hash of the account that was named.
fn who(event: &SecurityEvent) -> String {
    match (event.session, event.user, event.account) {
        (Some(session), _, _) => session.to_string(),
        (None, Some(user), _) => user.to_string(),
        (None, None, Some(account)) => format!("unknown account {account}"),
        (None, None, None) => NONE.to_owned(),
    }
}

#[derive(Serialize)]
struct EventJson {
    id: u64,
    kind: &'static str,
    user_id: Option<String>,
    unknown_account: Option<String>,
    session_id: Option<String>,
    address: Option<String>,
    first_at: String,
    last_at: String,
    count: u64,
}

impl From<&SecurityEvent> for EventJson {
    fn from(event: &SecurityEvent) -> EventJson {
        EventJson {
            id: event.id,
            kind: event.kind.as_str(),
            user_id: event.user.map(|user| user.to_string()),
            unknown_account: event.account.map(|account| account.to_string()),
            session_id: event.session.map(|session| session.to_string()),
            address: event.address.map(|address| address.to_string()),
            first_at: rfc3339(event.first_at),
            last_at: rfc3339(event.last_at),
            count: event.count,
        }
    }
}

#[derive(Serialize)]
struct PageJson<'a> {
    events: Vec<EventJson>,
    /// Rows of the list that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableJson<'a>>,
    next: Option<u64>,
}
