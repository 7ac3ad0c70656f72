//! The first start: many processes at once on one path, and one that is killed on its way.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use keystile::{KekPlace, Keystile, SigningKeyRotation};
use keystile_tests::keystile;

const ROUNDS: usize = 50;
const PROCESSES: usize = 6;

/// What `init` did, in JSON; where errors go as well.
fn answer(output: &Output) -> serde_json::Value {
    let text = if output.status.success() { &output.stdout } else { &output.stderr };
    serde_json::from_slice(text).unwrap_or_else(|_| panic!("{output:?}"))
}

fn init_at_once(path: &Path, arguments: &[&str]) -> Vec<Output> {
    let command = || {
        let mut command = keystile(path);
        command.args(["init", "--json"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let started: Vec<_> = (0..PROCESSES).map(|_| command().spawn().unwrap()).collect();
    started.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

/// The store opens with the key that is in the file, and signs.
fn assert_signs(path: &Path, kek: Option<PathBuf>) {
    let place = KekPlace::new(kek, None, path);
    let options = Keystile::options().on_demand(true).key_encryption_key_at(&place).unwrap();
    let rotated = options.open(path).unwrap().signing_keys().rotate(SigningKeyRotation::default());
    rotated.unwrap_or_else(|error| panic!("{error}"));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| ["-wal", "-shm", "-reserve"].iter().all(|beside| !name.ends_with(beside)));
    names.sort();
    names
}

#[test]
fn of_many_first_starts_at_once_one_makes_the_store_and_its_key_is_there() {
    let mut late = 0;
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        // Every second time the key has a name of its own.
        let kek = (round % 2 == 1).then(|| folder.path().join("named.key"));
        let arguments = kek.as_ref().map_or(vec![], |kek| vec!["--kek", kek.to_str().unwrap()]);
        let ended = init_at_once(&path, &arguments);
        let (made, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|output| output.status.success());
        assert_eq!(made.len(), 1, "round {round}: {ended:?}");
        for output in refused {
            assert_eq!(output.status.code(), Some(3), "round {round}: {output:?}");
            let error = &answer(output)["error"];
            assert_eq!(error["code"], "already_exists", "round {round}: {error}");
            assert!(error["message"].as_str().unwrap().contains("keystile.db"), "round {round}: {error}");
            late += usize::from(error["hint"].as_str().unwrap().contains("key-encryption key that was made"));
        }
        assert_eq!(names(folder.path()).len(), 2, "round {round}: {:?}", names(folder.path()));
        assert_signs(&path, kek);
    }
    println!("{late} times the process that made the key was not the one that made the store");
}

#[test]
fn a_first_start_that_was_killed_is_in_nobodys_way() {
    let (mut stores, mut keys) = (0, 0);
    for round in 0..ROUNDS as u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        let mut child = keystile(&path).arg("init").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From before its first file to its end.
        std::thread::sleep(Duration::from_millis(round));
        child.kill().unwrap();
        child.wait().unwrap();
        let was_made = path.exists();
        stores += usize::from(was_made);
        keys += usize::from(folder.path().join("keystile.db.kek").exists());
        let again = keystile(&path).args(["init", "--json"]).output().unwrap();
        assert_eq!(again.status.code(), Some(if was_made { 3 } else { 0 }), "round {round}: {again:?}");
        assert_signs(&path, None);
    }
    println!("killed {ROUNDS} times: {keys} had made the key, {stores} of them the store");
}
