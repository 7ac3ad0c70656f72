//! The commands for the store itself: init, settings, backup, restore, doctor.

use serde::Serialize;

use super::args::{BackupArgs, InitArgs, RestoreArgs, SetSettingsArgs};
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::formats::looks_like;
use super::output::{BAD, GOOD, WARNING};
use super::people::counted;
use super::table::{Cell, Column, Table};
use keystile::text::{format_duration, printable, rfc3339};
use keystile::{
    Finding, KeyFormat, KeyFormatError, Keystile, NewStore, OwnIssuer, RestoreError, RestoreOptions, RestoreSuspension,
    SYSTEMS, Settings, Severity, StoreError, SuspendedKey,
};

/// Makes a store.
pub(super) fn init(args: InitArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let formats = args.format.iter().map(|name| Ok((name.clone(), format_of(name)?))).collect::<Result<_, _>>();
    let formats: Vec<(String, KeyFormat)> = formats.map_err(|_: KeyFormatError| {
        let systems: Vec<_> = SYSTEMS.iter().map(|system| system.name).collect();
        Failure::new(
            Exit::Usage,
            "invalid_format",
            format!(
                "not a format{PAIR}give {}, or a prefix of letters, digits, `_` and `-` such as acme",
                systems.join(", ")
            ),
        )
    })?;
    let settings = Settings { max_lifetime: args.max_lifetime.and_then(|max| max.0), ..Settings::default() };
    let made = context.options()?.bootstrap(&context.db, NewStore { formats, settings })?;
    let kek = made.kek_file.map(|file| file.display().to_string());
    // What was made is told as it is in the store, with the default format when none was given.
    let keystile = context.open()?;
    let (formats, settings) = (keystile.formats()?, keystile.settings()?);
    let db = context.db.display().to_string();
    if context.output.is_json() {
        let formats = formats.iter().map(|named| named.name.as_str()).collect();
        let settings = SettingsJson::new(&settings, keystile.tokens().issuer()?);
        context.output.json(&InitJson { db: &db, kek: kek.as_deref(), formats, settings })?;
        return Ok(Exit::Done);
    }
    context.output.line(format_args!("made {}", printable(&db)))?;
    if let Some(kek) = &kek {
        context.output.line(format_args!("made {}, the key that seals its signing keys", printable(kek)))?;
    }
    for (index, named) in formats.iter().enumerate() {
        let default = if index == 0 { ", the default" } else { "" };
        context.output.line(format_args!(
            "format {}: {}{default}",
            printable(&named.name),
            looks_like(&named.format)
        ))?;
    }
    if let Some(max) = settings.max_lifetime {
        context.output.line(format_args!("keys live {} at most", format_duration(max)))?;
    }
    let hint = context.command("keys create --name NAME");
    context.output.hint(format_args!("make a key with `{hint}`"));
    if let Some(kek) = &kek {
        context.output.hint(format_args!(
            "keep {} elsewhere than the store and its backups, and name it with --kek",
            printable(kek)
        ));
    }
    Ok(Exit::Done)
}

/// The format of a system, or one with this prefix.
fn format_of(name: &str) -> Result<KeyFormat, KeyFormatError> {
    match SYSTEMS.iter().find(|system| system.name == name) {
        Some(system) => system.format(),
        None => KeyFormat::with_defaults(name),
    }
}

#[derive(Serialize)]
struct InitJson<'a> {
    db: &'a str,
    kek: Option<&'a str>,
    formats: Vec<&'a str>,
    settings: SettingsJson,
}

#[derive(Serialize)]
struct SettingsJson {
    max_lifetime_seconds: Option<u64>,
    issuer: String,
    audience: String,
    access_token_lifetime_seconds: u64,
    signing_alg: &'static str,
    publish_lead_seconds: u64,
    session_lifetime_seconds: u64,
    refresh_window_seconds: u64,
    min_password_len: usize,
}

impl SettingsJson {
    fn new(settings: &Settings, OwnIssuer { issuer, audience }: OwnIssuer) -> SettingsJson {
        SettingsJson {
            max_lifetime_seconds: settings.max_lifetime,
            issuer,
            audience,
            access_token_lifetime_seconds: settings.tokens.access_token_lifetime,
            signing_alg: settings.tokens.signing_algorithm.as_str(),
            publish_lead_seconds: settings.tokens.publish_lead,
            session_lifetime_seconds: settings.logins.session_lifetime,
            refresh_window_seconds: settings.logins.refresh_window,
            min_password_len: settings.logins.min_password_len,
        }
    }
}

/// Shows the settings.
pub(super) fn show_settings(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    tell_settings(&keystile, context)
}

/// Changes the settings.
pub(super) fn set_settings(args: SetSettingsArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let before = keystile.tokens().issuer()?;
    let unless_none = |text: String| (text != "none").then_some(text);
    let settings = keystile.change_settings(|settings| {
        let tokens = &mut settings.tokens;
        if let Some(max) = args.max_lifetime {
            settings.max_lifetime = max.0;
        }
        if let Some(issuer) = args.issuer {
            tokens.issuer = unless_none(issuer);
        }
        if let Some(audience) = args.audience {
            tokens.audience = unless_none(audience);
        }
        tokens.access_token_lifetime = args.access_token_lifetime.unwrap_or(tokens.access_token_lifetime);
        tokens.signing_algorithm = args.signing_alg.unwrap_or(tokens.signing_algorithm);
        tokens.publish_lead = args.publish_lead.unwrap_or(tokens.publish_lead);
        let logins = &mut settings.logins;
        logins.session_lifetime = args.session_lifetime.unwrap_or(logins.session_lifetime);
        logins.refresh_window = args.refresh_window.unwrap_or(logins.refresh_window);
        logins.min_password_len = args.min_password.unwrap_or(logins.min_password_len);
    })?;
    let exit = tell_settings(&keystile, context)?;
    if args.max_lifetime.is_some() && settings.max_lifetime.is_some() {
        context.output.hint("this holds for keys that are made or changed from now on");
    }
    let now = keystile.tokens().issuer()?;
    if before.issuer != now.issuer {
        context.output.hint("tokens that name the old issuer are refused from now on");
    } else if before.audience != now.audience {
        context.output.hint("tokens that are for the old audience are refused from now on");
    }
    if args.signing_alg.is_some() {
        let command = context.command("signing-keys rotate");
        context.output.hint(format_args!("the key that signs now goes on; make one that signs so with `{command}`"));
    }
    Ok(exit)
}

fn tell_settings(keystile: &Keystile, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (settings, own) = (keystile.settings()?, keystile.tokens().issuer()?);
    if context.output.is_json() {
        context.output.json(&SettingsJson::new(&settings, own))?;
        return Ok(Exit::Done);
    }
    let (tokens, logins) = (&settings.tokens, &settings.logins);
    for (name, value) in [
        ("max-lifetime", settings.max_lifetime.map_or_else(|| "none".to_owned(), format_duration)),
        ("issuer", printable(&own.issuer)),
        ("audience", printable(&own.audience)),
        ("access-token-lifetime", format_duration(tokens.access_token_lifetime)),
        ("signing-alg", tokens.signing_algorithm.to_string()),
        ("publish-lead", format_duration(tokens.publish_lead)),
        ("session-lifetime", format_duration(logins.session_lifetime)),
        ("refresh-window", format_duration(logins.refresh_window)),
        ("min-password", logins.min_password_len.to_string()),
    ] {
        context.output.line(format_args!("{name:21}  {value}"))?;
    }
    Ok(Exit::Done)
}

/// Copies the store.
pub(super) fn backup(args: &BackupArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    context.open_for_reading()?.keystile.backup(&args.file)?;
    let path = args.file.display().to_string();
    if context.output.is_json() {
        context.output.json(&BackupJson { backup: &path })?;
    } else {
        context.output.line(format_args!("backed up to {}", printable(&path)))?;
        context.output.hint(
            "it holds names, digests, hashes of passwords, and sealed keys; keep it where only you can read it, and its \
             key elsewhere",
        );
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct BackupJson<'a> {
    backup: &'a str,
}

/// Restores a backup.
pub(super) fn restore(args: &RestoreArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let options = RestoreOptions::default().replace_other_store(args.replace_other_store);
    let restored = Keystile::restore_with(&args.file, &context.db, &context.actor, options);
    let restored = restored.map_err(|error| match error {
        RestoreError::Store(StoreError::OtherStore { .. }) => {
            let mut failure = Failure::from(error);
            let hint = "restore a backup of this store; if nothing that it refuses matters any more, add --replace-other-store";
            failure.hint = Some(hint.to_owned());
            failure
        }
        // The advice to make a new store would be wrong here.
        RestoreError::Store(StoreError::Missing { path })
            if std::path::absolute(&args.file).is_ok_and(|file| file == path) =>
        {
            let message = format!("there is no backup at {}{PAIR}check the path", path.display());
            Failure::new(Exit::Conflict, "no_backup", message)
        }
        error => Failure::from(error),
    })?;
    if context.output.is_json() {
        context.output.json(&RestoredJson {
            keys: restored.keys,
            carried_over: restored.carried_over,
            keys_suspended: restored.keys_suspended,
            suspended: restored.suspended.iter().map(SuspendedJson::from).collect(),
            users_carried_over: restored.users_carried_over,
            sessions_ended: restored.sessions_ended,
        })?;
        return Ok(Exit::Done);
    }
    let db = printable(&context.db.display().to_string());
    context.output.line(format_args!("restored {db}: {}", counted(restored.keys, "key", "keys")))?;
    if restored.carried_over > 0 {
        context.output.line(format_args!(
            "carried over: {} changed or made since the backup, see `keystile audit list`",
            counted(restored.carried_over, "key", "keys")
        ))?;
    }
    if restored.keys_suspended > 0 {
        let keys = counted(restored.keys_suspended, "key", "keys");
        context.output.line(format_args!("suspended {keys}, because one of the two stores does not know them:"))?;
        let columns = [
            Column::new("ID"),
            Column::new("NAME").cut_to(12),
            Column::new("OWNER").cut_to(12),
            Column::new("CREATED"),
            Column::new("REASON"),
        ];
        let mut table = Table::new(&columns);
        for key in &restored.suspended {
            table.row(vec![
                key.id.to_string().into(),
                key.name.as_str().into(),
                key.owner.as_deref().unwrap_or("-").into(),
                rfc3339(key.created_at).into(),
                why_suspended(key.reason).into(),
            ]);
        }
        context.output.table(&table)?;
        let more = restored.keys_suspended.saturating_sub(restored.suspended.len() as u64);
        if more > 0 {
            let list = context.command("keys list --state suspended");
            context.output.line(format_args!("and {more} more, see `{list}`"))?;
        }
        let resume = context.command("keys resume ID");
        context.output.hint(format_args!("look at each of them, and switch on those that are yours with `{resume}`"));
    }
    if restored.users_carried_over > 0 {
        let users = counted(restored.users_carried_over, "user", "users");
        context.output.line(format_args!("carried over: {users} changed or made since the backup"))?;
    }
    if restored.sessions_ended > 0 {
        let sessions = counted(restored.sessions_ended, "session", "sessions");
        context.output.line(format_args!("ended {sessions}: nobody can say which had ended since the backup"))?;
    }
    let hint = context.command("doctor");
    context.output.hint(format_args!("look it over with `{hint}`"));
    Ok(Exit::Done)
}

/// Why a key was suspended, for people.
fn why_suspended(reason: RestoreSuspension) -> &'static str {
    match reason {
        RestoreSuspension::MadeSince => "made since the backup",
        RestoreSuspension::OwnerChanged => "its owner is another user now",
        RestoreSuspension::Unreadable => "what the replaced store says of it cannot be read",
        RestoreSuspension::SecretElsewhere => "the replaced store has its secret under another id",
        _ => "of a reason that this version does not know",
    }
}

#[derive(Serialize)]
struct RestoredJson<'a> {
    keys: u64,
    carried_over: u64,
    keys_suspended: u64,
    /// The first of them.
    suspended: Vec<SuspendedJson<'a>>,
    users_carried_over: u64,
    sessions_ended: u64,
}

#[derive(Serialize)]
struct SuspendedJson<'a> {
    id: String,
    name: &'a str,
    owner: Option<&'a str>,
    created_at: String,
    reason: &'static str,
}

impl<'a> From<&'a SuspendedKey> for SuspendedJson<'a> {
    fn from(key: &'a SuspendedKey) -> SuspendedJson<'a> {
        SuspendedJson {
            id: key.id.to_string(),
            name: &key.name,
            owner: key.owner.as_deref(),
            created_at: rfc3339(key.created_at),
            reason: key.reason.as_str(),
        }
    }
}

/// Looks for trouble.
pub(super) fn doctor(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let opened = context.open_for_reading()?;
    let health = opened.keystile.doctor(&context.db)?;
    let severity = health.severity();
    if context.output.is_json() {
        let findings = health.findings.iter().map(FindingJson::from).collect();
        context.output.json(&HealthJson { severity: severity.as_str(), findings })?;
    } else {
        let mut table = Table::new(&[Column::new("RESULT"), Column::new("CHECK"), Column::new("FOUND")]);
        for finding in &health.findings {
            let style = match finding.severity {
                Severity::Ok => GOOD,
                Severity::Warning => WARNING,
                Severity::Error => BAD,
            };
            table.row(vec![
                Cell::styled(finding.severity.as_str(), style),
                finding.check.into(),
                finding.message.replace(PAIR, "; ").into(),
            ]);
        }
        context.output.table(&table)?;
    }
    Ok(if severity == Severity::Error { Exit::Denied } else { Exit::Done })
}

#[derive(Serialize)]
struct HealthJson<'a> {
    severity: &'static str,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    check: &'static str,
    severity: &'static str,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> From<&'a Finding> for FindingJson<'a> {
    fn from(finding: &'a Finding) -> FindingJson<'a> {
        let (message, hint) = match finding.message.split_once(PAIR) {
            Some((message, hint)) => (message, Some(hint)),
            None => (finding.message.as_str(), None),
        };
        FindingJson { check: finding.check, severity: finding.severity.as_str(), message, hint }
    }
}
