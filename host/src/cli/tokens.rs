//! `keystile tokens issue|revoke|inspect`.

use std::ffi::OsString;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::args::{InspectArgs, IssueArgs, RevokeTokenArgs};
use super::failure::{Exit, Failure, PAIR};
use super::lines::Lines;
use super::output::{TITLE, WARNING};
use super::session::Session;
use crate::bounds::MAX_INSPECTED_LEN;
use crate::text::{exact, printable, rfc3339};
use crate::{Clock as _, InspectTokenError, NewToken, SystemClock, Timestamp, UnverifiedToken, WasToken};

/// Makes a token and prints it.
pub(super) fn issue(args: IssueArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let keystile = session.open()?;
    let new = NewToken { user: args.user, scopes: args.scope, ttl: args.ttl.map(Duration::from_secs) };
    let issued = keystile.tokens().issue(new)?;
    let now = keystile.request().now;
    let token = issued.token.expose_secret();
    session.output.note(format_args!("issued {}, valid until {}", issued.token_id, exact(now, issued.expires_at)));
    let json = IssuedJson { token, token_id: &issued.token_id, expires_at: rfc3339(issued.expires_at) };
    let shown = if session.output.is_json() { session.output.json(&json) } else { session.output.line(token) };
    shown.and_then(|()| session.output.flush())?;
    if session.output.is_closed() {
        let message = format!("the token {} was made, but could not be shown{PAIR}make another one", issued.token_id);
        return Err(Failure::new(Exit::CannotSay, "secret_not_shown", message));
    }
    let command = session.command(&format!("tokens revoke --jti {}", issued.token_id));
    session.output.hint(format_args!("end it before it expires with `{command}`"));
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct IssuedJson<'a> {
    token: &'a str,
    token_id: &'a str,
    expires_at: String,
}

/// Revokes a token.
pub(super) fn revoke(args: RevokeTokenArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let revoked = match args.jti {
        Some(token_id) => session.open()?.tokens().revoke_id(args.issuer.as_deref(), &token_id)?,
        None => {
            let token = read_token(args.token, session)?;
            session.open()?.tokens().revoke(&token)?
        }
    };
    let (was, told) = match revoked.was {
        WasToken::Live => ("live", "revoked"),
        WasToken::Revoked => ("revoked", "was revoked already:"),
        WasToken::Expired => ("expired", "has expired already:"),
    };
    if session.output.is_json() {
        session.output.json(&RevokedJson {
            token_id: &revoked.token_id,
            issuer: &revoked.issuer,
            expires_at: rfc3339(revoked.expires_at),
            was,
        })?;
    } else {
        session.output.line(format_args!("{told} {}", printable(&revoked.token_id)))?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct RevokedJson<'a> {
    token_id: &'a str,
    issuer: &'a str,
    expires_at: String,
    was: &'static str,
}

/// Shows what is written in a token. It needs no store, and says nothing of whether it is valid.
pub(super) fn inspect(args: InspectArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let token = UnverifiedToken::read(&read_token(args.token, session)?)?;
    if session.output.is_json() {
        let (header, claims) = (members(&token.header)?, members(&token.claims)?);
        session.output.json(&InspectedJson { verified: false, header, claims })?;
        return Ok(Exit::Done);
    }
    session.output.line(format_args!("{WARNING}not verified{WARNING:#}  anybody can write this"))?;
    let now = SystemClock.now();
    for (title, object) in [("header", &token.header), ("claims", &token.claims)] {
        session.output.line(format_args!("{TITLE}{title}{TITLE:#}"))?;
        let members = members(object)?;
        let width = members.keys().map(|name| printable(name).chars().count()).max().unwrap_or(0);
        for (name, value) in &members {
            session.output.line(format_args!("  {:width$}  {}", printable(name), shown(name, value, now)))?;
        }
    }
    session.output.hint("`keystile verify` judges a token");
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
fn read_token(tokens: Vec<OsString>, session: &mut Session<'_>) -> Result<Zeroizing<String>, Failure> {
    let mut tokens: Vec<_> = tokens.into_iter().map(|token| Zeroizing::new(token.into_encoded_bytes())).collect();
    let form = |_| Failure::from(InspectTokenError::Form);
    match (tokens.pop(), tokens.is_empty()) {
        (Some(token), true) if token.as_slice() != b"-" => {
            str::from_utf8(&token).map(|token| Zeroizing::new(token.to_owned())).map_err(form)
        }
        (Some(_), false) => {
            Err(Failure::usage(format!("more than one token was given{PAIR}give one, on standard input")))
        }
        _ if session.stdin_is_terminal => Err(Failure::usage(format!(
            "no token was given{PAIR}give it on standard input: printf %s \"$TOKEN\" | keystile tokens …"
        ))),
        _ => {
            let mut lines = Lines::new(session.stdin, MAX_INSPECTED_LEN);
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
