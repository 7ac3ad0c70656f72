//! The one who tells: does each step, shows it, and remembers how it went.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{BAD, GOOD, HINT, Output, TITLE};
use keystile::{Keystile, ManualClock, Request, Verdict};

/// One step of the story.
#[derive(Debug, Default, Serialize)]
pub(super) struct Step {
    chapter: &'static str,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_expected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    microseconds: Option<f64>,
}

impl Step {
    /// Whether a verdict was as expected; `None`: the step was not a verdict.
    pub(super) fn as_expected(&self) -> Option<bool> {
        self.as_expected
    }

    /// How long a verdict took.
    pub(super) fn microseconds(&self) -> Option<f64> {
        self.microseconds
    }
}

/// What a verdict is asked of.
pub(super) struct Question<'a> {
    /// What is presented.
    pub(super) secret: &'a [u8],
    /// What is asked for.
    pub(super) request: Request,
    /// The command that asks the same, without `keystile verify`.
    pub(super) options: &'a str,
    /// What a person should know of it.
    pub(super) remark: &'a str,
    /// `allow`, or the code of a deny.
    pub(super) expected: &'static str,
}

/// Does, shows and remembers.
pub(super) struct Teller<'t, 'o> {
    keystile: Keystile,
    clock: Arc<ManualClock>,
    output: &'t mut Output<'o>,
    chapter: &'static str,
    steps: Vec<Step>,
}

impl<'t, 'o> Teller<'t, 'o> {
    pub(super) fn new(keystile: Keystile, clock: Arc<ManualClock>, output: &'t mut Output<'o>) -> Teller<'t, 'o> {
        Teller { keystile, clock, output, chapter: "", steps: Vec::new() }
    }

    /// The turnstile of the story.
    pub(super) fn keystile(&self) -> &Keystile {
        &self.keystile
    }

    /// All that was done.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Begins a chapter.
    pub(super) fn chapter(&mut self, name: &'static str, title: &str) -> Result<(), Failure> {
        self.chapter = name;
        self.show(&format!("\n{TITLE}{title}{TITLE:#}"))
    }

    /// Shows a command that changed something, and what a key looks like after it.
    pub(super) fn did(&mut self, command: &str, prefix: Option<&str>, outcome: &str) -> Result<(), Failure> {
        // Where a line is broken for the reader, a shell goes on reading.
        self.show(&format!("  {HINT}${HINT:#} {}", command.replace(BREAK, " \\\n      ")))?;
        if !outcome.is_empty() {
            self.show(&format!("    {outcome}"))?;
        }
        let command = command.replace(BREAK, " ");
        self.steps.push(Step { chapter: self.chapter, command, prefix: prefix.map(str::to_owned), ..Step::default() });
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn later(&mut self, seconds: u64, told: &str) -> Result<(), Failure> {
        self.clock.advance(seconds);
        self.show(&format!("    … {told}"))
    }

    /// Asks for a verdict, and shows it against what was expected.
    pub(super) fn ask(&mut self, question: &Question<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let verdict = self.keystile.verify(question.secret, &question.request);
        let microseconds = started.elapsed().as_secs_f64() * 1e6;
        let found = name_of(&verdict);
        let as_expected = found == question.expected;

        let (mark, style) = if as_expected { ("✓", GOOD) } else { ("✗", BAD) };
        let said = if verdict.is_allow() { found.to_owned() } else { format!("deny {found}") };
        let command = join("keystile verify", question.options);
        let asked =
            if question.remark.is_empty() { command.clone() } else { format!("{command}  # {}", question.remark) };
        self.show(&format!("  {style}{mark}{style:#} {said:<24} {asked}"))?;
        if !as_expected {
            self.show(&format!("    {BAD}expected {}{BAD:#}", question.expected))?;
        }
        self.steps.push(Step {
            chapter: self.chapter,
            command: if question.remark.is_empty() { command } else { asked },
            expected: Some(question.expected),
            verdict: Some(found),
            as_expected: Some(as_expected),
            microseconds: Some(microseconds),
            ..Step::default()
        });
        Ok(())
    }

    /// Shows what came of a step that is no verdict, against what was expected.
    pub(super) fn expect(&mut self, command: &str, expected: &'static str, found: &'static str) -> Result<(), Failure> {
        let as_expected = found == expected;
        let (mark, style) = if as_expected { ("✓", GOOD) } else { ("✗", BAD) };
        self.show(&format!("  {style}{mark}{style:#} {found:<24} {command}"))?;
        self.steps.push(Step {
            chapter: self.chapter,
            command: command.to_owned(),
            expected: Some(expected),
            verdict: Some(found),
            as_expected: Some(as_expected),
            ..Step::default()
        });
        Ok(())
    }

    /// Shows a line of the story.
    pub(super) fn show(&mut self, line: &str) -> Result<(), Failure> {
        if self.output.is_json() { Ok(()) } else { self.output.line(line) }
    }
}

/// Where a long command may be broken into two lines.
pub(super) const BREAK: char = '\u{b}';

fn name_of(verdict: &Verdict) -> &'static str {
    verdict.code().map_or("allow", |code| code.as_str())
}

fn join(command: &str, options: &str) -> String {
    if options.is_empty() { command.to_owned() } else { format!("{command} {options}") }
}
