//! What every command works with: the streams, the path of the store, who asks.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::clock::behind;
use super::failure::{Exit, Failure};
use super::output::Output;
use keystile::text::{is_treacherous, printable};
use keystile::{KekPlace, Keystile, OpenError, OpenOptions, StoreError, UnreadableRow};

/// What a command works with.
pub(super) struct Context<'a> {
    /// Where answers go.
    pub(super) output: Output<'a>,
    /// Where credentials and imports come from.
    pub(super) stdin: &'a mut dyn Read,
    /// Whether a person sits at standard input.
    pub(super) stdin_is_terminal: bool,
    /// Where the key-encryption key is.
    pub(super) kek: KekPlace,
    /// The path of the store.
    pub(super) db: PathBuf,
    /// Whether that path was given as an option, so that hints must repeat it.
    pub(super) db_given: bool,
    /// Who the audit trail says made a change.
    pub(super) actor: String,
}

/// A store that was opened to be looked at.
pub(super) struct Opened {
    /// The turnstile.
    pub(super) keystile: Keystile,
    /// Whether this user can only read it, so that uses are not counted.
    pub(super) read_only: bool,
}

impl Context<'_> {
    /// Opens the store to change it.
    pub(super) fn open(&mut self) -> Result<Keystile, Failure> {
        let keystile = self.options()?.open(&self.db)?;
        self.tell_time(&keystile);
        Ok(keystile)
    }

    /// Opens the store to change it, without a word about its clock.
    pub(super) fn open_to_accept_its_clock(&self) -> Result<Keystile, Failure> {
        Ok(self.options()?.open(&self.db)?)
    }

    /// Opens the store to look at it; a user who can only read it may do that too, and so may everybody when the disk
    /// is full.
    pub(super) fn open_for_reading(&mut self) -> Result<Opened, Failure> {
        let opened = match self.options()?.sparing().open(&self.db) {
            Ok(keystile) => Opened { keystile, read_only: false },
            Err(OpenError::Store(StoreError::ReadOnly | StoreError::Unreadable { .. } | StoreError::DiskFull)) => {
                let keystile = self.options()?.read_only(true).open(&self.db)?;
                Opened { keystile, read_only: true }
            }
            Err(error) => return Err(error.into()),
        };
        self.tell_time(&opened.keystile);
        Ok(opened)
    }

    /// Warns of a clock that is behind what the store has seen.
    fn tell_time(&mut self, keystile: &Keystile) {
        if let Some(warning) = behind(keystile.time(), &self.command("clock accept")) {
            self.output.warn(&warning);
        }
    }

    /// A command as the person should type it, for this store.
    pub(super) fn command(&self, rest: &str) -> String {
        if self.db_given {
            format!("keystile --db {} {rest}", quoted_path(&self.db))
        } else {
            format!("keystile {rest}")
        }
    }

    /// Tells of the rows that are not in an answer because they cannot be read; says how the command ends.
    pub(super) fn end_without(&mut self, unreadable: &[UnreadableRow]) -> Exit {
        for row in unreadable {
            let message = format!("{row} · run `{}` to see all of them, and restore a backup", self.command("doctor"));
            self.output.warn(&Failure::new(Exit::CannotSay, "unreadable_row", message));
        }
        if unreadable.is_empty() { Exit::Done } else { Exit::CannotSay }
    }

    /// Tells of the rows that a change has met and could not read. It is in force all the same.
    pub(super) fn tell_damaged(&mut self, done: &str, unreadable: &[UnreadableRow]) {
        for row in unreadable {
            let message = format!(
                "{done}, which is in force; but {row} · run `{}` to see all such rows, and restore a backup",
                self.command("doctor")
            );
            self.output.warn(&Failure::new(Exit::Done, "damaged_row", message));
        }
    }

    /// Says what was done to something whose row cannot be read.
    pub(super) fn done_by_id(&mut self, done: &'static str, id: &str) -> Result<(), Failure> {
        if self.output.is_json() {
            return self.output.json(&DoneById { done, id });
        }
        self.output.line(format_args!("{done} {}", printable(id)))
    }

    /// How this command opens or makes the store.
    pub(super) fn options(&self) -> Result<OpenOptions, Failure> {
        // A command verifies a few credentials and ends: it does not load what it does not need.
        let options = Keystile::options().actor(self.actor.as_str()).on_demand(true).flush_interval(WRITE_USES_EVERY);
        Ok(options.key_encryption_key_at(&self.kek)?)
    }
}

/// What was done to something whose row cannot be read, as programs read it.
#[derive(Serialize)]
struct DoneById<'a> {
    done: &'static str,
    id: &'a str,
}

/// The name in the audit trail: `cli:` and what is printable of the user's name.
pub(super) fn actor(user: Option<&str>) -> String {
    let mut name: String =
        user.unwrap_or_default().chars().filter(|c| !is_treacherous(*c) && !c.is_whitespace()).collect();
    while name.len() > MAX_USER_LEN {
        name.pop();
    }
    format!("cli:{}", if name.is_empty() { "unknown" } else { &name })
}

/// A word as a POSIX shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,*".contains(c);
    // A star alone is plain to a shell only where no file matches it.
    if !word.is_empty() && word.chars().all(plain) && !word.contains('*') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// How often uses are written while a stream of credentials is judged: what a killed process loses at most.
const WRITE_USES_EVERY: Duration = Duration::from_secs(10);
/// Longest name of a user in the audit trail, in bytes.
const MAX_USER_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_are_printable() {
        assert_eq!(actor(Some("ada")), "cli:ada");
        assert_eq!(actor(Some("a\nb\u{1b}[31m\u{202e} c")), "cli:ab[31mc");
        assert_eq!(actor(Some("\u{7}")), "cli:unknown");
        assert_eq!(actor(None), "cli:unknown");
        assert_eq!(actor(Some(&"é".repeat(100))).len(), 4 + MAX_USER_LEN);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("a-b_c/d.e", "a-b_c/d.e"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("a:*", "'a:*'"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
