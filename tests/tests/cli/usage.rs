//! Golden files of help, completions, errors in commands, and of the output itself.

use super::*;

#[test]
fn usage() {
    let place = Place::new();
    golden(
        "usage_errors_say_what_to_do",
        &[
            &place.run(&["frobnicate"]),
            &place.run(&["keys", "lst"]),
            &place.run(&["keys", "list", "--stat", "active"]),
            &place.run(&["keys", "list", "extra"]),
            &place.run(&["keys", "show"]),
            &place.run(&["keys", "list", "--owner"]),
            &place.run(&["completions", "tcsh"]),
        ],
    );
    golden(
        "usage_errors_answer_in_json",
        &[&place.run(&["--json"]), &place.run(&["keys", "list", "--state", "rotten", "--json"])],
    );
    golden("without_a_command_the_help_is_shown", &[&place.run(&[]), &place.run(&["keys"])]);
}

#[test]
fn help() {
    let place = Place::empty();
    for command in [
        "",
        "init",
        "keys",
        "keys create",
        "keys list",
        "keys show",
        "keys update",
        "keys rotate",
        "keys suspend",
        "keys resume",
        "keys revoke",
        "keys import",
        "keys report",
        "verify",
        "tokens",
        "tokens issue",
        "tokens revoke",
        "tokens inspect",
        "signing-keys",
        "signing-keys list",
        "signing-keys rotate",
        "jwks",
        "issuers",
        "issuers add",
        "issuers list",
        "issuers show",
        "issuers refresh",
        "issuers disable",
        "issuers enable",
        "issuers remove",
        "jwt",
        "jwt check",
        "jws",
        "jws check",
        "formats",
        "formats list",
        "formats add",
        "settings",
        "settings show",
        "settings set",
        "audit",
        "audit list",
        "audit verify",
        "backup",
        "restore",
        "doctor",
        "demo",
        "completions",
    ] {
        let arguments: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let name = format!("help_{}", command.replace([' ', '-'], "_"));
        golden(name.trim_end_matches('_'), &[&place.run(&arguments)]);
    }
    assert!(place.run(&["--version"]).stdout().starts_with("keystile "));
}

#[test]
fn completions() {
    let place = Place::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stderr.is_empty() && ran.stdout().contains("grace-from-first-use"), "{shell}");
    }
}

#[test]
fn demo() {
    let place = Place::empty();
    let told = place.run(&["demo"]);
    assert!(told.stdout().lines().all(|line| line.chars().count() <= 80), "it fits a terminal of 80 columns");
    assert!(!regex_of_a_whole_secret(told.stdout()), "secrets are not printed whole");
    golden("demo_tells_the_main_job", &[&told]);
    let machine = place.run(&["demo", "--json"]);
    let json = machine.json();
    assert_eq!((machine.code, &json["as_expected"], &json["verdicts"]), (0, &true.into(), &61.into()));
    assert!(!regex_of_a_whole_secret(machine.stdout()));
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0, "nothing is left where it was called");
}

/// Whether there is a run of as many letters and digits as a secret has.
fn regex_of_a_whole_secret(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| run.len() >= 30)
}

#[test]
fn colours() {
    let place = Place::new();
    place.key(&["--name", "k"]);
    let list = |variables: &[(&str, &str)]| {
        let mut command = place.command(&["keys", "list"]);
        command.envs(variables.iter().copied());
        finish(command, &["keys", "list"], b"").stdout().contains('\u{1b}')
    };
    assert!(!list(&[]), "no colours in a pipe");
    assert!(list(&[("CLICOLOR_FORCE", "1")]), "colours for who insists");
    assert!(!list(&[("NO_COLOR", "1")]));
}

/// A reader that has seen enough is no error; a secret that nobody read is one.
#[test]
fn a_closed_output_ends_quietly() {
    let place = Place::new();
    let (id, _) = place.key(&["--name", "k"]);
    let closed = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(arguments).stdout(writer).stdin(Stdio::null()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in
        [&["keys", "list"][..], &["keys", "list", "--json"], &["completions", "bash"], &["demo"], &["--help"]]
    {
        assert_eq!(closed(arguments), (0, String::new()), "{arguments:?}");
    }
    for arguments in [&["keys", "create", "--name", "lost"][..], &["keys", "rotate", &id]] {
        let (code, message) = closed(arguments);
        assert!(code == 4 && message.contains("its secret could not be shown"), "{message}");
    }
}

/// An answer that cannot be written is not an answer.
#[cfg(target_os = "linux")]
#[test]
fn a_full_output_is_told() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&["keys", "list", "--json"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard output cannot be written"));
}
