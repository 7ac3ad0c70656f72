//! What an import of many keys costs everybody else, in processes of their own: how long a revoke waits for its
//! turn, how soon it is denied in a process that verifies, and how much memory the import takes. Then what it
//! costs to check the store that is so large now: time and memory of `audit verify` and `doctor`.
//!
//! `KEYSTILE_BENCH_KEYS` sets how many keys are imported; 1,000,000 when nothing is said.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use keystile::{Code, CreatedKey, KeyId, Keystile, NewKey, NewStore, RevokeReason};
use keystile_tests::keystile;
use sha2::{Digest as _, Sha256};

/// Set in the process that only revokes.
const REVOKE: &str = "KEYSTILE_BENCH_REVOKE";
/// So many keys there are to revoke, one after the other, while the import runs.
const TO_REVOKE: usize = 2_000;
/// Between one revoke and the next.
const PAUSE: Duration = Duration::from_millis(200);
/// What a revoke may take: to get its turn, and to be denied elsewhere.
const AIM: Duration = Duration::from_millis(250);

fn main() {
    if let Some(path) = std::env::var_os(REVOKE) {
        return revoke_what_is_asked(Path::new(&path));
    }
    let keys: usize = std::env::var("KEYSTILE_BENCH_KEYS").map_or(1_000_000, |keys| keys.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let lines = folder.path().join("keys.jsonl");
    write_import(&lines, keys);

    let here = Keystile::open(&path).unwrap();
    let victims = create_victims(&here);
    let mut revoker = Revoker::start(&path);
    let mut import = Measured::start(keystile(&path).args(["keys", "import"]).arg(&lines));
    let started = Instant::now();
    let (mut turns, mut denials) = (Vec::new(), Vec::new());
    let last = secret(keys - 1);
    let mut ended = None;
    let mut victims = victims.iter();
    loop {
        std::thread::sleep(PAUSE);
        if ended.is_none() && import.has_ended() {
            ended = Some(started.elapsed());
        }
        // The keys of the import follow in steps after it has ended: revokes must not wait for those either.
        if here.verify(&last, &here.request()).is_allow() {
            break;
        }
        let victim = victims.next().expect("the import ends before all keys are revoked");
        assert!(here.verify(victim.secret.expose_secret(), &here.request()).is_allow());
        let (acknowledged, turn) = revoker.revoke(victim.key.id);
        while here.verify(victim.secret.expose_secret(), &here.request()).is_allow() {
            std::thread::sleep(Duration::from_millis(1));
        }
        denials.push(acknowledged.elapsed());
        turns.push(turn);
        let code = here.verify(victim.secret.expose_secret(), &here.request()).code();
        assert!(matches!(code, Some(Code::Revoked | Code::Unavailable)), "{code:?}");
    }
    println!("an import of {keys} keys, in another process");
    println!("until the command has ended        {:>9.1} s", ended.unwrap_or_default().as_secs_f64());
    println!("until its last key is allowed here {:>9.1} s", started.elapsed().as_secs_f64());
    println!("memory of the import, at most      {:>9.0} MB", import.peak as f64 / 1e6);
    tell("a revoke in a third process gets its turn", turns);
    tell("from its answer to the first deny here", denials);

    drop((here, revoker));
    let size = std::fs::metadata(&path).unwrap().len();
    println!("\nthe store that holds them: {:.0} MB", size as f64 / 1e6);
    for command in [["audit", "verify"].as_slice(), &["doctor"], &["keys", "list"]] {
        let (took, peak) = Measured::start(keystile(&path).args(command)).wait_for_end();
        let (seconds, megabytes) = (took.as_secs_f64(), peak as f64 / 1e6);
        println!("{:<24} {seconds:>9.1} s {megabytes:>9.0} MB", command.join(" "));
    }
}

/// Prints the median, the longest, and how many are within the aim.
fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let within = times.iter().filter(|time| **time <= AIM).count();
    let milliseconds = |at: usize| times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    println!(
        "{what}: median {:.1} ms, longest {:.1} ms, {within} of {} within {} ms",
        milliseconds(times.len() / 2),
        milliseconds(times.len().saturating_sub(1)),
        times.len(),
        AIM.as_millis(),
    );
}

fn create_victims(here: &Keystile) -> Vec<CreatedKey> {
    let new = |number| NewKey { name: format!("victim {number}"), ..NewKey::default() };
    (0..TO_REVOKE).map(|number| here.keys().create(new(number)).unwrap()).collect()
}

/// The secret of an imported key.
fn secret(number: usize) -> String {
    format!("imported-secret-{number:08}")
}

fn write_import(path: &Path, keys: usize) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    for number in 0..keys {
        let digest: String = Sha256::digest(secret(number)).iter().map(|byte| format!("{byte:02x}")).collect();
        let fields = BTreeMap::from([
            ("digest", digest),
            ("name", format!("import {number}")),
            ("owner", format!("team-{}", number % 1_000)),
        ]);
        serde_json::to_writer(&mut file, &fields).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}

/// A command, as it runs.
struct Measured {
    process: Child,
    started: Instant,
    /// The most memory that it has been seen to hold, in bytes.
    peak: u64,
}

impl Measured {
    fn start(command: &mut Command) -> Measured {
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        Measured { process, started: Instant::now(), peak: 0 }
    }

    fn has_ended(&mut self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        self.peak = self.peak.max(kilobytes.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 1_024);
        let Some(status) = self.process.try_wait().unwrap() else { return false };
        assert!(status.success(), "the command has failed");
        true
    }

    /// How long it has taken, and the most memory that it has held.
    fn wait_for_end(mut self) -> (Duration, u64) {
        while !self.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
        (self.started.elapsed(), self.peak)
    }
}

/// A process that has the store open, and revokes.
struct Revoker {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Revoker {
    fn start(store: &Path) -> Revoker {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process =
            command.env(REVOKE, store).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this runs again");
        let asks = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Revoker { process, asks, answers }
    }

    /// When the revoke was acknowledged, and how long it took.
    fn revoke(&mut self, key: KeyId) -> (Instant, Duration) {
        writeln!(self.asks, "{key}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        (Instant::now(), Duration::from_micros(line.trim().parse().expect("the revoke succeeds")))
    }
}

impl Drop for Revoker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Revokes the keys whose ids come on standard input, and says how many microseconds each has taken.
fn revoke_what_is_asked(path: &Path) {
    let keystile = Keystile::open(path).unwrap();
    for line in std::io::stdin().lines() {
        let id = line.unwrap().parse().unwrap();
        let started = Instant::now();
        keystile.keys().revoke(id, RevokeReason::KeyCompromise, None).unwrap();
        println!("{}", started.elapsed().as_micros());
    }
}
