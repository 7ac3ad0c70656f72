//! Golden files of the commands on users and their sessions.

use keystile::{Client, Login, Password, Scope};

use super::*;

const PASSWORD: &[u8] = b"correct horse battery staple\n";

impl Place {
    /// Somebody logs in, as the service would have it.
    fn login(&self, email: &str) {
        let keystile = Keystile::options().on_demand(true).key_encryption_key_file(self.path("keystile.db.kek"));
        let keystile = keystile.open(self.path("keystile.db")).unwrap();
        let password = Password::new("correct horse battery staple".to_owned()).unwrap();
        let client = Client {
            id: Some("web".to_owned()),
            description: Some("Firefox 140".to_owned()),
            address: Some("192.0.2.7".parse().unwrap()),
            scopes: vec![Scope::new("read").unwrap()],
            environment: None,
        };
        keystile.login(&Login { email, password: &password, client }).unwrap();
    }

    fn lock(&self, email: &str) {
        // Ten attempts, each after the longest pause, the last of them now.
        let now = keystile::Clock::now(&keystile::SystemClock).unix();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(now - 400).unwrap()));
        let options = Keystile::options().on_demand(true).clock(Arc::clone(&clock));
        let keystile = options.open(self.path("keystile.db")).unwrap();
        let password = Password::new("wrong".to_owned()).unwrap();
        for _ in 0..keystile::bounds::LOCK_ACCOUNT_AFTER {
            clock.advance(40);
            assert!(keystile.login(&Login { email, password: &password, client: Client::default() }).is_err());
        }
    }
}

fn place_with_ada() -> Place {
    let place = Place::new();
    let create = ["users", "create", "ada@example.com", "--name", "Ada", "--org", "org_acme", "--password-stdin"];
    assert_eq!(place.run_with(&create, PASSWORD).code, 0);
    place
}

#[test]
fn users_create() {
    let place = Place::new();
    golden("users_create_makes_a_user_without_a_password", &[&place.run(&["users", "create", "Ada@Example.com"])]);
    let create = ["users", "create", "grace@example.com", "--name", "Grace Hopper", "--org", "org_navy", "--admin"];
    let create = [&create[..], &["--password-stdin", "--json"]].concat();
    golden("users_create_takes_every_field_and_answers_in_json", &[&place.run_with(&create, PASSWORD)]);
    let refused = |arguments: &[&str], stdin: &[u8]| place.run_with(&[&["users", "create"], arguments].concat(), stdin);
    golden(
        "users_create_refuses_what_does_not_fit",
        &[
            &refused(&[], b""),
            &refused(&["ADA@example.com"], b""),
            &refused(&["not an address"], b""),
            &refused(&["x@example.com", "--name", ""], b""),
            &refused(&["x@example.com", "--org", "a\u{202e}b"], b""),
            &refused(&["x@example.com", "--password-stdin"], b"short\n"),
            &refused(&["x@example.com", "--password-stdin"], b"Password1"),
            &refused(&["x@example.com", "--password-stdin"], b""),
            &refused(&["x@example.com", "--password-stdin"], "é".repeat(257).as_bytes()),
            &refused(&["x@example.com", "--password-stdin"], "a".repeat(100_000).as_bytes()),
            &refused(&["x@example.com", "--password-stdin"], b"caf\xe9 caf\xe9"),
        ],
    );
    golden(
        "users_create_takes_a_password_to_the_last_character",
        &[
            &refused(&["long@example.com", "--password-stdin"], "é".repeat(256).as_bytes()),
            &refused(&["spaces@example.com", "--password-stdin"], b"        \n"),
        ],
    );
}

#[test]
fn users_list() {
    let place = Place::new();
    golden("users_list_of_nothing_says_so", &[&place.run(&["users", "list"])]);
    let place = place_with_ada();
    place.run(&["users", "create", "grace@example.com", "--admin"]);
    place.run(&["users", "create", "katherine@example.com", "--org", "org_nasa"]);
    place.run(&["users", "suspend", "grace@example.com"]);
    golden("users_list_is_a_table", &[&place.run(&["users", "list"])]);
    // With the `@`, or an id could match.
    golden("users_list_answers_in_json", &[&place.run(&["users", "list", "--json", "--search", "ada@"])]);
    golden(
        "users_list_filters",
        &[
            &place.run(&["users", "list", "--suspended"]),
            &place.run(&["users", "list", "--active", "--org", "org_nasa"]),
            &place.run(&["users", "list", "--search", "nobody"]),
        ],
    );
    golden(
        "users_list_says_how_to_go_on",
        &[&place.run(&["users", "list", "--limit", "1", "--search", "example.com", "--active"])],
    );
    golden(
        "users_list_refuses_what_does_not_fit",
        &[&place.run(&["users", "list", "--limit", "0"]), &place.run(&["users", "list", "--after", "x"])],
    );
}

#[test]
fn users_show() {
    let place = place_with_ada();
    place.login("ada@example.com");
    golden("users_show_tells_all_but_the_password", &[&place.run(&["users", "show", "Ada@example.com"])]);
    golden("users_show_answers_in_json", &[&place.run(&["users", "show", "ada@example.com", "--json"])]);
    golden(
        "users_show_of_nobody_is_not_found",
        &[
            &place.run(&["users", "show", "nobody@example.com"]),
            &place.run(&["users", "show", "usr_00000000000000000000000000000000", "--json"]),
            &place.run(&["users", "show", "ada"]),
        ],
    );
}

#[test]
fn users_update() {
    let place = place_with_ada();
    let update = ["users", "update", "ada@example.com"];
    golden(
        "users_update_changes_and_clears",
        &[
            &place.run(&[&update[..], &["--email", "ADA@lovelace.example", "--name", "Ada L.", "--admin"]].concat()),
            &place.run(&["users", "update", "ada@lovelace.example", "--no-org", "--no-name", "--no-admin", "--json"]),
        ],
    );
    golden(
        "users_update_refuses_what_does_not_fit",
        &[
            &place.run(&["users", "update", "ada@lovelace.example"]),
            &place.run(&["users", "update", "ada@lovelace.example", "--admin", "--no-admin"]),
        ],
    );
}

#[test]
fn users_suspend() {
    let place = place_with_ada();
    place.login("ada@example.com");
    golden(
        "users_suspend_ends_sessions_and_resume_brings_none_back",
        &[
            &place.run(&["users", "suspend", "ada@example.com"]),
            &place.run(&["users", "suspend", "ada@example.com"]),
            &place.run(&["sessions", "list"]),
            &place.run(&["users", "resume", "ada@example.com", "--json"]),
            &place.run(&["users", "resume", "ada@example.com"]),
            &place.run(&["sessions", "list", "--all"]),
        ],
    );
}

#[test]
fn users_unlock() {
    let place = place_with_ada();
    place.lock("ada@example.com");
    let locked = place.run(&["users", "show", "ada@example.com", "--json"]).json();
    assert!(locked["locked_until"].is_string(), "{locked}");
    golden(
        "users_unlock_ends_a_lock",
        &[&place.run(&["users", "unlock", "ada@example.com"]), &place.run(&["audit", "list", "--limit", "2"])],
    );
    let unlocked = place.run(&["users", "show", "ada@example.com", "--json"]).json();
    assert!(unlocked["locked_until"].is_null(), "{unlocked}");
}

#[test]
fn users_reset_password() {
    let place = place_with_ada();
    place.login("ada@example.com");
    let drawn = place.run(&["users", "reset-password", "ada@example.com"]);
    let password = drawn.stdout().trim_end();
    assert_eq!(drawn.stdout().lines().count(), 1);
    assert!(!drawn.stderr().contains(password), "the password is on standard output only");
    golden("users_reset_password_prints_a_drawn_password_alone", &[&drawn, &place.run(&["sessions", "list"])]);
    golden(
        "users_reset_password_answers_in_json",
        &[&place.run(&["users", "reset-password", "ada@example.com", "--json"])],
    );
    let from_stdin = ["users", "reset-password", "ada@example.com", "--password-stdin"];
    golden(
        "users_reset_password_takes_one_from_standard_input",
        &[&place.run_with(&from_stdin, PASSWORD), &place.run_with(&from_stdin, b"ada@example.com")],
    );
    place.login("ada@example.com");
}

#[test]
fn users_delete() {
    let place = place_with_ada();
    place.login("ada@example.com");
    golden(
        "users_delete_forgets_all_but_the_id",
        &[
            &place.run(&["users", "delete", "ada@example.com"]),
            &place.run(&["users", "delete", "ada@example.com"]),
            &place.run(&["users", "list"]),
            &place.run(&["sessions", "list"]),
            &place.run(&["audit", "list", "--limit", "1"]),
        ],
    );
}

#[test]
fn keys_of_an_address() {
    let place = place_with_ada();
    for (name, owner) in [("nightly", "ada@example.com"), ("laptop", "Ada@Example.com"), ("other", "bob@example.com")] {
        place.key(&["--name", name, "--owner", owner, "--format", "hippocortex"]);
    }
    golden(
        "users_update_and_delete_suspend_the_keys_of_the_address",
        &[
            &place.run(&["users", "update", "ada@example.com", "--email", "bob@example.com"]),
            &place.run(&["users", "delete", "bob@example.com", "--json"]),
            &place.run(&["keys", "list", "--state", "suspended", "--sort", "name"]),
            &place.run(&["audit", "list", "--limit", "2"]),
        ],
    );
}

#[test]
fn sessions() {
    let place = place_with_ada();
    golden("sessions_list_of_nothing_says_so", &[&place.run(&["sessions", "list"])]);
    place.login("ada@example.com");
    place.login("ada@example.com");
    let listed = place.run(&["sessions", "list", "--json"]);
    let id = listed.json()["sessions"][0]["id"].as_str().unwrap().to_owned();
    golden("sessions_list_answers_in_json", &[&listed]);
    golden("sessions_list_is_a_table", &[&place.run(&["sessions", "list", "--user", "ada@example.com"])]);
    golden("sessions_list_says_how_to_go_on", &[&place.run(&["sessions", "list", "--limit", "1"])]);
    golden(
        "sessions_end_ends_one_or_all_of_a_user",
        &[
            &place.run(&["sessions", "end", &id]),
            &place.run(&["sessions", "end", &id, "--json"]),
            &place.run(&["sessions", "end", "--user", "ada@example.com"]),
            &place.run(&["sessions", "end", "--user", "ada@example.com", "--json"]),
            &place.run(&["sessions", "list", "--all"]),
        ],
    );
    golden(
        "sessions_end_refuses_what_does_not_fit",
        &[
            &place.run(&["sessions", "end"]),
            &place.run(&["sessions", "end", &id, "--user", "ada@example.com"]),
            &place.run(&["sessions", "end", "ses_00000000000000000000000000000000"]),
            &place.run(&["sessions", "end", "--user", "nobody@example.com"]),
        ],
    );
}

#[test]
fn login_settings() {
    let place = Place::new();
    golden(
        "settings_of_logins_are_set_one_by_one",
        &[
            &place.run(&["settings", "set", "--session-lifetime", "30d", "--refresh-window", "0"]),
            &place.run(&["settings", "set", "--min-password", "15"]),
            &place.run(&["settings", "show", "--json"]),
        ],
    );
    golden(
        "settings_of_logins_have_bounds",
        &[
            &place.run(&["settings", "set", "--session-lifetime", "91d"]),
            &place.run(&["settings", "set", "--refresh-window", "61s"]),
            &place.run(&["settings", "set", "--min-password", "7"]),
            &place.run(&["settings", "set"]),
        ],
    );
}

#[test]
fn help_of_users_and_sessions() {
    let place = Place::empty();
    for command in [
        "users",
        "users create",
        "users list",
        "users show",
        "users update",
        "users suspend",
        "users resume",
        "users unlock",
        "users reset-password",
        "users delete",
        "sessions",
        "sessions list",
        "sessions end",
    ] {
        let arguments: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        golden(&format!("help_{}", command.replace([' ', '-'], "_")), &[&place.run(&arguments)]);
    }
}
