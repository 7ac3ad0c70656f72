//! Golden files of what users of the command line see: answers, errors, exit codes, help. The name
//! of a snapshot is the specification; look at a change of one as at a change of the product.

mod import;
mod issuers;
mod keys;
mod store;
mod tokens;
mod usage;
mod users;
mod verify;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use keystile::{Keystile, ManualClock, NewKey, Timestamp};
use keystile_tests::keystile_bin;

/// A folder that commands run in, most often with a store in it.
struct Place {
    folder: tempfile::TempDir,
}

/// What a command did.
struct Ran {
    command: String,
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Place {
    fn empty() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    /// With a store that has the formats of two systems.
    fn new() -> Place {
        let place = Place::empty();
        assert_eq!(place.run(&["init", "--format", "hippocortex", "--format", "coreplexml"]).code, 0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(keystile_bin());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("USER", "ada").env("TZ", "Pacific/Kiritimati").env("TMPDIR", std::env::temp_dir());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        finish(self.command(arguments), arguments, stdin)
    }

    /// A key with these options: its id and its secret.
    fn key(&self, options: &[&str]) -> (String, String) {
        let ran = self.run(&[&["keys", "create", "--json"], options].concat());
        let made = ran.json();
        (made["key"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }
}

fn finish(mut command: Command, arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments does not read what it was given.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let quoted = arguments.iter().map(|word| {
        let shown = visible(word);
        if shown.is_empty() || shown.contains([' ', '"']) { format!("'{shown}'") } else { shown }
    });
    Ran {
        command: quoted.collect::<Vec<_>>().join(" "),
        code: output.status.code().expect("no command dies of a signal"),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// What a terminal would obey stays out of the golden files too.
fn visible(word: &str) -> String {
    word.chars().fold(String::new(), |mut shown, c| {
        match c {
            c if c.is_control() || c == '\u{202e}' => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        shown
    })
}

impl Ran {
    fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn stderr(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.stdout()).unwrap_or_else(|_| panic!("{}", transcript(&[self])))
    }
}

/// What a person would have seen, with exit codes and with what went where.
fn transcript(ran: &[&Ran]) -> String {
    let mut text = String::new();
    for ran in ran {
        writeln!(text, "$ keystile {}", ran.command).unwrap();
        for line in ran.stdout().lines() {
            writeln!(text, "  {line}").unwrap();
        }
        for line in ran.stderr().lines() {
            writeln!(text, "! {line}").unwrap();
        }
        writeln!(text, "= {}\n", ran.code).unwrap();
    }
    text
}

/// What differs from run to run.
const FILTERS: [(&str, &str); 18] = [
    (r"urn:uuid:[0-9a-f-]{36}", "urn:uuid:[id of the store]"),
    (r"\b(usr|ses|imp)_[0-9a-f]*[1-9a-f][0-9a-f]*\b", "${1}_[32 hexadecimal digits]"),
    (r"\b[2-9a-z]{5}(?:-[2-9a-z]{5}){4}\b", "[25 letters and digits]"),
    (r"key_[0-9a-f]{32}", "key_[32 hexadecimal digits]"),
    (r"\b([a-z]+_[a-z_]+[_.])[0-9A-Za-z]{36}\b", "$1[30 characters and a checksum]"),
    (r"\b([a-z]+_[a-z_]+[_.])[0-9A-Za-z]{4}…", "$1[4]…"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
    (r"\((?:now|\d+s ago)\)", "([just now])"),
    // With all spaces behind it: how many there are depends on how long it took.
    (r"  (?:now|\d+s ago) {2,}", "  [now]      "),
    (r"(?m)  (?:now|\d+s ago)$", "  [now]"),
    (r"\b[0-9a-f]{64}\b", "[SHA-256]"),
    (r"--after [A-Za-z0-9_-]{20,}", "--after [cursor]"),
    (r#""next":"[A-Za-z0-9_-]+""#, r#""next":"[cursor]""#),
    (r#"[^ "]*/\.tmp[A-Za-z0-9]+/"#, "[folder]/"),
    (r"\.keystile\.db\.[0-9a-f]{16}\.tmp", "[a temporary name]"),
    (r"SQLite [0-9.]+|\d+ bytes on disk|\d+ bytes of wasm", "[what this build has]"),
    (r"\d+ instances", "[as many as there are threads] instances"),
    (r#"took \d+ µs|"(?:median_)?microseconds":[0-9.e-]+"#, "[a time]"),
];

#[track_caller]
fn golden(name: &str, ran: &[&Ran]) {
    let text = transcript(ran);
    insta::with_settings!({ filters => FILTERS, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}
