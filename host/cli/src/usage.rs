//! Usage errors and help: what the argument parser says, in the form of all other messages.
//!
//! The parser repeats what it did not understand. That can be a credential in the wrong place, so
//! whatever looks like one is cut before it is shown.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::args::Cli;
use super::failure::{Exit, Failure, PAIR};
use super::output::Output;

/// Answers instead of the command: with help, or with what is wrong in the command.
pub(super) fn answer(error: &clap::Error, meant: &str, output: &mut Output<'_>) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader who has seen enough of the help is no failure.
            let _ = output.raw(error.render().ansi().to_string().as_bytes());
            let _ = output.flush();
            return Exit::Done;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !output.is_json() => {
            output.raw_note(&error.render().ansi().to_string());
        }
        _ => output.failure(&failure(error, meant)),
    }
    Exit::Usage
}

fn failure(error: &clap::Error, meant: &str) -> Failure {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage(format!("a command is missing{PAIR}see `keystile --help`"));
    }
    let text = redacted(&error.render().to_string());
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    // `[possible values: …]` has a line of its own.
    let (message, values) = match first.split_once("\n  [possible values: ") {
        Some((message, values)) => (message, Some(values.trim_end_matches(']'))),
        None => (first, None),
    };
    let mut message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    let mut failure = Failure::usage(message);
    let tip = paragraphs.next().and_then(|paragraph| paragraph.trim_start().strip_prefix("tip: "));
    failure.hint = failure
        .hint
        .or_else(|| values.map(|values| format!("give one of {values}")))
        .or_else(|| tip.map(|tip| tip.split_whitespace().collect::<Vec<_>>().join(" ")))
        .or_else(|| Some(format!("see `{meant} --help`")));
    failure
}

/// The command that these arguments name, as far as they name one: `keystile keys list`.
pub(super) fn command_meant(arguments: &[OsString]) -> String {
    let mut meant = "keystile".to_owned();
    let root = Cli::command();
    let mut command = &root;
    for argument in arguments.iter().skip(1) {
        if let Some(named) = command.find_subcommand(argument) {
            command = named;
            meant.push(' ');
            meant.push_str(named.get_name());
        }
    }
    meant
}

/// The text with every long run of letters and digits cut to its first four: a secret has one, and
/// words do not. Hyphens join a run that has digits in it, as in a UUID; names of options have none.
pub(super) fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let run = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        let is_secret = !word.contains('-') || word.bytes().any(|byte| byte.is_ascii_digit());
        if run >= keystile::bounds::MIN_BODY_LEN && is_secret {
            shown.push_str(&word[..4]);
            shown.push('…');
        } else {
            shown.push_str(word);
        }
        let other = after.find(is_part).unwrap_or(after.len());
        let (between, after) = after.split_at(other);
        shown.push_str(between);
        rest = after;
    }
    shown
}

/// Longest message, in bytes: it repeats what was given.
const LONGEST: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure_of(arguments: &[&str]) -> Failure {
        let arguments: Vec<OsString> = ["keystile"].iter().chain(arguments).map(OsString::from).collect();
        let meant = command_meant(&arguments);
        failure(&Cli::command().try_get_matches_from(arguments).unwrap_err(), &meant)
    }

    #[test]
    fn usage_errors_are_pairs() {
        for (arguments, message, hint) in [
            (
                &["keys", "list", "--state", "x"][..],
                "invalid value 'x' for '--state <STATE>'",
                "give one of active, suspended, revoked, expired, not_yet_valid",
            ),
            (
                &["verify", "--scope", "a b"],
                "invalid value 'a b' for '--scope <SCOPE>': not a scope",
                "give 1 to 128 visible ASCII",
            ),
            (
                &["keys", "create"],
                "the following required arguments were not provided: --name <NAME>",
                "see `keystile keys create --help`",
            ),
            (
                &["audit", "list", "--limit", "0"],
                "invalid value '0' for '--limit <N>': 0 is not in 1..=1000",
                "see `keystile audit list --help`",
            ),
            (&["frobnicate"], "unrecognized subcommand 'frobnicate'", "see `keystile --help`"),
        ] {
            let failure = failure_of(arguments);
            assert_eq!(failure.message, message);
            assert!(failure.hint.as_ref().is_some_and(|text| text.starts_with(hint)), "{failure:?}");
            assert_eq!(failure.exit, Exit::Usage);
        }
    }

    #[test]
    fn a_misplaced_secret_is_not_repeated() {
        let secret = "hx_live_0123456789abcdefghijABCDEFGHIJ012345";
        for arguments in [
            &["keys", "show", secret][..],
            &["verify", "--env", secret],
            &["verify", &format!("--{secret}")],
            &[secret],
            &["verify", "--scope", &format!("a {secret}")],
        ] {
            let Failure { message, hint, .. } = failure_of(arguments);
            let told = format!("{message} {hint:?}");
            assert!(!told.contains("0123456789abcdef") && !told.contains("HIJ012345"), "{told}");
        }
    }

    #[test]
    fn the_definition_of_the_commands_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        assert_eq!(redacted("'0192f8e0-a1b2-7c3d-8e4f-5a6b7c8d9e0f'?"), "'0192…'?");
        assert_eq!(redacted("hx_live_0123456789abcdefghijABCDEFGHIJ000000"), "hx_live_0123…");
        assert_eq!(redacted("--grace-from-first-use"), "--grace-from-first-use");
    }
}
