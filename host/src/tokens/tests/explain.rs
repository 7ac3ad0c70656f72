//! Verdicts on tokens, explained.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::{Check, ExplainError, Outcome, RequestError};

/// The check that failed; those in front of it have passed, those behind it were not reached.
fn failed(keystile: &Keystile, token: &str) -> Option<Check> {
    let explained = keystile.explain(token, &keystile.request()).unwrap();
    let at = explained.steps.iter().position(|(_, outcome)| *outcome == Outcome::Failed);
    assert_eq!(at.is_none(), explained.verdict.is_allow() && !explained.steps.is_empty(), "{explained:?}");
    for (index, (check, outcome)) in explained.steps.iter().enumerate() {
        let expected = match at {
            Some(at) if index == at => Outcome::Failed,
            Some(at) if index > at => Outcome::NotReached,
            _ => Outcome::Passed,
        };
        assert_eq!(*outcome, expected, "{check} of {explained:?}");
    }
    at.map(|at| explained.steps[at].0)
}

#[test]
fn a_verdict_on_a_token_names_the_check_that_failed() {
    let world = World::new();
    let keystile = world.open();
    let [one, other, last] = [issue(&keystile), issue(&keystile), issue(&keystile)];
    let [one, other, last] = [&one, &other, &last].map(|issued| issued.token.expose_secret());
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (mine, theirs) = (parts(one), parts(other));
    let with_claims = |claims: &str| format!("{}.{}.{}", mine[0], URL_SAFE_NO_PAD.encode(claims), mine[2]);

    assert_eq!(failed(&keystile, one), None);
    assert_eq!(failed(&keystile, &format!("{}.{}", mine[0], mine[1])), Some(Check::Form));
    // Without an issuer that can be read, no key was looked for, and no signature at.
    assert_eq!(failed(&keystile, &with_claims(r#"{"sub":"ada"}"#)), Some(Check::Issuer));
    assert_eq!(failed(&keystile, &with_claims(r#"{"iss":7}"#)), Some(Check::Issuer));
    assert_eq!(failed(&keystile, &with_claims(r#"{"iss":"https://unknown.example"}"#)), Some(Check::Issuer));
    assert_eq!(failed(&keystile, &format!("{}.{}.{}", mine[0], mine[1], theirs[2])), Some(Check::Signature));
    keystile.tokens().revoke(other).unwrap();
    assert_eq!(failed(&keystile, other), Some(Check::NotRevoked));
    world.clock.advance(86_400);
    assert_eq!(failed(&keystile, last), Some(Check::Claims));
}

/// Nothing is said to have passed where nobody looked.
#[test]
fn a_verdict_that_nobody_could_give_has_no_steps() {
    let world = World::new();
    let keystile = world.open();
    keystile.change_settings(|settings| settings.tokens.signing_algorithm = SigningAlgorithm::Hs256).unwrap();
    let token = issue(&keystile);
    // Without the key-encryption key nobody can look at the key of the token.
    let without = Keystile::options().clock(Arc::clone(&world.clock)).on_demand(true).open(world.db()).unwrap();
    let explained = without.explain(token.token.expose_secret(), &without.request()).unwrap();
    assert_eq!(explained.verdict.code(), Some(crate::Code::Unavailable));
    assert!(explained.steps.is_empty());
}

/// A mistake of the caller is no verdict.
#[test]
fn a_request_that_breaks_a_bound_is_an_error_of_its_own() {
    let world = World::new();
    let keystile = world.open();
    let mut request = keystile.request();
    request.all_of = vec![Scope::new("a:read").unwrap(); 1_000];
    let refused = RequestError::Scopes { given: 1_000 };
    assert!(matches!(keystile.explain("hello", &request), Err(ExplainError::Request(error)) if error == refused));
    assert_eq!(keystile.try_verify("hello", &request), Err(refused));
    assert_eq!(keystile.try_preview("hello", &request), Err(refused));
    assert_eq!(keystile.try_verify_batch(&["hello"], &request), Err(refused));
    assert_eq!(
        keystile.verify("hello", &request).code(),
        Some(crate::Code::Unavailable),
        "who does not ask hears this"
    );
}
