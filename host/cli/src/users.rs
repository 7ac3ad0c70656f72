//! `keystile users …`

use serde::Serialize;

use super::args::{ResetPasswordArgs, UserArgs, UserCreateArgs, UserListArgs, UserUpdateArgs, UsersCommand};
use super::context::{Context, quoted};
use super::failure::{Exit, Failure};
use super::json::UnreadableJson;
use super::lines::Lines;
use super::output::{GOOD, PLAIN, TITLE, WARNING};
use super::people::{NONE, relative_or};
use super::table::{Cell, Column, Table};
use super::update::cleared_or;
use keystile::text::{exact, printable, rfc3339};
use keystile::{
    ChangedUser, ContainedUser, Email, InForce, KeyId, Keystile, NewUser, Password, PasswordError, Timestamp, User,
    UserChange, UserId, UserQuery, UserStatus,
};

/// Runs a command on users.
pub(super) fn run(command: UsersCommand, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        UsersCommand::Create(args) => create(args, context),
        UsersCommand::List(args) => list(&args, context),
        UsersCommand::Show(args) => show(&args, context),
        UsersCommand::Update(args) => update(args, context),
        UsersCommand::Suspend(args) => {
            let keystile = context.open()?;
            let id = keystile.users().id_of(&args.user)?;
            let InForce { value: suspended, unreadable, .. } = keystile.users().suspend(id)?;
            let exit = state_with_keys(context, "suspended", &Changed::from((id, &suspended)))?;
            context.tell_damaged(&format!("suspended {id}"), &unreadable);
            Ok(exit)
        }
        UsersCommand::Resume(args) => {
            let keystile = context.open()?;
            let resumed = keystile.users().resume(keystile.users().find(&args.user)?.id)?;
            state_with_keys(context, "resumed", &Changed::from(&resumed))
        }
        UsersCommand::Unlock(args) => {
            change(&args, context, "unlocked", |keystile, id| Ok(keystile.users().unlock(id)?))
        }
        UsersCommand::ResetPassword(args) => reset_password(&args, context),
        UsersCommand::Delete(args) => delete(&args, context),
    }
}

fn create(args: UserCreateArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    // The store first: it is the wrong one more often than the password is.
    let keystile = context.open()?;
    let password = if args.password_stdin { Some(read_password(context)?) } else { None };
    let has_password = password.is_some();
    let user = keystile.users().create(NewUser {
        email: args.email,
        name: args.name,
        organization: args.org,
        admin: args.admin,
        password,
    })?;
    let exit = done(context, "created", &user)?;
    if !has_password {
        let command = context.command(&format!("users reset-password {}", quoted(user.email.as_str())));
        context.output.hint(format_args!("it has no password yet; set one with `{command}`"));
    }
    Ok(exit)
}

fn list(args: &UserListArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let query = UserQuery {
        search: args.search.clone(),
        organization: args.org.clone(),
        suspended: if args.suspended { Some(true) } else { args.active.then_some(false) },
        limit: args.limit,
        after: args.after,
    };
    let page = keystile.users().list(&query)?;
    if context.output.is_json() {
        let users = page.users.iter().map(UserJson::from).collect();
        let unreadable = UnreadableJson::all(&page.unreadable);
        context.output.json(&PageJson { users, unreadable, next: page.next.map(|id| id.to_string()) })?;
        return Ok(context.end_without(&page.unreadable));
    }
    if page.users.is_empty() && page.unreadable.is_empty() {
        context.output.note("no users");
        let hint = context.command("users create EMAIL");
        context.output.hint(format_args!("make one with `{hint}`, or ask for others"));
        return Ok(Exit::Done);
    }
    context.output.table(&table(&page.users, keystile.request().now))?;
    if let Some(next) = page.next {
        let command = context.command(&next_page(args, next));
        context.output.hint(format_args!("there are more: {command}"));
    }
    Ok(context.end_without(&page.unreadable))
}

fn table(users: &[User], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::new("STATE"),
        Column::new("EMAIL").cut_to(16),
        Column::new("NAME").cut_to(8).rank(3),
        Column::new("ORG").cut_to(8).rank(4),
        Column::new("ROLE").rank(5),
        Column::new("PASSWORD").rank(6),
        Column::new("LAST LOGIN").rank(2),
        Column::new("ID").rank(1),
    ]);
    for user in users {
        let status = user.status();
        table.row(vec![
            Cell::styled(status.as_str(), state_style(status)),
            user.email.as_str().into(),
            user.name.as_deref().unwrap_or(NONE).into(),
            user.organization.as_deref().unwrap_or(NONE).into(),
            role(user).into(),
            (if user.password_set_at.is_some() { "set" } else { NONE }).into(),
            relative_or(now, user.last_login_at, "never").into(),
            user.id.to_string().into(),
        ]);
    }
    table
}

/// The same list, one page on.
fn next_page(args: &UserListArgs, next: UserId) -> String {
    let mut command = "users list".to_owned();
    let mut option = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            command.push_str(&format!(" --{name} {}", quoted(value)));
        }
    };
    option("search", args.search.as_deref());
    option("org", args.org.as_deref());
    let limit = args.limit.to_string();
    option("limit", (args.limit != keystile::bounds::DEFAULT_PAGE).then_some(&limit));
    option("after", Some(&next.to_string()));
    for (flag, given) in [(" --suspended", args.suspended), (" --active", args.active)] {
        if given {
            command.push_str(flag);
        }
    }
    command
}

fn show(args: &UserArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let user = keystile.users().find(&args.user)?;
    let locked_until = keystile.users().locked_until(user.id)?;
    let now = keystile.request().now;
    if context.output.is_json() {
        let locked_until = locked_until.map(rfc3339);
        context.output.json(&ShownJson { user: UserJson::from(&user), locked_until })?;
        return Ok(Exit::Done);
    }
    let style = state_style(user.status());
    let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| exact(now, at));
    let mut fields = vec![
        ("id", user.id.to_string()),
        ("email", printable(user.email.as_str())),
        ("name", printable(user.name.as_deref().unwrap_or(NONE))),
        ("organization", printable(user.organization.as_deref().unwrap_or(NONE))),
        ("state", format!("{style}{}{style:#}", user.status())),
        ("role", role(&user).to_owned()),
        ("created", format!("{} by {}", exact(now, user.created_at), printable(&user.created_by))),
        ("updated", exact(now, user.updated_at)),
        ("password", user.password_set_at.map_or("none".to_owned(), |at| format!("set {}", exact(now, at)))),
        ("last login", time(user.last_login_at, "never")),
    ];
    if let Some(at) = user.suspended_at {
        fields.push(("suspended", exact(now, at)));
    }
    if let Some(until) = locked_until {
        fields.push(("locked", format!("{WARNING}until {}{WARNING:#}", exact(now, until))));
    }
    for (name, value) in fields {
        context.output.line(format_args!("{TITLE}{name:<12}{TITLE:#} {value}"))?;
    }
    if locked_until.is_some() {
        let command = context.command(&format!("users unlock {}", quoted(user.email.as_str())));
        context.output.hint(format_args!("end the lock with `{command}`"));
    }
    Ok(Exit::Done)
}

fn update(args: UserUpdateArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let id = keystile.users().find(&args.user)?.id;
    let change = UserChange {
        email: args.email,
        name: cleared_or(args.no_name, args.name),
        organization: cleared_or(args.no_org, args.org),
        admin: if args.admin { Some(true) } else { args.no_admin.then_some(false) },
    };
    let old = keystile.users().show(id)?.email;
    let changed = keystile.users().update(id, change)?;
    done_with_keys(context, "updated", &Changed::from(&changed), Some(&old))
}

fn delete(args: &UserArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let id = keystile.users().id_of(&args.user)?;
    let InForce { value: deleted, unreadable, .. } = keystile.users().delete(id)?;
    let exit = done_with_keys(context, "deleted", &Changed::from((id, &deleted)), None)?;
    context.tell_damaged(&format!("deleted {id}"), &unreadable);
    if !keystile.is_erased()? {
        let message = format!(
            "the user is deleted, but bytes of it are still in the file or its journal, because another process is in \
             the way · wait, they go by themselves: `{}` says when they are gone",
            context.command("doctor")
        );
        context.output.warn(&Failure::new(Exit::Done, "not_erased_yet", message));
    }
    Ok(exit)
}

fn reset_password(args: &ResetPasswordArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let id = keystile.users().find(&args.user)?.id;
    if args.password_stdin {
        let password = read_password(context)?;
        let user = keystile.users().reset_password(id, &password)?;
        return done(context, "reset the password of", &user);
    }
    let (user, password) = keystile.users().generate_password(id)?;
    context.output.note(describe("reset the password of", &user));
    let output = &mut context.output;
    let shown = if output.is_json() {
        output.json(&ResetJson { user: UserJson::from(&user), password: password.expose_secret() })
    } else {
        output.line(password.expose_secret())
    };
    let shown = shown.and_then(|()| output.flush());
    if shown.is_err() || output.is_closed() {
        let command = context.command(&format!("users reset-password {}", quoted(user.email.as_str())));
        let message = format!("the password was written, but could not be shown · draw another one: `{command}`");
        return Err(Failure::new(Exit::CannotSay, "secret_not_shown", message));
    }
    context.output.hint("the password is shown this once; only its hash is kept");
    Ok(Exit::Done)
}

fn change(
    args: &UserArgs,
    context: &mut Context<'_>,
    what: &str,
    change: impl FnOnce(&Keystile, UserId) -> Result<User, Failure>,
) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let id = keystile.users().find(&args.user)?.id;
    let user = change(&keystile, id)?;
    done(context, what, &user)
}

/// A user that was changed, and what became of the keys that act for it.
struct Changed<'a> {
    id: UserId,
    /// `None`: its row cannot be read.
    user: Option<&'a User>,
    keys_suspended: &'a [KeyId],
    keys_resumed: &'a [KeyId],
}

impl<'a> From<&'a ChangedUser> for Changed<'a> {
    fn from(changed: &'a ChangedUser) -> Changed<'a> {
        let ChangedUser { user, keys_suspended, keys_resumed, .. } = changed;
        Changed { id: user.id, user: Some(user), keys_suspended, keys_resumed }
    }
}

impl<'a> From<(UserId, &'a ContainedUser)> for Changed<'a> {
    fn from((id, contained): (UserId, &'a ContainedUser)) -> Changed<'a> {
        let ContainedUser { user, keys_suspended, .. } = contained;
        Changed { id, user: user.as_ref(), keys_suspended, keys_resumed: &[] }
    }
}

impl Changed<'_> {
    fn describe(&self, what: &str) -> String {
        self.user.map_or_else(|| format!("{what} {}", self.id), |user| describe(what, user))
    }
}

/// Says what became of the state of a user, and of the keys that act for it.
fn state_with_keys(context: &mut Context<'_>, what: &str, changed: &Changed<'_>) -> Result<Exit, Failure> {
    if context.output.is_json() {
        context.output.json(&ChangedJson::from(changed))?;
        return Ok(Exit::Done);
    }
    context.output.line(changed.describe(what))?;
    for key in changed.keys_suspended.iter().chain(changed.keys_resumed) {
        context.output.line(format_args!("{what} {key}, which acts for it"))?;
    }
    if !changed.keys_suspended.is_empty() {
        let user = changed.user.map_or_else(|| changed.id.to_string(), |user| user.email.to_string());
        let command = context.command(&format!("users resume {}", quoted(&user)));
        context.output.hint(format_args!("`{command}` resumes these keys too"));
    }
    Ok(Exit::Done)
}

/// Says what was done to a user.
fn done(context: &mut Context<'_>, what: &str, user: &User) -> Result<Exit, Failure> {
    if context.output.is_json() {
        context.output.json(&OneUser { user: UserJson::from(user) })?;
    } else {
        context.output.line(describe(what, user))?;
    }
    Ok(Exit::Done)
}

/// Says what was done to a user who has this address no longer, and to the keys that acted for it.
fn done_with_keys(
    context: &mut Context<'_>,
    what: &str,
    changed: &Changed<'_>,
    address: Option<&Email>,
) -> Result<Exit, Failure> {
    if context.output.is_json() {
        context.output.json(&ChangedJson::from(changed))?;
        return Ok(Exit::Done);
    }
    context.output.line(changed.describe(what))?;
    let address = address.or(changed.user.map(|user| &user.email));
    let owner = address.map_or_else(|| changed.id.to_string(), |address| printable(address.as_str()));
    for key in changed.keys_suspended {
        context.output.line(format_args!("suspended {key}, whose owner was {owner}"))?;
    }
    if !changed.keys_suspended.is_empty() {
        let (update, resume) = (context.command("keys update KEY --owner OWNER"), context.command("keys resume KEY"));
        context.output.hint(format_args!(
            "such a key would log in to whoever has that address next, so its owner is {} now; give it another owner \
             with `{update}`, then `{resume}`",
            changed.id
        ));
    }
    Ok(Exit::Done)
}

fn describe(what: &str, user: &User) -> String {
    format!("{what} {} ({})", user.id, printable(user.email.as_str()))
}

/// A password from standard input: all of it, but for a line ending.
fn read_password(context: &mut Context<'_>) -> Result<Password, Failure> {
    if context.stdin_is_terminal {
        context.output.note("type the password, it is shown; then Enter and Ctrl-D");
    }
    let mut lines = Lines::new(context.stdin, LONGEST);
    let unreadable =
        |error| Failure::usage(format!("standard input cannot be read: {error} · pipe the password into it"));
    let line = lines.rest().map_err(unreadable)?;
    if line.too_long {
        return Err(keystile::CreateUserError::from(PasswordError::TooLong).into());
    }
    let text = String::from_utf8(line.bytes.to_vec());
    let text = text.map_err(|_| Failure::usage("the password is not UTF-8 · give it as text in UTF-8"))?;
    if text.is_empty() {
        return Err(Failure::usage("there is no password on standard input · pipe one into it"));
    }
    Ok(Password::new(text).map_err(keystile::CreateUserError::from)?)
}

/// Longest password that is read, in bytes: one that is too long is told so.
const LONGEST: usize = 4 * keystile::bounds::MAX_PASSWORD_LEN;

fn role(user: &User) -> &'static str {
    if user.admin { "admin" } else { "user" }
}

fn state_style(status: UserStatus) -> anstyle::Style {
    match status {
        UserStatus::Active => GOOD,
        UserStatus::Suspended => WARNING,
        _ => PLAIN,
    }
}

/// A user as programs read it.
#[derive(Serialize)]
struct UserJson<'a> {
    id: String,
    email: &'a str,
    name: Option<&'a str>,
    org_id: Option<&'a str>,
    admin: bool,
    state: &'static str,
    created_at: String,
    created_by: &'a str,
    updated_at: String,
    suspended_at: Option<String>,
    password_set_at: Option<String>,
    last_login_at: Option<String>,
}

impl<'a> From<&'a User> for UserJson<'a> {
    fn from(user: &'a User) -> UserJson<'a> {
        UserJson {
            id: user.id.to_string(),
            email: user.email.as_str(),
            name: user.name.as_deref(),
            org_id: user.organization.as_deref(),
            admin: user.admin,
            state: user.status().as_str(),
            created_at: rfc3339(user.created_at),
            created_by: &user.created_by,
            updated_at: rfc3339(user.updated_at),
            suspended_at: user.suspended_at.map(rfc3339),
            password_set_at: user.password_set_at.map(rfc3339),
            last_login_at: user.last_login_at.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct OneUser<'a> {
    user: UserJson<'a>,
}

#[derive(Serialize)]
struct ChangedJson<'a> {
    /// When there is no `user`, because its row cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    user: Option<UserJson<'a>>,
    keys_suspended: Vec<String>,
    keys_resumed: Vec<String>,
}

impl<'a> From<&Changed<'a>> for ChangedJson<'a> {
    fn from(changed: &Changed<'a>) -> ChangedJson<'a> {
        let ids = |keys: &[KeyId]| keys.iter().map(KeyId::to_string).collect();
        ChangedJson {
            user_id: changed.user.is_none().then(|| changed.id.to_string()),
            user: changed.user.map(UserJson::from),
            keys_suspended: ids(changed.keys_suspended),
            keys_resumed: ids(changed.keys_resumed),
        }
    }
}

#[derive(Serialize)]
struct ShownJson<'a> {
    user: UserJson<'a>,
    locked_until: Option<String>,
}

#[derive(Serialize)]
struct ResetJson<'a> {
    user: UserJson<'a>,
    password: &'a str,
}

#[derive(Serialize)]
struct PageJson<'a> {
    users: Vec<UserJson<'a>>,
    /// Rows of the list that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableJson<'a>>,
    next: Option<String>,
}
