//! Golden files of the commands on the store itself.

use super::*;

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
fn a_row_that_something_else_has_written_is_reported() {
    let place = Place::new();
    let (id, _) = place.key(&["--name", "leaked"]);
    place.run(&["keys", "revoke", &id]);
    let sql = "UPDATE keys SET (state, revoked_at, revoke_reason) = ('active', NULL, NULL)";
    assert_eq!(rusqlite::Connection::open(place.path("keystile.db")).unwrap().execute(sql, []).unwrap(), 1);
    let doctor = place.run(&["doctor", "--json"]);
    assert_eq!(doctor.json()["severity"], "error");
    golden(
        "audit_verify_reports_what_something_else_has_written",
        &[&place.run(&["audit", "verify"]), &place.run(&["audit", "verify", "--json"])],
    );
    place.run(&["keys", "revoke", &id]);
    golden("audit_verify_goes_on_to_tell_until_it_was_seen", &[&place.run(&["audit", "verify"])]);
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
            &place.run(&["audit", "list", "--search", "CREATED", "--limit", "1"]),
            &place.run(&["audit", "list", "--search", "created", "--before", "2"]),
            &place.run(&["audit", "list", "--search", &"x".repeat(129)]),
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
    let (young, _) = place.key(&["--name", "young", "--owner", "team"]);
    golden(
        "restore_lists_the_keys_that_it_suspends",
        &[&place.run(&["restore", "copy.db"]), &place.run(&["keys", "show", &young])],
    );
    place.run(&["keys", "resume", &young]);
    place.run(&["backup", "later.db"]);
    place.key(&["--name", "younger"]);
    golden("restore_lists_the_keys_that_it_suspends_in_json", &[&place.run(&["restore", "later.db", "--json"])]);
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
    place.run(&["init", "--db", "other.db"]);
    golden(
        "restore_refuses_a_backup_of_another_store",
        &[
            &place.run(&["restore", "copy.db", "--db", "other.db"]),
            &place.run(&["restore", "copy.db", "--db", "other.db", "--json"]),
            &place.run(&["restore", "copy.db", "--db", "other.db", "--replace-other-store"]),
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
    let leftover = ".keystile.db.0123456789abcdef.tmp";
    place.write(leftover, "");
    golden("doctor_tells_of_a_copy_that_was_not_finished", &[&place.run(&["doctor"])]);
    std::fs::remove_file(place.path(leftover)).unwrap();
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

/// Somebody has written to the store with a clock that was ahead.
#[test]
fn a_clock_that_is_behind_its_store() {
    let place = Place::new();
    let (id, expiring) = place.key(&["--name", "billing", "--expires", "90d"]);
    let shown = place.run(&["clock", "show"]);
    assert!(shown.code == 0 && shown.stderr.is_empty(), "{}", shown.stderr());
    let ahead = Arc::new(ManualClock::at(Timestamp::from_unix(4_000_000_000).unwrap()));
    let keystile = Keystile::options().clock(ahead).on_demand(true).open(place.path("keystile.db")).unwrap();
    keystile.keys().create(NewKey { name: "of the future".into(), ..NewKey::default() }).unwrap();
    drop(keystile);
    let doctor = place.run(&["doctor", "--json"]);
    assert_eq!((doctor.code, doctor.json()["severity"].as_str()), (1, Some("error")));
    assert!(doctor.stdout().contains("keystile clock accept"), "{}", doctor.stdout());
    golden(
        "clock_commands_warn_of_a_clock_that_is_behind",
        &[
            &place.run(&["clock", "show"]),
            &place.run(&["keys", "suspend", &id]),
            &place.run(&["keys", "resume", &id, "--json"]),
            &place.run_with(&["verify"], expiring.as_bytes()),
        ],
    );
    golden(
        "clock_accept_takes_the_word_of_the_clock",
        &[
            &place.run(&["clock", "accept"]),
            &place.run_with(&["verify", "--json"], expiring.as_bytes()),
            &place.run(&["clock", "accept", "--json"]),
        ],
    );
    let shown = place.run(&["clock", "show", "--json"]);
    assert!(shown.stderr.is_empty() && shown.json()["behind_seconds"].is_null(), "{}", shown.stdout());
    assert_eq!(place.run(&["doctor"]).code, 0);
    assert_eq!(place.run(&["audit", "verify"]).code, 0);
}
