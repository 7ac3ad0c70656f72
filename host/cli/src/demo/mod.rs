//! `keystile demo`: the main job, told step by step, in a temporary store.
//!
//! Nothing is acted: the keys are made, the verdicts are asked of the validator in its sandbox with
//! the records in memory, as a service would do it. Only the clock is one that can be moved.

mod identity_provider;
pub(crate) mod loopback;
mod story;
mod teller;

use std::sync::Arc;

use serde::Serialize;

use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::output::{BAD, GOOD, TITLE};
use keystile::{
    AuditReport, Clock as _, KeyFormatError, Keystile, ManualClock, NewStore, SYSTEMS, Settings, SystemClock,
};
use teller::{Step, Teller};

/// Tells the story; done only if every verdict was as expected.
pub(super) fn demo(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let folder = tempfile::Builder::new().prefix("keystile-demo-").tempdir().map_err(|error| {
        let message = format!("no temporary folder could be made: {error}{PAIR}set TMPDIR to a folder you can write");
        Failure::new(Exit::CannotSay, "system", message)
    })?;
    let path = folder.path().join("keystile.db");
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let formats = SYSTEMS.iter().map(|system| Ok((system.name.to_owned(), system.format()?)));
    let formats = formats.collect::<Result<_, KeyFormatError>>()?;
    let kek = folder.path().join("keystile.db.kek");
    let options = || {
        let options = Keystile::options().actor(context.actor.as_str()).clock(Arc::clone(&clock));
        options.key_encryption_key_file(&kek)
    };
    options().bootstrap(&path, NewStore { formats, settings: Settings::default() })?;
    let keystile = options().open(&path)?;

    introduce(context)?;
    let mut teller = Teller::new(keystile, clock, &mut context.output);
    for chapter in story::CHAPTERS {
        story::tell(chapter, &mut teller)?;
    }
    story::tell_import(&mut teller)?;
    story::tell_login(&mut teller)?;
    story::tell_issuer(&mut teller)?;
    let intact = story::tell_audit(&mut teller)?;
    let steps = teller.into_steps();
    conclude(&steps, intact, context)
}

fn introduce(context: &mut Context<'_>) -> Result<(), Failure> {
    if context.output.is_json() {
        return Ok(());
    }
    context.output.line(format_args!(
        "{TITLE}Keystile: one turnstile for the API keys of four systems, and for tokens{TITLE:#}"
    ))?;
    context.output.line(
        "\n\
         All of this happens in a temporary store; nothing of yours is touched. Lines\n\
         with $ change something. Lines with ✓ are verdicts of the validator, and as\n\
         expected; one that is not would have ✗. Secrets are cut to what lists show.",
    )
}

fn conclude(steps: &[Step], intact: bool, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let verdicts = steps.iter().filter(|step| step.as_expected().is_some()).count();
    let wrong = steps.iter().filter(|step| step.as_expected() == Some(false)).count();
    let as_expected = wrong == 0 && intact;
    let median = median_microseconds(steps);
    if context.output.is_json() {
        context.output.json(&DemoJson { steps, verdicts, as_expected, median_microseconds: median })?;
    } else {
        let (style, told) = match wrong {
            0 => (GOOD, "all as expected".to_owned()),
            wrong => (BAD, format!("{wrong} NOT as expected")),
        };
        context.output.line(format_args!(
            "\n{TITLE}{verdicts} verdicts, {style}{told}{style:#}{TITLE:#}. The validator took {median:.0} µs for one (median)."
        ))?;
        context.output.line(
            "\n\
             Now with a store of your own:\n\
             \x20 keystile init\n\
             \x20 KEY=$(keystile keys create --name first --scope read)\n\
             \x20 printf %s \"$KEY\" | keystile verify --scope read\n\
             \x20 keystile keys list\n\
             \x20 keystile --help",
        )?;
    }
    Ok(if as_expected { Exit::Done } else { Exit::Denied })
}

#[derive(Serialize)]
struct DemoJson<'a> {
    steps: &'a [Step],
    verdicts: usize,
    as_expected: bool,
    median_microseconds: f64,
}

/// The time in the middle: the first call, which touches everything for the first time, is no
/// measure of the rest.
fn median_microseconds(steps: &[Step]) -> f64 {
    let mut times: Vec<f64> = steps.iter().filter_map(Step::microseconds).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Whether the audit trail is whole, and how long it is.
fn audit(keystile: &Keystile) -> Result<(bool, u64), Failure> {
    match keystile.verify_audit(None)? {
        AuditReport::Intact { entries, .. } => Ok((true, entries)),
        AuditReport::Broken { sequence, .. } => Ok((false, sequence)),
        AuditReport::Differs { entries, .. } => Ok((false, entries)),
        _ => Ok((false, 0)),
    }
}
