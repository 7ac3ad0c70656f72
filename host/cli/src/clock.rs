//! `keystile clock`: the newest time that a store has seen, and a clock that is behind it.

use serde::Serialize;

use super::args::ClockCommand;
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::people::counted;
use keystile::StoreTime;
use keystile::text::rfc3339;

pub(super) fn run(command: ClockCommand, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        ClockCommand::Show => show(context),
        ClockCommand::Accept => accept(context),
    }
}

/// What an operator hears of a clock that is behind.
pub(super) fn behind(time: StoreTime, accept: &str) -> Option<Failure> {
    time.behind()?;
    let message = format!(
        "the store has seen {}, and the clock says {}: whatever expires before the later time is refused{PAIR}set the \
         clock when it is wrong; when it is right, run `{accept}`",
        rfc3339(time.newest),
        rfc3339(time.clock)
    );
    Some(Failure::new(Exit::Done, "clock_behind", message))
}

fn show(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let time = context.open_for_reading()?.keystile.time();
    if context.output.is_json() {
        context.output.json(&TimeJson {
            clock: rfc3339(time.clock),
            newest: rfc3339(time.newest),
            behind_seconds: time.behind(),
        })?;
        return Ok(Exit::Done);
    }
    for (name, time) in [("clock", time.clock), ("newest", time.newest)] {
        context.output.line(format_args!("{name:6}  {}", rfc3339(time)))?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct TimeJson {
    clock: String,
    newest: String,
    behind_seconds: Option<u64>,
}

fn accept(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let keystile = context.open_to_accept_its_clock()?;
    let accepted = keystile.accept_clock()?;
    if context.output.is_json() {
        context.output.json(&AcceptedJson {
            from: rfc3339(accepted.from),
            to: rfc3339(accepted.to),
            keys_valid_again: accepted.keys_valid_again,
            sessions_ended: accepted.sessions_ended,
            secrets_ended: accepted.secrets_ended,
            graces_shortened: accepted.graces_shortened,
        })?;
        return Ok(Exit::Done);
    }
    let (from, to) = (rfc3339(accepted.from), rfc3339(accepted.to));
    context.output.line(format_args!("accepted {to}; the newest time was {from}"))?;
    let keys = counted(accepted.keys_valid_again, "key that had expired is", "keys that had expired are");
    let sessions = counted(accepted.sessions_ended, "session", "sessions");
    let secrets = counted(accepted.secrets_ended, "replaced secret", "replaced secrets");
    let graces = counted(accepted.graces_shortened, "grace", "graces");
    for (count, line) in [
        (accepted.keys_valid_again, format!("{keys} allowed again")),
        (accepted.sessions_ended, format!("ended {sessions}")),
        (accepted.secrets_ended, format!("ended {secrets}")),
        (accepted.graces_shortened, format!("shortened {graces}, which now count from {to}")),
    ] {
        if count > 0 {
            context.output.line(line)?;
        }
    }
    context.output.hint("look at the expiry of keys that were made while the clock was ahead");
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct AcceptedJson {
    from: String,
    to: String,
    keys_valid_again: u64,
    sessions_ended: u64,
    secrets_ended: u64,
    graces_shortened: u64,
}
