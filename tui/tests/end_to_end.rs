//! What operators do, with the real program: wait for a text, then press keys.

use std::path::Path;
use std::process::{Command, Stdio};

use keystile::{Code, Keystile, ManualClock, NewKey, NewStore, Timestamp};

use crate::pty::Pty;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keystile-tui");

/// Starts the program on this store.
pub(crate) fn start(db: &Path, arguments: &[&str], size: (u16, u16)) -> Pty {
    let arguments: Vec<&str> = ["--db", db.to_str().unwrap()].into_iter().chain(arguments.iter().copied()).collect();
    Pty::start(PROGRAM, &arguments, size)
}

/// The store, beside the program.
pub(crate) fn open(db: &Path) -> Keystile {
    Keystile::options().on_demand(true).open(db).unwrap()
}

/// The secret that the screen shows, put together again from its lines.
pub(crate) fn secret_on(pty: &Pty) -> String {
    let screen = pty.screen();
    let line = screen.lines().find(|line| line.contains("ks_live_") && !line.contains('…')).unwrap_or_default();
    line.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[test]
fn a_key_from_the_first_start_to_its_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    let mut pty = start(&db, &[], (80, 24));
    // A first start offers to make a store.
    pty.wait_for("Press m to make a store here");
    pty.send("m");
    pty.wait_for("There are no keys yet");
    pty.wait_for("made the store · keep ");
    assert!(folder.path().join("keystile.db.kek").exists());

    pty.send("n");
    pty.wait_for("New key");
    pty.send("billing worker\x1b[Z\x1b[Z\x1b[Z\r");
    pty.wait_for("(hidden)");
    pty.send("s");
    pty.wait_for("y stored it");
    let secret = secret_on(&pty);
    let keystile = open(&db);
    assert!(keystile.verify(&secret, &keystile.request()).is_allow(), "{}", pty.screen());
    pty.send("y");
    pty.wait_for("● active");
    let tail = &secret[secret.len() - 12..];
    pty.wait_until("the secret to be gone from the screen", |pty| !pty.screen().contains(tail));

    // Rotated with the grace of a day: both verify.
    pty.send("R");
    pty.wait_for("The old secret dies");
    pty.send("\x1b[A\r");
    pty.wait_for("(hidden)");
    pty.send("s");
    pty.wait_for("y stored it");
    let rotated = secret_on(&pty);
    assert_ne!(secret, rotated);
    for secret in [&secret, &rotated] {
        assert!(keystile.verify(secret, &keystile.request()).is_allow());
    }
    pty.send("y");
    pty.wait_for("rotating");

    // Revoked, by the prefix that must be typed: both are refused.
    let key = keystile.keys().list(&Default::default()).unwrap().keys.remove(0);
    assert_eq!((key.name.as_str(), key.created_by.as_str()), ("billing worker", "tui:ada"));
    pty.send("X");
    pty.wait_for("Type ks_live_");
    pty.send("\t\t\t");
    pty.send(key.display().trim_end_matches('…'));
    pty.send("\t");
    pty.wait_for("X revokes");
    pty.send("X");
    pty.wait_for("✕ revoked");
    for secret in [&secret, &rotated] {
        assert_eq!(keystile.verify(secret, &keystile.request()).code(), Some(Code::Revoked));
    }
    pty.send("q");
    assert!(pty.wait().success());
    pty.assert_restored();
}

#[test]
fn what_others_change_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &["--read-only", "--plain"], (120, 40));
    pty.wait_for("There are no keys yet");
    let keystile = open(&db);
    let created = keystile.keys().create(NewKey { name: "from elsewhere".into(), ..NewKey::default() }).unwrap();
    pty.wait_for("from elsewhere");
    keystile.keys().suspend(created.key.id).unwrap();
    pty.wait_for("o suspended");
    // Looking is all that is possible.
    pty.send("X");
    pty.wait_for("start without --read-only");
    pty.send("n");
    pty.send("q");
    assert!(pty.wait().success());
    pty.assert_restored();
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let mut pty = start(&folder.path().join("none.db"), &[], (80, 24));
        pty.wait_for("there is no store at");
        rustix::process::kill_process(pty.id(), signal).unwrap();
        assert!(pty.wait().success());
        pty.assert_restored();
    }
}

#[test]
fn a_store_that_cannot_be_opened_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a store, but a text that somebody wrote").unwrap();
    let newer = folder.path().join("newer.db");
    Keystile::create(&newer, NewStore::default()).unwrap();
    // The version of the schema is at offset 60 of the header (SQLite file format, 1.3).
    let mut bytes = std::fs::read(&newer).unwrap();
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    std::fs::write(&newer, bytes).unwrap();
    for (path, what) in [(&text, "is not a Keystile store"), (&newer, "was written by a newer Keystile")] {
        let mut pty = start(path, &[], (120, 40));
        pty.wait_for(what);
        pty.wait_for("Press r to try again");
        pty.send("rm");
        pty.wait_for(what);
        pty.send("q");
        assert!(pty.wait().success());
        pty.assert_restored();
    }
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "not a store, but a text that somebody wrote");
}

#[test]
fn a_terminal_that_is_too_small_says_the_size_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mut pty = start(&folder.path().join("none.db"), &[], (30, 6));
    pty.wait_for("need 40×10 · q quits");
    pty.send("q");
    assert!(pty.wait().success());
    pty.assert_restored();
}

#[test]
fn a_secret_goes_to_the_clipboard_in_exact_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &[], (80, 24));
    pty.wait_for("There are no keys yet");
    pty.send("n");
    pty.wait_for("New key");
    pty.send("ci\x1b[Z\x1b[Z\x1b[Z\r");
    pty.wait_for("(hidden)");
    let file = folder.path().join("ci.secret");
    pty.send("w");
    pty.wait_for("Enter writes a new file");
    pty.send("\x15");
    pty.send(file.to_str().unwrap());
    pty.send("\r");
    pty.wait_for("for your eyes only");
    let secret = std::fs::read_to_string(&file).unwrap();
    let keystile = open(&db);
    assert!(keystile.verify(&secret, &keystile.request()).is_allow());
    pty.send("c");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &secret);
    let copied = format!("\x1b]52;c;{encoded}\x07");
    let has = |pty: &Pty, bytes: &str| pty.raw().windows(bytes.len()).any(|window| window == bytes.as_bytes());
    pty.wait_until("the clipboard", |pty| has(pty, &copied));
    let cleared = "\x1b]52;c;IA==\x07\x1b]52;c;\x07";
    assert!(!has(&pty, "\x1b]52;c;\x07"));
    pty.wait_for("y stored it");
    pty.send("yq");
    assert!(pty.wait().success());
    pty.wait_until("the empty clipboard", |pty| has(pty, cleared));
    assert!(!has(&pty, &secret), "it was never shown");
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = Command::new(PROGRAM).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("not a terminal · "), "{message}");
    assert!(output.stdout.is_empty());
}

/// Another program has written to the store with a clock that was ahead, and an operator accepts the earlier time.
#[test]
fn a_clock_that_is_behind_the_store_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &[], (120, 24));
    pty.wait_for("There are no keys yet");
    assert!(!pty.screen().contains("CLOCK BEHIND"));
    let ahead = ManualClock::at(Timestamp::from_unix(4_000_000_000).unwrap());
    let keystile = Keystile::options().clock(ahead).on_demand(true).open(&db).unwrap();
    keystile.keys().create(NewKey { name: "of the future".into(), ..NewKey::default() }).unwrap();
    pty.wait_for("CLOCK BEHIND");
    pty.send("8");
    pty.wait_for("the store has seen 2096");
    open(&db).accept_clock().unwrap();
    pty.wait_until("the warning to go", |pty| !pty.screen().contains("CLOCK BEHIND"));
    pty.send("q");
    assert!(pty.wait().success());
}
