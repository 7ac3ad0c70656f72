//! Golden files of external issuers, and of tokens that are checked without a store.

use super::*;

/// RFC 8037, appendix A: a public key.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn issuers() {
    let place = Place::new();
    place.write("jwks.json", format!("{{\"keys\": [{ED25519}]}}"));
    place.write("secret.json", r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#);
    let add = |options: &[&str]| {
        let start = ["issuers", "add", "clerk", "--issuer", "https://clerk.example.com"];
        let audience: &[&str] = if options.contains(&"--audience") { &[] } else { &["--any-audience"] };
        place.run(&[&start[..], audience, options].concat())
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
            &place.run(&["issuers", "update", "clerk", "--any-audience", "--allow-claim", "nonce"]),
            &place.run(&["issuers", "show", "clerk"]),
            &place.run(&["doctor"]),
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
    let arguments = ["issuers", "add", "a", "--issuer", "a", "--any-audience", "--alg", "EdDSA", "--jwks-url", &url];
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
        let start = ["jwt", "check", "--any-audience", "--issuer", "joe", "--jwks", "jwks.json", "--alg", "EdDSA"];
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
