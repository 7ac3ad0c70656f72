//! The files of a store under a running process: removed, exchanged, linked, mounted, overwritten. Whatever happens
//! to them, no process goes on allowing what another one has acknowledged as revoked.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use keystile::{Keystile, NewStore, RevokeReason};
use keystile_tests::{keystile, keystile_bin};

const CHILD: &str = "KEYSTILE_FILES_CHILD";

/// A process that holds the store in memory and follows it, as a service does.
pub(crate) struct Service {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    pub(crate) fn start(path: &Path) -> Service {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::the_process_that_serves", "--nocapture", "--test-threads=1"])
            .env(CHILD, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut service = Service { child, stdin, lines };
        assert_eq!(service.answer(), "open");
        service
    }

    /// The answer to a line: the code of a verdict, or of an error.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        // The harness of the child writes lines of its own.
        let line = self.lines.find_map(|line| line.unwrap().strip_prefix("answer ").map(str::to_owned));
        line.expect("the service answers")
    }

    pub(crate) fn verify(&mut self, secret: &str) -> String {
        self.ask(&format!("verify {secret}"))
    }

    pub(crate) fn wait_for(&mut self, secret: &str, verdict: &str) {
        let started = Instant::now();
        loop {
            let found = self.verify(secret);
            if found == verdict {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "still {found}, not {verdict}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// What the child does. As a test of its own it does nothing.
#[test]
fn the_process_that_serves() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let keystile = Keystile::open(path).unwrap();
    let mut out = std::io::stdout();
    // The test harness has begun a line with the name of this test.
    writeln!(out, "\nanswer open").unwrap();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let answer = match line.split_once(' ').unwrap() {
            ("verify", secret) => {
                let verdict = keystile.preview(secret, &keystile.request());
                verdict.code().map_or("allow".to_owned(), |code| code.as_str().to_owned())
            }
            ("use", secret) => {
                let verdict = keystile.verify(secret, &keystile.request());
                verdict.code().map_or("allow".to_owned(), |code| code.as_str().to_owned())
            }
            ("revoke", id) => {
                let revoked = keystile.keys().revoke(id.parse().unwrap(), RevokeReason::KeyCompromise, None);
                revoked.map_or_else(|error| error.to_string(), |_| "revoked".to_owned())
            }
            _ => panic!("{line}"),
        };
        writeln!(out, "answer {answer}").unwrap();
    }
}

pub(crate) struct Store {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Store {
    fn new() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        Keystile::create(&path, NewStore::default()).unwrap();
        Store { folder, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        keystile(&self.path).args(arguments).output().unwrap()
    }

    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A key made by a process of its own: its id and secret.
    pub(crate) fn key(&self, name: &str) -> (String, String) {
        let made = self.done(&["--json", "keys", "create", "--name", name]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        (made["key"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }

    /// The verdict of a process of its own.
    pub(crate) fn verdict(&self, secret: &str) -> String {
        let output = self.run(&["--json", "verify", secret]);
        let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        verdict["code"].as_str().unwrap_or("allow").to_owned()
    }

    pub(crate) fn refuses(&self, arguments: &[&str], code: &str) -> String {
        let output = self.run(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(4), "{}", told(&output));
        assert!(told(&output).contains(&format!("\"{code}\"")), "{}", told(&output));
        told(&output)
    }
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn removed_files_beside_the_store_undo_no_revoke() {
    for removed in [&["store.db-shm"][..], &["store.db-wal"], &["store.db-shm", "store.db-wal"]] {
        let store = Store::new();
        let mut service = Service::start(&store.path);
        let ((old, old_secret), (id, secret)) = (store.key("revoked before"), store.key("k"));
        service.wait_for(&secret, "allow");
        store.done(&["keys", "revoke", &old]);
        service.wait_for(&old_secret, "revoked");

        removed.iter().for_each(|name| std::fs::remove_file(store.file(name)).unwrap());
        let before = std::fs::read(&store.path).unwrap();
        // Nobody else gets in, so nobody acknowledges anything that the service does not know.
        let why = store.refuses(&["keys", "revoke", &id], "in_use");
        assert!(
            why.contains(&format!("process {}", service.child.id())) && removed.iter().any(|name| why.contains(name)),
            "{why}"
        );
        store.refuses(&["verify", &secret], "in_use");
        store.refuses(&["doctor"], "in_use");
        // It denies everything, for good, and writes nothing.
        service.wait_for(&secret, "unavailable");
        let why = service.ask(&format!("revoke {id}"));
        assert!(why.contains(removed[0]) || why.contains("store.db-wal"), "{why}");
        removed.iter().for_each(|name| std::fs::write(store.file(name), "").unwrap());
        assert_eq!(service.verify(&secret), "unavailable", "other files of the same names are no better");
        let code = if removed.contains(&"store.db-shm") { "in_use" } else { "journal_lost" };
        store.refuses(&["keys", "revoke", &id], code);
        removed.iter().for_each(|name| std::fs::remove_file(store.file(name)).unwrap());
        service.end();
        assert_eq!(std::fs::read(&store.path).unwrap(), before, "nothing was written, not even on closing");

        if removed == ["store.db-shm"] {
            // The log is there, with everything that was acknowledged.
            assert_eq!(store.verdict(&old_secret), "revoked");
        }
        if store.run(&["keys", "show", &id]).status.success() {
            store.done(&["keys", "revoke", &id]);
            assert_eq!(store.verdict(&secret), "revoked");
        }
    }
}

/// Another program, which asks nobody, makes new files beside those that the service has open.
#[test]
fn new_files_beside_the_old_ones_belong_to_those_who_come_later() {
    let store = Store::new();
    let (id, secret) = store.key("k");
    let mut service = Service::start(&store.path);
    service.wait_for(&secret, "allow");
    for name in ["store.db-shm", "store.db-wal"] {
        std::fs::remove_file(store.file(name)).unwrap();
    }
    let stranger = rusqlite::Connection::open(&store.path).unwrap();
    let _: i64 = stranger.query_row("SELECT count(*) FROM keys", [], |row| row.get(0)).unwrap();
    store.done(&["keys", "revoke", &id]);
    service.wait_for(&secret, "unavailable");
    service.end();
    assert_eq!(store.verdict(&secret), "revoked");
    drop(stranger);
    assert_eq!(store.verdict(&secret), "revoked");
}

#[test]
fn a_file_that_was_emptied_in_place_is_noticed() {
    for name in ["store.db-wal", "store.db-shm"] {
        let store = Store::new();
        let mut service = Service::start(&store.path);
        let (id, secret) = store.key("k");
        service.wait_for(&secret, "allow");
        std::fs::File::options().write(true).open(store.file(name)).unwrap().set_len(0).unwrap();
        service.wait_for(&secret, "unavailable");
        assert!(service.ask(&format!("revoke {id}")).contains(name));
        if name == "store.db-wal" {
            store.refuses(&["keys", "revoke", &id], "journal_lost");
            service.end();
        } else {
            // Whoever comes later makes the shared memory anew, from the log.
            store.done(&["keys", "revoke", &id]);
            assert_eq!(service.verify(&secret), "unavailable");
            service.end();
            assert_eq!(store.verdict(&secret), "revoked");
        }
    }
}

#[test]
fn a_store_that_is_moved_away_is_noticed() {
    type Move = fn(&Store);
    let moves: [(&str, Move); 4] = [
        ("renamed", |store| std::fs::rename(&store.path, store.file("old.db")).unwrap()),
        ("removed", |store| std::fs::remove_file(&store.path).unwrap()),
        ("replaced", |store| {
            Keystile::create(store.file("new.db"), NewStore::default()).unwrap();
            std::fs::rename(store.file("new.db"), &store.path).unwrap();
        }),
        ("folder", |store| {
            let parked = store.folder.path().with_extension("parked");
            std::fs::rename(store.folder.path(), &parked).unwrap();
        }),
    ];
    for (what, change) in moves {
        let store = Store::new();
        let (id, secret) = store.key("k");
        let mut service = Service::start(&store.path);
        service.wait_for(&secret, "allow");
        change(&store);
        service.wait_for(&secret, "unavailable");
        let why = service.ask(&format!("revoke {id}"));
        assert!(why.contains("store.db was moved, deleted or replaced"), "{what}: {why}");
        service.end();
        let _ = std::fs::remove_dir_all(store.folder.path().with_extension("parked"));
    }
}

/// A newer Keystile brings the store to a schema of its own while others have it open.
#[test]
fn a_store_that_was_migrated_is_neither_read_nor_written() {
    let store = Store::new();
    let (id, secret) = store.key("k");
    let mut service = Service::start(&store.path);
    service.wait_for(&secret, "allow");
    let mut stream = keystile(&store.path);
    let mut stream = stream.args(["verify", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(stream.stdout.take().unwrap()).lines();
    let mut verdict = || {
        writeln!(stream.stdin.as_ref().unwrap(), "{secret}").unwrap();
        lines.next().unwrap().unwrap()
    };
    assert!(verdict().contains("allow"));

    let other = rusqlite::Connection::open(&store.path).unwrap();
    let schema: i64 = other.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    other.pragma_update(None, "user_version", schema + 1).unwrap();
    service.wait_for(&secret, "unavailable");
    assert!(verdict().contains("unavailable"), "this one asks the store itself");
    let why = service.ask(&format!("revoke {id}"));
    assert!(why.contains("was migrated by a newer Keystile while it was open"), "{why}");
    assert!(why.contains("start this process again with that version or a newer one"), "{why}");
    store.refuses(&["keys", "revoke", &id], "newer_store");

    other.pragma_update(None, "user_version", schema).unwrap();
    assert_eq!(service.verify(&secret), "unavailable", "nobody knows what was changed meanwhile");
    drop(stream.stdin.take());
    stream.wait().unwrap();
    service.end();
    assert_eq!(store.verdict(&secret), "allow", "the revoke that was refused was not applied");
}

#[test]
fn a_store_with_two_names_is_refused() {
    let store = Store::new();
    let (id, secret) = store.key("k");
    std::fs::hard_link(&store.path, store.file("other.db")).unwrap();
    for path in [&store.path, &store.file("other.db")] {
        let output = keystile(path).args(["--json", "keys", "revoke", &id]).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(told(&output).contains("\"many_names\"") && told(&output).contains("hard links"), "{}", told(&output));
    }
    std::fs::remove_file(store.file("other.db")).unwrap();
    store.done(&["keys", "revoke", &id]);
    assert_eq!(store.verdict(&secret), "revoked");
}

/// As a container has it that was given the file instead of its folder.
#[test]
fn a_store_that_is_a_mount_point_is_refused() {
    let store = Store::new();
    let (id, _) = store.key("k");
    let mounted = store.file("mounted");
    std::fs::create_dir(&mounted).unwrap();
    let file = mounted.join("store.db");
    std::fs::write(&file, "").unwrap();
    let script = r#"mount --bind "$1" "$2" || exit 99; shift 2; exec "$@""#;
    let in_mount = |from: &Path, to: &Path, db: &Path, arguments: &[&str]| {
        Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .args([from, to, keystile_bin()])
            .args(arguments)
            .env("KEYSTILE_DB", db)
            .output()
            .unwrap()
    };
    let output = in_mount(&store.path, &file, &file, &["--json", "keys", "revoke", &id]);
    if output.status.code() == Some(99) || told(&output).contains("unshare") {
        println!("SKIPPED: this user may not mount anything: {}", told(&output));
        return;
    }
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(
        told(&output).contains("\"mount_point\"") && told(&output).contains("mount the folder"),
        "{}",
        told(&output)
    );
    // The folder, mounted, is the same store.
    std::fs::remove_file(&file).unwrap();
    let output = in_mount(store.folder.path(), &mounted, &file, &["keys", "revoke", &id]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(store.done(&["keys", "show", &id]).contains("revoked"));
}

/// Whoever holds the store is in another container: the system gives no process id.
#[test]
fn who_is_not_visible_from_here_is_said_to_be_so() {
    let store = Store::new();
    let service = Service::start(&store.path);
    std::fs::remove_file(store.file("store.db-shm")).unwrap();
    let output = Command::new("unshare")
        .args(["--pid", "--fork"])
        .arg(keystile_bin())
        .args(["--json", "keys", "list"])
        .env("KEYSTILE_DB", &store.path)
        .output()
        .unwrap();
    if told(&output).contains("unshare") {
        println!("SKIPPED: this user may not make a process namespace: {}", told(&output));
    } else {
        assert!(told(&output).contains("not visible from here"), "{}", told(&output));
    }
    service.end();
}

/// `cp` keeps the file, and with it all locks and the log.
#[test]
fn a_file_that_is_copied_over_the_store_is_noticed() {
    type Source = fn(&Store, &mut Service) -> PathBuf;
    let sources: [(&str, Source); 4] = [
        ("another store", |store, _| {
            let path = store.file("another.db");
            Keystile::create(&path, NewStore::default()).unwrap();
            path
        }),
        ("a backup", |store, _| {
            let path = store.file("backup.db");
            store.done(&["backup", path.to_str().unwrap()]);
            path
        }),
        ("an older copy", |store, service| {
            let path = store.file("copy.db");
            std::fs::copy(&store.path, &path).unwrap();
            let (_, secret) = store.key("newer");
            service.wait_for(&secret, "allow");
            // A checkpoint, as it is made after many changes.
            let connection = rusqlite::Connection::open(&store.path).unwrap();
            let _: i64 = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(1)).unwrap();
            path
        }),
        ("nothing", |store, _| {
            let path = store.file("empty");
            std::fs::write(&path, "").unwrap();
            path
        }),
    ];
    for (what, source) in sources {
        let store = Store::new();
        let mut service = Service::start(&store.path);
        let (id, secret) = store.key("k");
        service.wait_for(&secret, "allow");
        let source = source(&store, &mut service);
        service.wait_for(&secret, "allow");
        assert!(Command::new("cp").args([&source, &store.path]).status().unwrap().success());
        service.wait_for(&secret, "unavailable");
        let why = service.ask(&format!("revoke {id}"));
        assert!(why.contains("something else has written over"), "{what}: {why}");
        if what != "an older copy" {
            let why = store.run(&["--json", "keys", "revoke", &id]);
            assert_eq!(why.status.code(), Some(4), "{what}: {}", told(&why));
            assert!(!told(&why).contains("\"busy\""), "{what}: nobody waits for a lock: {}", told(&why));
            println!("{what}: {}", told(&why));
        }
        service.end();
    }
}

/// A process that has not looked meanwhile, and one that comes later, know of what others have acknowledged.
#[test]
fn an_older_copy_over_the_store_shows_nobody_an_older_state() {
    type Change = fn(&Store, &mut Service, &str);
    fn into_file(store: &Store) {
        let connection = rusqlite::Connection::open(&store.path).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (busy, frames, backfilled): (bool, i64, i64) =
            connection.query_row("PRAGMA wal_checkpoint(FULL)", [], row).unwrap();
        assert!(!busy && frames == backfilled, "{busy} {frames} {backfilled}");
    }
    let changes: [(&str, Change); 4] = [
        ("all of the log is in the file", |store, service, id| {
            assert_eq!(service.ask(&format!("revoke {id}")), "revoked");
            into_file(store);
        }),
        ("by a command", |store, _, id| {
            store.done(&["keys", "revoke", id]);
            into_file(store);
        }),
        ("the log has begun anew", |store, service, id| {
            assert_eq!(service.ask(&format!("revoke {id}")), "revoked");
            into_file(store);
            let (_, secret) = store.key("newer");
            service.wait_for(&secret, "allow");
        }),
        // The service has the newer state from the file only.
        ("before all others came", |_, _, _| ()),
    ];
    for (what, change) in changes {
        let store = Store::new();
        let ((id, secret), (other, _)) = (store.key("k"), store.key("other"));
        let copy = store.file("copy.db");
        std::fs::copy(&store.path, &copy).unwrap();
        if what == "before all others came" {
            store.done(&["keys", "revoke", &id]);
        }
        let mut service = Service::start(&store.path);
        let mut stream = keystile(&store.path);
        let mut stream = stream.args(["verify", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(stream.stdout.take().unwrap()).lines();
        let mut verdict = || {
            writeln!(stream.stdin.as_ref().unwrap(), "{secret}").unwrap();
            lines.next().unwrap().unwrap()
        };
        // Both have the store open.
        let code = if what == "before all others came" { "revoked" } else { "allow" };
        assert!(verdict().contains(code), "{what}");
        service.wait_for(&secret, code);
        change(&store, &mut service, &id);

        let old = std::fs::read(&copy).unwrap();
        std::fs::write(&store.path, &old).unwrap();
        // Nobody waits for the service to look.
        store.refuses(&["keys", "revoke", &other], "replaced");
        store.refuses(&["verify", &secret], "replaced");
        assert!(!verdict().contains("allow"), "{what}");
        assert!(verdict().contains("unavailable"), "{what}");
        service.wait_for(&secret, "unavailable");
        assert!(service.ask(&format!("revoke {other}")).contains("something else has written over"), "{what}");
        store.refuses(&["keys", "revoke", &other], "replaced");
        drop(stream.stdin.take());
        stream.wait().unwrap();
        service.end();
    }
}

/// While nobody has the store open, what is put in its place is the store.
#[test]
fn an_older_copy_may_take_the_place_of_a_store_that_nobody_has_open() {
    let store = Store::new();
    let (id, secret) = store.key("k");
    let copy = std::fs::read(&store.path).unwrap();
    let mut service = Service::start(&store.path);
    assert_eq!(service.ask(&format!("revoke {id}")), "revoked");
    service.kill();
    for name in ["store.db-wal", "store.db-shm"] {
        std::fs::remove_file(store.file(name)).unwrap();
    }
    std::fs::write(&store.path, copy).unwrap();
    assert_eq!(store.verdict(&secret), "allow");
    let service = Service::start(&store.path);
    store.done(&["keys", "revoke", &id]);
    assert_eq!(store.verdict(&secret), "revoked");
    service.end();
}

#[test]
fn a_touch_and_checkpoints_of_others_are_no_concern() {
    let store = Store::new();
    let mut service = Service::start(&store.path);
    let (id, secret) = store.key("k");
    service.wait_for(&secret, "allow");
    let changed = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    for round in 0..5 {
        assert!(Command::new("touch").arg(&store.path).status().unwrap().success());
        std::fs::set_permissions(&store.path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        // The service answers what it hears only after it has looked.
        let (_, new) = store.key(&format!("after touch {round}"));
        service.wait_for(&new, "allow");
        assert_eq!(service.verify(&secret), "allow");
    }
    // Enough for several checkpoints by the process that imports.
    let digests: String = (0..8_000).map(|n| format!("{{\"digest\":\"{n:064x}\",\"name\":\"n\"}}\n")).collect();
    std::fs::write(store.file("keys.jsonl"), digests).unwrap();
    let before = changed(&store.path);
    store.done(&["keys", "import", store.file("keys.jsonl").to_str().unwrap()]);
    assert!(changed(&store.path) > before, "a checkpoint was made");
    let (_, new) = store.key("after the import");
    service.wait_for(&new, "allow");
    assert_eq!(service.verify(&secret), "allow");
    store.done(&["keys", "revoke", &id]);
    service.wait_for(&secret, "revoked");
    service.end();
    assert!(!store.file("store.db-wal").exists() && !store.file("store.db-shm").exists(), "one file is left");
    assert_eq!(store.verdict(&secret), "revoked");
    assert_eq!(store.verdict(&new), "allow");
}

/// What was revoked while a process was stopped is refused by its first answer after that.
#[test]
fn a_process_that_was_stopped_looks_before_it_answers() {
    let store = Store::new();
    let keys: Vec<_> = (0..5).map(|number| store.key(&format!("k{number}"))).collect();
    let mut service = Service::start(&store.path);
    let process = service.child.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    for (id, secret) in &keys {
        assert_eq!(service.verify(secret), "allow");
        signal("-STOP");
        let stopped = Instant::now();
        store.done(&["keys", "revoke", id]);
        // Longer ago than what a verdict may be given by. A stopped process rings no bell.
        std::thread::sleep(Duration::from_millis(500).saturating_sub(stopped.elapsed()));
        writeln!(service.stdin.as_mut().unwrap(), "verify {secret}").unwrap();
        signal("-CONT");
        assert_eq!(service.answer(), "revoked");
    }
    service.end();
}
