//! The output layer: nothing else writes to standard output or standard error.
//!
//! Styles are always written; the streams take them out again where nobody wants colours.

use std::fmt::Display;
use std::io::{self, Read, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::failure::Failure;
use super::table::Table;
use keystile::text::{hide_secrets, printable};

/// The standard streams of the process.
pub(super) struct Streams<'a> {
    /// Where credentials and imports come from.
    pub(super) stdin: &'a mut dyn Read,
    /// Whether a person sits there.
    pub(super) stdin_is_terminal: bool,
    /// Where answers go.
    pub(super) stdout: &'a mut dyn Write,
    /// How wide it is, when it is a terminal.
    pub(super) stdout_width: Option<usize>,
    /// Where hints and errors go.
    pub(super) stderr: &'a mut dyn Write,
}

/// Where answers, hints and errors go, and in which form.
pub(super) struct Output<'a> {
    stdout: &'a mut dyn Write,
    stderr: &'a mut dyn Write,
    json: bool,
    width: Option<usize>,
    closed: bool,
}

impl<'a> Output<'a> {
    /// An output in this form.
    pub(super) fn new(
        stdout: &'a mut dyn Write,
        stderr: &'a mut dyn Write,
        json: bool,
        width: Option<usize>,
    ) -> Output<'a> {
        Output { stdout, stderr, json, width, closed: false }
    }

    /// Whether answers are JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the answer. What is not ours in it went through [`printable`].
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        self.write(|stdout| writeln!(stdout, "{line}"))
    }

    /// A JSON value of the answer, on a line of its own.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.write(|stdout| {
            serde_json::to_writer(&mut *stdout, value)?;
            stdout.write_all(b"\n")
        })
    }

    /// Bytes of the answer, as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(|stdout| stdout.write_all(bytes))
    }

    /// A table of the answer; only a terminal has a width that it must fit into.
    pub(super) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let (text, omitted) = table.render(self.width);
        self.raw(text.as_bytes())?;
        if !omitted.is_empty() {
            self.hint(format_args!("this terminal has no room for {}: widen it, or use --json", omitted.join(", ")));
        }
        Ok(())
    }

    /// Lets whoever reads the answer have all of it so far.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.write(|stdout| stdout.flush())
    }

    /// Whether nobody reads the answer any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A reader who has seen enough and went away is no failure: the command does the rest of its work
    /// in silence, and its exit code says how that went.
    fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match write(self.stdout) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// Tells a person what was done, beside the answer.
    pub(super) fn note(&mut self, note: impl Display) {
        if !self.json {
            // Nobody is left to tell that standard error is closed.
            let _ = writeln!(self.stderr, "{note}");
        }
    }

    /// Tells a person what they could do next.
    pub(super) fn hint(&mut self, hint: impl Display) {
        self.note(format_args!("{HINT}hint:{HINT:#} {hint}"));
    }

    /// Tells, also a program, of something that went wrong beside the answer.
    pub(super) fn warn(&mut self, failure: &Failure) {
        self.tell("warning", WARNING, failure);
    }

    /// Tells why there is no answer.
    pub(super) fn failure(&mut self, failure: &Failure) {
        self.tell("error", BAD, failure);
    }

    /// Writes text that is no answer to standard error, as it is.
    pub(super) fn raw_note(&mut self, text: &str) {
        let _ = self.stderr.write_all(text.as_bytes());
    }

    fn tell(&mut self, kind: &'static str, style: Style, failure: &Failure) {
        // A secret may have been given in the place of a name.
        let shown = |text: &str| printable(&hide_secrets(text));
        let message = shown(&failure.message);
        let hint = failure.hint.as_deref().map(shown);
        if self.json {
            let told = Told { code: failure.code, message: &message, hint: hint.as_deref() };
            let line = serde_json::to_string(&std::collections::BTreeMap::from([(kind, told)])).unwrap_or_default();
            let _ = writeln!(self.stderr, "{line}");
            return;
        }
        let _ = writeln!(self.stderr, "{style}{kind}:{style:#} {message}");
        if let Some(hint) = hint {
            let _ = writeln!(self.stderr, "  {HINT}try:{HINT:#} {hint}");
        }
    }
}

/// A failure as programs read it.
#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

/// Titles.
pub(super) const TITLE: Style = Style::new().bold();
/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What needs a look.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// What is to come.
pub(super) const WAITING: Style = AnsiColor::Blue.on_default();
/// What helps.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
/// Nothing special.
pub(super) const PLAIN: Style = Style::new();
