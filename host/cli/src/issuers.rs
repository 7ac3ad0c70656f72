//! `keystile issuers add|list|show|refresh|update|enable|disable|remove`.

use serde::Serialize;

use keystile_validator::jwt::FORBIDDEN_CLAIMS;

use super::args::{AddIssuerArgs, IssuerArgs, RefreshIssuerArgs, UpdateIssuerArgs};
use super::context::{Context, quoted};
use super::failure::{Exit, Failure};
use super::json::UnreadableJson;
use super::key_files::read_keys;
use super::output::{BAD, GOOD, TITLE, WARNING};
use super::people::{NONE, counted, joined};
use super::table::{Cell, Column, Table};
use keystile::text::{exact, printable, relative, rfc3339};
use keystile::{
    AddIssuerError, AudienceRule, ClaimMapping, EnvironmentRule, ExternalIssuer, InForce, IssuerInfo, IssuerKeys,
    IssuerUpdate, JwksUrl, KeySetKey, KeySource, NewIssuer, ScopeClaim, Timestamp, TokenType,
};

/// Adds an issuer, and fetches its keys.
pub(super) fn add(args: AddIssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keys = match (&args.jwks_url, &args.jwks) {
        // Read here, and not by the argument parser, which repeats what it does not take.
        (Some(url), _) => IssuerKeys::Url(url.parse::<JwksUrl>().map_err(AddIssuerError::Field)?),
        (None, Some(file)) => IssuerKeys::Given(read_keys(file)?.to_string()),
        (None, None) => return Err(Failure::usage("no keys were given · give --jwks-url or --jwks")),
    };
    let keystile = context.open()?;
    let default = ClaimMapping::default();
    let added = keystile.issuers().add(NewIssuer {
        name: args.name,
        issuer: args.issuer,
        keys,
        algorithms: args.alg,
        audiences: args.audience,
        any_audience: args.any_audience,
        forbidden_claims: without_claims(&args.allow_claim),
        wildcard_scopes: args.wildcard_scopes,
        token_type: args.typ,
        leeway: args.leeway,
        claims: ClaimMapping {
            scopes: if args.scope_claim.is_empty() { default.scopes } else { args.scope_claim },
            organization: Some(args.org_claim),
            roles: args.roles_claim,
            environment: args.env_claim,
        },
        environment: args.env,
        any_environment: args.any_env,
    })?;
    // It is added, whatever becomes of its keys.
    let refreshed = if added.is_fetched() { Some(keystile.issuers().refresh(&added.name)) } else { None };
    let info = keystile.issuers().show(&added.name)?;
    if context.output.is_json() {
        context.output.json(&OneIssuer { issuer: IssuerJson::new(&info) })?;
    } else {
        let keys = counted(info.key_set.keys.len() as u64, "key", "keys");
        context.output.line(format_args!("added {} with {keys}", printable(&added.name)))?;
    }
    if let Some(Err(error)) = refreshed {
        context.output.warn(&Failure::from(error));
        let hint = context.command(&format!("issuers refresh {}", quoted(&added.name)));
        context.output.hint(format_args!("whoever serves tries again by itself; to try now: `{hint}`"));
    }
    if info.issuer.any_audience {
        context.output.hint("no audience is asked for, so its tokens for others are let in too");
    }
    if !info.issuer.says_environment() {
        context.output.hint("its tokens belong to no environment, and are refused where one is asked for");
    }
    Ok(Exit::Done)
}

/// Lists the issuers.
pub(super) fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let (list, now) = (keystile.issuers().list()?, keystile.request().now);
    if context.output.is_json() {
        let issuers = list.issuers.iter().map(IssuerJson::new).collect();
        context.output.json(&IssuersJson { issuers, unreadable: UnreadableJson::all(&list.unreadable) })?;
        return Ok(context.end_without(&list.unreadable));
    }
    if list.issuers.is_empty() && list.unreadable.is_empty() {
        context.output.note("no issuers");
        let hint = context.command("issuers add --help");
        context.output.hint(format_args!("see how to add one with `{hint}`"));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        Column::new("STATE"),
        Column::new("NAME").cut_to(8),
        Column::new("ISSUER").cut_to(16).rank(1),
        Column::new("ALGORITHMS").cut_to(8).rank(4),
        Column::new("AUDIENCES").cut_to(8).rank(5),
        Column::new("KEYS"),
        Column::new("FETCHED").rank(2),
        Column::new("PROBLEM").rank(3),
    ]);
    for info in &list.issuers {
        let (issuer, keys) = (&info.issuer, &info.key_set);
        table.row(vec![
            Cell::styled(state(issuer), if issuer.enabled { GOOD } else { WARNING }),
            issuer.name.as_str().into(),
            issuer.issuer.as_str().into(),
            joined(&issuer.algorithms).into(),
            if issuer.any_audience { "any".into() } else { joined(&issuer.audiences).into() },
            keys.keys.len().to_string().into(),
            fetched(info, now).into(),
            match keys.problem {
                None => NONE.into(),
                Some(problem) => Cell::styled(problem.code(), BAD),
            },
        ]);
    }
    context.output.table(&table)?;
    Ok(context.end_without(&list.unreadable))
}

/// Shows an issuer.
pub(super) fn show(args: &IssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let (info, now) = (keystile.issuers().show(&args.name)?, keystile.request().now);
    if context.output.is_json() {
        context.output.json(&OneIssuer { issuer: IssuerJson::new(&info) })?;
        return Ok(Exit::Done);
    }
    let (issuer, keys) = (&info.issuer, &info.key_set);
    let style = if issuer.enabled { GOOD } else { WARNING };
    let text = |text: Option<&str>| printable(text.unwrap_or(NONE));
    let scopes: Vec<_> = issuer.claims.scopes.iter().map(|claim| claim.as_str()).collect();
    let mut fields = vec![
        ("name", printable(&issuer.name)),
        ("issuer", printable(&issuer.issuer)),
        ("state", format!("{style}{}{style:#}", state(issuer))),
        ("keys from", printable(jwks_url(issuer).unwrap_or("a file"))),
        ("algorithms", joined(&issuer.algorithms)),
        (
            "audiences",
            match (issuer.audiences.is_empty(), issuer.any_audience) {
                (false, _) => printable(&joined(&issuer.audiences)),
                (true, true) => format!("{WARNING}any{WARNING:#}"),
                (true, false) => format!("{BAD}not set: every token is refused{BAD:#}"),
            },
        ),
        ("refuses", claims_text(&issuer.forbidden_claims)),
        ("wildcards", if issuer.wildcard_scopes { "grant" } else { "grant nothing" }.to_owned()),
        ("type", text(issuer.token_type.map(TokenType::as_str))),
        ("leeway", format!("{}s", issuer.leeway)),
        ("environment", printable(&issuer.environment_text())),
        ("scopes in", joined(&scopes)),
        ("org in", text(issuer.claims.organization.as_deref())),
        ("roles in", text(issuer.claims.roles.as_deref())),
        ("created", format!("{} by {}", exact(now, issuer.created_at), printable(&issuer.created_by))),
        ("updated", exact(now, issuer.updated_at)),
        ("fetched", keys.fetched_at.map_or_else(|| "never".to_owned(), |at| exact(now, at))),
    ];
    if issuer.is_fetched() {
        fields.push(("fresh for", keystile::text::format_duration(keys.max_age.into())));
    }
    if let Some(problem) = keys.problem {
        let failures = counted(keys.failures.into(), "time", "times");
        fields.push(("problem", format!("{BAD}{}{BAD:#}, {failures} in a row", problem.code())));
    }
    for (name, value) in fields {
        context.output.line(format_args!("{TITLE}{name:<12}{TITLE:#} {value}"))?;
    }
    context.output.line("")?;
    let mut table = Table::new(&[Column::new("KEY"), Column::new("TYPE"), Column::new("ALGORITHM")]);
    for key in &keys.keys {
        table.row(vec![
            key.kid.as_deref().unwrap_or(NONE).into(),
            key.kty.as_str().into(),
            key.algorithm.map_or(NONE, |algorithm| algorithm.as_str()).into(),
        ]);
    }
    context.output.table(&table)?;
    Ok(Exit::Done)
}

/// Fetches the keys of an issuer, or takes others out of a file.
pub(super) fn refresh(args: &RefreshIssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keys = args.jwks.as_deref().map(read_keys).transpose()?;
    let keystile = context.open()?;
    let refreshed = match keys {
        Some(keys) => keystile.issuers().set_keys(&args.name, &keys)?,
        None => keystile.issuers().refresh(&args.name)?,
    };
    if context.output.is_json() {
        let issuer = IssuerJson::new(&refreshed.info);
        context.output.json(&RefreshedJson { changed: refreshed.changed, issuer })?;
    } else {
        let keys = counted(refreshed.info.key_set.keys.len() as u64, "key", "keys");
        let what = if refreshed.changed { "other ones than before" } else { "the same as before" };
        context.output.line(format_args!("refreshed {}: {keys}, {what}", printable(&args.name)))?;
    }
    Ok(Exit::Done)
}

/// Changes what is asked of the tokens of an issuer.
pub(super) fn update(args: UpdateIssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let forbidden = without_claims(&args.allow_claim);
    let issuer = keystile.issuers().update(
        &args.name,
        IssuerUpdate {
            algorithms: Some(args.alg).filter(|algorithms| !algorithms.is_empty()),
            audience: match args.any_audience {
                true => Some(AudienceRule::Any),
                false => Some(AudienceRule::OneOf(args.audience)).filter(|rule| *rule != AudienceRule::OneOf(vec![])),
            },
            forbidden_claims: (args.forbid_id_tokens || !args.allow_claim.is_empty()).then_some(forbidden),
            wildcard_scopes: (args.wildcard_scopes || args.no_wildcard_scopes).then_some(args.wildcard_scopes),
            token_type: (args.any_typ || args.typ.is_some()).then_some(args.typ),
            leeway: args.leeway,
            environment: match (args.env, args.env_claim, args.any_env) {
                (Some(environment), ..) => Some(EnvironmentRule::Fixed(environment)),
                (None, Some(claim), else_any) => Some(EnvironmentRule::Claim { claim, else_any }),
                (None, None, true) => Some(EnvironmentRule::Any),
                (None, None, false) => None,
            },
        },
    )?;
    tell_changed("updated", &issuer, context)
}

/// Lets the tokens of an issuer in again.
pub(super) fn enable(args: &IssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let issuer = keystile.issuers().enable(&args.name)?;
    tell_changed("enabled", &issuer, context)
}

/// Refuses the tokens of an issuer.
pub(super) fn disable(args: &IssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let disabled = keystile.issuers().disable(&args.name)?;
    contained("disabled", &args.name, &disabled, context)
}

/// Removes an issuer.
pub(super) fn remove(args: &IssuerArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let removed = keystile.issuers().remove(&args.name)?;
    contained("removed", &args.name, &removed, context)
}

/// Says what was taken away, also of an issuer that cannot be read.
fn contained(
    what: &'static str,
    name: &str,
    issuer: &InForce<Option<ExternalIssuer>>,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    match &issuer.value {
        Some(issuer) => drop(tell_changed(what, issuer, context)?),
        None => context.done_by_id(what, name)?,
    }
    context.tell_damaged(&format!("{what} {}", printable(name)), &issuer.unreadable);
    Ok(Exit::Done)
}

fn tell_changed(what: &'static str, issuer: &ExternalIssuer, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if context.output.is_json() {
        context.output.json(&ChangedJson { name: &issuer.name, issuer: &issuer.issuer, done: what })?;
    } else {
        context.output.line(format_args!("{what} {} ({})", printable(&issuer.name), printable(&issuer.issuer)))?;
    }
    Ok(Exit::Done)
}

fn state(issuer: &ExternalIssuer) -> &'static str {
    if issuer.enabled { "enabled" } else { "disabled" }
}

/// The claims that are forbidden by default, without those that are allowed.
pub(super) fn without_claims(allowed: &[String]) -> Vec<String> {
    FORBIDDEN_CLAIMS.iter().map(|claim| (*claim).to_owned()).filter(|claim| !allowed.contains(claim)).collect()
}

fn claims_text(claims: &[String]) -> String {
    if claims.is_empty() { NONE.to_owned() } else { printable(&joined(claims)) }
}

fn jwks_url(issuer: &ExternalIssuer) -> Option<&str> {
    match &issuer.source {
        KeySource::Url(url) => Some(url.as_str()),
        KeySource::Given => None,
    }
}

fn fetched(info: &IssuerInfo, now: Timestamp) -> String {
    match info.key_set.fetched_at {
        None => "never".to_owned(),
        Some(_) if !info.issuer.is_fetched() => "a file".to_owned(),
        Some(at) => relative(now, at),
    }
}

#[derive(Serialize)]
struct OneIssuer<'a> {
    issuer: IssuerJson<'a>,
}

#[derive(Serialize)]
struct IssuersJson<'a> {
    issuers: Vec<IssuerJson<'a>>,
    /// Rows of the list that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableJson<'a>>,
}

#[derive(Serialize)]
struct RefreshedJson<'a> {
    changed: bool,
    issuer: IssuerJson<'a>,
}

#[derive(Serialize)]
struct ChangedJson<'a> {
    name: &'a str,
    issuer: &'a str,
    done: &'static str,
}

/// An issuer as programs read it.
#[derive(Serialize)]
struct IssuerJson<'a> {
    name: &'a str,
    issuer: &'a str,
    enabled: bool,
    jwks_url: Option<&'a str>,
    algorithms: Vec<&'static str>,
    audiences: &'a [String],
    any_audience: bool,
    forbidden_claims: &'a [String],
    wildcard_scopes: bool,
    typ: Option<&'static str>,
    leeway_seconds: u32,
    env: Option<&'a str>,
    env_claim: Option<&'a str>,
    any_env: bool,
    scope_claims: Vec<&'static str>,
    org_claim: Option<&'a str>,
    roles_claim: Option<&'a str>,
    created_at: String,
    created_by: &'a str,
    updated_at: String,
    keys: Vec<KeyJson<'a>>,
    fetched_at: Option<String>,
    max_age_seconds: u32,
    attempted_at: Option<String>,
    failures: u32,
    problem: Option<String>,
}

#[derive(Serialize)]
struct KeyJson<'a> {
    kid: Option<&'a str>,
    kty: &'a str,
    alg: Option<&'static str>,
}

impl<'a> IssuerJson<'a> {
    fn new(info: &'a IssuerInfo) -> IssuerJson<'a> {
        let (issuer, keys) = (&info.issuer, &info.key_set);
        IssuerJson {
            name: &issuer.name,
            issuer: &issuer.issuer,
            enabled: issuer.enabled,
            jwks_url: jwks_url(issuer),
            algorithms: issuer.algorithms.iter().map(|algorithm| algorithm.as_str()).collect(),
            audiences: &issuer.audiences,
            any_audience: issuer.any_audience,
            forbidden_claims: &issuer.forbidden_claims,
            wildcard_scopes: issuer.wildcard_scopes,
            typ: issuer.token_type.map(TokenType::as_str),
            leeway_seconds: issuer.leeway,
            env: issuer.environment.as_ref().map(|environment| environment.as_str()),
            env_claim: issuer.claims.environment.as_deref(),
            any_env: issuer.any_environment,
            scope_claims: issuer.claims.scopes.iter().copied().map(ScopeClaim::as_str).collect(),
            org_claim: issuer.claims.organization.as_deref(),
            roles_claim: issuer.claims.roles.as_deref(),
            created_at: rfc3339(issuer.created_at),
            created_by: &issuer.created_by,
            updated_at: rfc3339(issuer.updated_at),
            keys: keys.keys.iter().map(KeyJson::from).collect(),
            fetched_at: keys.fetched_at.map(rfc3339),
            max_age_seconds: keys.max_age,
            attempted_at: keys.attempted_at.map(rfc3339),
            failures: keys.failures,
            problem: keys.problem.map(|problem| problem.code()),
        }
    }
}

impl<'a> From<&'a KeySetKey> for KeyJson<'a> {
    fn from(key: &'a KeySetKey) -> KeyJson<'a> {
        KeyJson { kid: key.kid.as_deref(), kty: &key.kty, alg: key.algorithm.map(|algorithm| algorithm.as_str()) }
    }
}
