//! `keystile tokens issue|revoke|inspect`.

use std::ffi::OsString;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::args::{InspectArgs, IssueArgs, RevokeTokenArgs};
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::lines::Lines;
use super::output::{TITLE, WARNING};
use keystile::bounds::MAX_INSPECTED_LEN;
use keystile::text::{exact, printable, rfc3339};
use keystile::{Clock as _, InspectTokenError, NewToken, SystemClock, Timestamp, TokensOf, UnverifiedToken, WasToken};

/// Makes a token and prints it.
pub(super) fn issue(args: IssueArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let new =
        NewToken { user: args.user, scopes: args.scope, environment: args.env, ttl: args.ttl.map(Duration::from_secs) };
    let issued = keystile.tokens().issue(new)?;
    let now = keystile.request().now;
    let token = issued.token.expose_secret();
    context.output.note(format_args!("issued {}, valid until {}", issued.token_id, exact(now, issued.expires_at)));
    let json = IssuedJson { token, token_id: &issued.token_id, expires_at: rfc3339(issued.expires_at) };
    let shown = if context.output.is_json() { context.output.json(&json) } else { context.output.line(token) };
    shown.and_then(|()| context.output.flush())?;
    if context.output.is_closed() {
        let message = format!("the token {} was made, but could not be shown{PAIR}make another one", issued.token_id);
        return Err(Failure::new(Exit::CannotSay, "secret_not_shown", message));
    }
    let command = context.command(&format!("tokens revoke --jti {}", issued.token_id));
    context.output.hint(format_args!("end it before it expires with `{command}`"));
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct IssuedJson<'a> {
    token: &'a str,
    token_id: &'a str,
    expires_at: String,
}

/// Revokes a token.
pub(super) fn revoke(args: RevokeTokenArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if let (Some(issuer), Some(tokens)) = (&args.issuer, tokens_of(&args)) {
        return revoke_all(issuer, tokens, context);
    }
    let revoked = match args.jti {
        Some(token_id) => context.open()?.tokens().revoke_id(args.issuer.as_deref(), &token_id)?,
        None => {
            let token = read_token(args.token, context)?;
            context.open()?.tokens().revoke(&token)?
        }
    };
    let (was, told) = match revoked.was {
        WasToken::Live => ("live", "revoked"),
        WasToken::Revoked => ("revoked", "was revoked already:"),
        WasToken::Expired => ("expired", "has expired already:"),
        _ => ("unknown", "is refused:"),
    };
    if context.output.is_json() {
        context.output.json(&RevokedJson {
            token_id: &revoked.token_id,
            issuer: &revoked.issuer,
            expires_at: rfc3339(revoked.expires_at),
            was,
        })?;
    } else {
        context.output.line(format_args!("{told} {}", printable(&revoked.token_id)))?;
    }
    Ok(Exit::Done)
}

fn tokens_of(args: &RevokeTokenArgs) -> Option<TokensOf<'_>> {
    args.sid.as_deref().map(TokensOf::Session).or(args.sub.as_deref().map(TokensOf::Subject))
}

/// Revokes the tokens of a session or a subject.
fn revoke_all(issuer: &str, tokens: TokensOf<'_>, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let revoked = keystile.tokens().revoke_all(issuer, tokens)?;
    let (sid, sub) = match tokens {
        TokensOf::Session(sid) => (Some(sid), None),
        TokensOf::Subject(sub) => (None, Some(sub)),
        _ => (None, None),
    };
    if context.output.is_json() {
        context.output.json(&RevokedAllJson {
            issuer: &revoked.issuer,
            sid,
            sub,
            issued_before: revoked.issued_before.map(rfc3339),
            was: if revoked.was == WasToken::Live { "live" } else { "revoked" },
        })?;
        return Ok(Exit::Done);
    }
    let told = if revoked.was == WasToken::Live { "revoked" } else { "were revoked already:" };
    let issuer = printable(&revoked.issuer);
    match (tokens, revoked.issued_before) {
        (TokensOf::Subject(sub), Some(before)) => {
            let before = rfc3339(before);
            context
                .output
                .line(format_args!("{told} all tokens of {issuer} issued to {} before {before}", printable(sub)))?;
        }
        (TokensOf::Session(name) | TokensOf::Subject(name), _) => {
            context.output.line(format_args!("{told} all tokens of {issuer} of the session {}", printable(name)))?;
        }
        _ => context.output.line(format_args!("{told} tokens of {issuer}"))?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct RevokedAllJson<'a> {
    issuer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<String>,
    was: &'static str,
}

#[derive(Serialize)]
struct RevokedJson<'a> {
    token_id: &'a str,
    issuer: &'a str,
    expires_at: String,
    was: &'static str,
}

/// Shows what is written in a token. It needs no store, and says nothing of whether it is valid.
pub(super) fn inspect(args: InspectArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let token = UnverifiedToken::read(&read_token(args.token, context)?)?;
    if context.output.is_json() {
        let (header, claims) = (members(&token.header)?, members(&token.claims)?);
        context.output.json(&InspectedJson { verified: false, header, claims })?;
        return Ok(Exit::Done);
    }
    context.output.line(format_args!("{WARNING}not verified{WARNING:#}  anybody can write this"))?;
    let now = SystemClock.now();
    for (title, object) in [("header", &token.header), ("claims", &token.claims)] {
        context.output.line(format_args!("{TITLE}{title}{TITLE:#}"))?;
        let members = members(object)?;
        let width = members.keys().map(|name| printable(name).chars().count()).max().unwrap_or(0);
        for (name, value) in &members {
            context.output.line(format_args!("  {:width$}  {}", printable(name), shown(name, value, now)))?;
        }
    }
    context.output.hint("`keystile verify` judges a token");
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct InspectedJson {
    verified: bool,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

fn members(object: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(object).map_err(|_| InspectTokenError::Form.into())
}

/// A value as a person reads it: texts without quotes, times with what they mean.
fn shown(name: &str, value: &Value, now: Timestamp) -> String {
    let time = value.as_u64().filter(|_| TIMES.contains(&name)).and_then(|time| Timestamp::from_unix(time).ok());
    match (value, time) {
        (_, Some(time)) => format!("{value}, {}", exact(now, time)),
        (Value::String(text), None) => printable(text),
        (value, None) => printable(&value.to_string()),
    }
}

/// Claims that are times.
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];

/// The token: an argument, or all of standard input.
fn read_token(tokens: Vec<OsString>, context: &mut Context<'_>) -> Result<Zeroizing<String>, Failure> {
    let mut tokens: Vec<_> = tokens.into_iter().map(|token| Zeroizing::new(token.into_encoded_bytes())).collect();
    let form = |_| Failure::from(InspectTokenError::Form);
    match (tokens.pop(), tokens.is_empty()) {
        (Some(token), true) if token.as_slice() != b"-" => {
            str::from_utf8(&token).map(|token| Zeroizing::new(token.to_owned())).map_err(form)
        }
        (Some(_), false) => {
            Err(Failure::usage(format!("more than one token was given{PAIR}give one, on standard input")))
        }
        _ if context.stdin_is_terminal => Err(Failure::usage(format!(
            "no token was given{PAIR}give it on standard input: printf %s \"$TOKEN\" | keystile tokens …"
        ))),
        _ => {
            let mut lines = Lines::new(context.stdin, MAX_INSPECTED_LEN);
            let line = lines.rest().map_err(|error| {
                let message = format!("standard input cannot be read: {error}{PAIR}check where it comes from");
                Failure::new(Exit::CannotSay, "input", message)
            })?;
            if line.too_long {
                return Err(InspectTokenError::TooLong.into());
            }
            str::from_utf8(line.bytes).map(|token| Zeroizing::new(token.to_owned())).map_err(form)
        }
    }
}
