//! The same question to the validator in its sandbox, which must say the same.

use keystile::sandbox::{IssuerDocument, Sandbox, SandboxOptions};
use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings, Issuers, JwtError, MAX_TOKEN_LEN};
use keystile_validator::wire::{Item, Message, decode_verdict};
use keystile_validator::{Code, Request, Timestamp};
use serde_json::Value;

thread_local! {
    static SANDBOX: Sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
}

/// Asks for the signature alone, with the keys of this JWK or JWK Set.
pub(crate) fn assert_same_signature(jws: &str, keys: &Value, algorithms: &[Algorithm], native: Option<&JwtError>) {
    if algorithms.is_empty() {
        // No issuer can have no algorithms: a check like this cannot be set up.
        return;
    }
    let settings = IssuerSettings { secrets: true, ..IssuerSettings::new("vectors", algorithms) };
    let read = if keys["keys"].is_null() { Issuer::with_key } else { Issuer::new };
    let issuer = read(settings, keys.to_string().as_bytes()).unwrap();
    SANDBOX.with(|sandbox| {
        sandbox.set_issuers(vec![IssuerDocument::new("vectors", issuer.to_json())]);
        let answer = sandbox.check_jws("vectors", jws.as_bytes()).unwrap();
        assert_eq!(answer.err(), native.map(JwtError::code), "in the sandbox: {jws} by {keys}");
    });
}

/// Asks for the verdict on a token: at first sight, and when it was seen before.
pub(crate) fn assert_same_token(token: &[u8], issuers: &Issuers, now: Timestamp, native: Option<&JwtError>) {
    let documents = issuers.iter().map(|issuer| IssuerDocument::new(issuer.name(), issuer.to_json())).collect();
    // Nothing at all is no malformed token, but no credential.
    let expected = native.map(|error| if token.is_empty() { Code::MissingCredential } else { error.code() });
    SANDBOX.with(|sandbox| {
        sandbox.set_issuers(documents);
        for _ in 0..2 {
            let request = Request::at(now);
            let items = [Item { credential: token, record: None }];
            let verdict = sandbox.check_tokens(
                |buffer| Message { request: &request, formats: &[1, 0], items: &items }.write_to(buffer).ok(),
                |answer| decode_verdict(answer).ok().map(|(verdict, _)| verdict),
            );
            let code = verdict.unwrap().code();
            assert_eq!(code, expected, "in the sandbox: {}", String::from_utf8_lossy(token));
        }
    });
    assert!(token.len() <= MAX_TOKEN_LEN || native.is_some());
}
