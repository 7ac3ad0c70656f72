//! `keystile keys create|list|show|suspend|resume|revoke`.

use serde::Serialize;

use super::args::{CreateArgs, IdArgs, ListArgs, RevokeArgs};
use super::context::{Context, quoted};
use super::failure::{Exit, Failure};
use super::json::{KeyJson, OneKey, UnreadableJson, origin};
use super::output::TITLE;
use super::people::{NONE, counted, joined, relative_or, state_style};
use super::table::{Cell, Column, Table};
use super::values::When;
use keystile::text::{exact, format_duration, printable, relative, rfc3339};
use keystile::{Concern, Cursor, InForce, Key, KeyId, KeyQuery, NewKey, Secret, SortColumn, Timestamp};

/// Makes a key and prints its secret.
pub(super) fn create(args: CreateArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let now = keystile.request().now;
    let created = keystile.keys().create(NewKey {
        name: args.name,
        owner: args.owner,
        format: args.format,
        environment: args.env,
        scopes: args.scope,
        addresses: args.allow_address,
        rate: args.rate,
        metadata: args.metadata.into_iter().collect(),
        not_before: args.not_before.and_then(|when| when.from(now)),
        expires_at: args.expires.and_then(|when| when.from(now)),
    })?;
    let key = &created.key;
    context.output.note(format_args!("created {} ({})", key.id, printable(key.display())));
    match (key.expires_at, args.expires) {
        (Some(at), Some(When::Never)) => {
            context.output.note(format_args!("this store lets no key live longer: it expires {}", exact(now, at)));
        }
        (Some(at), _) => context.output.note(format_args!("it expires {}", exact(now, at))),
        (None, _) => {}
    }
    show_secret(
        context,
        key,
        Some(&created.secret),
        CreatedJson { key: KeyJson::new(key, now), secret: created.secret.expose_secret() },
    )?;
    context.output.hint("the secret is shown this once; only its digest is kept");
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct CreatedJson<'a> {
    key: KeyJson<'a>,
    secret: &'a str,
}

/// Prints a secret alone on standard output, or the JSON form that holds it.
pub(super) fn show_secret(
    context: &mut Context<'_>,
    key: &Key,
    secret: Option<&Secret>,
    json: impl Serialize,
) -> Result<(), Failure> {
    let output = &mut context.output;
    let shown = match secret {
        _ if output.is_json() => output.json(&json),
        Some(secret) => output.line(secret.expose_secret()),
        None => Ok(()),
    };
    let shown = shown.and_then(|()| output.flush());
    // A secret that nobody has read is lost, also when the reader just went away.
    if secret.is_none() || (shown.is_ok() && !output.is_closed()) {
        return shown;
    }
    let id = key.id;
    let command = context.command(&format!("keys rotate {id} --grace 0"));
    let message =
        format!("the key {id} was written, but its secret could not be shown · give it a new one: `{command}`");
    Err(Failure::new(Exit::CannotSay, "secret_not_shown", message))
}

/// Lists a page of keys.
pub(super) fn list(args: ListArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let descending = args.desc || (args.sort == SortColumn::CreatedAt) != args.reverse;
    let query = KeyQuery {
        owner: args.owner.clone(),
        status: args.state,
        environment: args.env.clone(),
        scope: args.scope.clone(),
        search: args.search.clone(),
        concern: args.concern,
        import: args.import,
        sort: args.sort,
        descending,
        limit: args.limit,
        after: args.after.clone(),
    };
    let page = keystile.keys().list(&query)?;
    let now = keystile.request().now;
    if context.output.is_json() {
        let next = page.next.as_ref().map(Cursor::to_string);
        let unreadable = UnreadableJson::all(&page.unreadable);
        context.output.json(&PageJson { keys: KeyJson::all(&page.keys, now), unreadable, next })?;
        return Ok(context.end_without(&page.unreadable));
    }
    if page.keys.is_empty() && page.unreadable.is_empty() {
        context.output.note("no keys");
        let hint = context.command("keys create --name NAME");
        context.output.hint(format_args!("make one with `{hint}`, or ask for others"));
        return Ok(Exit::Done);
    }
    context.output.table(&table(&page.keys, now))?;
    if let Some(next) = page.next {
        let command = context.command(&next_page(&args, &next));
        context.output.hint(format_args!("there are more: {command}"));
    }
    Ok(context.end_without(&page.unreadable))
}

#[derive(Serialize)]
struct PageJson<'a> {
    keys: Vec<KeyJson<'a>>,
    /// Rows of the list that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableJson<'a>>,
    next: Option<String>,
}

/// The table of keys.
fn table(keys: &[Key], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::new("STATE"),
        Column::new("PREFIX").cut_to(13).rank(1),
        Column::new("NAME").cut_to(8),
        Column::new("OWNER").cut_to(8).rank(4),
        Column::new("ENV").cut_to(4).rank(5),
        Column::new("SCOPES").cut_to(8).rank(6),
        Column::new("EXPIRES").rank(2),
        Column::new("LAST USED").rank(3),
        Column::new("ID"),
    ]);
    for key in keys {
        let status = key.status(now);
        table.row(vec![
            Cell::styled(status.as_str(), state_style(status)),
            key.display().into(),
            key.name.as_str().into(),
            key.owner.as_deref().unwrap_or(NONE).into(),
            key.environment.as_str().into(),
            joined(&key.scopes).into(),
            relative_or(now, key.expires_at, "never").into(),
            relative_or(now, key.last_used_at(), "never").into(),
            key.id.to_string().into(),
        ]);
    }
    table
}

/// The same list, one page on.
fn next_page(args: &ListArgs, next: &Cursor) -> String {
    let mut command = "keys list".to_owned();
    let mut option = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            command.push_str(&format!(" --{name} {}", quoted(value)));
        }
    };
    option("state", args.state.map(|state| state.as_str()));
    option("owner", args.owner.as_deref());
    option("env", args.env.as_ref().map(|env| env.as_str()));
    option("scope", args.scope.as_ref().map(|scope| scope.as_str()));
    option("concern", args.concern.map(Concern::as_str));
    option("import", args.import.map(|import| import.to_string()).as_deref());
    option("search", args.search.as_deref());
    option("sort", (args.sort != SortColumn::CreatedAt).then_some(args.sort.as_str()));
    let limit = args.limit.to_string();
    option("limit", (args.limit != keystile::bounds::DEFAULT_PAGE).then_some(&limit));
    option("after", Some(&next.to_string()));
    for (flag, given) in [(" --desc", args.desc), (" --reverse", args.reverse)] {
        if given {
            command.push_str(flag);
        }
    }
    command
}

/// Shows a key.
pub(super) fn show(args: &IdArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let key = keystile.keys().show(args.id)?;
    let now = keystile.request().now;
    if context.output.is_json() {
        context.output.json(&OneKey { key: KeyJson::new(&key, now) })?;
        return Ok(Exit::Done);
    }
    fields(&key, now, context)?;
    context.output.line("")?;
    context.output.table(&secrets_table(&key, now))?;
    Ok(Exit::Done)
}

fn fields(key: &Key, now: Timestamp, context: &mut Context<'_>) -> Result<(), Failure> {
    let status = key.status(now);
    let style = state_style(status);
    let rotating = if key.is_rotating(now) { ", rotating" } else { "" };
    let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| exact(now, at));
    let mut fields = vec![
        ("id", key.id.to_string()),
        ("name", printable(&key.name)),
        ("owner", printable(key.owner.as_deref().unwrap_or(NONE))),
        ("state", format!("{style}{status}{style:#}{rotating}")),
        ("prefix", printable(key.display())),
        ("format", printable(key.format.as_deref().unwrap_or(NONE))),
        ("environment", key.environment.to_string()),
        ("scopes", joined(&key.scopes)),
        ("addresses", if key.addresses.is_empty() { "any".to_owned() } else { joined(&key.addresses) }),
        ("rate", key.rate.map_or_else(|| "unlimited".to_owned(), |rate| rate.to_string())),
        ("created", format!("{} by {}", exact(now, key.created_at), printable(&key.created_by))),
        ("updated", exact(now, key.updated_at)),
        ("valid from", time(key.not_before, "always")),
        ("expires", time(key.expires_at, "never")),
    ];
    if let Some(at) = key.suspended_at {
        let with = match key.suspended_for {
            Some(user) => format!(" with its owner, {user}"),
            None if key.suspended_by_restore => " by a restore".to_owned(),
            None => String::new(),
        };
        fields.push(("suspended", format!("{}{with}", exact(now, at))));
    }
    if let Some(revocation) = &key.revocation {
        let note = revocation.note.as_deref().map(|note| format!(": {}", printable(note))).unwrap_or_default();
        fields.push(("revoked", format!("{} as {}{note}", exact(now, revocation.at), revocation.reason)));
    }
    fields.push((
        "used",
        format!("{}, last: {}", counted(key.uses(), "time", "times"), time(key.last_used_at(), "never")),
    ));
    for (name, value) in &key.metadata {
        fields.push(("metadata", format!("{}={}", printable(name), printable(value))));
    }
    for (name, value) in fields {
        context.output.line(format_args!("{TITLE}{name:<12}{TITLE:#} {value}"))?;
    }
    Ok(())
}

fn secrets_table(key: &Key, now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::new("SECRET"),
        Column::new("PREFIX"),
        Column::new("ORIGIN"),
        Column::new("CREATED"),
        Column::new("RETIRES"),
        Column::new("USES"),
        Column::new("LAST USED"),
    ]);
    for secret in &key.secrets {
        let retires = match (secret.retires_at, secret.pending_grace) {
            _ if secret.has_ended(now) => {
                let ended = secret.ended_at.or(secret.retires_at).map(rfc3339);
                format!("ended {}", ended.unwrap_or_default())
            }
            (Some(at), _) => relative(now, at),
            (None, Some(grace)) => {
                format!("{} after first use of a newer one", format_duration(grace))
            }
            (None, None) => NONE.to_owned(),
        };
        table.row(vec![
            secret.number.to_string().into(),
            secret.display.as_str().into(),
            origin(secret.origin).into(),
            rfc3339(secret.created_at).into(),
            retires.into(),
            secret.uses.to_string().into(),
            relative_or(now, secret.last_used_at, "never").into(),
        ]);
    }
    table
}

/// Switches a key off.
pub(super) fn suspend(args: &IdArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let suspended = keystile.keys().suspend(args.id)?;
    contained(context, "suspended", args.id, &suspended, keystile.request().now)
}

/// Switches a key on again.
pub(super) fn resume(args: &IdArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let key = keystile.keys().resume(args.id)?;
    changed(context, "resumed", &key, keystile.request().now)
}

/// Ends a key.
pub(super) fn revoke(args: &RevokeArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let revoked = keystile.keys().revoke(args.id, args.reason, args.note.as_deref())?;
    contained(context, "revoked", args.id, &revoked, keystile.request().now)
}

/// Says what was taken away, also of a key that cannot be read.
fn contained(
    context: &mut Context<'_>,
    what: &'static str,
    id: KeyId,
    key: &InForce<Option<Key>>,
    now: Timestamp,
) -> Result<Exit, Failure> {
    match &key.value {
        Some(key) => drop(changed(context, what, key, now)?),
        None => context.done_by_id(what, &id.to_string())?,
    }
    context.tell_damaged(&format!("{what} {id}"), &key.unreadable);
    Ok(Exit::Done)
}

/// Says what was done to a key.
pub(super) fn changed(context: &mut Context<'_>, what: &str, key: &Key, now: Timestamp) -> Result<Exit, Failure> {
    if context.output.is_json() {
        context.output.json(&OneKey { key: KeyJson::new(key, now) })?;
    } else {
        context.output.line(describe(what, key.id, &key.name))?;
    }
    Ok(Exit::Done)
}

fn describe(what: &str, id: KeyId, name: &str) -> String {
    format!("{what} {id} ({})", printable(name))
}
