//! `keystile verify`: judging credentials.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::VerifyArgs;
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::json::VerdictJson;
use super::lines::Lines;
use super::output::{BAD, GOOD, Output, PLAIN, WAITING};
use super::people::joined;
use keystile::bounds::MAX_CREDENTIAL_LEN;
use keystile::text::printable;
use keystile::{Check, Code, Explanation, Keystile, Outcome, Principal, Request, StoreError, Verdict};

/// Judges one credential, or one after the other.
pub(super) fn verify(args: VerifyArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let VerifyArgs { scope, any_scope, env, address, now, explain, credential } = args;
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
    let untraced = now.is_some() || explain;
    if let Some(now) = now {
        request.now = now;
    }
    if opened.read_only && !untraced {
        context.output.hint("this user can only read the store, so uses are not counted");
    }
    let given_time = now.is_some();
    let keystile = Arc::new(Mutex::new(keystile));
    if matches!(source, Source::EachLine) && !untraced && !opened.read_only {
        write_uses_at_signals(&keystile).map_err(|error| {
            let message = format!("signals cannot be watched: {error}{PAIR}look into the limits of this process");
            Failure::new(Exit::CannotSay, "system", message)
        })?;
    }
    let mut judge = Judge { keystile, request, untraced, given_time };
    let exit = source.each(context, |credential, output, in_json| {
        if explain {
            let explanation = judge.explain(credential)?;
            tell_steps(&explanation, output, in_json)?;
            return Ok(exit_of(&explanation.verdict));
        }
        let verdict = judge.verdict(credential);
        if in_json {
            output.json(&VerdictJson::from(&verdict))?;
        } else {
            tell(&verdict, output)?;
        }
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
    /// Locked for each verdict, and for good by whoever ends the process.
    keystile: Arc<Mutex<Keystile>>,
    request: Request,
    /// It is tried out, and leaves no trace.
    untraced: bool,
    given_time: bool,
}

impl Judge {
    fn verdict(&mut self, credential: &[u8]) -> Verdict {
        let keystile = lock(&self.keystile);
        keep_time(&mut self.request, &keystile, self.given_time);
        if self.untraced {
            return keystile.preview(credential, &self.request);
        }
        keystile.verify(credential, &self.request)
    }

    fn explain(&mut self, credential: &[u8]) -> Result<Explanation, Failure> {
        let keystile = lock(&self.keystile);
        keep_time(&mut self.request, &keystile, self.given_time);
        Ok(keystile.explain(credential, &self.request)?)
    }

    fn flush(&mut self, output: &mut Output<'_>) {
        if let Err(error) = lock(&self.keystile).flush() {
            output.warn(&not_counted(&error));
        }
    }
}

/// A stream can last for days.
fn keep_time(request: &mut Request, keystile: &Keystile, given_time: bool) {
    if !given_time {
        request.now = keystile.request().now;
    }
}

fn not_counted(error: &StoreError) -> Failure {
    Failure::new(Exit::CannotSay, "not_counted", format!("uses were not counted: {error}"))
}

fn lock(keystile: &Mutex<Keystile>) -> MutexGuard<'_, Keystile> {
    keystile.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a signal that ends this process has what was counted written first. A second one, while the store
/// keeps that waiting, ends it at once.
#[cfg(unix)]
fn write_uses_at_signals(keystile: &Arc<Mutex<Keystile>>) -> io::Result<()> {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::{flag, low_level};

    let ignored = ignored_signals();
    let signals: Vec<i32> = [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| !ignored.contains(signal)).collect();
    let ending = Arc::new(AtomicBool::new(false));
    for signal in signals.iter().copied() {
        // In this order: the first signal finds the flag not set, and sets it.
        flag::register_conditional_default(signal, Arc::clone(&ending))?;
        flag::register(signal, Arc::clone(&ending))?;
    }
    let mut signals = Signals::new(signals)?;
    let keystile = Arc::downgrade(keystile);
    thread::Builder::new().name("keystile-signals".to_owned()).spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        // When the stream has ended meanwhile, all is written.
        let keystile = keystile.upgrade();
        // Locked until the end of the process: no verdict is given that would not be counted.
        let keystile = keystile.as_deref().map(lock);
        if let Some(Err(error)) = keystile.as_ref().map(|keystile| keystile.flush()) {
            // The thread that judges has locked standard error for itself.
            let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
            let _ = stderr.and_then(|mut stderr| writeln!(stderr, "warning: {}", not_counted(&error).message));
        }
        let _ = low_level::emulate_default_handler(signal);
    })?;
    Ok(())
}

/// The signals that whoever started this process has had ignored, as `nohup` does: they must not end it.
#[cfg(unix)]
fn ignored_signals() -> Vec<i32> {
    // Other systems than Linux do not say, without `unsafe`.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

#[cfg(not(unix))]
fn write_uses_at_signals(_: &Arc<Mutex<Keystile>>) -> io::Result<()> {
    Ok(())
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

/// The verdict, and each check with what came of it.
fn tell_steps(explanation: &Explanation, output: &mut Output<'_>, in_json: bool) -> Result<(), Failure> {
    if in_json {
        let step = |(check, outcome): &(Check, Outcome)| StepJson { check: check.as_str(), outcome: outcome.as_str() };
        let steps = explanation.steps.iter().map(step).collect();
        return output.json(&ExplanationJson { verdict: VerdictJson::from(&explanation.verdict), steps });
    }
    tell(&explanation.verdict, output)?;
    for (check, outcome) in &explanation.steps {
        let style = match outcome {
            Outcome::Passed => GOOD,
            Outcome::Failed => BAD,
            Outcome::NotReached => WAITING,
            _ => PLAIN,
        };
        output.line(format_args!("  {style}{outcome:<11}{style:#} {check}"))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ExplanationJson<'a> {
    #[serde(flatten)]
    verdict: VerdictJson<'a>,
    steps: Vec<StepJson>,
}

#[derive(Serialize)]
struct StepJson {
    check: &'static str,
    outcome: &'static str,
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
