//! Golden files of imports, and of the report on keys.

use super::*;

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
