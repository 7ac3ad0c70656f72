//! Golden files of the commands on keys and their formats.

use super::*;

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
