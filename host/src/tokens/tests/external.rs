//! Tokens of external issuers that are refused before they expire.

use keystile_validator::jwt::{Algorithm, ClaimMapping};

use super::*;
use crate::{Code, NewIssuer};

/// Another store as an external issuer of this one.
fn trusted(issuer: &Keystile) -> NewIssuer {
    NewIssuer {
        name: "id".into(),
        issuer: "https://id.example.com".into(),
        keys: crate::IssuerKeys::Given(issuer.signing_keys().jwks().unwrap()),
        algorithms: vec![Algorithm::EdDsa],
        audiences: Vec::new(),
        token_type: None,
        leeway: 0,
        claims: ClaimMapping::default(),
        environment: None,
        any_environment: false,
    }
}

#[test]
fn a_token_of_an_external_issuer_is_revoked_by_itself() {
    let elsewhere = World::new();
    let issuer = elsewhere.open();
    issuer.change_settings(|settings| settings.tokens.issuer = Some("https://id.example.com".into())).unwrap();
    let issued = issue(&issuer);
    let token = issued.token.expose_secret();
    let world = World::new();
    let keystile = world.open();
    assert!(matches!(keystile.tokens().revoke(token), Err(RevokeTokenError::Unknown)));
    keystile.issuers().add(trusted(&issuer)).unwrap();
    assert!(keystile.verify(token, &keystile.request()).is_allow());
    let (message, _) = token.rsplit_once('.').unwrap();
    let (_, foreign) =
        issue(&keystile).token.expose_secret().rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let forged = keystile.tokens().revoke(&format!("{message}.{foreign}"));
    assert!(matches!(forged, Err(RevokeTokenError::Unknown)), "{forged:?}");

    // By its id, and by either name of the issuer.
    for (number, name) in ["id", "https://id.example.com"].into_iter().enumerate() {
        let other = issue(&issuer);
        let revoked = keystile.tokens().revoke_id(Some(name), &other.token_id).unwrap();
        assert_eq!((revoked.was, revoked.issuer.as_str()), (WasToken::Live, "https://id.example.com"), "{number}");
        let verdict = keystile.verify(other.token.expose_secret(), &keystile.request());
        assert_eq!(verdict.code(), Some(crate::Code::Revoked));
        // Kept for ever, since nobody knows how long the token is valid.
        assert_eq!(revoked.expires_at, Timestamp::MAX);
    }

    let revoked = keystile.tokens().revoke(token).unwrap();
    assert_eq!((revoked.was, revoked.issuer.as_str()), (WasToken::Live, "https://id.example.com"));
    assert_eq!((revoked.token_id, revoked.expires_at), (issued.token_id, issued.expires_at));
    assert_eq!(keystile.verify(token, &keystile.request()).code(), Some(crate::Code::Revoked));
    assert_eq!(keystile.tokens().revoke(token).unwrap().was, WasToken::Revoked);
}

/// Of a session all, of a subject what it has up to now.
#[test]
fn tokens_of_an_external_issuer_are_revoked_by_session_and_by_subject() {
    let elsewhere = World::new();
    let issuer = elsewhere.open();
    issuer.change_settings(|settings| settings.tokens.issuer = Some("https://id.example.com".into())).unwrap();
    issuer.signing_keys().rotate(AT_ONCE).unwrap();
    let token = |user: &str, session: Option<SessionId>| {
        let claims = AccessTokenClaims {
            subject: user.to_owned(),
            client_id: "app".to_owned(),
            session,
            organization: None,
            environment: None,
            scopes: Vec::new(),
            ttl: None,
        };
        issuer.inner.change(|transaction, now| issuer.inner.issue_access_token(transaction, now, &claims)).unwrap()
    };
    let world = World::new();
    let leeway = 5;
    let keystile = world.open();
    keystile.issuers().add(NewIssuer { leeway, ..trusted(&issuer) }).unwrap();
    let following = world.options().open(world.db()).unwrap();
    let codes = |token: &IssuedToken| {
        let token = token.token.expose_secret();
        [&keystile, &following].map(|keystile| keystile.verify(token, &keystile.request()).code())
    };
    let [one, two] = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
    let (of_one, of_two) = (token("u1", Some(one)), token("u1", Some(two)));
    assert_eq!((codes(&of_one), codes(&of_two)), ([None; 2], [None; 2]));

    let tokens = |keystile: &Keystile, issuer: &str, tokens: TokensOf<'_>| keystile.tokens().revoke_all(issuer, tokens);
    let session = one.to_string();
    let revoked = tokens(&following, "id", TokensOf::Session(&session)).unwrap();
    assert_eq!((revoked.issuer.as_str(), revoked.issued_before), ("https://id.example.com", None));
    assert_eq!(revoked.was, WasToken::Live);
    let again = tokens(&keystile, "https://id.example.com", TokensOf::Session(&session)).unwrap();
    assert_eq!(again.was, WasToken::Revoked);
    assert_eq!((codes(&of_one), codes(&of_two)), ([Some(crate::Code::Revoked); 2], [None; 2]));
    assert_eq!(codes(&token("u1", Some(one))), [Some(crate::Code::Revoked); 2], "also what is yet to come");

    // By its leeway the issuer may be ahead, and what it issues then counts as issued by now.
    elsewhere.clock.advance(leeway.into());
    let (ahead, of_another) = (token("u1", Some(two)), token("u2", Some(two)));
    assert_eq!((codes(&ahead), codes(&of_another)), ([None; 2], [None; 2]));
    let revoked = tokens(&following, "id", TokensOf::Subject("u1")).unwrap();
    assert_eq!(revoked.issued_before, Some(world.clock.now().saturating_add(u64::from(leeway) + 1)));
    for token in [&of_one, &of_two, &ahead] {
        assert_eq!(codes(token), [Some(crate::Code::Revoked); 2]);
    }
    assert_eq!(codes(&of_another), [None; 2]);
    for clock in [&world.clock, &elsewhere.clock] {
        clock.advance(1);
    }
    assert_eq!(codes(&token("u1", Some(two))), [None; 2], "what comes after that is good");
    assert_eq!(tokens(&keystile, "id", TokensOf::Subject("u1")).unwrap().was, WasToken::Live, "up to now again");
    let trail = keystile
        .recent_audit(&crate::AuditQuery { subject: Some("u1".to_owned()), ..crate::AuditQuery::default() })
        .unwrap();
    assert_eq!(trail.entries.iter().filter(|entry| entry.action == "tokens.revoked").count(), 2);

    for bad in ["", " x", "a\nb", &"x".repeat(MAX_CLAIM_LEN + 1)] {
        assert!(matches!(
            tokens(&keystile, "id", TokensOf::Session(bad)),
            Err(RevokeTokenError::Name { claim: "sid" })
        ));
        assert!(matches!(
            tokens(&keystile, "id", TokensOf::Subject(bad)),
            Err(RevokeTokenError::Name { claim: "sub" })
        ));
    }
    assert!(matches!(tokens(&keystile, "other", TokensOf::Session("s")), Err(RevokeTokenError::Issuer)));
    let own = keystile.tokens().issuer().unwrap().issuer;
    assert!(matches!(tokens(&keystile, &own, TokensOf::Subject("u1")), Err(RevokeTokenError::OwnIssuer)));
}

/// Live and test stand in for each other nowhere: what the settings say of a token's environment counts,
/// and where they say nothing, it belongs to none.
#[test]
fn a_token_of_an_external_issuer_is_judged_in_its_environment() {
    let elsewhere = World::new();
    let issuer = elsewhere.open();
    issuer.change_settings(|settings| settings.tokens.issuer = Some("https://id.example.com".into())).unwrap();
    let claims = AccessTokenClaims {
        subject: "u1".to_owned(),
        // A claim that can be an environment's name.
        client_id: "live".to_owned(),
        session: None,
        organization: None,
        environment: None,
        scopes: Vec::new(),
        ttl: None,
    };
    let token =
        issuer.inner.change(|transaction, now| issuer.inner.issue_access_token(transaction, now, &claims)).unwrap();
    let claim = |name: &str| ClaimMapping { environment: Some(name.to_owned()), ..ClaimMapping::default() };
    let wrong = Some(Code::WrongEnvironment);
    let live = "live".parse::<keystile_validator::Environment>().unwrap();
    type Change<'a> = &'a dyn Fn(&mut NewIssuer);
    let cases: [(Change<'_>, [Option<Code>; 3]); 6] = [
        (&|_| (), [None, wrong, wrong]),
        (&|new| new.any_environment = true, [None, None, None]),
        (&|new| new.environment = Some(live.clone()), [None, None, wrong]),
        (&|new| new.claims = claim("client_id"), [None, None, wrong]),
        (&|new| new.claims = claim("env"), [None, wrong, wrong]),
        (&|new| (new.claims, new.any_environment) = (claim("env"), true), [None, None, None]),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let world = World::new();
        let mut new = trusted(&issuer);
        change(&mut new);
        let (audit, added) = {
            let keystile = world.open();
            let added = keystile.issuers().add(new).unwrap();
            (keystile.audit(None, 0, 100).unwrap().pop().unwrap(), added)
        };
        // Opened anew: what was stored counts.
        let keystile = world.open();
        assert_eq!(keystile.issuers().show("id").unwrap().issuer, added, "{number}");
        assert!(audit.detail.contains(&format!("\"any_env\":{}", added.any_environment)), "{audit:?}");
        let codes = [None, Some("live"), Some("test")].map(|environment| {
            let mut request = keystile.request();
            request.environment = environment.map(|environment| environment.parse().unwrap());
            keystile.verify(token.token.expose_secret(), &request).code()
        });
        assert_eq!(codes, expected, "{number}");
    }
}

/// The store's own tokens belong to no environment, unless they say so.
#[test]
fn an_own_token_without_an_environment_is_refused_where_one_is_asked_for() {
    let world = World::new();
    let keystile = world.open();
    let issued = issue(&keystile);
    let mut request = keystile.request();
    assert!(keystile.verify(issued.token.expose_secret(), &request).is_allow());
    request.environment = Some("live".parse().unwrap());
    assert_eq!(keystile.verify(issued.token.expose_secret(), &request).code(), Some(Code::WrongEnvironment));
}
