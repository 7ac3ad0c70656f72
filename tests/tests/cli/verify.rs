//! Golden files of `keystile verify`.

use super::*;

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
