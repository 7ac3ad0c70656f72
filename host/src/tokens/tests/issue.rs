//! What tokens say, and who can verify them.

use super::*;

#[test]
fn a_token_says_what_rfc_9068_wants() {
    let world = World::new();
    let keystile = world.open();
    keystile
        .change_settings(|settings| {
            settings.tokens.issuer = Some("https://auth.example.com".into());
            settings.tokens.audience = Some("https://api.example.com".into());
        })
        .unwrap();
    let issued = keystile
        .inner
        .change(|transaction, now| {
            let claims = AccessTokenClaims {
                subject: USER.to_owned(),
                client_id: "web".to_owned(),
                session: Some(SessionId::from_bytes([7; 16])),
                organization: Some("org_1".to_owned()),
                environment: None,
                scopes: new_token().scopes,
                ttl: Some(Duration::from_secs(60)),
            };
            keystile.inner.issue_access_token(transaction, now, &claims)
        })
        .unwrap();
    let token = issued.token.expose_secret();
    let header = UnverifiedToken::read(token).unwrap().header;
    assert_eq!(header, format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, kid_of(&issued)));
    let now = world.clock.now().unix();
    assert_eq!(
        claims(token, &keystile.signing_keys().jwks().unwrap(), "https://api.example.com").unwrap(),
        serde_json::json!({
            "iss": "https://auth.example.com",
            "exp": now + 60,
            "aud": "https://api.example.com",
            "sub": USER,
            "client_id": "web",
            "iat": now,
            "jti": issued.token_id,
            "sid": "ses_07070707070707070707070707070707",
            "org_id": "org_1",
            "scope": "invoices:read invoices:write",
        })
    );
    assert_eq!(issued.expires_at.unix(), now + 60);
}

#[test]
fn without_settings_the_store_names_itself() {
    let (one, other) = (World::new(), World::new());
    let names = [&one, &other].map(|world| {
        let token = issue(&world.open());
        let claims: Value =
            serde_json::from_str(&UnverifiedToken::read(token.token.expose_secret()).unwrap().claims).unwrap();
        assert_eq!(claims["aud"], claims["iss"]);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 1_800);
        claims["iss"].as_str().unwrap().to_owned()
    });
    assert!(names[0].starts_with("urn:uuid:") && names[0] != names[1], "{names:?}");
}

#[test]
fn tokens_of_every_algorithm_verify_against_the_exported_key_set() {
    for algorithm in SigningAlgorithm::ALL.iter().copied() {
        let world = World::new();
        let keystile = world.open();
        keystile.change_settings(|settings| settings.tokens.signing_algorithm = algorithm).unwrap();
        let token = issue(&keystile);
        let jwks = keystile.signing_keys().jwks().unwrap();
        let set: Value = serde_json::from_str(&jwks).unwrap();
        let header = jsonwebtoken::decode_header(token.token.expose_secret()).unwrap();
        assert_eq!(format!("{:?}", header.alg), algorithm.as_str());
        if algorithm == SigningAlgorithm::Hs256 {
            assert_eq!(jwks, r#"{"keys":[]}"#, "an HMAC secret is never given away");
        } else {
            let audience =
                serde_json::from_str::<Value>(&UnverifiedToken::read(token.token.expose_secret()).unwrap().claims)
                    .unwrap()["aud"]
                    .as_str()
                    .unwrap()
                    .to_owned();
            assert!(claims(token.token.expose_secret(), &jwks, &audience).is_some());
            let members: Vec<_> = set["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
            let expected = match algorithm {
                SigningAlgorithm::EdDsa => vec!["alg", "crv", "kid", "kty", "use", "x"],
                SigningAlgorithm::Es256 => vec!["alg", "crv", "kid", "kty", "use", "x", "y"],
                _ => vec!["alg", "e", "kid", "kty", "n", "use"],
            };
            assert_eq!(members, expected, "{algorithm}");
        }
        // Also the store itself knows its own, whatever the algorithm.
        assert_eq!(keystile.tokens().revoke(token.token.expose_secret()).unwrap().was, WasToken::Live);
    }
}

/// From each algorithm to each other, a shared secret among them: whatever was signed goes on.
#[test]
fn tokens_survive_a_change_of_the_algorithm() {
    let world = World::new();
    let keystile = world.open();
    let mut tokens = Vec::new();
    for algorithm in SigningAlgorithm::ALL.iter().chain(SigningAlgorithm::ALL).copied() {
        keystile.signing_keys().rotate(SigningKeyRotation { algorithm: Some(algorithm), ..AT_ONCE }).unwrap();
        tokens.push(issue(&keystile));
        for (number, token) in tokens.iter().enumerate() {
            let verdict = keystile.verify(token.token.expose_secret(), &keystile.request());
            assert!(verdict.is_allow(), "token {number} when {algorithm} signs: {:?}", verdict.code());
        }
    }
}

#[test]
fn claims_have_bounds() {
    let world = World::new();
    let keystile = world.open();
    let tokens = keystile.tokens();
    for (seconds, fits) in [(0, false), (1, true), (1_800, true), (1_801, false)] {
        let issued = tokens.issue(NewToken { ttl: Some(Duration::from_secs(seconds)), ..new_token() });
        assert_eq!(issued.is_ok(), fits, "{seconds}");
    }
    for user in ["", "ada", "usr_", "usr_0192F8E0A1B27C3D8E4F5A6B7C8D9E0F", "key_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f"] {
        let issued = tokens.issue(NewToken { user: user.to_owned(), ..new_token() });
        assert!(matches!(issued, Err(IssueTokenError::NoSuchUser)), "{user}");
    }
    let long: Vec<_> = (0..64).map(|n| Scope::new(format!("{n:0128}")).unwrap()).collect();
    let issued = tokens.issue(NewToken { scopes: long, ..new_token() });
    assert!(matches!(issued, Err(IssueTokenError::TooLong)), "{issued:?}");
    let many: Vec<_> = (0..65).map(|n| Scope::new(format!("s{n}")).unwrap()).collect();
    let issued = tokens.issue(NewToken { scopes: many, ..new_token() });
    assert!(matches!(issued, Err(IssueTokenError::Claim { name: "scope" })), "{issued:?}");
}

/// Settings that others change meanwhile stay changed.
#[test]
fn settings_of_tokens_are_kept_and_bounded() {
    let world = World::new();
    let keystile = world.open();
    assert_eq!(keystile.settings().unwrap().tokens, TokenSettings::default());
    let changed = keystile
        .change_settings(|settings| {
            settings.tokens = TokenSettings {
                issuer: Some("https://a.example".into()),
                audience: Some("b".into()),
                access_token_lifetime: 3_600,
                signing_algorithm: SigningAlgorithm::Es256,
                publish_lead: 60,
            }
        })
        .unwrap();
    assert_eq!(world.open().settings().unwrap(), changed);
    keystile.change_settings(|settings| settings.max_lifetime = Some(60)).unwrap();
    assert_eq!(keystile.settings().unwrap().tokens, changed.tokens);
    assert!(keystile.change_settings(|settings| settings.tokens.access_token_lifetime = 0).is_err());
    assert_eq!(keystile.settings().unwrap().tokens, changed.tokens);
    assert_eq!(
        keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap().value.algorithm,
        SigningAlgorithm::Es256
    );
    let next = keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap().value;
    assert_eq!(next.signs_from.seconds_since(world.clock.now()), 60);
    keystile.set_settings(&crate::Settings::default()).unwrap();
    assert_eq!(world.open().settings().unwrap(), crate::Settings::default());
    let rows: i64 = world.raw().query_row("SELECT count(*) FROM settings", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0, "what is as it is by default is not written");
}
