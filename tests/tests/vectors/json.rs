//! The JSON test suite inside of tokens: as the value of a claim that nobody reads.

use std::fs;

use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings, Issuers, MAX_TOKEN_LEN};
use keystile_validator::{Code, Timestamp};
use serde_json::json;

use crate::vectors::refusal::verify_jwt;
use crate::vectors::signing::{ISSUER, SECRET, secret_jwk, sign};
use crate::vectors::support::vectors;

#[test]
fn json_test_suite() {
    let Some(folder) = vectors() else { return };
    let mut settings = IssuerSettings::new(ISSUER, [Algorithm::Hs256]);
    settings.secrets = true;
    settings.any_audience = true;
    settings.longest_token = MAX_TOKEN_LEN;
    let jwks = json!({ "keys": [secret_jwk(SECRET)] }).to_string();
    let mut issuers = Issuers::default();
    issuers.put(Issuer::new(settings, jwks.as_bytes()).unwrap()).unwrap();
    let now = Timestamp::from_unix(1_800_000_000).unwrap();
    let mut counts = [0, 0, 0];
    for entry in fs::read_dir(folder.join("json-test-suite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let start = format!(r#"{{"iss":"{ISSUER}","exp":{},"x":"#, now.unix() + 1).into_bytes();
        let claims = [start, fs::read(&path).unwrap(), b"}".into()].concat();
        let token = sign(Algorithm::Hs256, SECRET, br#"{"alg":"HS256"}"#, &claims);
        let verdict = verify_jwt(token.as_bytes(), &issuers, now);
        let code = verdict.err().map(|error| error.code());
        match name.split_once('_').unwrap().0 {
            // RFC 8259, section 4, leaves it open; here a member stands once.
            "y" if name.starts_with("y_object_duplicated_key") => assert_eq!(code, Some(Code::Malformed), "{name}"),
            "y" => assert_eq!(code, None, "{name}"),
            "n" => assert_eq!(code, Some(Code::Malformed), "{name}"),
            _ => assert!(matches!(code, None | Some(Code::Malformed)), "{name}"),
        }
        counts[usize::from(code.is_some())] += 1;
        counts[2] += 1;
    }
    let [allowed, malformed, all] = counts;
    println!("JSON test suite inside of tokens: {all} cases, {allowed} allowed, {malformed} malformed");
    assert!(all >= 318, "{all}");
}
