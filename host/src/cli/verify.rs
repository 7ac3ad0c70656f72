//! `keystile verify`: judging credentials.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::args::VerifyArgs;
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::json::VerdictJson;
use super::lines::Lines;
use super::output::{BAD, GOOD, Output};
use super::people::joined;
use crate::bounds::MAX_CREDENTIAL_LEN;
use crate::text::printable;
use crate::{Code, Keystile, Principal, Request, Verdict};

/// Judges one credential, or one after the other.
pub(super) fn verify(args: VerifyArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let VerifyArgs { scope, any_scope, env, address, now, credential } = args;
    let presented = Presented { what: "credential", variable: "KEY", command: "verify" };
    let source = Source::new(credential, context.stdin_is_terminal, &presented)?;
    let opened = context.open_for_reading()?;
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
        context.output.hint("this user can only read the store, so uses are not counted");
    }
    let mut judge = Judge { keystile, request, untraced, flushed: Instant::now() };
    let exit = source.each(context, |credential, output, in_json| {
        let verdict = judge.verdict(credential);
        if in_json {
            output.json(&VerdictJson::from(&verdict))?;
        } else {
            tell(&verdict, output)?;
        }
        judge.flush_sometimes(output);
        Ok(exit_of(&verdict))
    });
    judge.flush(&mut context.output);
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

    /// Judges whatever comes, and ends as the worst of it does. `judge` is told whether to answer in JSON, as
    /// it does line by line: each verdict is told before the next credential is waited for.
    pub(super) fn each(
        self,
        context: &mut Context<'_>,
        mut judge: impl FnMut(&[u8], &mut Output<'_>, bool) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let output = &mut context.output;
        let in_json = output.is_json();
        match self {
            Source::Argument(credential) => judge(&credential, output, in_json),
            Source::WholeInput => {
                let mut lines = Lines::new(&mut *context.stdin, MAX_CREDENTIAL_LEN);
                let credential = lines.rest().map_err(unreadable)?;
                judge(credential.bytes, output, in_json)
            }
            Source::EachLine => {
                let mut lines = Lines::new(&mut *context.stdin, MAX_CREDENTIAL_LEN);
                let mut worst = Exit::Done;
                while let Some(line) = lines.next().map_err(unreadable)? {
                    worst = worst.max(judge(line.bytes, output, true)?);
                    output.flush()?;
                    if output.is_closed() {
                        // Whoever read the verdicts went away: the rest is not judged.
                        return Ok(Exit::CannotSay);
                    }
                }
                Ok(worst)
            }
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

fn unreadable(error: io::Error) -> Failure {
    Failure::new(
        Exit::CannotSay,
        "input",
        format!("standard input cannot be read: {error}{PAIR}check where it comes from"),
    )
}

/// How often uses are written during a stream.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
