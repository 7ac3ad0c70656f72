//! Stores that cannot be opened or changed: each says what it is and how to go on, and goes on once it can.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use keystile::{AuditQuery, Keystile, NewKey, NewStore};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Signal, kill_process};

use crate::end_to_end::{open, start};
use crate::pty::Pty;

/// What a store says that this is done to; the store is put back after it.
fn cannot_be_opened(damage: impl Fn(&Path), what: &str, next: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (db, kept) = (folder.path().join("keystile.db"), folder.path().join("kept.db"));
    Keystile::create(&db, NewStore::default()).unwrap();
    fs::copy(&db, &kept).unwrap();
    damage(&db);
    let before = fs::read(&db).unwrap();
    let mut pty = start(&db, &[], (120, 40));
    pty.wait_for(what);
    pty.wait_for(next);
    pty.wait_for("Press r to try again");
    // Nothing that needs a store does anything, and nothing is made over what is there.
    pty.send("mnX");
    pty.send("r!");
    // On the screen behind the list of errors, and twice in it.
    pty.wait_until("another try", |pty| pty.screen().matches(what).count() == 3);
    pty.send("\x1b");
    pty.wait_until("the end of the dialog", |pty| !pty.screen().contains("Errors"));
    assert_eq!(fs::read(&db).unwrap(), before, "it was left as it was");
    // As a restored backup comes: another file at the same path.
    fs::rename(&kept, &db).unwrap();
    pty.send("r");
    pty.wait_for("There are no keys yet");
    // What went wrong is still to be read.
    pty.send("!");
    pty.wait_for("Errors");
    pty.wait_for(what);
    pty.send("\x1b");
    pty.wait_until("the end of the dialog", |pty| !pty.screen().contains("Errors"));
    pty.send("q");
    assert!(pty.wait().success());
    pty.assert_restored();
}

/// Writes something into a file.
fn write_at(path: &Path, offset: usize, bytes: &[u8]) {
    let mut all = fs::read(path).unwrap();
    all[offset..offset + bytes.len()].copy_from_slice(bytes);
    fs::write(path, all).unwrap();
}

#[test]
fn a_foreign_file() {
    let text = "not a store, but a text that somebody wrote";
    cannot_be_opened(|db| fs::write(db, text).unwrap(), "is not a Keystile store", "check the path, or move it away");
}

#[test]
fn a_database_of_another_program() {
    // The application is at offset 68 of the header (SQLite file format, 1.3).
    let other = |db: &Path| write_at(db, 68, &7_u32.to_be_bytes());
    cannot_be_opened(other, "is a database of another program", "check the path, or move it away");
}

#[test]
fn a_newer_store() {
    // The version of the schema is at offset 60.
    let newer = |db: &Path| write_at(db, 60, &9_999_u32.to_be_bytes());
    cannot_be_opened(newer, "was written by a newer Keystile", "run that version or");
}

/// While it is open: the screen says so, and nothing is changed any more.
#[test]
fn a_store_that_a_newer_program_migrates() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &[], (200, 40));
    pty.wait_for("There are no keys yet");
    let other = rusqlite::Connection::open(&db).unwrap();
    let schema: i64 = other.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    other.pragma_update(None, "user_version", schema + 1).unwrap();
    pty.wait_for("was migrated by a newer Keystile while it was open");
    pty.send("!");
    pty.wait_for("Errors");
    pty.wait_for("start this process again with that version or a newer one");
    pty.send("\x1b");
    pty.wait_until("the end of the dialog", |pty| !pty.screen().contains("Errors"));
    pty.send("q");
    assert!(pty.wait().success());
    pty.assert_restored();
    let keys: i64 = other.query_row("SELECT count(*) FROM keys", [], |row| row.get(0)).unwrap();
    assert_eq!(keys, 0);
}

#[test]
fn a_damaged_store() {
    // All but the header, as a disk does it that has lost its blocks.
    let damage = |db: &Path| {
        let len = fs::metadata(db).unwrap().len();
        write_at(db, 100, &vec![0xa5; usize::try_from(len).unwrap() - 100]);
    };
    cannot_be_opened(damage, "the store is damaged", "restore the newest backup");
}

#[test]
fn a_locked_store() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    // The files beside the store are there, so that nothing but the lock is in the way: without them it would be
    // refused after two seconds.
    let other = rusqlite::Connection::open(&db).unwrap();
    assert_eq!(other.query_row("SELECT count(*) FROM keys", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    // SQLite's locks are locks on parts of the file: this one keeps everybody else out.
    let file = File::options().read(true).write(true).open(&db).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut waiting = start(&db, &[], (80, 24));
    waiting.wait_for("another process seems to keep the store locked");
    waiting.wait_for("end that process, or press q to quit");
    // Whoever leaves need not wait for it.
    let mut left = start(&db, &[], (80, 24));
    left.wait_for("Opening the store");
    left.send("q");
    assert!(left.wait().success());
    left.assert_restored();
    // Longer than any other reason to refuse it would take.
    std::thread::sleep(Duration::from_secs(3));
    assert!(waiting.screen().contains("Opening the store"));
    fcntl_lock(&file, FlockOperation::Unlock).unwrap();
    waiting.wait_for("There are no keys yet");
    waiting.send("q");
    assert!(waiting.wait().success());
    waiting.assert_restored();
}

/// An action that changes a store.
struct Mutating {
    /// The key that leads to its section; none where it is in no section.
    section: Option<String>,
    key: String,
    name: String,
}

/// All of them, from the document that is written from their table: its first parts are the sections, in order.
fn mutating() -> Vec<Mutating> {
    let document = include_str!("../../docs/keys.md");
    let mut found = Vec::new();
    let (mut part, mut is_section) = (0, true);
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            is_section &= title != "Every section" && title != "Before a store is open";
            part += 1;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() == 6 && cells[4] == "yes" {
            let key = cells[1].split(',').next().unwrap_or_default().trim_matches('`');
            let section = is_section.then(|| part.to_string());
            found.push(Mutating { section, key: key.to_owned(), name: cells[2].to_owned() });
        }
    }
    found
}

#[test]
fn read_only_refuses_every_action_that_changes_anything() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let keystile = open(&db);
    let created = keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() }).unwrap();
    let newest = |keystile: &Keystile| keystile.recent_audit(&AuditQuery::default()).unwrap().entries[0].sequence;
    let before = newest(&keystile);
    let actions = mutating();
    assert!(actions.len() >= 6);
    let mut pty = start(&db, &["--read-only"], (120, 40));
    pty.wait_for("READ-ONLY");
    pty.wait_for("● active");
    for Mutating { section, key, name } in &actions {
        // By its name, wherever it has its key: it is listed with the reason, and does not run.
        pty.send(":");
        pty.wait_for("Command");
        pty.send(name);
        let typed = format!("{:<12}{name}", "name");
        pty.wait_for(&typed);
        pty.wait_for("read-only, as asked for");
        pty.send("\r");
        pty.send("\x1b");
        // The whole list again, as the name is deleted and the list is still there.
        pty.wait_until("the whole list", |pty| !pty.screen().contains(&typed));
        pty.wait_for("Command");
        pty.send("\x1b");
        pty.wait_until("an end of the list", |pty| !pty.screen().contains("Command"));
        // By its key, where that does it: it says why, and opens nothing.
        if let Some(section) = section {
            pty.send(section);
            pty.send(key);
            pty.wait_for("read-only, as asked for · start without --read-only");
            pty.send("k");
            pty.wait_until("an end of the message", |pty| !pty.screen().contains("as asked for"));
        }
    }
    assert_eq!(newest(&keystile), before, "nothing was written");
    assert!(keystile.preview(created.secret.expose_secret(), &keystile.request()).is_allow());
    pty.send("q");
    assert!(pty.wait().success());
    pty.assert_restored();
}

#[test]
fn read_only_makes_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    let mut pty = start(&db, &["--read-only"], (120, 40));
    pty.wait_for("there is no store at");
    assert!(!pty.screen().contains("Press m"));
    pty.send("m");
    pty.wait_for("read-only, as asked for");
    pty.send("q");
    assert!(pty.wait().success());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_signal_takes_the_secret_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &[], (80, 24));
    pty.wait_for("There are no keys yet");
    pty.send("n");
    pty.wait_for("New key");
    pty.send("ci\x1b[Z\x1b[Z\x1b[Z\r");
    pty.wait_for("(hidden)");
    pty.send("sc");
    let has = |pty: &Pty, bytes: &[u8]| pty.raw().windows(bytes.len()).any(|window| window == bytes);
    pty.wait_until("the clipboard", |pty| has(pty, b"\x1b]52;c;"));
    pty.wait_for("y stored it");
    let secret = crate::end_to_end::secret_on(&pty);
    kill_process(pty.id(), Signal::TERM).unwrap();
    assert!(pty.wait().success());
    pty.assert_restored();
    assert!(has(&pty, b"\x1b]52;c;IA==\x07\x1b]52;c;\x07"), "the clipboard is cleared");
    for shown in [pty.screen(), pty.alternate_screen()] {
        assert!(!shown.contains(&secret[12..20]), "{shown}");
    }
}

#[test]
fn other_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (db, keymap) = (folder.path().join("keystile.db"), folder.path().join("keymap.toml"));
    fs::write(&keymap, "make-store = \"F2\"\nnew = \"Ctrl-N\"\nhelp = \"h\"\n").unwrap();
    let mut pty = start(&db, &["--keymap", keymap.to_str().unwrap()], (80, 24));
    pty.wait_for("Press F2 to make a store here");
    pty.send("\x1bOQ");
    pty.wait_for("There are no keys yet");
    pty.wait_for("h help");
    pty.send("n\x0e");
    pty.wait_for("New key");
    pty.send("\x1b");
    pty.wait_until("the end of the dialog", |pty| !pty.screen().contains("New key"));
    pty.send("q");
    assert!(pty.wait().success());

    // What makes no sense is told before anything else happens, line by line.
    fs::write(&keymap, "help = \"h\"\ndance = \"d\"\nrevoke = \"x\"\ndown = \"q\"\n").unwrap();
    let mut pty = start(&db, &["--keymap", keymap.to_str().unwrap()], (200, 24));
    assert_eq!(pty.wait().code(), Some(2));
    for told in [
        "keymap.toml, line 2: there is no action `dance` · ",
        "keymap.toml, line 3: `revoke` must not be on x, ",
        "keymap.toml, line 4: q is the key of `quit` at the same place · ",
    ] {
        pty.wait_for(told);
    }
    assert!(!pty.raw().windows(8).any(|bytes| bytes == b"\x1b[?1049h"), "the terminal was not taken");
    let mut pty = start(&db, &["--keymap", "/no/such/file"], (80, 24));
    assert_eq!(pty.wait().code(), Some(2));
    pty.wait_for("cannot be read");
}
