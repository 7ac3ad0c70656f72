//! The secret of an HMAC key is nowhere in the memory of a process that has closed its store: neither the bytes, nor
//! their base64 in a JWK, in a buffer on the way to the sandbox, or in the sandbox.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keystile::{Keystile, NewStore, NewToken, NewUser, OpenOptions, Settings, SigningAlgorithm, SigningKeyRotation};

/// Names the store in the process whose memory is looked through.
const STORE: &str = "KEYSTILE_TEST_MEMORY_STORE";
const TOKEN: &str = "KEYSTILE_TEST_MEMORY_TOKEN";

fn options(store: &Path) -> OpenOptions {
    Keystile::options().key_encryption_key_file(store.with_extension("kek"))
}

/// Opens the secret of the signing key of a store, as `sealing.rs` says it is sealed.
fn secret_of(store: &Path) -> Vec<u8> {
    let connection = rusqlite::Connection::open(store).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
    let (kid, sealed) = connection.query_row("SELECT kid, sealed_key FROM signing_keys", [], row).unwrap();
    let store_id: Vec<u8> = connection.query_row("SELECT store_id FROM position", [], |row| row.get(0)).unwrap();
    let mut place = [b"keystile sealed 1\0".as_slice(), &store_id].concat();
    for text in ["signing_keys", "sealed_key", &kid] {
        place.extend_from_slice(&(text.len() as u64).to_le_bytes());
        place.extend_from_slice(text.as_bytes());
    }
    let kek = STANDARD.decode(std::fs::read_to_string(store.with_extension("kek")).unwrap().trim_end()).unwrap();
    let (nonce, ciphertext) = sealed[1..].split_at(NONCE_LEN);
    let mut opened = ciphertext.to_vec();
    let key = RandomizedNonceKey::new(&AES_256_GCM, &kek).unwrap();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    key.open_in_place(nonce, Aad::from(place), &mut opened).unwrap().to_vec()
}

/// Where in the memory that a process can write to these bytes are.
fn places(process: u32, needle: &[u8]) -> std::io::Result<Vec<String>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let bound = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
        let (start, end) = range.split_once('-').map_or((0, 0), |(start, end)| (bound(start), bound(end)));
        if !rights.starts_with("rw") {
            continue;
        }
        let mut at = start;
        while at < end {
            // Overlapping, so that no place between two parts is left out.
            let len = (end - at).min(PART + needle.len() as u64);
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            if memory.read_exact_at(&mut bytes, at).is_ok() {
                let hits = bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle);
                found.extend(hits.map(|(index, _)| format!("{:x} in {line}", at + index as u64)));
            }
            at += PART;
        }
    }
    Ok(found)
}

/// Bytes of memory that are read at once.
const PART: u64 = 1 << 20;

/// A process that says where it stands, and waits to be told to go on.
struct Stage {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Stage {
    fn wait_for(&mut self, word: &str) {
        assert!(self.lines.any(|line| line.unwrap() == word), "{word} was never reached");
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }
}

#[test]
fn an_hmac_secret_is_in_no_memory_of_a_closed_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("keystile.db");
    let mut settings = Settings::default();
    settings.tokens.signing_algorithm = SigningAlgorithm::Hs256;
    options(&store).bootstrap(&store, NewStore { settings, ..NewStore::default() }).unwrap();
    let keystile = options(&store).open(&store).unwrap();
    keystile.users().create(NewUser::new("ada@example.com".parse().unwrap())).unwrap();
    let new = NewToken { user: "ada@example.com".to_owned(), scopes: Vec::new(), environment: None, ttl: None };
    let issued = keystile.tokens().issue(new).unwrap();
    drop(keystile);
    let secret = secret_of(&store);
    assert_eq!(secret.len(), 32);
    let encoded = URL_SAFE_NO_PAD.encode(&secret);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::the_process_that_is_looked_through", "--nocapture", "--test-threads=1"])
        .env(STORE, &store)
        .env(TOKEN, issued.token.expose_secret())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stage = Stage { child, lines };
    // Parts from the middle of both, so that one byte more or less beside them hides nothing.
    let needles = [&secret[6..26], &encoded.as_bytes()[8..34]];
    stage.wait_for("open");
    let open = needles.map(|needle| places(stage.child.id(), needle));
    if open.iter().any(Result::is_err) {
        println!("skipped: the memory of a child cannot be read here");
        assert!(std::env::var_os("CI").is_none(), "it can be read where CI runs");
    } else {
        assert!(open.iter().flatten().any(|found| !found.is_empty()), "while it is in use, it is found");
        stage.go_on();
        stage.wait_for("closed");
        for needle in needles {
            let found = places(stage.child.id(), needle).unwrap();
            assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
        }
    }
    stage.child.kill().unwrap();
    stage.child.wait().unwrap();
}

#[test]
fn the_process_that_is_looked_through() {
    let Some(store) = std::env::var_os(STORE).map(PathBuf::from) else { return };
    let token = std::env::var(TOKEN).unwrap();
    let tell = |word: &str| println!("\n{word}");
    let wait = || std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    for on_demand in [true, false] {
        let keystile = options(&store).on_demand(on_demand).open(&store).unwrap();
        let verdict = keystile.verify(&token, &keystile.request());
        assert!(verdict.is_allow(), "{verdict:?}");
        // What signs, and what seals a new one.
        let new = NewToken { user: "ada@example.com".to_owned(), scopes: Vec::new(), environment: None, ttl: None };
        keystile.tokens().issue(new).unwrap();
        keystile.signing_keys().list().unwrap();
        if on_demand {
            let _ = keystile.signing_keys().rotate(SigningKeyRotation::default());
        } else {
            tell("open");
            wait();
        }
        drop(keystile);
    }
    tell("closed");
    wait();
}
