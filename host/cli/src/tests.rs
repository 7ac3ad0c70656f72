//! Tests of commands that need keys, a server or a clock: run inside this process, on streams in memory.

use std::path::PathBuf;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::demo::loopback::LoopbackServer;
use super::failure::Exit;
use super::output::Streams;

/// A folder that commands run in.
struct Place(TempDir);

/// What a command did.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Place {
        Place(TempDir::new().unwrap())
    }

    fn with_store() -> Place {
        let place = Place::new();
        assert_eq!(place.run(&["init"]).exit, Exit::Done);
        place
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], stdin: &str) -> Ran {
        let db = self.path("keystile.db");
        let all = ["keystile", "--db", db.to_str().unwrap()];
        let arguments = all.iter().chain(arguments).map(Into::into).collect();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            stdin: &mut stdin.as_bytes(),
            stdin_is_terminal: false,
            stdout: &mut stdout,
            stdout_width: None,
            stderr: &mut stderr,
        };
        let exit = super::run(arguments, super::Environment { user: Some("ada".to_owned()), kek: None }, &mut streams);
        Ran { exit, stdout: plain(&stdout), stderr: plain(&stderr) }
    }
}

/// Without colours.
fn plain(bytes: &[u8]) -> String {
    anstream::adapter::strip_str(std::str::from_utf8(bytes).unwrap()).to_string()
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The code of a verdict: `allow`, or why not.
    fn code(&self) -> String {
        code(&self.json())
    }
}

fn code(verdict: &Value) -> String {
    match verdict["verdict"].as_str() {
        Some("allow") => "allow".to_owned(),
        _ => verdict["code"].as_str().unwrap().to_owned(),
    }
}

// RFC 8037, appendix A.1
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const SECRET: &[u8] = b"a secret of thirty-two bytes ...";

fn ed_key() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": X })
}

fn secret_key() -> Value {
    json!({ "kty": "oct", "kid": "hs", "k": URL_SAFE_NO_PAD.encode(SECRET) })
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn signed(header: &Value, payload: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let start = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(sign(start.as_bytes()));
    format!("{start}.{signature}")
}

fn ed_signature(message: &[u8]) -> Vec<u8> {
    let (seed, x) = (URL_SAFE_NO_PAD.decode(SEED).unwrap(), URL_SAFE_NO_PAD.decode(X).unwrap());
    Ed25519KeyPair::from_seed_and_public_key(&seed, &x).unwrap().sign(message).as_ref().to_vec()
}

fn ed_token(claims: &Value) -> String {
    signed(&json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" }), claims.to_string().as_bytes(), ed_signature)
}

fn hs_token(claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let sign = |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec();
    signed(&json!({ "alg": "HS256", "kid": "hs" }), claims.to_string().as_bytes(), sign)
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "sub": "usr_7", "aud": ["shop", "desk"], "exp": 1_700_000_600,
        "iat": 1_700_000_000, "jti": "t1", "sid": "s1", "org_id": "acme", "scope": "invoices:read invoices:write",
    })
}

/// What is added to options that name no audience.
fn any_audience(options: &[&str]) -> &'static [&'static str] {
    if options.contains(&"--audience") { &[] } else { &["--any-audience"] }
}

/// A token that its issuer has signed for another service is not meant for this one.
#[test]
fn whom_a_token_is_for_is_always_said() {
    let place = Place::with_store();
    let jwks = place.file("jwks.json", set(&[ed_key()]));
    let keys = ["--issuer", "https://id.example", "--jwks", &jwks, "--alg", "EdDSA"];
    for command in [&["issuers", "add", "id"][..], &["jwt", "check"]] {
        for options in [&[][..], &["--audience", "shop", "--any-audience"]] {
            let ran = place.run(&[command, &keys[..], options, &["--json"]].concat());
            assert!(ran.exit == Exit::Usage && ran.stderr.contains("audience"), "{ran:?}");
        }
    }
    let check = |options: &[&str], token: &str| {
        let start = ["jwt", "check", "--json", "--now", "1700000000"];
        place.run_with(&[&start[..], &keys[..], options].concat(), token).code()
    };
    let mut id_token = claims();
    id_token["nonce"] = "n".into();
    let id_token = ed_token(&id_token);
    assert_eq!(check(&["--audience", "other"], &ed_token(&claims())), "wrong_audience");
    assert_eq!(check(&["--any-audience"], &ed_token(&claims())), "allow");
    assert_eq!(check(&["--any-audience"], &id_token), "invalid_claim");
    assert_eq!(check(&["--any-audience", "--allow-claim", "nonce"], &id_token), "allow");

    let added = place.run(&[&["issuers", "add", "id"], &keys[..], &["--any-audience", "--any-env"]].concat());
    assert!(added.exit == Exit::Done && added.stderr.contains("for others are let in"), "{added:?}");
    assert!(place.run(&["issuers", "show", "id"]).stdout.contains("nonce,at_hash,c_hash"));
    assert!(place.run(&["issuers", "list"]).stdout.contains("any"));
    let update = |options: &[&str]| place.run(&[&["issuers", "update", "id"], options].concat());
    assert_eq!(update(&[]).exit, Exit::Usage);
    assert_eq!(update(&["--audience", "a", "--any-audience"]).exit, Exit::Usage);
    assert_eq!(update(&["--audience", ""]).exit, Exit::Usage);
    assert_eq!(update(&["--audience", "shop", "--env", "live"]).stdout, "updated id (https://id.example)\n");
    assert_eq!(update(&["--allow-claim", "nonce", "--wildcard-scopes", "--leeway", "7"]).exit, Exit::Done);
    let shown = place.run(&["issuers", "show", "id", "--json"]).json()["issuer"].clone();
    assert_eq!((&shown["audiences"], &shown["any_audience"]), (&json!(["shop"]), &json!(false)));
    assert_eq!((&shown["env"], &shown["any_env"]), (&json!("live"), &json!(false)));
    assert_eq!((&shown["forbidden_claims"], &shown["wildcard_scopes"]), (&json!(["at_hash", "c_hash"]), &json!(true)));
    assert_eq!(shown["leeway_seconds"], 7);
    assert!(place.run(&["audit", "list", "--json"]).stdout.contains("issuer.updated"));
    let missing = place.run(&["issuers", "update", "no", "--any-env", "--json"]);
    assert!(missing.exit == Exit::Conflict && missing.stderr.contains("unknown_issuer"), "{missing:?}");
}

#[test]
fn a_token_is_judged_without_a_store() {
    let place = Place::new();
    let jwks = place.file("jwks.json", set(&[ed_key()]));
    let token = ed_token(&claims());
    let check = |options: &[&str], token: &str| {
        let start = ["jwt", "check", "--json", "--issuer", "https://id.example", "--jwks", &jwks, "--alg", "EdDSA"];
        place.run_with(&[&start[..], any_audience(options), options].concat(), token)
    };
    let allowed = check(&["--now", "1700000000", "--audience", "shop", "--typ", "at+jwt"], &format!("{token}\n"));
    assert_eq!(allowed.exit, Exit::Done, "{allowed:?}");
    let principal = &allowed.json()["principal"];
    assert_eq!(principal["subject"], "usr_7");
    assert_eq!(principal["scopes"], json!(["invoices:read", "invoices:write"]));
    assert_eq!(principal["kind"], "jwt", "as `keystile verify` answers");
    assert_eq!((&principal["org_id"], &principal["token_id"]), (&json!("acme"), &json!("t1")));
    assert_eq!(principal["expires_at"], "2023-11-14T22:23:20Z");

    let now = ["--now", "1700000000"];
    let mut broken = token.clone().into_bytes();
    let last = broken.len() - 10;
    broken[last] = if broken[last] == b'A' { b'B' } else { b'A' };
    let broken = String::from_utf8(broken).unwrap();
    for (options, token, expected) in [
        (&["--now", "1700000599"][..], &token, "allow"),
        (&["--now", "1700000600"], &token, "expired"),
        (&["--now", "1700000609", "--leeway", "10"], &token, "allow"),
        (&["--now", "1699999999"], &token, "not_yet_valid"),
        (&["--now", "1700000000", "--audience", "other"], &token, "wrong_audience"),
        (&["--now", "1700000000", "--typ", "JWT"], &token, "invalid_claim"),
        (&["--now", "1700000000", "--env", "live"], &token, "wrong_environment"),
        (&["--now", "1700000000", "--env", "live", "--any-env"], &token, "allow"),
        (&["--now", "1700000000", "--env", "acme", "--env-claim", "org_id"], &token, "allow"),
        (&["--now", "1700000000", "--env", "live", "--env-claim", "org_id", "--any-env"], &token, "wrong_environment"),
        (&["--now", "1700000000", "--env-claim", "iss"], &token, "invalid_claim"),
        (&now, &broken, "bad_signature"),
        (&now, &hs_token(&claims()), "algorithm_not_allowed"),
        (
            &now,
            &signed(&json!({ "alg": "none" }), b"{\"iss\":\"https://id.example\"}", |_| vec![1]),
            "algorithm_not_allowed",
        ),
        (&now, &ed_token(&json!({ "iss": "https://other.example", "exp": 1_700_000_600 })), "unknown_issuer"),
        (&now, &"a.b".to_owned(), "malformed"),
        (&now, &String::new(), "missing_credential"),
    ] {
        let ran = check(options, token);
        assert_eq!(ran.code(), expected, "{options:?} {ran:?}");
        assert_eq!(ran.exit, if expected == "allow" { Exit::Done } else { Exit::Denied });
    }
    // The clock of this system, when none is given: that token is long expired.
    assert_eq!(check(&[], &token).code(), "expired");
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 1, "no store was made");
}

#[test]
fn people_are_told_why() {
    let place = Place::new();
    let jwks = place.file("jwks.json", set(&[ed_key(), json!({ "kty": "OKP", "crv": "X25519", "kid": "x" })]));
    let start = ["jwt", "check", "--any-audience", "--issuer", "https://id.example", "--jwks", &jwks, "--alg", "EdDSA"];
    let token = ed_token(&claims());
    let allowed = place.run(&[&start[..], &["--now", "1700000000", &token]].concat());
    let expected = "allow  jwt sub=usr_7 org=acme issuer=https://id.example scopes=invoices:read,invoices:write\n";
    assert_eq!((allowed.exit, allowed.stdout.as_str()), (Exit::Done, expected));
    assert!(allowed.stderr.contains("not used: key 1 (`x`)"), "{allowed:?}");
    let denied = place.run(&[&start[..], &["--now", "1800000000", &token]].concat());
    assert_eq!(denied.exit, Exit::Denied);
    assert!(denied.stdout.starts_with("deny   expired (401)") && denied.stderr.contains("why: "), "{denied:?}");
    assert!(!format!("{denied:?}").contains(&token[..40]), "the token is not repeated");
    let two = place.run(&[&start[..], &[&token, &token]].concat());
    assert!(two.exit == Exit::Usage && two.stderr.contains("more than one token"), "{two:?}");
    assert!(!two.stderr.contains(&token[..40]));
}

#[test]
fn many_tokens_are_answered_one_a_line() {
    let place = Place::new();
    let jwks = place.file("jwks.json", set(&[ed_key()]));
    let input = format!("{}\n\ngarbage\r\n{}", ed_token(&claims()), ed_token(&json!({ "iss": "https://id.example" })));
    let start = ["jwt", "check", "--any-audience", "--issuer", "https://id.example", "--jwks", &jwks, "--alg", "EdDSA"];
    let ran = place.run_with(&[&start[..], &["--now", "1700000000", "-"]].concat(), &input);
    let codes: Vec<_> = ran.lines().iter().map(code).collect();
    assert_eq!(codes, ["allow", "missing_credential", "malformed", "invalid_claim"]);
    assert_eq!(ran.exit, Exit::Denied);
    let long = "a".repeat(keystile::bounds::MAX_CREDENTIAL_LEN + 10);
    let ran = place.run_with(&[&start[..], &["-"]].concat(), &format!("{long}\n{}\n", ed_token(&claims())));
    assert_eq!(ran.lines().iter().map(code).collect::<Vec<_>>(), ["malformed", "expired"]);
    assert_eq!(place.run_with(&[&start[..], &["-"]].concat(), "").exit, Exit::Done);
}

#[test]
fn a_shared_secret_counts_only_where_it_is_asked_for() {
    let place = Place::new();
    let secret = place.file("secret.json", set(&[secret_key()]));
    let both = place.file("both.json", set(&[secret_key(), ed_key()]));
    let token = hs_token(&claims());
    let check = |jwks: &str, algorithms: &[&str]| {
        let start = [
            "jwt",
            "check",
            "--any-audience",
            "--json",
            "--issuer",
            "https://id.example",
            "--now",
            "1700000000",
            "--jwks",
            jwks,
        ];
        let algorithms: Vec<&str> = algorithms.iter().flat_map(|name| ["--alg", *name]).collect();
        place.run_with(&[&start[..], &algorithms].concat(), &token).code()
    };
    assert_eq!(check(&secret, &["HS256"]), "allow");
    assert_eq!(check(&secret, &["EdDSA"]), "algorithm_not_allowed");
    assert_eq!(check(&secret, &["HS512"]), "algorithm_not_allowed");
    assert_eq!(check(&both, &["HS256", "EdDSA"]), "unknown_signing_key", "a set with public keys is published");
}

#[test]
fn what_is_no_key_file_is_told() {
    let place = Place::new();
    let token = ed_token(&claims());
    let large = " ".repeat(keystile::bounds::MAX_JWKS_LEN + 1);
    for (content, exit, code) in [
        (&b"{"[..], Exit::Usage, "invalid_keys"),
        (b"{\"keys\": 7}", Exit::Usage, "invalid_keys"),
        (b"\xff", Exit::Usage, "invalid_keys"),
        (large.as_bytes(), Exit::Usage, "invalid_keys"),
    ] {
        let file = place.file("jwks.json", content);
        for arguments in [
            &["jwt", "check", "--any-audience", "--json", "--issuer", "i", "--alg", "EdDSA", "--jwks", &file][..],
            &["jws", "check", "--json", "--jwk", &file],
        ] {
            let ran = place.run_with(arguments, &token);
            assert!(ran.exit == exit && ran.stderr.contains(code), "{ran:?}");
        }
    }
    let ran = place.run(&[
        "jwt",
        "check",
        "--any-audience",
        "--json",
        "--issuer",
        "i",
        "--alg",
        "EdDSA",
        "--jwks",
        "no/such",
        "a.b.c",
    ]);
    assert!(ran.exit == Exit::Conflict && ran.stderr.contains("unreadable_keys"), "{ran:?}");
    let jwks = place.file("jwks.json", set(&[ed_key()]));
    for wrong in [
        &["--leeway", "61", "--issuer", "i"][..],
        &["--issuer", ""],
        &["--issuer", "i", "--alg", "none"],
        &["--issuer", "i", "--now", "-1"],
        &["--issuer", "i", "--now", "soon"],
        &["--issuer", "i", "--typ", "jwt+x"],
    ] {
        let start = ["jwt", "check", "--any-audience", "--alg", "EdDSA", "--jwks", &jwks];
        assert_eq!(place.run_with(&[&start[..], wrong].concat(), &token).exit, Exit::Usage, "{wrong:?}");
    }
}

#[test]
fn a_signature_is_checked_alone() {
    let place = Place::new();
    let jwk = place.file("key.jwk", ed_key().to_string());
    let header = json!({ "alg": "EdDSA" });
    let jws = signed(&header, b"any bytes", ed_signature);
    let check =
        |options: &[&str], jws: &str| place.run_with(&[&["jws", "check", "--jwk", &jwk], options].concat(), jws);
    let good = check(&[], &jws);
    assert_eq!((good.exit, good.stdout.as_str()), (Exit::Done, "allow  the signature is good  {\"alg\":\"EdDSA\"}\n"));
    assert!(!good.stdout.contains("any bytes"), "what was signed is not printed unasked");
    assert_eq!(check(&["--payload"], &jws).stdout, "any bytes");
    assert_eq!(check(&["--json"], &jws).json(), json!({ "verdict": "allow", "header": { "alg": "EdDSA" } }));
    assert_eq!(check(&["--json", "--payload"], &jws).json()["payload"], "any bytes");
    let binary = signed(&header, &[0xff, 0], ed_signature);
    assert_eq!(check(&["--json", "--payload"], &binary).json()["payload_base64url"], "_wA");

    let other = signed(&header, b"other bytes", ed_signature);
    let swapped = format!("{}.{}", &jws[..jws.rfind('.').unwrap()], &other[other.rfind('.').unwrap() + 1..]);
    let lines = check(&["-"], &format!("{jws}\n{swapped}\nx\n"));
    assert_eq!(lines.lines().iter().map(code).collect::<Vec<_>>(), ["allow", "bad_signature", "malformed"]);
    assert_eq!(lines.exit, Exit::Denied);
    let denied = check(&["--payload"], &swapped);
    assert!(denied.stdout.starts_with("deny   bad_signature (401)") && !denied.stdout.contains("bytes"), "{denied:?}");
    assert_eq!(check(&["--json", "--alg", "RS256"], &jws).code(), "algorithm_not_allowed");
    assert_eq!(check(&["--json", "--alg", "Ed25519", "--alg", "EdDSA"], &jws).code(), "allow");

    // A set of keys, and a shared secret, work as well.
    let sets = place.file("set.jwk", set(&[ed_key()]));
    assert_eq!(place.run_with(&["jws", "check", "--json", "--jwk", &sets], &jws).code(), "allow");
    let secret = place.file("secret.jwk", secret_key().to_string());
    let hs = hs_token(&claims());
    assert_eq!(place.run_with(&["jws", "check", "--json", "--jwk", &secret], &hs).code(), "allow");
    assert_eq!(place.run_with(&["jws", "check", "--json", "--jwk", &secret], &jws).code(), "algorithm_not_allowed");
}

#[test]
fn issuers_are_added_shown_and_removed() {
    let place = Place::with_store();
    let none = place.run(&["issuers", "list"]);
    assert!(none.stdout.is_empty() && none.stderr.contains("no issuers"), "{none:?}");
    let jwks = place.file("jwks.json", set(&[ed_key()]));
    let add = ["issuers", "add", "clerk", "--issuer", "https://id.example", "--jwks", &jwks, "--alg", "EdDSA"];
    let added = place.run(&[&add[..], &["--audience", "shop", "--typ", "at+jwt", "--env", "live"]].concat());
    assert_eq!(
        (added.exit, added.stdout.as_str(), added.stderr.as_str()),
        (Exit::Done, "added clerk with 1 key\n", "")
    );
    let listed = place.run(&["issuers", "list"]);
    for text in ["enabled", "clerk", "https://id.example", "EdDSA", "shop", "a file"] {
        assert!(listed.stdout.contains(text), "{listed:?}");
    }
    let shown = place.run(&["issuers", "show", "clerk"]);
    for text in ["at+jwt", "live", "org_id", "cli:ada", "a file", "ed", "OKP"] {
        assert!(shown.stdout.contains(text), "{shown:?}");
    }
    let json = place.run(&["issuers", "show", "clerk", "--json"]).json();
    assert_eq!(json["issuer"]["keys"], json!([{ "kid": "ed", "kty": "OKP", "alg": null }]));
    assert_eq!(json["issuer"]["scope_claims"], json!(["scope"]));

    let again = place.run(&[&add[..], &["--any-audience", "--json"]].concat());
    assert!(again.exit == Exit::Conflict && again.stderr.contains("\"conflict\""), "{again:?}");
    let other = place.file("other.json", set(&[json!({ "kty": "OKP", "crv": "Ed25519", "kid": "new", "x": X })]));
    let refreshed = place.run(&["issuers", "refresh", "clerk", "--jwks", &other]);
    assert_eq!(refreshed.stdout, "refreshed clerk: 1 key, other ones than before\n");
    assert_eq!(place.run(&["issuers", "refresh", "clerk"]).exit, Exit::Conflict);
    assert_eq!(place.run(&["issuers", "disable", "clerk"]).stdout, "disabled clerk (https://id.example)\n");
    assert_eq!(place.run(&["issuers", "disable", "clerk"]).exit, Exit::Conflict);
    assert_eq!(place.run(&["issuers", "enable", "clerk"]).exit, Exit::Done);
    assert_eq!(place.run(&["issuers", "remove", "clerk", "--json"]).json()["done"], "removed");
    for command in ["show", "refresh", "enable", "disable", "remove"] {
        let missing = place.run(&["issuers", command, "clerk", "--json"]);
        assert!(missing.exit == Exit::Conflict && missing.stderr.contains("unknown_issuer"), "{missing:?}");
    }
    let audit = place.run(&["audit", "list", "--json"]).json().to_string();
    assert!(audit.contains("issuer.added") && audit.contains("issuer.removed"));
}

#[test]
fn keys_at_a_url_are_fetched_when_an_issuer_is_added() {
    let place = Place::with_store();
    let server = LoopbackServer::start(|path| match path {
        "/good" => (200, set(&[ed_key()])),
        _ => (503, String::new()),
    });
    let server = server.unwrap();
    let add = |name: &str, issuer: &str, path: &str| {
        let url = server.url(path);
        let fixed = ["issuers", "add", name, "--issuer", issuer, "--alg", "EdDSA", "--jwks-url", url.as_str()];
        place.run(&[&fixed[..], &["--any-audience"]].concat())
    };
    let good = add("good", "a", "/good");
    assert_eq!((good.exit, good.stdout.as_str()), (Exit::Done, "added good with 1 key\n"));
    assert!(good.stderr.contains("no audience is asked for"), "{good:?}");
    assert_eq!(place.run(&["issuers", "refresh", "good"]).stdout, "refreshed good: 1 key, the same as before\n");
    let bad = add("bad", "b", "/bad");
    assert_eq!((bad.exit, bad.stdout.as_str()), (Exit::Done, "added bad with 0 keys\n"));
    assert!(bad.stderr.contains("HTTP status 503; it has no keys yet"), "{bad:?}");
    let refused = place.run(&["issuers", "refresh", "bad", "--json"]);
    assert!(refused.exit == Exit::CannotSay && refused.stderr.contains("not_fetched"), "{refused:?}");
    let listed = place.run(&["issuers", "list"]).stdout;
    assert!(listed.contains("http_status_503") && listed.contains("never"), "{listed}");
    assert_eq!(place.run(&["issuers", "refresh", "good", "--jwks", &place.file("x", "{}")]).exit, Exit::Conflict);
}

/// What does not fit is not repeated: it may hold a password.
#[test]
fn issuers_that_do_not_fit_are_refused() {
    let place = Place::with_store();
    let jwks = place.file("jwks.json", set(&[ed_key()]));
    let secret = place.file("secret.json", set(&[secret_key()]));
    let start = ["issuers", "add", "a", "--issuer", "i", "--json"];
    for (options, code) in [
        (&["--alg", "EdDSA", "--jwks-url", "https://ada:hush@id.example/"][..], "invalid_field"),
        (&["--alg", "EdDSA", "--jwks-url", "http://hush.example/"], "invalid_field"),
        (&["--alg", "EdDSA", "--jwks-url", "hush"], "invalid_field"),
        (&["--alg", "HS256", "--jwks", &jwks], "usage"),
        (&["--alg", "EdDSA", "--jwks", &secret], "invalid_keys"),
        (&["--alg", "RS256", "--jwks", &jwks], "invalid_keys"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--leeway", "61"], "invalid_field"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--env", "live", "--any-env"], "usage"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--env", "live", "--env-claim", "env"], "usage"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--env-claim", ""], "invalid_field"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--audience", ""], "invalid_field"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--jwks-url", "https://id.example/"], "usage"),
        (&["--alg", "EdDSA"], "usage"),
        (&["--jwks", &jwks], "usage"),
        (&["--alg", "none", "--jwks", &jwks], "usage"),
        (&["--alg", "EdDSA", "--jwks", &jwks, "--scope-claim", "x"], "usage"),
    ] {
        let ran = place.run(&[&start[..], any_audience(options), options].concat());
        assert!(ran.exit == Exit::Usage && ran.stderr.contains(&format!("\"{code}\"")), "{options:?} {ran:?}");
        assert!(!ran.stderr.contains("hush"), "{ran:?}");
    }
    assert_eq!(place.run(&["issuers", "list", "--json"]).json(), json!({ "issuers": [] }));
}
