//! A full disk: what was promised is still told, and a revoke is still possible. On a real, small file system, which
//! is mounted for this test alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keystile::{KeyEncryptionKey, Keystile, NewStore};

use crate::files::{Service, Store, told};

const CHILD: &str = "KEYSTILE_DISK_CHILD";
/// Larger than the reserve and a store with some keys.
const SIZE: &str = "size=4m";

#[test]
fn on_a_full_disk_everything_is_read_and_a_revoke_holds() {
    on_a_small_disk("disk::the_world_on_a_small_disk");
}

#[test]
fn on_a_full_disk_a_grace_begins_with_the_first_use() {
    on_a_small_disk("disk::graces_on_a_small_disk");
}

#[test]
fn on_a_full_disk_a_leaked_signing_key_is_given_up() {
    on_a_small_disk("disk::signing_keys_on_a_small_disk");
}

/// Runs a test of this file in a process of its own, in whose world alone the disk is mounted.
fn on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o "$1" none "$2" || exit 99; shift 2; exec "$@""#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", SIZE])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    if output.status.code() == Some(99) || told(&output).contains("unshare failed") {
        println!("SKIPPED: this user may not mount anything: {}", told(&output));
        return;
    }
    println!("{}", told(&output));
    assert!(output.status.success() && told(&output).contains("all of it was seen"), "see above");
}

/// A new signing key needs room; where the old one has leaked, it takes of the reserve. As a test of its own it does
/// nothing.
#[test]
fn signing_keys_on_a_small_disk() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let path = folder.join("store.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let store = Store { folder: tempfile::tempdir_in(&folder).unwrap(), path };
    let kek = folder.join("kek");
    KeyEncryptionKey::generate().unwrap().write_new(&kek).unwrap();
    let rotate = ["--kek", kek.to_str().unwrap(), "signing-keys", "rotate"];
    store.done(&rotate);
    fill(&folder);
    store.refuses(&[&rotate[..], &["--now"]].concat(), "disk_full");
    store.done(&[&rotate[..], &["--now", "--refuse-older"]].concat());
    println!("all of it was seen");
}

/// What happens on the small disk. As a test of its own it does nothing.
#[test]
fn the_world_on_a_small_disk() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let path = folder.join("store.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let store = Store { folder: tempfile::tempdir_in(&folder).unwrap(), path };
    let keys: Vec<_> = (0..44).map(|number| store.key(&format!("k{number}"))).collect();
    let reserve = folder.join("store.db-reserve");
    let reserved = || std::fs::metadata(&reserve).map_or(0, |metadata| metadata.len());
    assert_eq!(reserved(), 1 << 20);

    // Nobody has it open, and the log is empty: everything is read, and nothing of the reserve is taken.
    fill(&folder);
    assert_eq!(store.verdict(&keys[0].1), "allow");
    assert!(store.done(&["keys", "list"]).contains("k43"));
    println!("{}", store.done(&["doctor"]));
    store.refuses(&["keys", "create", "--name", "no room"], "disk_full");
    assert_eq!(reserved(), 1 << 20);

    // One revoke after the other, with no room but the reserve.
    for (id, secret) in &keys[..20] {
        fill(&folder);
        store.done(&["keys", "revoke", id]);
        assert_eq!(store.verdict(secret), "revoked");
    }
    println!("{} bytes of the reserve are left after 20 revokes", reserved());
    fill(&folder);
    store.done(&["keys", "suspend", &keys[20].0]);
    assert_eq!(store.verdict(&keys[20].1), "suspended");

    // A service starts, follows, and is killed with a log behind it.
    fill(&folder);
    let mut service = Service::start(&store.path);
    assert_eq!(service.verify(&keys[30].1), "allow");
    assert_eq!(service.verify(&keys[0].1), "revoked");
    for (id, secret) in &keys[21..30] {
        fill(&folder);
        store.done(&["keys", "revoke", id]);
        service.wait_for(secret, "revoked");
    }
    // It is the reserve that makes this possible: without one, a revoke is refused, and is not there afterwards.
    std::fs::remove_file(&reserve).unwrap();
    fill(&folder);
    let refused = service.ask(&format!("revoke {}", keys[40].0));
    assert!(refused.contains("the disk is full"), "{refused}");
    let refused = store.run(&["--json", "keys", "revoke", &keys[40].0]);
    assert!(!refused.status.success() && told(&refused).contains("\"disk_full\""), "{}", told(&refused));
    assert_eq!(service.verify(&keys[40].1), "allow");
    std::fs::File::options().write(true).open(folder.join("filler")).unwrap().set_len(64 << 10).unwrap();
    store.key("makes the reserve anew");
    fill(&folder);
    assert_eq!(reserved(), 1 << 20);
    assert_eq!(service.ask(&format!("revoke {}", keys[30].0)), "revoked");
    service.kill();
    fill(&folder);
    for (_, secret) in &keys[21..31] {
        assert_eq!(store.verdict(secret), "revoked", "the log is read too");
    }
    assert_eq!(store.verdict(&keys[31].1), "allow");

    // With room again, everything works, and the reserve is whole.
    std::fs::remove_file(folder.join("filler")).unwrap();
    let (_, secret) = store.key("with room");
    assert_eq!(store.verdict(&secret), "allow");
    assert_eq!(reserved(), 1 << 20);
    assert_eq!(store.verdict(&keys[0].1), "revoked");
    assert!(store.done(&["audit", "verify"]).contains("intact"));
    println!("all of it was seen");
}

/// A rotation whose grace begins with the first use of the new secret, on the small disk. As a test of its own it does
/// nothing.
#[test]
fn graces_on_a_small_disk() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let path = folder.join("store.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let store = Store { folder: tempfile::tempdir_in(&folder).unwrap(), path };
    let [written, remembered] = ["written", "remembered"].map(|name| {
        let (id, old) = store.key(name);
        let rotated = store.done(&["--json", "keys", "rotate", &id, "--grace", "0s", "--grace-from-first-use"]);
        let rotated: serde_json::Value = serde_json::from_str(&rotated).unwrap();
        (old, rotated["secret"].as_str().unwrap().to_owned())
    });
    let mut service = Service::start(&store.path);

    // Without the reserve nothing can be written, and the grace runs in the process that has seen the first use.
    let reserve = folder.join("store.db-reserve");
    std::fs::remove_file(&reserve).unwrap();
    fill(&folder);
    assert_eq!(service.verify(&remembered.0), "allow");
    assert_eq!(service.ask(&format!("use {}", remembered.1)), "allow");
    service.wait_for(&remembered.0, "rotated");
    assert_eq!(service.verify(&remembered.1), "allow");
    assert_eq!(store.verdict(&remembered.0), "allow", "no other process can know of it");

    // With room again it is written by whoever has seen it.
    std::fs::remove_file(folder.join("filler")).unwrap();
    let started = std::time::Instant::now();
    while store.verdict(&remembered.0) != "rotated" {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "the grace is not written");
        assert_eq!(service.ask(&format!("use {}", remembered.1)), "allow");
    }

    // With the reserve it is written at once, so that every process knows of it.
    store.key("makes the reserve anew");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 1 << 20);
    fill(&folder);
    assert_eq!(service.verify(&written.0), "allow");
    assert_eq!(service.ask(&format!("use {}", written.1)), "allow");
    service.wait_for(&written.0, "rotated");
    let started = std::time::Instant::now();
    while store.verdict(&written.0) != "rotated" {
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "the grace is not written");
    }
    println!("all of it was seen");
}

/// Takes the last byte of the disk.
fn fill(folder: &Path) {
    let mut filler = std::fs::File::options().append(true).create(true).open(folder.join("filler")).unwrap();
    let bytes = vec![7; 64 << 10];
    for size in [64 << 10, 4096, 1] {
        while filler.write_all(&bytes[..size]).is_ok() {}
    }
}
