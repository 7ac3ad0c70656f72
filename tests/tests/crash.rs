//! `kill -9` at a random moment of a loop that creates, rotates and revokes: what was acknowledged is
//! there afterwards, and nothing is half made.
//!
//! 200 rounds in the test run; `KEYSTILE_CRASH_ROUNDS` says otherwise (`make crash`: 1,000).

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use keystile::{
    AuditReport, Code, Grace, KeyQuery, Keystile, NewKey, NewStore, RevokeReason, Rotation, Severity, SortColumn,
};

const CHILD: &str = "KEYSTILE_CRASH_CHILD";
const SEED: u64 = 0x6b65_7973_7469_6c65;

#[test]
fn an_acknowledged_change_survives_kill_9() {
    let rounds: u32 = std::env::var("KEYSTILE_CRASH_ROUNDS").map_or(200, |rounds| rounds.parse().unwrap());
    println!("seed {SEED:#x}, {rounds} rounds");
    let mut random = SEED;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let (mut acknowledged, mut cut_short) = (0, 0);
    for round in 0..rounds {
        // Between one and about forty changes, and at any point inside of one.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lives = Duration::from_micros((random >> 33) % 60_000);
        let lines = run_child_and_kill_it(&path, lives);
        acknowledged += lines.len();
        cut_short += usize::from(check_store(&path, &lines, round));
    }
    println!("{acknowledged} acknowledged changes, {cut_short} more that were done but not yet acknowledged");
    assert!(acknowledged > rounds as usize, "the child hardly got to work");
}

/// Runs the loop in a process of its own and kills it; gives back what it acknowledged.
fn run_child_and_kill_it(path: &Path, lives: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_loop_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The first change starts the clock: before it there is only the start of a process.
    let first = lines.find(|line| line.starts_with("ack ")).expect("the child works");
    std::thread::sleep(lives);
    child.kill().unwrap();
    child.wait().unwrap();
    // A line that was cut is not an acknowledgement; `ack` lines end with a full stop.
    std::iter::once(first).chain(lines).filter(|line| line.starts_with("ack ") && line.ends_with('.')).collect()
}

/// What the child does until it is killed. As a test of its own it does nothing.
#[test]
fn the_loop_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let keystile = Keystile::options().on_demand(true).open(path).unwrap();
    let keys = keystile.keys();
    let mut out = std::io::stdout();
    // The test harness has begun a line with the name of this test.
    writeln!(out).unwrap();
    loop {
        let created = keys.create(NewKey { name: "crash".into(), ..NewKey::default() }).unwrap();
        let id = created.key.id;
        writeln!(out, "ack created {id} {}.", created.secret.expose_secret()).unwrap();
        let rotated = keys.rotate(id, Rotation { grace: Grace::NONE, ..Rotation::default() }).unwrap();
        writeln!(out, "ack rotated {id} {}.", rotated.secret.unwrap().expose_secret()).unwrap();
        keys.revoke(id, RevokeReason::KeyCompromise, Some("crash test")).unwrap();
        writeln!(out, "ack revoked {id} -.").unwrap();
    }
}

/// Every acknowledged change is there, and every key is whole. Whether there was one change more than
/// was acknowledged: the one that was cut short after its commit.
fn check_store(path: &Path, lines: &[String], round: u32) -> bool {
    let keystile = Keystile::options().on_demand(true).open(path).unwrap();
    let verdict = |secret: &str| keystile.preview(secret, &keystile.request()).code();
    let mut secrets: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut last = ("", "");
    for line in lines {
        let words: Vec<_> = line.trim_end_matches('.').split(' ').collect();
        let [_, what, id, secret] = words[..] else { panic!("{line}") };
        if secret != "-" {
            secrets.entry(id).or_default().push(secret);
        }
        last = (id, what);
    }
    // The change after the last acknowledged one may be done or not: it was never promised.
    let mut one_more = false;
    for (id, secrets) in &secrets {
        let key = keystile.keys().show(id.parse().unwrap()).unwrap();
        let codes: Vec<_> = secrets.iter().map(|secret| verdict(secret)).collect();
        let was_revoked = lines.iter().any(|line| line.starts_with(&format!("ack revoked {id}")));
        let expected: &[&[Option<Code>]] = match (secrets.len(), was_revoked) {
            (1, _) => &[&[None], &[Some(Code::Rotated)]],
            (_, false) => &[&[Some(Code::Rotated), None], &[Some(Code::Revoked), Some(Code::Revoked)]],
            (_, true) => &[&[Some(Code::Revoked), Some(Code::Revoked)]],
        };
        assert!(expected.contains(&codes.as_slice()), "round {round}, {id}, {}: {codes:?}", last.1);
        let more = codes.as_slice() != expected[0];
        assert!(!more || *id == last.0, "round {round}: only the last key can be ahead");
        one_more |= more;
        assert_eq!(key.secrets.len(), secrets.len() + usize::from(more && !was_revoked && secrets.len() == 1));
    }
    let mut query = KeyQuery { sort: SortColumn::Id, limit: 1_000, ..KeyQuery::default() };
    let mut keys = 0;
    loop {
        let page = keystile.keys().list(&query).unwrap();
        keys += page.keys.len();
        assert!(page.keys.iter().all(|key| !key.secrets.is_empty() && key.secrets.len() <= 2), "round {round}");
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert!(keys >= secrets.len());
    let health = keystile.doctor(path).unwrap();
    assert!(health.severity() < Severity::Error, "round {round}: {:?}", health.findings);
    assert!(matches!(keystile.verify_audit(None).unwrap(), AuditReport::Intact { .. }), "round {round}");
    one_more
}
