//! Speed over a store of 100,000 keys: a key press until it is drawn, the store's answer to it, the start of
//! the real program until keys are on its screen, and a change of another process until it is there, too.
//!
//! `KEYSTILE_BENCH_KEYS` sets another number of keys.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crossterm::event::KeyCode;
use keystile::{Digest, Environment, ImportedKey, Keystile, NewKey, NewStore, Scope, bounds};
use keystile_tui::bench::Session;

#[cfg(target_os = "linux")]
#[allow(dead_code, unreachable_pub, reason = "the end-to-end tests use the rest of it")]
#[path = "../tests/pty/mod.rs"]
mod pty;

/// A frame of a screen that is drawn 60 times a second.
const PRESS: Duration = Duration::from_millis(16);
const START: Duration = Duration::from_millis(200);
const SAMPLES: usize = 500;
/// How long one kind of key is pressed.
const LONGEST: Duration = Duration::from_secs(5);
/// What another process has changed is seen by then.
const FOLLOWED: Duration = Duration::from_millis(100);
const STARTS: usize = 20;
const CHANGES: usize = 30;
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

fn main() {
    let count: usize = std::env::var("KEYSTILE_BENCH_KEYS").map_or(100_000, |keys| keys.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    fill(&path, count);
    println!("{count} keys, at most {SAMPLES} presses each\n");
    println!("{:<46} {:>9} {:>9} {:>9} {:>8}", "milliseconds", "median", "99 %", "longest", "aim");
    for size in SIZES {
        presses(&path, size);
    }
    #[cfg(target_os = "linux")]
    {
        start(&path);
        follow(&path);
    }
}

/// Fills a store with keys that were imported, as digests are made faster than secrets.
fn fill(path: &Path, count: usize) {
    Keystile::create(path, NewStore::default()).unwrap();
    let keystile = Keystile::options().on_demand(true).open(path).unwrap();
    let live = Environment::new("live").unwrap();
    let scopes: Vec<_> = ["invoices:read", "invoices:write"].map(|name| Scope::new(name).unwrap()).into();
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(bounds::MAX_IMPORT) {
        let import = |number: &usize| ImportedKey {
            digest: Digest::of(number.to_string().as_bytes()),
            name: format!("worker {number}"),
            display: Some(format!("acme_live_{number:06}…")),
            owner: Some(format!("owner-{}", number % 1_000)),
            environment: live.clone(),
            scopes: scopes.clone(),
            addresses: Vec::new(),
            rate: None,
            metadata: BTreeMap::new(),
            not_before: None,
            expires_at: None,
        };
        keystile.keys().import(numbers.iter().map(import)).unwrap();
    }
}

/// Each kind of key press, and the store's answer to it where it asks for one.
fn presses(path: &Path, size: (u16, u16)) {
    let kinds: [(&str, &[KeyCode]); 6] = [
        ("down", &[KeyCode::Down]),
        ("page down", &[KeyCode::PageDown]),
        ("last and first of all", &[KeyCode::End, KeyCode::Home]),
        ("a character of the filter, and its deletion", &[KeyCode::Char('7'), KeyCode::Backspace]),
        ("the order, turned around", &[KeyCode::Char('O')]),
        ("the help, opened and closed", &[KeyCode::Char('?'), KeyCode::Esc]),
    ];
    for (name, keys) in kinds {
        let mut session = Session::open(path, size).unwrap();
        assert!(session.shows("worker"), "keys are on the screen");
        if name.contains("filter") {
            for key in "/worker 1".chars() {
                session.press(KeyCode::Char(key));
                session.answer();
            }
        }
        let (mut pressed, mut answered) = (Vec::new(), Vec::new());
        let began = Instant::now();
        for key in keys.iter().cycle().take(SAMPLES) {
            // A store that answers slowly is asked less often.
            if began.elapsed() > LONGEST {
                break;
            }
            let started = Instant::now();
            session.press(*key);
            pressed.push(started.elapsed());
            let started = Instant::now();
            if session.answer() {
                answered.push(started.elapsed());
            }
        }
        let name = format!("{}×{}: {name}", size.0, size.1);
        row(&name, &mut pressed, Some(PRESS));
        row("   the store's answer, and its frame", &mut answered, None);
    }
}

/// From the start of the program to the first frame that shows keys.
#[cfg(target_os = "linux")]
fn start(path: &Path) {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let program = env!("CARGO_BIN_EXE_keystile-tui");
        let mut pty = pty::Pty::start(program, &["--read-only", "--db", path.to_str().unwrap()], (80, 24));
        while !pty.screen().contains("worker") {
            assert!(started.elapsed() < Duration::from_secs(60), "it shows no keys:\n{}", pty.screen());
            std::thread::sleep(Duration::from_millis(1));
        }
        times.push(started.elapsed());
        pty.send("q");
        assert!(pty.wait().success());
    }
    row("start of the program to the first keys", &mut times, Some(START));
}

/// From the acknowledged change of another process to the frame that shows it.
#[cfg(target_os = "linux")]
fn follow(path: &Path) {
    let keystile = Keystile::options().on_demand(true).open(path).unwrap();
    let program = env!("CARGO_BIN_EXE_keystile-tui");
    let mut pty = pty::Pty::start(program, &["--read-only", "--db", path.to_str().unwrap()], (80, 24));
    pty.wait_for("worker");
    let mut times = Vec::new();
    for number in 0..CHANGES {
        let name = format!("elsewhere {number}.");
        keystile.keys().create(NewKey { name: name.clone(), ..NewKey::default() }).unwrap();
        let changed = Instant::now();
        while !pty.screen().contains(&name) {
            assert!(changed.elapsed() < Duration::from_secs(60), "it shows no change:\n{}", pty.screen());
            std::thread::sleep(Duration::from_millis(1));
        }
        times.push(changed.elapsed());
    }
    pty.send("q");
    assert!(pty.wait().success());
    row("a change of another process, to its frame", &mut times, Some(FOLLOWED));
}

fn row(name: &str, times: &mut [Duration], aim: Option<Duration>) {
    times.sort_unstable();
    let Some(longest) = times.last() else { return };
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let show = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
    let aim = aim.map_or(String::new(), |aim| format!("≤ {}", aim.as_millis()));
    println!("{name:<46} {:>9} {:>9} {:>9} {aim:>8}", show(at(50)), show(at(99)), show(*longest));
}
