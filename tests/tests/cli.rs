//! Golden files of what users of the command line see: answers, errors, exit codes, help. The name
//! of a snapshot is the specification; look at a change of one as at a change of the product.

mod tokens;
mod users;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use keystile::{Keystile, ManualClock, NewKey, Timestamp};
use keystile_tests::keystile_bin;

/// A folder that commands run in, most often with a store in it.
struct Place {
    folder: tempfile::TempDir,
}

/// What a command did.
struct Ran {
    command: String,
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Place {
    fn empty() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    /// With a store that has the formats of two systems.
    fn new() -> Place {
        let place = Place::empty();
        assert_eq!(place.run(&["init", "--format", "hippocortex", "--format", "coreplexml"]).code, 0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(keystile_bin());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("USER", "ada").env("TZ", "Pacific/Kiritimati").env("TMPDIR", std::env::temp_dir());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        finish(self.command(arguments), arguments, stdin)
    }

    /// A key with these options: its id and its secret.
    fn key(&self, options: &[&str]) -> (String, String) {
        let ran = self.run(&[&["keys", "create", "--json"], options].concat());
        let made = ran.json();
        (made["key"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }
}

fn finish(mut command: Command, arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments does not read what it was given.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let quoted = arguments.iter().map(|word| {
        let shown = visible(word);
        if shown.is_empty() || shown.contains([' ', '"']) { format!("'{shown}'") } else { shown }
    });
    Ran {
        command: quoted.collect::<Vec<_>>().join(" "),
        code: output.status.code().expect("no command dies of a signal"),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// What a terminal would obey stays out of the golden files too.
fn visible(word: &str) -> String {
    word.chars().fold(String::new(), |mut shown, c| {
        match c {
            c if c.is_control() || c == '\u{202e}' => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        shown
    })
}

impl Ran {
    fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn stderr(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.stdout()).unwrap_or_else(|_| panic!("{}", transcript(&[self])))
    }
}

/// What a person would have seen, with exit codes and with what went where.
fn transcript(ran: &[&Ran]) -> String {
    let mut text = String::new();
    for ran in ran {
        writeln!(text, "$ keystile {}", ran.command).unwrap();
        for line in ran.stdout().lines() {
            writeln!(text, "  {line}").unwrap();
        }
        for line in ran.stderr().lines() {
            writeln!(text, "! {line}").unwrap();
        }
        writeln!(text, "= {}\n", ran.code).unwrap();
    }
    text
}

/// What differs from run to run.
const FILTERS: [(&str, &str); 17] = [
    (r"urn:uuid:[0-9a-f-]{36}", "urn:uuid:[id of the store]"),
    (r"\b(usr|ses)_[0-9a-f]*[1-9a-f][0-9a-f]*\b", "${1}_[32 hexadecimal digits]"),
    (r"\b[2-9a-z]{5}(?:-[2-9a-z]{5}){4}\b", "[25 letters and digits]"),
    (r"key_[0-9a-f]{32}", "key_[32 hexadecimal digits]"),
    (r"\b([a-z]+_[a-z_]+[_.])[0-9A-Za-z]{36}\b", "$1[30 characters and a checksum]"),
    (r"\b([a-z]+_[a-z_]+[_.])[0-9A-Za-z]{4}…", "$1[4]…"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
    (r"\((?:now|\d+s ago)\)", "([just now])"),
    (r"  (?:now|\d+s ago) {0,8}  ", "  [now]      "),
    (r"(?m)  (?:now|\d+s ago)$", "  [now]"),
    (r"\b[0-9a-f]{64}\b", "[SHA-256]"),
    (r"--after [A-Za-z0-9_-]{20,}", "--after [cursor]"),
    (r#""next":"[A-Za-z0-9_-]+""#, r#""next":"[cursor]""#),
    (r#"[^ "]*/\.tmp[A-Za-z0-9]+/"#, "[folder]/"),
    (r"\.keystile\.db\.[0-9a-f]{16}\.tmp", "[a temporary name]"),
    (r"SQLite [0-9.]+|\d+ bytes on disk|\d+ bytes of wasm", "[what this build has]"),
    (r#"took \d+ µs|"(?:median_)?microseconds":[0-9.e-]+"#, "[a time]"),
];

#[track_caller]
fn golden(name: &str, ran: &[&Ran]) {
    let text = transcript(ran);
    insta::with_settings!({ filters => FILTERS, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn init() {
    let place = Place::empty();
    let made = place.run(&["init"]);
    golden("init_makes_a_store_and_says_what_to_do_next", &[&made]);
    golden("init_refuses_an_existing_store", &[&place.run(&["init"]), &place.run(&["--json", "init"])]);
    let run = |arguments: &[&str]| Place::empty().run(arguments);
    golden(
        "init_takes_systems_and_prefixes_and_a_longest_lifetime",
        &[&run(&["init", "--format", "callcov", "--format", "acme", "--max-lifetime", "90d"])],
    );
    golden("init_answers_in_json", &[&run(&["init", "--json", "--format", "hippocortex"])]);
    golden("init_repeats_the_path_it_was_given_in_its_hint", &[&run(&["init", "--db", "my keys.db"])]);
    golden(
        "init_refuses_what_is_no_format",
        &[&run(&["init", "--format", "a b"]), &run(&["init", "--format", "acme", "--format", "acme"])],
    );
    golden(
        "init_refuses_a_lifetime_out_of_bounds",
        &[&run(&["init", "--max-lifetime", "1s"]), &run(&["init", "--max-lifetime", "9999999999w"])],
    );
    golden("init_cannot_make_a_folder", &[&run(&["init", "--db", "no/such/folder/keystile.db"])]);
    let place = Place::empty();
    place.run(&["init", "--max-lifetime", "1s"]);
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn the_environment_names_the_store() {
    let place = Place::empty();
    let with_store = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("KEYSTILE_DB", "elsewhere.db");
        finish(command, arguments, b"")
    };
    let made = with_store(&["init"]);
    assert!(made.code == 0 && place.path("elsewhere.db").exists());
    golden("the_environment_names_the_store_and_hints_need_not", &[&made]);
}

#[test]
fn formats() {
    let place = Place::new();
    golden("formats_list_shows_what_secrets_look_like", &[&place.run(&["formats", "list"])]);
    golden(
        "formats_add_has_sensible_defaults",
        &[&place.run(&["formats", "add", "acme", "--prefix", "acme"]), &place.run(&["formats", "list"])],
    );
    let all = ["formats", "add", "shop", "--prefix", "shop", "--separator", ".", "--env", "live", "--env", "test_dev"];
    let all = [&all[..], &["--body", "40", "--checksum", "none", "--json"]].concat();
    golden("formats_add_takes_every_part", &[&place.run(&all)]);
    golden("formats_list_answers_in_json", &[&place.run(&["formats", "list", "--json"])]);
    golden(
        "formats_add_refuses_what_does_not_fit",
        &[
            &place.run(&["formats", "add", "acme", "--prefix", "acme"]),
            &place.run(&["formats", "add", "a b", "--prefix", "acme"]),
            &place.run(&["formats", "add", "x", "--prefix", "a b"]),
            &place.run(&["formats", "add", "x", "--prefix", "x", "--separator", "-"]),
            &place.run(&["formats", "add", "x", "--prefix", "x", "--env", "Live"]),
            &place.run(&["formats", "add", "x", "--prefix", "x", "--env", "a", "--env", "a"]),
            &place.run(&["formats", "add", "x", "--prefix", "x", "--body", "21"]),
            &place.run(&["formats", "add", "x", "--prefix", "x", "--checksum", "md5"]),
        ],
    );
}

#[test]
fn create() {
    let place = Place::new();
    let made = place.run(&["keys", "create", "--name", "billing", "--scope", "invoices:read", "--expires", "90d"]);
    let secret = made.stdout().trim_end();
    assert!(secret.starts_with("hx_live_") && secret.len() == 44 && made.stdout().lines().count() == 1);
    assert!(!made.stderr().contains(secret), "the secret is on standard output only");
    golden("create_prints_the_secret_alone_on_standard_output", &[&made]);
    let every = [
        "keys",
        "create",
        "--json",
        "--name",
        "Ærø 日本",
        "--owner",
        "ada@example.com",
        "--format",
        "coreplexml",
        "--env",
        "test",
        "--scope",
        "read",
        "--scope",
        "models:*",
        "--expires",
        "2099-01-31T00:00:00Z",
        "--not-before",
        "2098-01-31T01:00:00+01:00",
        "--allow-address",
        "10.0.0.0/8",
        "--allow-address",
        "2001:db8::1",
        "--rate",
        "600/1m",
        "--metadata",
        "team=core",
        "--metadata",
        "note=a=b",
    ];
    golden("create_takes_every_field_and_answers_in_json", &[&place.run(&every)]);
    let refused = |options: &[&str]| place.run(&[&["keys", "create", "--name", "x"], options].concat());
    golden(
        "create_refuses_what_does_not_fit",
        &[
            &place.run(&["keys", "create"]),
            &place.run(&["keys", "create", "--name", ""]),
            &place.run(&["keys", "create", "--name", "a\u{1b}[31mb\nc"]),
            &place.run(&["keys", "create", "--name", &"x".repeat(129)]),
            &refused(&["--scope", "a b"]),
            &refused(&["--scope", "*"]),
            &refused(&["--env", "Live"]),
            &refused(&["--allow-address", "10.1.2.3/8"]),
            &refused(&["--allow-address", "office"]),
            &refused(&["--rate", "0/60s"]),
            &refused(&["--rate", "many"]),
            &refused(&["--metadata", "team"]),
            &refused(&["--owner", "a\u{202e}b"]),
            &refused(&["--expires", "soon"]),
            &refused(&["--expires", "2020-01-01T00:00:00Z"]),
            &refused(&["--expires", "0"]),
            &refused(&["--expires", "1d", "--not-before", "2d"]),
        ],
    );
    golden(
        "create_refuses_an_unknown_format_or_environment",
        &[&refused(&["--format", "acme"]), &refused(&["--env", "staging"]), &refused(&["--format", "acme", "--json"])],
    );
    assert_eq!(place.run(&["keys", "list", "--json"]).json()["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn a_longest_lifetime() {
    let place = Place::new();
    golden(
        "settings_are_shown_and_set",
        &[
            &place.run(&["settings", "show"]),
            &place.run(&["settings", "set", "--max-lifetime", "90d"]),
            &place.run(&["settings", "show", "--json"]),
            &place.run(&["settings", "set"]),
            &place.run(&["settings", "set", "--max-lifetime", "never"]),
            &place.run(&["settings", "set", "--max-lifetime", "4000d"]),
        ],
    );
    golden(
        "a_longest_lifetime_is_given_to_new_keys_and_never_passed",
        &[
            &place.run(&["keys", "create", "--name", "a"]),
            &place.run(&["keys", "create", "--name", "b", "--expires", "never"]),
            &place.run(&["keys", "create", "--name", "c", "--expires", "91d"]),
        ],
    );
    golden("settings_take_the_limit_away_again", &[&place.run(&["settings", "set", "--max-lifetime", "none"])]);
}

#[test]
fn list() {
    let place = Place::new();
    golden("list_of_nothing_says_so", &[&place.run(&["keys", "list"]), &place.run(&["keys", "list", "--json"])]);
    place.key(&[
        "--name",
        "billing worker",
        "--owner",
        "ada@example.com",
        "--scope",
        "invoices:read",
        "--expires",
        "90d",
    ]);
    let (suspended, _) = place.key(&["--name", "Ærø 日本語", "--env", "test"]);
    place.run(&["keys", "suspend", &suspended]);
    place.key(&["--name", "later", "--not-before", "2099-01-01T00:00:00Z", "--format", "coreplexml"]);
    let (revoked, _) = place.key(&["--name", "worn out", "--owner", "it's me"]);
    place.run(&["keys", "revoke", &revoked]);
    golden("list_is_a_table", &[&place.run(&["keys", "list", "--sort", "name"])]);
    golden("list_answers_in_json", &[&place.run(&["keys", "list", "--owner", "ada@example.com", "--json"])]);
    golden(
        "list_filters",
        &[
            &place.run(&["keys", "list", "--state", "suspended"]),
            &place.run(&["keys", "list", "--env", "live", "--sort", "name", "--state", "active"]),
            &place.run(&["keys", "list", "--scope", "invoices:read"]),
            &place.run(&["keys", "list", "--search", "WORN"]),
            &place.run(&["keys", "list", "--search", "nothing like it"]),
        ],
    );
    let first = place.run(&["keys", "list", "--sort", "name", "--desc", "--limit", "3"]);
    golden("list_says_how_to_go_on", &[&first]);
    let page = place.run(&["keys", "list", "--sort", "name", "--desc", "--limit", "3", "--json"]).json();
    let next = page["next"].as_str().unwrap();
    golden(
        "list_goes_on",
        &[&place.run(&["keys", "list", "--sort", "name", "--desc", "--limit", "3", "--after", next])],
    );
    golden(
        "list_repeats_the_filters_in_its_hint_as_a_shell_reads_them",
        &[&place.run(&[
            "keys",
            "list",
            "--db",
            "keystile.db",
            "--search",
            " ",
            "--sort",
            "name",
            "--reverse",
            "--limit",
            "1",
        ])],
    );
    golden(
        "list_refuses_what_does_not_fit",
        &[
            &place.run(&["keys", "list", "--state", "rotten"]),
            &place.run(&["keys", "list", "--sort", "colour"]),
            &place.run(&["keys", "list", "--limit", "0"]),
            &place.run(&["keys", "list", "--limit", "1001"]),
            &place.run(&["keys", "list", "--after", "x"]),
            &place.run(&["keys", "list", "--after", next]),
            &place.run(&["keys", "list", "--search", &"x".repeat(129)]),
        ],
    );
}

#[test]
fn show_and_update() {
    let place = Place::new();
    let (id, secret) =
        place.key(&["--name", "billing", "--owner", "ada", "--scope", "read", "--metadata", "team=core"]);
    assert_eq!(place.run_with(&["verify"], secret.as_bytes()).code, 0);
    golden("show_tells_all_but_the_secret", &[&place.run(&["keys", "show", &id])]);
    golden("show_answers_in_json", &[&place.run(&["keys", "show", &id, "--json"])]);
    let update = |options: &[&str]| place.run(&[&["keys", "update", &id], options].concat());
    let every = [
        "--name",
        "invoices",
        "--owner",
        "bob",
        "--scope",
        "write",
        "--expires",
        "90d",
        "--not-before",
        "2020-01-01T00:00:00Z",
        "--allow-address",
        "192.0.2.7",
        "--rate",
        "5/1s",
        "--metadata",
        "stage=2",
        "--remove-metadata",
        "team",
        "--json",
    ];
    golden("update_changes_every_field", &[&update(&every)]);
    let none =
        ["--no-owner", "--no-scopes", "--no-addresses", "--no-rate", "--expires", "never", "--not-before", "none"];
    golden("update_clears_every_field", &[&update(&none), &place.run(&["keys", "show", &id])]);
    golden(
        "update_refuses_what_does_not_fit",
        &[
            &update(&[]),
            &update(&["--owner", "x", "--no-owner"]),
            &update(&["--expires", "2020-01-01T00:00:00Z"]),
            &update(&["--name", " "]),
        ],
    );
    let nobody = format!("key_{}", "0".repeat(32));
    golden(
        "an_unknown_key_is_not_found",
        &[
            &place.run(&["keys", "show", &nobody]),
            &place.run(&["keys", "update", &nobody, "--name", "x"]),
            &place.run(&["keys", "suspend", &nobody]),
            &place.run(&["keys", "resume", &nobody]),
            &place.run(&["keys", "revoke", &nobody]),
            &place.run(&["keys", "rotate", &nobody]),
            &place.run(&["keys", "show", &nobody, "--json"]),
        ],
    );
    golden("an_id_that_is_none_is_refused", &[&place.run(&["keys", "show", "billing"])]);
}

#[test]
fn states() {
    let place = Place::new();
    let (id, secret) = place.key(&["--name", "billing"]);
    let verify = || place.run_with(&["verify"], secret.as_bytes());
    golden(
        "suspend_and_resume_switch_a_key_off_and_on",
        &[
            &place.run(&["keys", "suspend", &id]),
            &verify(),
            &place.run(&["keys", "suspend", &id]),
            &place.run(&["keys", "resume", &id, "--json"]),
            &verify(),
            &place.run(&["keys", "resume", &id]),
        ],
    );
    golden(
        "revoke_ends_a_key_for_good",
        &[
            &place.run(&["keys", "revoke", &id, "--reason", "key_compromise", "--note", "found in a log"]),
            &verify(),
            &place.run(&["keys", "show", &id]),
            &place.run(&["keys", "revoke", &id]),
            &place.run(&["keys", "suspend", &id]),
            &place.run(&["keys", "resume", &id]),
            &place.run(&["keys", "rotate", &id]),
            &place.run(&["keys", "update", &id, "--name", "x"]),
        ],
    );
    let (other, _) = place.key(&["--name", "other"]);
    golden(
        "revoke_takes_a_reason_out_of_a_fixed_list",
        &[
            &place.run(&["keys", "revoke", &other, "--reason", "boredom"]),
            &place.run(&["keys", "revoke", &other, "--note", "a\nb"]),
            &place.run(&["keys", "revoke", &other, "--json"]),
        ],
    );
}

#[test]
fn rotate() {
    let place = Place::new();
    let (id, old) = place.key(&["--name", "billing"]);
    let rotated = place.run(&["keys", "rotate", &id]);
    let new = rotated.stdout().trim_end().to_owned();
    assert!(new.len() == 44 && new != old && !rotated.stderr().contains(&new));
    golden(
        "rotate_prints_the_new_secret_alone_and_both_work",
        &[
            &rotated,
            &place.run_with(&["verify"], old.as_bytes()),
            &place.run_with(&["verify"], new.as_bytes()),
            &place.run(&["keys", "show", &id]),
        ],
    );
    golden(
        "rotate_without_grace_refuses_the_old_secret_at_once",
        &[
            &place.run(&["keys", "rotate", &id, "--grace", "0"]),
            &place.run_with(&["verify"], old.as_bytes()),
            &place.run_with(&["verify"], new.as_bytes()),
        ],
    );
    golden(
        "rotate_can_wait_for_the_first_use",
        &[
            &place.run(&["keys", "rotate", &id, "--grace", "1d", "--grace-from-first-use"]),
            &place.run(&["keys", "show", &id]),
        ],
    );
    let once = ["keys", "rotate", &id, "--request-id", "deploy-42"];
    golden(
        "rotate_answers_a_request_id_once",
        &[&place.run(&once), &place.run(&once), &place.run(&[&once[..], &["--grace", "1h"]].concat())],
    );
    golden(
        "rotate_answers_in_json",
        &[
            &place.run(&["--json", "keys", "rotate", &id, "--request-id", "deploy-43", "--format", "coreplexml"]),
            &place.run(&["--json", "keys", "rotate", &id, "--request-id", "deploy-43", "--format", "coreplexml"]),
        ],
    );
    golden(
        "rotate_refuses_what_does_not_fit",
        &[
            &place.run(&["keys", "rotate", &id, "--grace", "91d"]),
            &place.run(&["keys", "rotate", &id, "--grace", "-1h"]),
            &place.run(&["keys", "rotate", &id, "--request-id", ""]),
            &place.run(&["keys", "rotate", &id, "--format", "acme"]),
        ],
    );
}

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn import() {
    let place = Place::new();
    let lines = format!(
        "{{\"digest\":\"{ABC}\",\"name\":\"abc\"}}\n\n\
         {{\"digest\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\",\"encoding\":\"base64\",\"name\":\"empty\",\"owner\":\"ada\",\
         \"env\":\"test\",\"scopes\":[\"read\"],\"expires_at\":\"2099-01-31T00:00:00Z\",\"not_before\":null,\"addresses\":[\"::/0\"],\
         \"rate\":\"600/60s\",\"metadata\":{{\"from\":\"unkey\"}},\"prefix\":\"sk_ab…\"}}\n"
    );
    place.write("keys.jsonl", &lines);
    golden(
        "import_makes_the_keys_of_another_system_work",
        &[
            &place.run(&["keys", "import", "keys.jsonl"]),
            &place.run_with(&["verify"], b"abc"),
            &place.run_with(&["verify"], b"abd"),
            &place.run(&["keys", "import", "keys.jsonl"]),
        ],
    );
    let other = Place::new();
    golden(
        "import_reads_standard_input_and_answers_in_json",
        &[&other.run_with(&["keys", "import", "-", "--json"], lines.as_bytes())],
    );
    let fresh = Place::new();
    let good = format!("{{\"digest\":\"{ABC}\",\"name\":\"abc\"}}\n");
    let refused = |line: &str| fresh.run_with(&["keys", "import", "-"], format!("{good}{line}").as_bytes());
    let key = |rest: &str| format!("{{\"digest\":\"{}\",{rest}}}", ABC.replace('b', "c"));
    golden(
        "import_names_the_line_that_does_not_fit_and_imports_nothing",
        &[
            &refused("{"),
            &refused("[1, 2]"),
            &refused(&key("\"name\":\"x\",\"secret\":\"y\"")),
            &refused(&key("\"owner\":\"x\"")),
            &refused("{\"digest\":\"abc\",\"name\":\"x\"}"),
            &refused(&key("\"name\":\"x\",\"encoding\":\"rot13\"")),
            &refused(&key("\"name\":\"\"")),
            &refused(&key("\"name\":\"x\",\"scopes\":[\"a b\"]")),
            &refused(&key("\"name\":\"x\",\"addresses\":[\"10.0.0.1/8\"]")),
            &refused(&key("\"name\":\"x\",\"expires_at\":\"2020-01-01T00:00:00Z\"")),
            &refused(&key("\"name\":\"x\",\"expires_at\":\"90d\"")),
            &refused(&key("\"name\":\"x\",\"prefix\":\"much too long to be a hint of it\"")),
            &refused("\n\u{ff}\n"),
            &refused(&good),
            &refused(&format!("{{\"name\":\"{}\"}}", "x".repeat(70_000))),
        ],
    );
    golden(
        "import_needs_something_to_import",
        &[
            &fresh.run_with(&["keys", "import", "-"], b"\n\n"),
            &fresh.run(&["keys", "import", "nowhere.jsonl"]),
            &fresh.run(&["keys", "import"]),
        ],
    );
    golden("import_of_a_bad_line_has_left_nothing", &[&fresh.run(&["keys", "list"])]);
}

#[test]
fn verify() {
    let place = Place::new();
    let (_, secret) = place.key(&[
        "--name",
        "k",
        "--owner",
        "ada",
        "--scope",
        "a:*",
        "--scope",
        "b",
        "--allow-address",
        "10.0.0.0/8",
    ]);
    let verify = |options: &[&str]| place.run_with(&[&["verify"], options].concat(), secret.as_bytes());
    let inside = ["--address", "10.1.2.3"];
    golden("verify_allows", &[&verify(&inside), &verify(&["--address", "10.1.2.3", "--json"])]);
    golden(
        "verify_asks_for_all_scopes_or_for_any",
        &[
            &verify(&[&inside[..], &["--scope", "a:x", "--scope", "b"]].concat()),
            &verify(&[&inside[..], &["--scope", "a:x", "--scope", "c"]].concat()),
            &verify(&[&inside[..], &["--any-scope", "c", "--any-scope", "b"]].concat()),
            &verify(&[&inside[..], &["--any-scope", "c", "--any-scope", "d"]].concat()),
        ],
    );
    golden(
        "verify_denies_a_valid_key_for_something_else",
        &[
            &verify(&[&inside[..], &["--env", "test"]].concat()),
            &verify(&["--address", "192.0.2.1"]),
            &verify(&[]),
            &verify(&["--json"]),
        ],
    );
    let typo = format!("{}{}", &secret[..43], if secret.ends_with('0') { '1' } else { '0' });
    golden(
        "verify_says_no_more_than_the_caller_may_know",
        &[
            &place.run_with(&["verify"], typo.as_bytes()),
            &place.run_with(&["verify"], b"not a key"),
            &place.run_with(&["verify"], b""),
            &place.run_with(&["verify"], &[0xff, 0, 0x80]),
            &place.run_with(&["verify"], &vec![b'x'; 1 << 20]),
        ],
    );
    golden(
        "verify_takes_one_line_ending_off_its_input_and_no_more",
        &[
            &place.run_with(&["verify", "--address", "10.0.0.1"], format!("{secret}\n").as_bytes()),
            &place.run_with(&["verify", "--address", "10.0.0.1"], format!("{secret}\r\n").as_bytes()),
            &place.run_with(&["verify", "--address", "10.0.0.1"], format!("{secret}\n\n").as_bytes()),
        ],
    );
    golden("verify_takes_an_argument", &[&place.run(&["verify", "--address", "10.0.0.1", &secret])]);
    let refused = |options: &[&str]| place.run(&[&["verify"], options].concat());
    golden(
        "verify_refuses_what_does_not_fit_and_repeats_no_credential",
        &[
            &refused(&[&secret, &secret]),
            &refused(&["--scope", "a b"]),
            &refused(&["--env", &secret]),
            &refused(&["--address", "office"]),
            &refused(&["--now", "tomorrow"]),
            &refused(&[&format!("--{secret}")]),
            &place.run(&[&secret]),
            &refused(&["--scope=x"; 33].map(str::to_owned).iter().map(String::as_str).collect::<Vec<_>>()),
        ],
    );
}

#[test]
fn verify_at_another_time() {
    let place = Place::new();
    let (id, secret) =
        place.key(&["--name", "k", "--expires", "2099-01-31T00:00:00Z", "--not-before", "2098-01-31T00:00:00Z"]);
    let verify = |now: &str| place.run_with(&["verify", "--now", now], secret.as_bytes());
    golden(
        "verify_judges_at_another_time",
        &[
            &verify("2098-01-30T23:59:59Z"),
            &verify("2098-01-31T00:00:00Z"),
            &verify("2099-01-30T23:59:59Z"),
            &verify("2099-01-31T00:00:00Z"),
        ],
    );
    assert_eq!(place.run(&["keys", "show", &id, "--json"]).json()["key"]["uses"], 0, "it leaves no trace");
}

#[test]
fn verify_many() {
    let place = Place::new();
    let (id, secret) = place.key(&["--name", "k"]);
    let mut input = format!("{secret}\n\n{secret}\r\nwrong\n").into_bytes();
    input.extend_from_slice(b"\xff\xfe\n");
    input.extend_from_slice(&vec![b'x'; 1 << 20]);
    input.extend_from_slice(format!("\n{secret}").as_bytes());
    golden("verify_answers_each_line_with_a_line", &[&place.run_with(&["verify", "-"], &input)]);
    golden(
        "verify_of_lines_that_are_all_allowed_is_allowed",
        &[
            &place.run_with(&["verify", "-"], format!("{secret}\n{secret}\n").as_bytes()),
            &place.run_with(&["verify", "-"], b""),
        ],
    );
    assert_eq!(place.run(&["keys", "show", &id, "--json"]).json()["key"]["uses"], 5, "each allow is a use");
}

/// Whoever feeds it line by line gets each answer before the next line.
#[test]
fn verify_does_not_keep_answers_back() {
    let place = Place::new();
    let (_, secret) = place.key(&["--name", "k"]);
    let mut child = place.command(&["verify", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for _ in 0..3 {
        writeln!(input, "{secret}").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"{\"verdict\":\"allow\""));
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A state that needs time to pass is made with a clock that can be set.
fn long_ago(place: &Place, days: u64) -> (Keystile, Arc<ManualClock>) {
    use keystile::Clock as _;
    let now = keystile::SystemClock.now();
    let then = Timestamp::from_unix(now.unix() - days * 86_400).unwrap();
    let clock = Arc::new(ManualClock::at(then));
    let options = Keystile::options().clock(Arc::clone(&clock)).actor("test");
    (options.open(place.path("keystile.db")).unwrap(), clock)
}

#[test]
fn report() {
    let place = Place::new();
    golden("report_of_nothing_is_all_zeros", &[&place.run(&["keys", "report"])]);
    let (keystile, clock) = long_ago(&place, 100);
    let create = |name: &str, expires_at: Option<u64>| {
        // A report lists keys in the order they were made; within a second there is none.
        clock.advance(1);
        let expires_at = expires_at.map(|days| keystile.request().now.saturating_add(days * 86_400));
        keystile.keys().create(NewKey { name: name.to_owned(), expires_at, ..NewKey::default() }).unwrap()
    };
    let idle = create("idle since then", Some(200));
    assert!(keystile.verify(idle.secret.expose_secret(), &keystile.request()).is_allow());
    create("never used", None);
    create("expires in five days", Some(105));
    create("expired by now", Some(50));
    drop(keystile);
    golden("report_names_the_keys_to_look_at", &[&place.run(&["keys", "report"])]);
    golden("report_answers_in_json", &[&place.run(&["keys", "report", "--json"])]);
}

#[test]
fn audit() {
    let place = Place::new();
    let (id, _) = place.key(&["--name", "billing"]);
    place.run(&["keys", "suspend", &id]);
    golden("audit_list_shows_the_newest_first", &[&place.run(&["audit", "list"])]);
    golden(
        "audit_list_filters",
        &[
            &place.run(&["audit", "list", "--key", &id, "--limit", "1"]),
            &place.run(&["audit", "list", "--after", "1", "--limit", "1"]),
            &place.run(&["audit", "list", "--after", "99"]),
            &place.run(&["audit", "list", "--limit", "0"]),
        ],
    );
    golden("audit_list_answers_in_json", &[&place.run(&["audit", "list", "--json", "--limit", "2"])]);
    let intact = place.run(&["audit", "verify", "--json"]);
    let checkpoint = intact.json()["checkpoint"].as_str().unwrap().to_owned();
    golden("audit_verify_prints_the_head_to_note", &[&place.run(&["audit", "verify"]), &intact]);
    place.run(&["keys", "resume", &id]);
    let wrong = checkpoint.replace("3:", "2:");
    golden(
        "audit_verify_holds_the_trail_against_a_note",
        &[
            &place.run(&["audit", "verify", "--checkpoint", &checkpoint]),
            &place.run(&["audit", "verify", "--checkpoint", &wrong]),
            &place.run(&["audit", "verify", "--checkpoint", &wrong, "--json"]),
            &place.run(&["audit", "verify", "--checkpoint", "3"]),
        ],
    );
}

#[test]
fn backup_and_restore() {
    let place = Place::new();
    let (id, secret) = place.key(&["--name", "billing"]);
    golden(
        "backup_never_overwrites",
        &[
            &place.run(&["backup", "copy.db"]),
            &place.run(&["backup", "copy.db"]),
            &place.run(&["backup", "copy2.db", "--json"]),
        ],
    );
    place.run(&["keys", "revoke", &id]);
    golden(
        "restore_keeps_what_was_refused_refused",
        &[
            &place.run(&["restore", "copy.db"]),
            &place.run_with(&["verify"], secret.as_bytes()),
            &place.run(&["restore", "copy.db", "--json"]),
        ],
    );
    place.write("text.txt", "not a database, whatever it is called");
    golden(
        "restore_refuses_what_is_no_backup",
        &[
            &place.run(&["restore", "nowhere.db"]),
            &place.run(&["restore", "text.txt"]),
            &place.run(&["restore", "keystile.db"]),
            &place.run(&["restore", "copy.db", "--db", "text.txt"]),
        ],
    );
    golden(
        "restore_makes_a_store_where_there_is_none",
        &[&place.run(&["restore", "copy.db", "--db", "new.db"]), &place.run(&["keys", "list", "--db", "new.db"])],
    );
}

#[test]
fn doctor() {
    let place = Place::new();
    golden("doctor_finds_a_new_store_sound", &[&place.run(&["doctor"])]);
    golden("doctor_answers_in_json", &[&place.run(&["doctor", "--json"])]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(place.path("keystile.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
        golden("doctor_tells_when_others_can_read_the_store", &[&place.run(&["doctor"])]);
    }
}

#[test]
fn stores_that_are_none() {
    let place = Place::empty();
    golden(
        "without_a_store_the_command_says_how_to_make_one",
        &[
            &place.run(&["keys", "list"]),
            &place.run(&["keys", "list", "--json"]),
            &place.run_with(&["verify"], b"x"),
            &place.run(&["doctor"]),
        ],
    );
    place.write(
        "text.db",
        "a text of somebody, and no database at all: it must be left as it is, to the last byte of it",
    );
    place.write("empty.db", "");
    std::fs::create_dir(place.path("folder.db")).unwrap();
    golden(
        "what_is_no_store_is_left_as_it_is",
        &[
            &place.run(&["keys", "list", "--db", "text.db"]),
            &place.run(&["keys", "list", "--db", "empty.db"]),
            &place.run(&["keys", "list", "--db", "folder.db"]),
            &place.run(&["--db", "text.db", "init"]),
        ],
    );
}

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

/// RFC 8037, appendix A: a public key.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn issuers() {
    let place = Place::new();
    place.write("jwks.json", format!("{{\"keys\": [{ED25519}]}}"));
    place.write("secret.json", r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#);
    let add = |options: &[&str]| {
        let start = ["issuers", "add", "clerk", "--issuer", "https://clerk.example.com"];
        place.run(&[&start[..], options].concat())
    };
    golden("issuers_list_of_nothing_says_so", &[&place.run(&["issuers", "list"])]);
    golden(
        "issuers_add_refuses_what_does_not_fit",
        &[
            &add(&[]),
            &add(&["--alg", "EdDSA"]),
            &add(&["--alg", "HS256", "--jwks", "jwks.json"]),
            &add(&["--alg", "none", "--jwks", "jwks.json"]),
            &add(&["--alg", "EdDSA", "--jwks", "secret.json"]),
            &add(&["--alg", "RS256", "--jwks", "jwks.json"]),
            &add(&["--alg", "EdDSA", "--jwks", "missing.json"]),
            &add(&["--alg", "EdDSA", "--jwks-url", "http://clerk.example.com/jwks"]),
            &add(&["--alg", "EdDSA", "--jwks-url", "https://ada:hush@clerk.example.com/jwks"]),
            &add(&["--alg", "EdDSA", "--jwks", "jwks.json", "--leeway", "61"]),
        ],
    );
    let every = ["--alg", "EdDSA", "--alg", "ES256", "--jwks", "jwks.json", "--audience", "shop", "--typ", "at+jwt"];
    let every =
        [&every[..], &["--leeway", "10", "--env", "live", "--scope-claim", "scp", "--roles-claim", "/r"]].concat();
    golden("issuers_add_takes_a_file_of_keys", &[&add(&every)]);
    golden("issuers_list_shows_keys", &[&place.run(&["issuers", "list"]), &place.run(&["issuers", "list", "--json"])]);
    golden("issuers_show_has_every_field", &[&place.run(&["issuers", "show", "clerk"])]);
    golden("doctor_looks_at_issuers", &[&place.run(&["doctor"])]);
    golden(
        "issuers_are_refreshed_disabled_enabled_and_removed",
        &[
            &place.run(&["issuers", "refresh", "clerk"]),
            &place.run(&["issuers", "refresh", "clerk", "--jwks", "jwks.json"]),
            &place.run(&["issuers", "disable", "clerk"]),
            &place.run(&["issuers", "disable", "clerk"]),
            &place.run(&["issuers", "enable", "clerk"]),
            &place.run(&["issuers", "remove", "clerk"]),
            &place.run(&["issuers", "show", "clerk"]),
        ],
    );
}

/// Keys are fetched from whom the operator names, past any proxy.
#[test]
fn a_proxy_that_the_environment_names_is_not_asked() {
    let place = Place::new();
    let (issuer, proxy) =
        (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}/keys", issuer.local_addr().unwrap());
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = issuer.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let set = format!("{{\"keys\": [{ED25519}]}}");
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.len()).unwrap();
        String::from_utf8(request).unwrap()
    });
    let arguments = ["issuers", "add", "a", "--issuer", "a", "--alg", "EdDSA", "--jwks-url", &url];
    let mut command = place.command(&arguments);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy_url);
    }
    let ran = finish(command, &arguments, b"");
    assert_eq!((ran.code, ran.stdout()), (0, "added a with 1 key\n"), "{}", ran.stderr());
    assert!(answering.join().unwrap().starts_with("GET /keys HTTP/1.1\r\n"));
    proxy.set_nonblocking(true).unwrap();
    assert!(proxy.accept().is_err(), "nobody has come to the proxy");
}

#[test]
fn tokens_without_a_store() {
    let place = Place::empty();
    place.write("key.jwk", ED25519.replace(r#""kid":"1","#, ""));
    place.write("jwks.json", format!("{{\"keys\": [{ED25519}, {{\"kty\": \"EC\", \"crv\": \"P-521\"}}]}}"));
    // RFC 8037, appendix A.4
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let check = |options: &[&str], stdin: &str| {
        place.run_with(&[&["jws", "check", "--jwk", "key.jwk"], options].concat(), stdin.as_bytes())
    };
    golden(
        "jws_check_says_whether_a_signature_is_good",
        &[
            &check(&[], jws),
            &check(&["--payload"], jws),
            &check(&["--json", "--payload"], jws),
            &check(&["--alg", "ES256"], jws),
            &check(&["-"], &format!("{jws}\n{}\n\n", jws.replace("RXhh", "RXhi"))),
        ],
    );
    let check = |options: &[&str], stdin: &str| {
        let start = ["jwt", "check", "--issuer", "joe", "--jwks", "jwks.json", "--alg", "EdDSA"];
        place.run_with(&[&start[..], options].concat(), stdin.as_bytes())
    };
    golden(
        "jwt_check_needs_no_store_and_says_why",
        &[
            &check(&[], jws),
            &check(&["--json"], "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ."),
            &check(&["-"], "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJqb2UifQ.AAAA\na\n"),
            &check(&["--leeway", "61"], jws),
            &place.run(&["jwt", "check"]),
        ],
    );
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 2, "no store was made");
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
