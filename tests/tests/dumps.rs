//! A process that holds secrets leaves no core dump, and no other process of its user reads its memory.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use keystile::{Keystile, NewStore};
use keystile_tests::keystile_bin;

/// Nobody in particular.
const OTHER_USER: u32 = 65_534;

/// The owner of what `/proc` tells of a process: the superuser when it keeps its memory to itself.
fn owner_of(process: u32) -> u32 {
    std::fs::metadata(format!("/proc/{process}/environ")).unwrap().uid()
}

#[test]
fn the_command_keeps_its_memory_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    // A copy: the folder that it was built in may be closed to other users.
    let program = folder.path().join("keystile");
    std::fs::copy(keystile_bin(), &program).unwrap();
    let mut command = Command::new(&program);
    command.env_clear().env("KEYSTILE_DB", &path).env("USER", "tester");
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    let user = if me == 0 { OTHER_USER } else { me };
    let mut other = Command::new("cat");
    if me == 0 {
        // The superuser owns everything anyway: another user is needed to see a difference.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            chown(entry.unwrap().path(), Some(user), Some(user)).unwrap();
        }
        chown(folder.path(), Some(user), Some(user)).unwrap();
        command.uid(user).gid(user);
        other.uid(user).gid(user);
    }
    let mut child = command.args(["verify", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "hello").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("malformed"), "{line}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // A program that does nothing of this kind, for comparison.
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    other.stdin.as_mut().unwrap().write_all(b"started\n").unwrap();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(owner_of(other.id()), user);
    assert_eq!(owner_of(child.id()), 0);
    drop(stdin);
    child.wait().unwrap();
    drop(other.stdin.take());
    other.wait().unwrap();
}
