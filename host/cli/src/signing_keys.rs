//! `keystile signing-keys list|rotate` and `keystile jwks`.

use anstyle::Style;
use serde::Serialize;

use super::args::RotateSigningKeyArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{GOOD, PLAIN, WAITING, WARNING};
use super::people::relative_or;
use super::table::{Cell, Column, Table};
use keystile::text::{exact, relative, rfc3339};
use keystile::{InForce, SigningKey, SigningKeyRotation, SigningKeyState};

/// Lists the signing keys.
pub(super) fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_for_reading()?.keystile;
    let keys = keystile.signing_keys().list()?;
    if context.output.is_json() {
        context.output.json(&KeysJson { signing_keys: keys.iter().map(SigningKeyJson::from).collect() })?;
        return Ok(Exit::Done);
    }
    if keys.is_empty() {
        context.output.note("no signing keys");
        context.output.hint("the first token makes one");
        return Ok(Exit::Done);
    }
    let now = keystile.request().now;
    let mut table = Table::new(&[
        Column::new("KID"),
        Column::new("ALG"),
        Column::new("STATE"),
        Column::new("CREATED").rank(2),
        Column::new("SIGNS FROM").rank(1),
        Column::new("KEPT UNTIL").rank(1),
    ]);
    for key in &keys {
        table.row(vec![
            key.kid.as_str().into(),
            key.algorithm.as_str().into(),
            Cell::styled(key.state.as_str(), style(key.state)),
            relative(now, key.created_at).into(),
            relative(now, key.signs_from).into(),
            relative_or(now, key.kept_until, "-").into(),
        ]);
    }
    context.output.table(&table)?;
    Ok(Exit::Done)
}

/// Makes a new signing key.
pub(super) fn rotate(args: &RotateSigningKeyArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open()?;
    let rotation = SigningKeyRotation { algorithm: args.alg, at_once: args.now, refuse_older: args.refuse_older };
    let InForce { value: key, unreadable, .. } = keystile.signing_keys().rotate(rotation)?;
    context.tell_damaged("gave up a signing key", &unreadable);
    if context.output.is_json() {
        context.output.json(&KeyJson { signing_key: (&key).into() })?;
        return Ok(Exit::Done);
    }
    let now = keystile.request().now;
    if args.refuse_older {
        context.output.note("whatever older keys have signed is refused from now on");
    }
    if key.state == SigningKeyState::Published {
        context.output.line(format_args!("published {} ({})", key.kid, key.algorithm))?;
        context.output.note(format_args!("it signs from {} on", exact(now, key.signs_from)));
        context.output.hint("let other services fetch the key set until then: `keystile jwks` prints it");
    } else {
        context.output.line(format_args!("signs from now on: {} ({})", key.kid, key.algorithm))?;
        if key.algorithm.has_public_key() {
            context.output.hint("give other services the key set anew: `keystile jwks` prints it");
        } else {
            context.output.hint("only this store can verify its tokens: an HMAC secret is never in the key set");
        }
    }
    Ok(Exit::Done)
}

/// Prints the key set.
pub(super) fn jwks(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let jwks = context.open_for_reading()?.keystile.signing_keys().jwks()?;
    context.output.line(jwks)?;
    Ok(Exit::Done)
}

fn style(state: SigningKeyState) -> Style {
    match state {
        SigningKeyState::Published => WAITING,
        SigningKeyState::Active => GOOD,
        SigningKeyState::Retiring => WARNING,
        _ => PLAIN,
    }
}

#[derive(Serialize)]
struct KeysJson<'a> {
    signing_keys: Vec<SigningKeyJson<'a>>,
}

#[derive(Serialize)]
struct KeyJson<'a> {
    signing_key: SigningKeyJson<'a>,
}

#[derive(Serialize)]
struct SigningKeyJson<'a> {
    kid: &'a str,
    alg: &'static str,
    state: &'static str,
    created_at: String,
    signs_from: String,
    retired_at: Option<String>,
    kept_until: Option<String>,
}

impl<'a> From<&'a SigningKey> for SigningKeyJson<'a> {
    fn from(key: &'a SigningKey) -> SigningKeyJson<'a> {
        SigningKeyJson {
            kid: &key.kid,
            alg: key.algorithm.as_str(),
            state: key.state.as_str(),
            created_at: rfc3339(key.created_at),
            signs_from: rfc3339(key.signs_from),
            retired_at: key.retired_at.map(rfc3339),
            kept_until: key.kept_until.map(rfc3339),
        }
    }
}
