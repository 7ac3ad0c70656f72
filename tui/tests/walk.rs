//! A recorded walk through the real program, and pictures of it, for the documents: `make screenshots`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keystile::{
    Clock as _, Digest, Environment, Grace, ImportedKey, KeyQuery, Keystile, ManualClock, NewStore, RevokeReason,
    Rotation, Scope, SystemClock, Timestamp,
};

use crate::end_to_end::PROGRAM;
use crate::pty::Pty;
use crate::svg;

const SIZE: (u16, u16) = (120, 40);
const DAY: u64 = 86_400;

/// A walk is text, so that a change of it can be read; this is the most that it may take.
const MAX_CAST: usize = 300 * 1024;

#[test]
#[ignore = "writes the documents: make screenshots"]
fn a_walk_for_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("prod.db"));
    let mut walk = Walk::start(folder.path());
    walk.wait("billing worker");
    walk.pause(1_500);
    for _ in 0..3 {
        walk.press("j", "");
    }
    for _ in 0..3 {
        walk.press("k", "");
    }
    let keys = walk.pty.with_screen(|screen| svg::draw(screen, "keystile-tui: the keys of a store"));
    // A new key; its secret is hidden, shown and copied.
    walk.press("n", "New key");
    walk.text("report mailer");
    walk.press("\t", "");
    walk.text("reports");
    walk.press("\t", "");
    walk.press("\t", "");
    walk.text("reports:read");
    walk.press("\t", "");
    walk.press("\t", "");
    walk.press("\t", "");
    walk.press("\t", "> [ Create ]");
    walk.pause(800);
    walk.press("\r", "(hidden)");
    walk.pause(1_500);
    walk.press("s", "y stored it");
    walk.pause(1_500);
    let secret = walk.pty.with_screen(|screen| svg::draw(screen, "keystile-tui: a new secret, shown once"));
    walk.press("c", "");
    walk.press("s", "Sent to the terminal's clipboard");
    walk.pause(1_500);
    walk.press("y", "report mailer");
    walk.pause(1_000);
    // It is rotated; the old secret lives on for a day.
    walk.press("R", "The old secret dies");
    walk.pause(1_500);
    walk.press("\x1b[Z", "> [ Rotate ]");
    walk.press("\r", "(hidden)");
    walk.press("c", "Sent to the terminal's clipboard");
    walk.wait("y stored it");
    walk.pause(1_000);
    walk.press("y", "rotating");
    walk.pause(1_000);
    // It is revoked, by its prefix and a key that nothing else leads to.
    walk.press("X", "to confirm:");
    walk.pause(1_500);
    walk.press("\t", "");
    walk.press("\x1b[C", "");
    walk.press("\t", "");
    walk.text("seen in a log");
    walk.press("\t", "");
    let prefix = walk.prefix();
    walk.text(&prefix);
    walk.press("\t", "X revokes");
    walk.pause(1_000);
    walk.press("X", "revoked report mailer");
    walk.pause(2_500);
    walk.press("q", "");
    assert!(walk.pty.wait().success());
    let cast = walk.cast();
    assert!(cast.len() <= MAX_CAST, "{} bytes", cast.len());
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    for (name, text) in [("keys.svg", &keys), ("new-secret.svg", &secret), ("walk.cast", &cast)] {
        fs::write(docs.join(name), text).unwrap();
    }
}

/// The program, and what it has written so far, by the time that a person would have needed.
struct Walk {
    pty: Pty,
    /// How much of the output was recorded.
    recorded: usize,
    /// The time on the recording, in milliseconds.
    time: u64,
    events: Vec<(u64, String)>,
}

impl Walk {
    fn start(folder: &Path) -> Walk {
        let pty = Pty::start_in(folder, PROGRAM, &["--db", "prod.db"], SIZE);
        Walk { pty, recorded: 0, time: 0, events: Vec::new() }
    }

    /// Presses a key, and waits for what it leads to: this text, or any answer.
    fn press(&mut self, key: &str, leads_to: &str) {
        self.time += KEY;
        let before = self.pty.raw().len();
        self.pty.send(key);
        if leads_to.is_empty() {
            let started = Instant::now();
            // Some keys change nothing that can be seen.
            while self.pty.raw().len() == before && started.elapsed() < Duration::from_secs(1) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.wait(leads_to);
    }

    fn text(&mut self, text: &str) {
        for key in text.chars() {
            self.press(key.encode_utf8(&mut [0; 4]), "");
        }
    }

    /// Waits for a text, and records all that was written until then.
    fn wait(&mut self, text: &str) {
        self.pty.wait_for(text);
        let mut len = self.pty.raw().len();
        loop {
            std::thread::sleep(QUIET);
            let now = self.pty.raw().len();
            if now == len {
                break;
            }
            len = now;
        }
        let raw = self.pty.raw();
        let new = String::from_utf8(raw[self.recorded..len].to_vec()).expect("a frame ends between characters");
        self.recorded = len;
        if !new.is_empty() {
            self.events.push((self.time, without_clipboard(&new)));
        }
    }

    fn pause(&mut self, milliseconds: u64) {
        self.time += milliseconds;
    }

    /// The prefix that the dialog asks for.
    fn prefix(&self) -> String {
        let screen = self.pty.screen();
        let after = screen.split_once("Type ").map_or("", |(_, after)| after);
        after.split_whitespace().next().unwrap_or_default().to_owned()
    }

    /// The recording as asciicast, version 2.
    fn cast(&self) -> String {
        let (columns, rows) = SIZE;
        let title = "keystile-tui: a key from its creation to its revocation; its store, and so its secrets, were \
                     thrown away after the recording";
        let mut text = format!(
            "{{\"version\": 2, \"width\": {columns}, \"height\": {rows}, \"title\": {}, \
             \"env\": {{\"TERM\": \"xterm-256color\"}}}}\n",
            json(title)
        );
        for (time, output) in &self.events {
            text.push_str(&format!("[{}.{:03}, \"o\", {}]\n", time / 1_000, time % 1_000, json(output)));
        }
        text
    }
}

/// How long a person takes for a key, in milliseconds.
const KEY: u64 = 140;
/// When nothing was written for so long, a frame is complete.
const QUIET: Duration = Duration::from_millis(60);

/// Whoever plays the recording keeps their clipboard.
fn without_clipboard(output: &str) -> String {
    let mut kept = String::new();
    let mut rest = output;
    while let Some((before, sequence)) = rest.split_once("\x1b]52;") {
        kept.push_str(before);
        rest = sequence.split_once('\x07').map_or("", |(_, after)| after);
    }
    kept + rest
}

fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Name, the first characters of the secret, owner, environment, scopes, days until it expires, minutes since it was last used.
type Sample =
    (&'static str, &'static str, &'static str, &'static str, &'static [&'static str], Option<u64>, Option<u64>);

const SAMPLES: &[Sample] = &[
    ("backup uploader", "k7Qd", "platform", "live", &["backups:write"], None, Some(9 * 60)),
    ("legacy importer", "b2Xn", "data", "live", &["imports:write"], None, None),
    ("search indexer", "Zr9e", "search", "live", &["documents:read"], Some(81), Some(1)),
    ("status page", "m4Tc", "support", "live", &["health:read"], Some(300), Some(1)),
    ("nightly export", "W0hs", "data", "test", &["exports:read", "exports:write"], Some(20), Some(14 * 60)),
    ("mobile app", "q8Lp", "apps", "live", &["profile:read", "profile:write"], Some(45), Some(1)),
    ("partner gateway", "Yd3v", "partners", "live", &["orders:read"], Some(6), Some(3)),
    ("ci", "f5Jk", "platform", "test", &["deploy:*"], Some(12), Some(31)),
    ("webhook relay", "Hn6a", "platform", "live", &["hooks:write"], Some(28), Some(60)),
    ("invoice renderer", "x1Bw", "billing", "live", &["invoices:read"], Some(58), Some(5)),
    ("billing worker", "R9ug", "billing", "live", &["invoices:read", "invoices:write"], Some(6), Some(2)),
];

/// A store with keys as a company has them, made and used in the last weeks.
fn fill(path: &Path) {
    let now = SystemClock.now().unix();
    let at = |seconds: u64| Timestamp::from_unix(seconds).unwrap();
    let clock = Arc::new(ManualClock::at(at(now - 90 * DAY)));
    Keystile::options().clock(Arc::clone(&clock)).actor("cli:ada").create(path, NewStore::default()).unwrap();
    let keystile = Keystile::options().clock(Arc::clone(&clock)).actor("cli:ada").on_demand(true).open(path).unwrap();
    let secret = |number: usize| format!("not-a-real-secret-{number}");
    let mut ids = Vec::new();
    for (number, (name, first, owner, environment, scopes, expires, _)) in SAMPLES.iter().enumerate() {
        clock.set(at(now - (60 - 5 * number as u64) * DAY));
        let imported = ImportedKey {
            digest: Digest::of(secret(number).as_bytes()),
            name: (*name).to_owned(),
            display: Some(format!("ks_{environment}_{first}…")),
            owner: Some((*owner).to_owned()),
            environment: Environment::new(*environment).unwrap(),
            scopes: scopes.iter().map(|scope| Scope::new(*scope).unwrap()).collect(),
            addresses: Vec::new(),
            rate: None,
            metadata: BTreeMap::new(),
            not_before: None,
            expires_at: expires.map(|days| at(now + days * DAY + 3_600)),
        };
        let import = Some(keystile.keys().import([imported]).unwrap().id);
        ids.push(keystile.keys().list(&KeyQuery { import, ..KeyQuery::default() }).unwrap().keys[0].id);
    }
    clock.set(at(now - 2 * DAY));
    keystile.keys().revoke(ids[1], RevokeReason::Superseded, Some("replaced by the stream")).unwrap();
    keystile.keys().suspend(ids[4]).unwrap();
    clock.set(at(now - 3_600));
    let rotation = Rotation { grace: Grace::from_now(DAY), ..Rotation::default() };
    keystile.keys().rotate(ids[8], rotation).unwrap();
    let mut used: Vec<(u64, usize)> =
        SAMPLES.iter().enumerate().filter_map(|(n, sample)| Some((sample.6?, n))).collect();
    used.sort_unstable_by(|a, b| b.cmp(a));
    for (minutes, number) in used {
        clock.set(at(now - minutes * 60));
        // The suspended key is denied.
        let _ = keystile.verify(secret(number), &keystile.request());
    }
}

#[test]
fn what_is_recorded_is_quoted_and_leaves_clipboards_alone() {
    assert_eq!(json("a\"\\\x1b[0m…"), "\"a\\\"\\\\\\u001b[0m…\"");
    assert_eq!(without_clipboard("a\x1b]52;c;Zg==\x07b\x1b]52;c;\x07"), "ab");
}
