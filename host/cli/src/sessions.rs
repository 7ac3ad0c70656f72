//! `keystile sessions …`

use serde::Serialize;

use super::args::{SessionEndArgs, SessionListArgs, SessionsCommand};
use super::context::{Context, quoted};
use super::failure::{Exit, Failure};
use super::json::UnreadableJson;
use super::output::{BAD, GOOD, PLAIN, WARNING};
use super::people::{NONE, counted, joined};
use super::table::{Cell, Column, Table};
use keystile::text::{relative, rfc3339};
use keystile::{InForce, Session, SessionId, SessionQuery, SessionStatus, Timestamp};

/// Runs a command on sessions.
pub(super) fn run(command: SessionsCommand, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        SessionsCommand::List(args) => list(&args, context),
        SessionsCommand::End(args) => end(&args, context),
    }
}

fn list(args: &SessionListArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let user = match &args.user {
        None => None,
        Some(user) => Some(keystile.users().find(user)?.id),
    };
    let query = SessionQuery { user, ended: args.all, limit: args.limit, after: args.after };
    let page = keystile.sessions().list(&query)?;
    let now = keystile.request().now;
    if context.output.is_json() {
        let sessions = page.sessions.iter().map(|session| SessionJson::new(session, now)).collect();
        let unreadable = UnreadableJson::all(&page.unreadable);
        context.output.json(&PageJson { sessions, unreadable, next: page.next.map(|id| id.to_string()) })?;
        return Ok(context.end_without(&page.unreadable));
    }
    if page.sessions.is_empty() && page.unreadable.is_empty() {
        context.output.note("no sessions");
        return Ok(Exit::Done);
    }
    context.output.table(&table(&page.sessions, now))?;
    if let Some(next) = page.next {
        let command = context.command(&next_page(args, next));
        context.output.hint(format_args!("there are more: {command}"));
    }
    Ok(context.end_without(&page.unreadable))
}

fn table(sessions: &[Session], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::new("STATE"),
        Column::new("USER").rank(1),
        Column::new("CLIENT").cut_to(8).rank(5),
        Column::new("ADDRESS").rank(4),
        Column::new("ENV").rank(7),
        Column::new("SCOPES").cut_to(8).rank(6),
        Column::new("LAST USED").rank(2),
        Column::new("EXPIRES").rank(3),
        Column::new("ID"),
    ]);
    for session in sessions {
        let status = session.status(now);
        let style = match status {
            SessionStatus::Active => GOOD,
            SessionStatus::Expired => WARNING,
            SessionStatus::Ended => BAD,
            _ => PLAIN,
        };
        let state = match session.end {
            Some(end) if status == SessionStatus::Ended => format!("{status}: {}", end.reason),
            _ => status.to_string(),
        };
        table.row(vec![
            Cell::styled(state, style),
            session.user.to_string().into(),
            session.client.as_deref().or(session.client_id.as_deref()).unwrap_or(NONE).into(),
            session.address.map_or_else(|| NONE.to_owned(), |address| address.to_string()).into(),
            session.environment.as_ref().map_or(NONE, |environment| environment.as_str()).into(),
            joined(&session.scopes).into(),
            relative(now, session.last_used_at).into(),
            relative(now, session.expires_at).into(),
            session.id.to_string().into(),
        ]);
    }
    table
}

/// The same list, one page on.
fn next_page(args: &SessionListArgs, next: SessionId) -> String {
    let mut command = "sessions list".to_owned();
    if let Some(user) = &args.user {
        command.push_str(&format!(" --user {}", quoted(&user.to_string())));
    }
    if args.all {
        command.push_str(" --all");
    }
    if args.limit != keystile::bounds::DEFAULT_PAGE {
        command.push_str(&format!(" --limit {}", args.limit));
    }
    command + &format!(" --after {next}")
}

fn end(args: &SessionEndArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    if let Some(id) = args.id {
        let ended = keystile.sessions().end(id)?;
        match &ended.value {
            Some(session) if context.output.is_json() => {
                let session = SessionJson::new(session, keystile.request().now);
                context.output.json(&OneSession { session })?;
            }
            _ => context.done_by_id("ended", &id.to_string())?,
        }
        context.tell_damaged(&format!("ended {id}"), &ended.unreadable);
    } else if let Some(user) = &args.user {
        let id = keystile.users().id_of(user)?;
        let InForce { value: ended, unreadable, .. } = keystile.sessions().end_all(id)?;
        let done = format!("ended {} of {id}", counted(ended, "session", "sessions"));
        if context.output.is_json() {
            context.output.json(&EndedJson { user_id: id.to_string(), ended })?;
        } else {
            context.output.line(&done)?;
        }
        context.tell_damaged(&done, &unreadable);
    }
    Ok(Exit::Done)
}

/// A session as programs read it.
#[derive(Serialize)]
struct SessionJson<'a> {
    id: String,
    user_id: String,
    state: &'static str,
    client_id: Option<&'a str>,
    client: Option<&'a str>,
    address: Option<String>,
    key_id: Option<String>,
    env: Option<&'a str>,
    scopes: Vec<&'a str>,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    ended_at: Option<String>,
    end_reason: Option<&'static str>,
}

impl<'a> SessionJson<'a> {
    fn new(session: &'a Session, now: Timestamp) -> SessionJson<'a> {
        SessionJson {
            id: session.id.to_string(),
            user_id: session.user.to_string(),
            state: session.status(now).as_str(),
            client_id: session.client_id.as_deref(),
            client: session.client.as_deref(),
            address: session.address.map(|address| address.to_string()),
            key_id: session.key.map(|key| key.to_string()),
            env: session.environment.as_ref().map(|environment| environment.as_str()),
            scopes: session.scopes.iter().map(|scope| scope.as_str()).collect(),
            created_at: rfc3339(session.created_at),
            last_used_at: rfc3339(session.last_used_at),
            expires_at: rfc3339(session.expires_at),
            ended_at: session.end.map(|end| rfc3339(end.at)),
            end_reason: session.end.map(|end| end.reason.as_str()),
        }
    }
}

#[derive(Serialize)]
struct OneSession<'a> {
    session: SessionJson<'a>,
}

#[derive(Serialize)]
struct PageJson<'a> {
    sessions: Vec<SessionJson<'a>>,
    /// Rows of the list that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableJson<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct EndedJson {
    user_id: String,
    ended: u64,
}
