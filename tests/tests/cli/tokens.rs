//! Golden files of tokens, signing keys, and the key that seals them.

use super::*;

/// What differs from run to run, beside what differs in all golden files.
const TOKEN_FILTERS: [(&str, &str); 7] = [
    // A second that passes makes 4 minutes of 5.
    (r"\bin \d+m\b", "[later]"),
    (r"  (?:now|\d+s ago)(?: *)  ", "  [now]  "),
    (r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "[token]"),
    // It can begin with a hyphen, which is no beginning of a word.
    (r"(^|[ \x22\n])[A-Za-z0-9_-]{43}( |\x22|\n)", "$1[thumbprint, 43 characters]$2"),
    (r#""(x|y)":"[A-Za-z0-9_-]{43}""#, r#""$1":"[43 characters]""#),
    (r"\b[0-9a-f]{32}\b", "[32 hexadecimal digits]"),
    (r"\b1\d{9}, ", "[seconds], "),
];

#[track_caller]
fn golden_token(name: &str, ran: &[&Ran]) {
    let text = transcript(ran);
    let filters: Vec<_> = TOKEN_FILTERS.into_iter().chain(FILTERS).collect();
    insta::with_settings!({ filters => filters, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

const USER: &str = "ada@example.com";

/// A place with a store and a user in it.
fn place_with_user() -> Place {
    let place = Place::new();
    assert_eq!(place.run(&["users", "create", USER]).code, 0);
    place
}

fn token(place: &Place) -> String {
    let ran = place.run(&["tokens", "issue", "--user", USER, "--json"]);
    ran.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn issue() {
    let place = place_with_user();
    let issued = place.run(&["tokens", "issue", "--user", USER, "--scope", "a:read", "--scope", "b", "--ttl", "5m"]);
    golden_token("issue_prints_the_token_alone_on_standard_output", &[&issued]);
    assert_eq!(issued.stdout().lines().count(), 1);
    golden_token("issue_answers_in_json", &[&place.run(&["--json", "tokens", "issue", "--user", USER])]);
    golden_token(
        "issue_refuses_what_does_not_fit",
        &[
            &place.run(&["tokens", "issue", "--user", "nobody@example.com"]),
            &place.run(&["tokens", "issue", "--user", USER, "--ttl", "31m"]),
            &place.run(&["tokens", "issue", "--user", USER, "--ttl", "0"]),
            &place.run(&["tokens", "issue", "--user", USER, "--scope", "a b"]),
            &place.run(&["tokens", "issue"]),
        ],
    );
}

#[test]
fn inspect() {
    let place = Place::empty();
    // Of RFC 7519, section 6.1: an unsecured JWT.
    let unsecured = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    let shown = place.run_with(&["tokens", "inspect"], unsecured.as_bytes());
    assert!(!shown.stdout().contains("valid"), "it never says so");
    insta::with_settings!({ filters => [(r"\(\d+d ago\)", "([days] ago)")], omit_expression => true }, {
        insta::assert_snapshot!("inspect_shows_what_is_written_and_judges_nothing", transcript(&[&shown]));
    });
    let treacherous = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJcdTAwMWJbMzFtIiwiYVx1MjAyZWIiOlsxLHsiYyI6bnVsbH1dfQ.";
    golden_token(
        "inspect_needs_no_store_and_shows_no_control_characters",
        &[
            &place.run_with(&["tokens", "inspect", "-", "--json"], format!("{unsecured}\r\n").as_bytes()),
            &place.run_with(&["tokens", "inspect"], treacherous.as_bytes()),
        ],
    );
    golden_token(
        "inspect_refuses_what_is_no_token",
        &[
            &place.run_with(&["tokens", "inspect"], b""),
            &place.run_with(&["tokens", "inspect"], b"\xff\xfe"),
            &place.run(&["tokens", "inspect", "a.b"]),
            &place.run(&["tokens", "inspect", "a.b", "c.d"]),
            &place.run_with(&["tokens", "inspect", "--json"], &vec![b'a'; 65_537]),
        ],
    );
}

#[test]
fn revoke() {
    let place = place_with_user();
    let one = token(&place);
    golden_token(
        "revoke_takes_the_token_once",
        &[
            &place.run_with(&["tokens", "revoke"], one.as_bytes()),
            &place.run_with(&["tokens", "revoke", "-", "--json"], format!("{one}\n").as_bytes()),
        ],
    );
    golden_token(
        "revoke_takes_an_id",
        &[
            &place.run(&["tokens", "revoke", "--jti", "abc"]),
            &place.run(&["tokens", "revoke", "--jti", "abc", "--issuer", "https://clerk.example.com", "--json"]),
        ],
    );
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    place.write("jwks.json", format!("{{\"keys\":[{jwk}]}}"));
    let add =
        ["issuers", "add", "clerk", "--issuer", "https://clerk.example.com", "--jwks", "jwks.json", "--any-audience"];
    assert_eq!(place.run(&[&add[..], &["--alg", "EdDSA", "--any-env"]].concat()).code, 0);
    let of_clerk = |rest: &[&str]| place.run(&[&["tokens", "revoke", "--issuer", "clerk"], rest].concat());
    golden_token(
        "revoke_takes_a_session_or_a_subject_of_an_external_issuer",
        &[
            &of_clerk(&["--sid", "sess_1"]),
            &of_clerk(&["--sid", "sess_1"]),
            &of_clerk(&["--sid", "sess_1", "--json"]),
            &of_clerk(&["--sub", "user_1"]),
            &of_clerk(&["--sub", "user_2", "--json"]),
            &of_clerk(&["--sub", ""]),
            &of_clerk(&["--sub", "a", "--sid", "b"]),
            &place.run(&["tokens", "revoke", "--sub", "user_1"]),
            &place.run(&["tokens", "revoke", "--sub", "user_1", "--issuer", "https://other.example.com"]),
        ],
    );
    let forged = format!("{}x", &one[..one.len() - 1]);
    let forged = place.run_with(&["tokens", "revoke"], forged.as_bytes());
    golden_token(
        "revoke_refuses_what_it_does_not_know",
        &[
            &forged,
            &place.run_with(&["tokens", "revoke"], b"x"),
            &place.run(&["tokens", "revoke", "--jti", ""]),
            &place.run(&["tokens", "revoke", "--issuer", "https://clerk.example.com"]),
            &place.run(&["tokens", "revoke", "--jti", "a", "x"]),
        ],
    );
    assert!(!format!("{}{}", forged.stdout(), forged.stderr()).contains(&one[20..60]), "it is not repeated");
}

#[test]
fn settings_that_refuse_tokens() {
    let place = place_with_user();
    golden_token(
        "settings_that_refuse_tokens_of_before_say_so",
        &[
            &place.run(&["settings", "set", "--audience", "https://api.example.com"]),
            &place.run(&["settings", "set", "--issuer", "https://id.example.com"]),
            &place.run(&["settings", "set", "--audience", "https://api.example.com"]),
        ],
    );
}

#[test]
fn signing_keys() {
    let place = place_with_user();
    golden_token(
        "signing_keys_of_a_new_store_are_none",
        &[
            &place.run(&["signing-keys", "list"]),
            &place.run(&["jwks"]),
            &place.run(&["--json", "signing-keys", "list"]),
        ],
    );
    token(&place);
    golden_token(
        "rotate_publishes_the_next_key",
        &[
            &place.run(&["signing-keys", "rotate", "--alg", "ES256"]),
            &place.run(&["signing-keys", "list"]),
            &place.run(&["jwks"]),
            &place.run(&["signing-keys", "rotate"]),
        ],
    );
    golden_token(
        "rotate_lets_the_next_key_sign_now",
        &[
            &place.run(&["signing-keys", "rotate", "--now"]),
            &place.run(&["signing-keys", "rotate", "--now", "--refuse-older", "--alg", "EdDSA"]),
            &place.run(&["signing-keys", "list"]),
            &place.run(&["signing-keys", "rotate", "--now", "--json"]),
        ],
    );
    golden_token(
        "rotate_refuses_what_does_not_fit",
        &[
            &place.run(&["signing-keys", "rotate", "--alg", "none"]),
            &place.run(&["signing-keys", "rotate", "--refuse-older"]),
        ],
    );
    let hmac = place_with_user();
    golden_token(
        "an_hmac_secret_is_never_in_the_key_set",
        &[&hmac.run(&["signing-keys", "rotate", "--alg", "HS256"]), &hmac.run(&["jwks"])],
    );
}

#[test]
fn settings_of_tokens() {
    let place = place_with_user();
    golden_token(
        "settings_of_tokens_are_shown_and_set",
        &[
            &place.run(&["settings", "set", "--issuer", "https://auth.example.com", "--access-token-lifetime", "1h"]),
            &place.run(&["settings", "set", "--audience", "https://api.example.com", "--publish-lead", "1d", "--json"]),
            &place.run(&["settings", "set", "--signing-alg", "RS256"]),
            &place.run(&["settings", "set", "--issuer", "none", "--audience", "none"]),
            &place.run(&["settings", "set", "--issuer", "http://auth.example.com"]),
            &place.run(&["settings", "set", "--access-token-lifetime", "2d"]),
            &place.run(&["settings", "set", "--publish-lead", "8d"]),
        ],
    );
}

#[test]
fn the_key_that_seals() {
    let place = place_with_user();
    let kek = std::fs::read_to_string(place.path("keystile.db.kek")).unwrap();
    token(&place);
    std::fs::create_dir(place.path("safe")).unwrap();
    std::fs::rename(place.path("keystile.db.kek"), place.path("safe/kek")).unwrap();
    golden_token(
        "without_the_key_that_seals_all_but_signing_works",
        &[
            &place.run(&["tokens", "issue", "--user", USER]),
            &place.run(&["signing-keys", "rotate", "--json"]),
            &place.run(&["keys", "list"]),
            &place.run(&["signing-keys", "list"]),
        ],
    );
    place.write("wrong", format!("{}=\n", "A".repeat(43)));
    place.write("text", "no key");
    golden_token(
        "a_wrong_key_refuses_to_start",
        &[
            &place.run(&["--kek", "wrong", "keys", "list"]),
            &place.run(&["--kek", "text", "keys", "list", "--json"]),
            &place.run(&["--kek", "wrong", "tokens", "issue", "--user", USER]),
        ],
    );
    let with = |name: &str, value: &str| {
        let arguments = ["tokens", "issue", "--user", USER];
        let mut command = place.command(&arguments);
        command.env(name, value);
        finish(command, &arguments, b"")
    };
    assert_eq!(with("KEYSTILE_KEK_FILE", "safe/kek").code, 0);
    assert_eq!(with("KEYSTILE_KEK", &kek).code, 0);
    assert_eq!(place.run(&["--kek", "safe/kek", "tokens", "issue", "--user", USER]).code, 0);
    let refused = with("KEYSTILE_KEK", &kek[1..]);
    assert_eq!(refused.code, 4);
    assert!(!refused.stderr().contains(&kek[1..9]), "it is not repeated");

    // A key that is there is taken, and none is made when it is named.
    let other = Place::empty();
    other.write("kek", &kek);
    golden_token("init_takes_a_key_that_is_there", &[&other.run(&["init", "--kek", "kek"])]);
    assert!(!other.path("keystile.db.kek").exists());
    golden_token("init_makes_the_key_that_was_named", &[&Place::empty().run(&["init", "--json", "--kek", "made"])]);
}

/// Processes that make the first signing key at the same moment end with one key that signs.
#[test]
fn many_processes_make_one_first_key() {
    const PROCESSES: usize = 6;
    let place = place_with_user();
    let arguments = ["tokens", "issue", "--user", USER];
    let barrier = std::sync::Barrier::new(PROCESSES);
    let headers: Vec<String> = std::thread::scope(|scope| {
        let issue = || {
            barrier.wait();
            let ran = place.run(&arguments);
            assert_eq!(ran.code, 0, "{}", ran.stderr());
            ran.stdout().split('.').next().unwrap().to_owned()
        };
        let threads: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(issue)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(headers.iter().all(|header| *header == headers[0]), "all name the same key");
    let keys = place.run(&["signing-keys", "list", "--json"]).json();
    let states: Vec<_> = keys["signing_keys"].as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["active"]);
}
