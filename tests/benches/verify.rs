//! Speed, as ratios: whatever is measured stands beside the bare native SHA-256 of the same 44 bytes,
//! in the same run. Absolute times depend on the machine; the table at the end does not, much.
//!
//! `KEYSTILE_BENCH_KEYS` sets the size of the largest store; 1,000,000 when nothing is said.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use keystile::{
    Digest, Environment, ImportedKey, KeyFormat, Keystile, ManualClock, NewKey, NewStore, Scope, Timestamp, bounds,
};
use sha2::{Digest as _, Sha256};

use report::Report;

mod report;

const NATIVE: &str = "native SHA-256 of 44 bytes";
/// Set in the process that only opens this store.
const OPEN: &str = "KEYSTILE_BENCH_OPEN";
const NOW: u64 = 1_800_000_000;

fn main() {
    let largest: usize = std::env::var("KEYSTILE_BENCH_KEYS").map_or(1_000_000, |keys| keys.parse().unwrap());
    if let Some(path) = std::env::var_os(OPEN) {
        return bench_open(Path::new(&path), largest);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut criterion = Criterion::default().configure_from_args().without_plots();
    let mut report = Report::default();

    let secret = secret(0);
    assert_eq!(secret.len(), 44);
    report.time(&mut criterion, NATIVE, || black_box(Sha256::digest(black_box(secret.as_bytes()))));
    for keys in [1_000, 100_000, largest] {
        bench_store(&mut criterion, &mut report, folder.path(), keys);
    }
    report.print(NATIVE);
    let growth = report.ratio(&format!("verify, {largest} keys"), "verify, 1000 keys");
    println!("growth from 1,000 to {largest} keys: {growth:.2}×");
    bench_process(folder.path());
}

/// A verdict on a known key through the sandbox, one thread; another key each time.
fn bench_store(criterion: &mut Criterion, report: &mut Report, folder: &Path, keys: usize) {
    let path = folder.join(format!("{keys}.db"));
    let started = Instant::now();
    fill(&path, keys);
    println!("{keys} keys imported in {:.1} s", started.elapsed().as_secs_f64());

    // In a process of its own, whose memory holds nothing else.
    let this = std::env::current_exe().unwrap();
    let status = Command::new(this).env(OPEN, &path).env("KEYSTILE_BENCH_KEYS", keys.to_string()).status();
    assert!(status.unwrap().success());

    let keystile = open(&path);
    let request = keystile.request();

    // In an order without a pattern, as callers come. 100,000 of them are more than the caches hold.
    let secrets: Vec<String> = (0..keys.min(100_000)).map(|number| secret(scatter(number, keys))).collect();
    let mut next = secrets.iter().cycle();
    report.time(criterion, &format!("verify, {keys} keys"), || {
        let verdict = keystile.verify(next.next().unwrap(), &request);
        assert!(verdict.is_allow());
        verdict
    });
    let mut next = secrets.chunks_exact(100).cycle();
    report.time(criterion, &format!("verify_batch of 100, {keys} keys"), || {
        keystile.verify_batch(next.next().unwrap(), &request)
    });
    assert_eq!(keystile.sandbox_counters().failures(), 0);
}

/// From the start of opening to the first verdict, and the memory that it takes.
fn bench_open(path: &Path, keys: usize) {
    let last = secret(keys - 1);
    let before = resident_bytes();
    let started = Instant::now();
    let keystile = open(path);
    assert!(keystile.verify(last, &keystile.request()).is_allow());
    let opened = started.elapsed();
    let grown = resident_bytes().saturating_sub(before);
    assert_eq!(keystile.secrets_in_memory(), keys as u64);
    println!(
        "{keys} keys: first verdict {:.3} s after the start of opening, {:.0} bytes of memory a key",
        opened.as_secs_f64(),
        grown as f64 / keys as f64
    );
}

/// The whole process of `keystile verify` on a small store.
fn bench_process(folder: &Path) {
    let path = folder.join("process.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let keystile = Keystile::options().on_demand(true).open(&path).unwrap();
    let created = keystile.keys().create(NewKey { name: "process".into(), ..NewKey::default() }).unwrap();
    // It may have to be built.
    keystile_tests::keystile_bin();
    let mut times: Vec<Duration> = (0..31).map(|_| verify_process(&path, created.secret.expose_secret())).collect();
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "`keystile verify`, whole process: median {:.1} ms, fastest {:.1}, slowest {:.1}",
        millis(times[times.len() / 2]),
        millis(times[0]),
        millis(times[times.len() - 1])
    );
}

fn verify_process(store: &Path, secret: &str) -> Duration {
    let started = Instant::now();
    let mut child = Command::new(keystile_tests::keystile_bin())
        .args(["verify", "-"])
        .env("KEYSTILE_DB", store)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{secret}").unwrap();
    assert!(child.wait().unwrap().success());
    started.elapsed()
}

/// The secret of this number, in the default format.
fn secret(number: usize) -> String {
    let format = KeyFormat::with_defaults("ks").unwrap();
    format.assemble(&Environment::new("live").unwrap(), &format!("{number:030}")).unwrap()
}

/// Numbers below `keys`, each once, in an order without a pattern.
fn scatter(number: usize, keys: usize) -> usize {
    (number * 7_368_787) % keys
}

fn fill(path: &Path, keys: usize) {
    Keystile::options().clock(clock()).create(path, NewStore::default()).unwrap();
    let keystile = Keystile::options().clock(clock()).on_demand(true).open(path).unwrap();
    let live = Environment::new("live").unwrap();
    let scopes: Vec<_> = ["invoices:read", "invoices:write"].map(|name| Scope::new(name).unwrap()).into();
    let numbers: Vec<usize> = (0..keys).collect();
    for numbers in numbers.chunks(100_000.min(bounds::MAX_IMPORT)) {
        let import = |number: &usize| ImportedKey {
            digest: Digest::of(secret(*number).as_bytes()),
            name: format!("key {number}"),
            display: None,
            owner: Some(format!("owner-{}", number % 1_000)),
            environment: live.clone(),
            scopes: scopes.clone(),
            addresses: Vec::new(),
            rate: None,
            metadata: BTreeMap::new(),
            not_before: None,
            expires_at: Some(Timestamp::from_unix(NOW + 90 * 86_400).unwrap()),
        };
        keystile.keys().import(numbers.iter().map(import)).unwrap();
    }
}

fn open(path: &Path) -> Keystile {
    Keystile::options().clock(clock()).open(path).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix(NOW).unwrap())
}

/// Resident memory of this process in bytes; 0 where the system does not say.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok());
    kibibytes.map_or(0, |number: usize| number * 1024)
}
