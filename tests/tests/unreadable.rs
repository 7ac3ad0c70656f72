//! A row that cannot be read: the commands list everything else, name it, and say so with their exit code.

use std::path::Path;
use std::process::Output;

use keystile_tests::keystile;

fn run(path: &Path, arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut command = keystile(path);
    command.args(arguments).stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Creates a key; its id and its secret.
fn create(path: &Path, name: &str) -> (String, String) {
    let (out, _) = said(&run(path, &["--json", "keys", "create", "--name", name], ""));
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&made["key"]["id"]), text(&made["secret"]))
}

#[test]
fn one_flipped_byte_in_the_file_keeps_nothing_else_from_being_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    assert!(run(&path, &["init"], "").status.success());
    let (broken, broken_secret) = create(&path, "broken");
    let (sound, sound_secret) = create(&path, "sound");
    let note = "a-note-of-the-operator";
    let revoke = ["keys", "revoke", &broken, "--reason", "unspecified", "--note", note];
    assert!(run(&path, &revoke, "").status.success());
    assert!(run(&path, &["users", "create", "ada@example.com"], "").status.success());
    // Nobody has the store open: it is one file.
    let mut bytes = std::fs::read(&path).unwrap();
    // In the row of the key, not in the JSON of the audit entry.
    let is_in_row = |at: &usize| bytes[*at..].starts_with(note.as_bytes()) && bytes[*at - 1] != b'"';
    let found: Vec<_> = (1..bytes.len()).filter(is_in_row).collect();
    assert!(!found.is_empty());
    found.iter().for_each(|at| bytes[*at] ^= 0x80);
    std::fs::write(&path, &bytes).unwrap();

    for list in [["keys", "list"], ["keys", "report"]] {
        let listed = run(&path, &list, "");
        let (out, err) = said(&listed);
        assert_eq!(listed.status.code(), Some(4), "{err}");
        assert!(out.contains(&sound) && !out.contains(&broken), "{out}");
        assert!(err.contains(&broken) && err.contains("keys.revoke_note"), "{err}");
        let json = run(&path, &["--json", list[0], list[1]], "");
        let (out, err) = said(&json);
        assert_eq!(json.status.code(), Some(4));
        assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok() && out.contains(&sound), "{out}");
        assert!(err.contains("unreadable_row"), "{err}");
    }
    let (out, _) = said(&run(&path, &["--json", "keys", "list"], ""));
    let page: serde_json::Value = serde_json::from_str(&out).unwrap();
    let unreadable = serde_json::json!([{ "table": "keys", "row": broken, "column": "keys.revoke_note" }]);
    assert_eq!(page["unreadable"], unreadable);
    for list in [["users", "list"], ["sessions", "list"], ["issuers", "list"], ["security-events", "list"]] {
        let listed = run(&path, &list, "");
        assert!(listed.status.success(), "{list:?}: {:?}", said(&listed));
    }
    let doctor = run(&path, &["doctor"], "");
    let (out, _) = said(&doctor);
    assert_eq!(doctor.status.code(), Some(1), "{out}");
    let found: Vec<_> = out.lines().filter(|line| line.contains(&broken)).collect();
    assert!(found.iter().any(|line| line.contains("keys.revoke_note")), "it cannot be read: {out}");
    assert!(found.iter().any(|line| line.contains("differs from its newest entry")), "{out}");
    assert_eq!(run(&path, &["verify", "-"], &format!("{sound_secret}\n")).status.code(), Some(0));
    assert_ne!(run(&path, &["verify", "-"], &format!("{broken_secret}\n")).status.code(), Some(0));
    // Whoever damaged the newest entry of the trail keeps nobody from revoking.
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(
        "DROP TRIGGER audit_is_not_changed; \
         UPDATE audit SET actor = CAST(X'ff' AS TEXT) WHERE sequence = (SELECT max(sequence) FROM audit)",
    )
    .unwrap();
    drop(raw);
    let listed = run(&path, &["audit", "list"], "");
    assert_eq!(listed.status.code(), Some(4));
    assert!(said(&listed).0.contains("key.created") && said(&listed).1.contains("audit.actor"), "{:?}", said(&listed));
    assert!(said(&run(&path, &["audit", "verify"], "")).0.contains("it cannot be read"));
    assert!(run(&path, &["keys", "revoke", &sound, "--reason", "unspecified"], "").status.success());
    assert_ne!(run(&path, &["verify", "-"], &format!("{sound_secret}\n")).status.code(), Some(0));
}

/// Makes a text in the file no UTF-8 where it stands in a row, and nowhere else.
fn damage(path: &Path, text: &str) {
    // Nobody has the store open: it is one file.
    let mut bytes = std::fs::read(path).unwrap();
    let is_in_row = |at: &usize| bytes[*at..].starts_with(text.as_bytes()) && bytes[*at - 1] != b'"';
    let found: Vec<_> = (1..bytes.len()).filter(is_in_row).collect();
    assert!(!found.is_empty(), "{text}");
    found.iter().for_each(|at| bytes[*at] ^= 0x80);
    std::fs::write(path, &bytes).unwrap();
}

#[test]
fn a_damaged_row_keeps_no_command_from_taking_away_and_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    assert!(run(&path, &["init"], "").status.success());
    let (revoked, revoked_secret) = create(&path, "name-of-the-revoked");
    let (suspended, suspended_secret) = create(&path, "name-of-the-suspended");
    let user = ["users", "create", "ada@example.com", "--name", "name-of-the-user"];
    assert!(run(&path, &user, "").status.success());
    ["name-of-the-revoked", "name-of-the-suspended", "name-of-the-user"].iter().for_each(|name| damage(&path, name));

    let in_force = |arguments: &[&str], id: &str, column: &str| {
        let done = run(&path, arguments, "");
        let (out, err) = said(&done);
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {err}");
        assert!(out.contains(id), "{out}");
        assert!(err.contains("in force") && err.contains(column) && err.contains("doctor"), "{err}");
    };
    in_force(&["keys", "revoke", &revoked], &revoked, "keys.name");
    in_force(&["--json", "keys", "suspend", &suspended], &suspended, "keys.name");
    in_force(&["users", "suspend", "ada@example.com"], "usr_", "users.name");
    for (secret, code) in [(&revoked_secret, "\"revoked\""), (&suspended_secret, "\"suspended\"")] {
        let (out, _) = said(&run(&path, &["--json", "verify", "-"], secret));
        // Looked up one by one, a row that cannot be read allows nothing, whatever else it says.
        assert!(out.contains(code) || out.contains("\"unavailable\""), "{out}");
    }
    let again = run(&path, &["keys", "revoke", &revoked], "");
    assert_ne!(again.status.code(), Some(0), "it is revoked already: {}", said(&again).1);
    // The damage is told of, as before.
    let (doctor, verified) = (run(&path, &["doctor"], ""), run(&path, &["audit", "verify"], ""));
    assert!(!doctor.status.success() && said(&doctor).0.contains(&revoked), "{doctor:?}");
    assert!(!verified.status.success(), "{verified:?}");
}
