//! A secret is nowhere once its dialog is closed: neither on the screen nor in the memory of the program.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile::{Keystile, NewStore};

use crate::end_to_end::{open, secret_on, start};
use crate::pty::Pty;

/// Where in the memory that a process can write to a text is, also with other bytes between its characters,
/// as in the cells of a frame.
fn places(pty: &Pty, text: &str) -> io::Result<Vec<String>> {
    let id = pty.id().as_raw_nonzero();
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps"))?;
    let memory = File::open(format!("/proc/{id}/mem"))?;
    let text = text.as_bytes();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let bound = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
        let (start, end) = range.split_once('-').map_or((0, 0), |(start, end)| (bound(start), bound(end)));
        if !rights.starts_with("rw") {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or_default()];
        // What is mapped and cannot be read is a device, or gone.
        if let Err(error) = memory.read_exact_at(&mut bytes, start) {
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Err(error);
            }
            continue;
        }
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == text[0]) {
            for stride in 1..=STRIDE {
                if text.iter().enumerate().all(|(index, byte)| bytes.get(at + index * stride) == Some(byte)) {
                    found.push(format!("{:x} by {stride} in {line}", start + at as u64));
                }
            }
        }
    }
    Ok(found)
}

/// Larger than a cell of a frame.
const STRIDE: usize = 96;

#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn drive(leave: impl Fn(&mut Pty)) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &[], (80, 24));
    pty.wait_for("There are no keys yet");
    pty.send("n");
    pty.wait_for("New key");
    pty.send("ci\x1b[Z\x1b[Z\x1b[Z\r");
    pty.wait_for("(hidden)");
    pty.send("s");
    pty.wait_for("y stored it");
    let secret = secret_on(&pty);
    assert!(open(&db).verify(&secret, &open(&db).request()).is_allow());
    pty.send("c");
    let encoded = STANDARD.encode(&secret);
    pty.wait_until("the clipboard", |pty| pty.raw().windows(encoded.len()).any(|bytes| bytes == encoded.as_bytes()));
    // Not its first characters: those are shown in lists, and kept.
    let (clear, copied) = (&secret[secret.len() - 20..], &encoded[encoded.len() - 24..encoded.len() - 4]);
    match places(&pty, clear) {
        Ok(found) => assert!(!found.is_empty(), "what is on the screen is in memory, so that looking for it works"),
        Err(error) => {
            eprintln!("skipped: the memory of a child cannot be read here ({error})");
            assert!(std::env::var_os("CI").is_none(), "it can be read where CI runs");
            return;
        }
    }
    leave(&mut pty);
    for shown in [pty.screen(), pty.alternate_screen()] {
        assert!(!shown.contains(&clear[..8]), "{shown}");
    }
    // The frame before is wiped right after the new one was written, which may be seen here first.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    for text in [clear, copied] {
        loop {
            let found = places(&pty, text).unwrap();
            if found.is_empty() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{} places:\n{}", found.len(), found.join("\n"));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    pty.send("q");
    assert!(pty.wait().success());
    assert!(!pty.alternate_screen().contains(&clear[..8]));
}

#[test]
fn a_closed_secret_is_in_no_memory_of_the_program() {
    drive(|pty| {
        pty.send("y");
        pty.wait_for("● active");
        pty.wait_until("an end of the dialog", |pty| !pty.screen().contains("y stored it"));
    });
}

#[test]
fn a_secret_that_was_seen_at_many_sizes_is_in_no_memory_of_the_program() {
    drive(|pty| {
        for size in [(120, 40), (40, 10), (200, 60), (80, 24), (30, 8), (100, 30)] {
            pty.resize(size);
            pty.wait_for(if size.0 < 40 { "a secret waits" } else { "y stored it" });
        }
        pty.send("y");
        pty.wait_until("an end of the dialog", |pty| !pty.screen().contains("y stored it"));
    });
}

#[test]
fn the_program_writes_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("keystile.db");
    Keystile::create(&db, NewStore::default()).unwrap();
    let mut pty = start(&db, &[], (80, 24));
    pty.wait_for("There are no keys yet");
    let id = pty.id().as_raw_nonzero();
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // What it would be dumped by, and read by others of its user, belongs to the superuser then.
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{id}/environ")).unwrap());
    assert_eq!(owner, 0);
    pty.send("q");
    assert!(pty.wait().success());
}
