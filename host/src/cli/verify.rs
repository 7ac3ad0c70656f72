//! `keystile verify`: judging credentials.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::args::VerifyArgs;
use super::failure::{Exit, Failure, PAIR};
use super::json::VerdictJson;
use super::lines::Lines;
use super::output::{BAD, GOOD, Output};
use super::people::joined;
use super::session::Session;
use crate::bounds::MAX_CREDENTIAL_LEN;
use crate::text::printable;
use crate::{Code, Keystile, Principal, Request, Verdict};

/// Judges one credential, or one after the other.
pub(super) fn verify(args: VerifyArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let VerifyArgs { scope, any_scope, env, address, now, credential } = args;
    let presented = Presented { what: "credential", variable: "KEY", command: "verify" };
    let source = Source::new(credential, session.stdin_is_terminal, &presented)?;
    let opened = session.open_for_reading()?;
    let keystile = opened.keystile;
    let mut request = keystile.request();
    request.all_of = scope;
    request.any_of = any_scope;
    request.environment = env;
    request.address = address;
    request.validate().map_err(Failure::usage)?;
    let untraced = now.is_some();
    if let Some(now) = now {
        request.now = now;
    }
    if opened.read_only && !untraced {
        session.output.hint("this user can only read the store, so uses are not counted");
    }
    let mut judge = Judge { keystile, request, untraced, flushed: Instant::now() };
    let exit = match source {
        Source::Argument(credential) => one(&mut judge, &credential, session),
        Source::WholeInput => {
            let mut lines = Lines::new(session.stdin, MAX_CREDENTIAL_LEN);
            let verdict = judge.verdict(lines.rest().map_err(unreadable)?.bytes);
            drop(lines);
            tell(&verdict, &mut session.output)?;
            Ok(exit_of(&verdict))
        }
        Source::EachLine => each_line(&mut judge, session),
    };
    judge.flush(&mut session.output);
    exit
}

/// What is presented, and how a person is told to present it.
pub(super) struct Presented {
    pub(super) what: &'static str,
    pub(super) variable: &'static str,
    pub(super) command: &'static str,
}

/// Where the credentials come from.
pub(super) enum Source {
    Argument(Zeroizing<Vec<u8>>),
    WholeInput,
    EachLine,
}

impl Source {
    pub(super) fn new(
        credentials: Vec<OsString>,
        stdin_is_terminal: bool,
        presented: &Presented,
    ) -> Result<Source, Failure> {
        let Presented { what, variable, command } = presented;
        let mut credentials: Vec<_> =
            credentials.into_iter().map(|credential| Zeroizing::new(credential.into_encoded_bytes())).collect();
        match (credentials.pop(), credentials.is_empty()) {
            (None, _) if stdin_is_terminal => Err(Failure::usage(format!(
                "no {what} was given{PAIR}give it on standard input: printf %s \"${variable}\" | keystile {command}"
            ))),
            (None, _) => Ok(Source::WholeInput),
            (Some(only), true) if only.as_slice() == b"-" => Ok(Source::EachLine),
            (Some(only), true) => Ok(Source::Argument(only)),
            // None of them is repeated: each may be a secret.
            (Some(_), false) => Err(Failure::usage(format!(
                "more than one {what} was given{PAIR}give many on standard input, one a line: keystile {command} - < FILE"
            ))),
        }
    }
}

/// Judges and keeps count.
struct Judge {
    keystile: Keystile,
    request: Request,
    /// The time was given: it is tried out, and leaves no trace.
    untraced: bool,
    flushed: Instant,
}

impl Judge {
    fn verdict(&mut self, credential: &[u8]) -> Verdict {
        if self.untraced {
            return self.keystile.preview(credential, &self.request);
        }
        self.request.now = self.keystile.request().now;
        self.keystile.verify(credential, &self.request)
    }

    /// A stream can last for days: what was counted is written now and then.
    fn flush_sometimes(&mut self, output: &mut Output<'_>) {
        if self.flushed.elapsed() >= FLUSH_INTERVAL {
            self.flush(output);
        }
    }

    fn flush(&mut self, output: &mut Output<'_>) {
        self.flushed = Instant::now();
        if let Err(error) = self.keystile.flush() {
            let failure = Failure::new(Exit::CannotSay, "not_counted", format!("uses were not counted: {error}"));
            output.warn(&failure);
        }
    }
}

fn one(judge: &mut Judge, credential: &[u8], session: &mut Session<'_>) -> Result<Exit, Failure> {
    let verdict = judge.verdict(credential);
    tell(&verdict, &mut session.output)?;
    Ok(exit_of(&verdict))
}

/// One verdict a line, each told before the next credential is waited for.
fn each_line(judge: &mut Judge, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let mut worst = Exit::Done;
    let mut lines = Lines::new(&mut *session.stdin, MAX_CREDENTIAL_LEN);
    loop {
        let verdict = match lines.next().map_err(unreadable)? {
            Some(line) => judge.verdict(line.bytes),
            None => return Ok(worst),
        };
        worst = worst.max(exit_of(&verdict));
        session.output.json(&VerdictJson::from(&verdict))?;
        session.output.flush()?;
        if session.output.is_closed() {
            // Whoever read the verdicts went away: the rest is not judged.
            return Ok(Exit::CannotSay);
        }
        judge.flush_sometimes(&mut session.output);
    }
}

pub(super) fn tell(verdict: &Verdict, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&VerdictJson::from(verdict));
    }
    match verdict {
        Verdict::Allow(principal) => output.line(format_args!("{GOOD}allow{GOOD:#}  {}", in_one_line(principal))),
        Verdict::Deny(denial) => {
            let code = denial.code;
            let wait = denial.retry_after.map(|seconds| format!(" (in {seconds}s)")).unwrap_or_default();
            output.line(format_args!("{BAD}deny{BAD:#}   {code} ({})  {}{wait}", code.status(), code.message()))
        }
    }
}

/// Who a caller is, in `name=value` pairs; a token has no id that says more than its subject.
fn in_one_line(principal: &Principal) -> String {
    let mut line = principal.key_id().map(|id| id.to_string()).unwrap_or_else(|| "jwt".to_owned());
    let mut pair = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={}", printable(value)));
        }
    };
    pair("sub", principal.subject());
    pair("org", principal.organization());
    pair("issuer", principal.issuer());
    pair("owner", principal.owner());
    pair("env", principal.environment());
    line.push_str(&format!(" scopes={}", joined(&principal.scopes().collect::<Vec<_>>())));
    line
}

pub(super) fn exit_of(verdict: &Verdict) -> Exit {
    match verdict.code() {
        None => Exit::Done,
        Some(Code::Unavailable | Code::StaleBundle) => Exit::CannotSay,
        Some(_) => Exit::Denied,
    }
}

pub(super) fn unreadable(error: io::Error) -> Failure {
    Failure::new(
        Exit::CannotSay,
        "input",
        format!("standard input cannot be read: {error}{PAIR}check where it comes from"),
    )
}

/// How often uses are written during a stream.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
