//! Uses are not lost: a process that judges for days writes them by a timer, and before a signal ends it.

#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use keystile::{Key, KeyId, Keystile, NewKey, NewStore};
use keystile_tests::keystile;

/// After so long something is lost.
const LOST: Duration = Duration::from_secs(60);

/// A store with one key, which was never used.
struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    id: KeyId,
    secret: String,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        Keystile::create(&path, NewStore::default()).unwrap();
        let keystile = Keystile::options().on_demand(true).open(&path).unwrap();
        let created = keystile.keys().create(NewKey { name: "daily".into(), ..NewKey::default() }).unwrap();
        Place { _folder: folder, path, id: created.key.id, secret: created.secret.expose_secret().to_owned() }
    }

    fn key(&self) -> Key {
        Keystile::options().on_demand(true).read_only(true).open(&self.path).unwrap().keys().show(self.id).unwrap()
    }

    fn wait_for_uses(&self, uses: u64) {
        let started = Instant::now();
        while self.key().uses() != uses {
            assert!(started.elapsed() < LOST, "{:?}", self.key());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// `keystile verify -`, which waits for credentials.
struct Stream {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Stream {
    fn start(path: &Path) -> Stream {
        let mut command = keystile(path);
        command.args(["verify", "-"]);
        Stream::of(command)
    }

    fn of(mut command: Command) -> Stream {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Stream { child, stdin, stdout }
    }

    fn judge(&mut self, credential: &str) -> serde_json::Value {
        writeln!(self.stdin, "{credential}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

#[test]
fn a_signal_has_uses_written_before_it_ends_a_stream() {
    for (name, signal) in [("-TERM", 15), ("-INT", 2), ("-HUP", 1)] {
        let place = Place::new();
        let mut stream = Stream::start(&place.path);
        for _ in 0..3 {
            assert_eq!(stream.judge(&place.secret)["verdict"], "allow");
        }
        stream.send(name);
        let status = stream.child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal), "it ends as whoever sent the signal expects: {status}");
        let key = place.key();
        assert_eq!(key.uses(), 3, "{name}");
        assert!(key.last_used_at().is_some());
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_ends_no_stream() {
    let place = Place::new();
    let program = keystile(&place.path);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" verify -"]).arg(program.get_program());
    command.env("KEYSTILE_DB", &place.path);
    let mut stream = Stream::of(command);
    assert_eq!(stream.judge(&place.secret)["verdict"], "allow");
    stream.send("-HUP");
    assert_eq!(stream.judge(&place.secret)["verdict"], "allow");
    stream.send("-TERM");
    assert_eq!(stream.child.wait().unwrap().signal(), Some(15));
    assert_eq!(place.key().uses(), 2);
}

/// What the second signal is for: nobody waits a minute for a store that another process has locked.
#[test]
fn a_second_signal_ends_a_stream_that_cannot_write() {
    let place = Place::new();
    let mut stream = Stream::start(&place.path);
    assert_eq!(stream.judge(&place.secret)["verdict"], "allow");
    let other = rusqlite::Connection::open(&place.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    stream.send("-TERM");
    stream.send("-INT");
    let status = stream.child.wait().unwrap();
    assert!(status.signal().is_some(), "{status}");
    other.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn an_idle_stream_writes_uses_by_a_timer() {
    let place = Place::new();
    let mut stream = Stream::start(&place.path);
    assert_eq!(stream.judge(&place.secret)["verdict"], "allow");
    // Nothing comes any more, and the process goes on.
    place.wait_for_uses(1);
    assert!(stream.child.try_wait().unwrap().is_none());
    stream.child.kill().unwrap();
    stream.child.wait().unwrap();
    assert_eq!(place.key().uses(), 1);
}

#[test]
fn an_embedder_needs_nothing_for_uses_to_be_written() {
    for on_demand in [false, true] {
        let place = Place::new();
        let options = Keystile::options().on_demand(on_demand).flush_interval(Duration::from_millis(1));
        let embedder = options.open(&place.path).unwrap();
        assert!(embedder.verify(&place.secret, &embedder.request()).is_allow());
        place.wait_for_uses(1);
        // And what the timer has not written is written at the end.
        let options = Keystile::options().on_demand(on_demand).flush_interval(Duration::from_secs(3_600));
        let embedder = options.open(&place.path).unwrap();
        assert!(embedder.verify(&place.secret, &embedder.request()).is_allow());
        assert_eq!(place.key().uses(), 1);
        drop(embedder);
        assert_eq!(place.key().uses(), 2);
    }
}
