//! Tokens of external issuers that are refused before they expire.

use keystile_validator::jwt::{Algorithm, ClaimMapping};

use super::*;
use crate::issuers::MAX_LEEWAY;
use crate::{AddIssuerError, Code, NewIssuer, SetSettingsError, Severity};

/// Another store as an external issuer of this one.
fn trusted(issuer: &Keystile) -> NewIssuer {
    NewIssuer {
        name: "id".into(),
        issuer: "https://id.example.com".into(),
        keys: crate::IssuerKeys::Given(issuer.signing_keys().jwks().unwrap()),
        algorithms: vec![Algorithm::EdDsa],
        audiences: Vec::new(),
        any_audience: true,
        forbidden_claims: Vec::new(),
        wildcard_scopes: false,
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

/// Otherwise a token of the one would be revoked as one of the other, whose tokens live a day at most.
#[test]
fn no_external_issuer_goes_by_the_name_of_the_store() {
    const ISS: &str = "https://id.example.com";
    let elsewhere = World::new();
    let issuer = elsewhere.open();
    issuer.signing_keys().rotate(AT_ONCE).unwrap();
    let world = World::new();
    let keystile = world.open();
    let urn = keystile.tokens().issuer().unwrap().issuer;
    let set = |issuer: Option<&str>| keystile.change_settings(|it| it.tokens.issuer = issuer.map(str::to_owned));
    let add = |name: &str, iss: &str| {
        keystile.issuers().add(NewIssuer { name: name.into(), issuer: iss.into(), ..trusted(&issuer) })
    };
    set(Some(ISS)).unwrap();
    for (name, iss) in [("id", ISS), (ISS, "https://other.example.com")] {
        assert!(matches!(add(name, iss), Err(AddIssuerError::OwnIssuer)), "{name}, {iss}");
    }
    // While the store has another name, its own by default is free.
    add("urn", &urn).unwrap();
    let refused = set(None).unwrap_err();
    assert!(matches!(&refused, SetSettingsError::IssuerTaken { name } if name == "urn"), "{refused:?}");
    assert_eq!(keystile.tokens().issuer().unwrap().issuer, ISS);
    set(Some("https://me.example.com")).unwrap();
    add("id", ISS).unwrap();
    for enabled in [true, false] {
        assert!(matches!(set(Some(ISS)), Err(SetSettingsError::IssuerTaken { name }) if name == "id"), "{enabled}");
        drop(keystile.issuers().disable("id"));
    }
    // Nor can two external ones be meant by one name.
    for (name, iss) in [(ISS, "https://other.example.com"), ("https://other.example.com", "id")] {
        let refused = add(name, iss).unwrap_err();
        assert!(matches!(&refused, AddIssuerError::Ambiguous { name } if name == "id"), "{refused:?}");
    }
}

/// A store from before that was refused: what was revoked by its id stays so as long as a token of either could live.
#[test]
fn what_is_revoked_where_both_go_by_one_name_is_kept_for_ever() {
    for enabled in [true, false] {
        let elsewhere = World::new();
        let issuer = elsewhere.open();
        issuer.signing_keys().rotate(AT_ONCE).unwrap();
        let world = World::new();
        let keystile = world.open();
        keystile.issuers().add(trusted(&issuer)).unwrap();
        let finding = || {
            let findings = keystile.doctor(&world.db()).unwrap().findings;
            findings.into_iter().any(|it| it.severity == Severity::Error && it.message.contains("cannot be told apart"))
        };
        assert!(!finding());
        if !enabled {
            keystile.issuers().disable("id").unwrap();
        }
        let own = keystile.tokens().issuer().unwrap().issuer;
        let sql = "UPDATE issuers SET issuer = ?1, generation = (SELECT generation FROM position)";
        world.raw().execute(sql, [&own]).unwrap();
        assert!(finding());
        // Other settings can be changed all the same.
        keystile.change_settings(|settings| settings.max_lifetime = Some(60)).unwrap();
        for name in [None, Some(own.as_str()), Some("id")] {
            let id = format!("j {name:?}");
            let revoked = keystile.tokens().revoke_id(name, &id).unwrap();
            assert_eq!(revoked.expires_at, Timestamp::MAX, "{name:?}");
            world.clock.advance(30 * 86_400);
            keystile.tokens().revoke_id(None, "another").unwrap();
            let lookup = TokenLookup { issuer: Some(&own), token_id: Some(&id), ..TokenLookup::default() };
            assert!(keystile.inner.token_record(&own, lookup).unwrap().revoked, "{name:?}");
        }
    }
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

    // By its leeway the issuer may be ahead, also by one that is set later: what it issues then counts as issued by now.
    elsewhere.clock.advance(leeway.into());
    let (ahead, of_another) = (token("u1", Some(two)), token("u2", Some(two)));
    assert_eq!((codes(&ahead), codes(&of_another)), ([None; 2], [None; 2]));
    let revoked = tokens(&following, "id", TokensOf::Subject("u1")).unwrap();
    assert_eq!(revoked.issued_before, Some(world.clock.now().saturating_add(u64::from(MAX_LEEWAY) + 1)));
    for token in [&of_one, &of_two, &ahead] {
        assert_eq!(codes(token), [Some(crate::Code::Revoked); 2]);
    }
    assert_eq!(codes(&of_another), [None; 2]);
    for leeway in [MAX_LEEWAY, 0] {
        let leeway = Some(leeway);
        keystile.issuers().update("id", crate::IssuerUpdate { leeway, ..crate::IssuerUpdate::default() }).unwrap();
        following.inner.follow().unwrap();
        assert_eq!(codes(&ahead), [Some(crate::Code::Revoked); 2], "with a leeway of {leeway:?}");
    }
    let last = world.clock.now().saturating_add(MAX_LEEWAY.into());
    world.clock.set(last.saturating_add(1));
    elsewhere.clock.set(last);
    assert_eq!(codes(&token("u1", Some(two))), [Some(crate::Code::Revoked); 2], "the last second before");
    elsewhere.clock.set(last.saturating_add(1));
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

/// Whom an issuer's tokens are for is always said, and its wildcards grant only where that is said. An
/// update holds at once, also in a process that has let its tokens in before.
#[test]
fn settings_of_an_external_issuer_are_judged_by_and_updated() {
    use crate::{AudienceRule, IssuerUpdate};
    let elsewhere = World::new();
    let issuer = elsewhere.open();
    issuer.change_settings(|settings| settings.tokens.issuer = Some("https://id.example.com".into())).unwrap();
    let claims = AccessTokenClaims {
        subject: "u1".to_owned(),
        client_id: "app".to_owned(),
        session: None,
        organization: None,
        scopes: vec!["invoices:*".parse().unwrap()],
        environment: None,
        ttl: None,
    };
    let token =
        issuer.inner.change(|transaction, now| issuer.inner.issue_access_token(transaction, now, &claims)).unwrap();
    let own_audience = issuer.tokens().issuer().unwrap().audience;
    let world = World::new();
    let keystile = world.open();
    let following = world.options().open(world.db()).unwrap();
    // At once in the process that made the change; in the other one, as soon as it has followed.
    let expect = |scope: Option<&str>, expected: Option<Code>| {
        let judge = |keystile: &Keystile| {
            let mut request = keystile.request();
            request.all_of = scope.iter().map(|scope| scope.parse().unwrap()).collect();
            keystile.verify(token.token.expose_secret(), &request).code()
        };
        assert_eq!(judge(&keystile), expected, "{scope:?}");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while judge(&following) != expected {
            assert!(std::time::Instant::now() < deadline, "{scope:?} {expected:?}");
            std::thread::yield_now();
        }
    };
    for (audiences, any_audience) in [(Vec::new(), false), (vec!["api".to_owned()], true)] {
        let refused = keystile.issuers().add(NewIssuer { audiences, any_audience, ..trusted(&issuer) });
        let field = crate::IssuerFieldError::AnyAudience;
        assert!(matches!(refused, Err(crate::AddIssuerError::Field(error)) if error == field));
    }
    let for_others = NewIssuer { audiences: vec!["api".into()], any_audience: false, ..trusted(&issuer) };
    keystile.issuers().add(for_others).unwrap();
    expect(None, Some(Code::WrongAudience));
    let update = |change: IssuerUpdate| keystile.issuers().update("id", change).unwrap();
    update(IssuerUpdate { audience: Some(AudienceRule::OneOf(vec![own_audience])), ..IssuerUpdate::default() });
    expect(None, None);
    expect(Some("invoices:*"), None);
    expect(Some("invoices:read"), Some(Code::InsufficientScope));
    update(IssuerUpdate { wildcard_scopes: Some(true), ..IssuerUpdate::default() });
    expect(Some("invoices:read"), None);
    update(IssuerUpdate { forbidden_claims: Some(vec!["client_id".into()]), ..IssuerUpdate::default() });
    expect(None, Some(Code::InvalidClaim));
    let audience = Some(AudienceRule::Any);
    let updated = update(IssuerUpdate { audience, forbidden_claims: Some(Vec::new()), ..IssuerUpdate::default() });
    assert_eq!((updated.audiences.len(), updated.any_audience), (0, true));
    expect(None, None);
    let audience = Some(AudienceRule::OneOf(Vec::new()));
    let refused = keystile.issuers().update("id", IssuerUpdate { audience, ..IssuerUpdate::default() });
    assert!(matches!(refused, Err(crate::UpdateIssuerError::Field(crate::IssuerFieldError::AnyAudience))));
    expect(None, None);

    // What an earlier version has stored without an audience says neither.
    keystile
        .inner
        .change(|transaction, _| {
            let mut stored = transaction.issuer("id")?.unwrap();
            stored.any_audience = false;
            transaction.update_issuer(&stored)
        })
        .unwrap();
    expect(None, Some(Code::WrongAudience));
    let health = keystile.doctor(&world.db()).unwrap();
    let said = health.findings.iter().any(|finding| finding.message.contains("keystile issuers update id --audience"));
    assert!(said, "{health:?}");
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
