//! What seals the keys, and what is told of them.

use super::*;

#[test]
fn a_wrong_key_encryption_key_refuses_to_start() {
    let world = World::new();
    issue(&world.open());
    let wrong = || KeyEncryptionKey::generate().unwrap();
    let refused = Keystile::options().key_encryption_key(wrong()).open(world.db());
    assert!(matches!(refused, Err(OpenError::Kek(KekError::Wrong))), "{refused:?}");
    // Also for reading only, and before anything was ever sealed but the check.
    let refused = Keystile::options().key_encryption_key(wrong()).read_only(true).open(world.db());
    assert!(matches!(refused, Err(OpenError::Kek(KekError::Wrong))), "{refused:?}");
    let empty = World::new();
    let refused = Keystile::options().key_encryption_key(wrong()).open(empty.db());
    assert!(matches!(refused, Err(OpenError::Kek(KekError::Wrong))), "{refused:?}");
    // What is no key at all is refused as well.
    std::fs::write(world.kek(), "not a key").unwrap();
    assert!(matches!(world.options().open(world.db()), Err(OpenError::Kek(KekError::Form))));
}

#[test]
fn without_a_key_encryption_key_all_but_signing_works() {
    let world = World::new();
    let token = issue(&world.open());
    std::fs::remove_file(world.kek()).unwrap();
    let keystile = world.open();
    keystile.keys().create(crate::NewKey { name: "k".into(), ..crate::NewKey::default() }).unwrap();
    assert!(keystile.signing_keys().jwks().unwrap().contains(&kid_of(&token)));
    keystile.tokens().revoke(token.token.expose_secret()).unwrap();
    let error = keystile.tokens().issue(new_token()).unwrap_err();
    assert!(matches!(error, IssueTokenError::Key(SigningKeyError::Kek(KekError::Missing { .. }))), "{error}");
    let nobody = Keystile::options().on_demand(true).open(world.db()).unwrap();
    let error = nobody.tokens().issue(new_token()).unwrap_err();
    assert!(matches!(error, IssueTokenError::Key(SigningKeyError::Kek(KekError::NotGiven))), "{error}");
}

/// An HMAC key that does not open is one that nobody can look at: `unknown` would be a lie.
#[test]
fn without_a_key_encryption_key_nothing_is_said_of_hmac_tokens() {
    let world = World::new();
    let keystile = world.open();
    keystile.change_settings(|settings| settings.tokens.signing_algorithm = SigningAlgorithm::Hs256).unwrap();
    let hmac = issue(&keystile);
    let code = |keystile: &Keystile, token: &str| keystile.verify(token, &keystile.request()).code();
    let open = [world.open(), world.options().open(world.db()).unwrap()];
    for keystile in &open {
        assert_eq!(code(keystile, hmac.token.expose_secret()), None);
    }
    let without = || Keystile::options().clock(Arc::clone(&world.clock));
    let closed = [true, false].map(|on_demand| without().on_demand(on_demand).open(world.db()).unwrap());
    // As `alg`, `kid` and `iss` are, with a signature that is none.
    let (message, _) = hmac.token.expose_secret().rsplit_once('.').unwrap();
    let forged = format!("{message}.AAAA");
    for step in ["the only key", "one of two"] {
        for keystile in &closed {
            for token in [hmac.token.expose_secret(), &forged] {
                assert_eq!(code(keystile, token), Some(crate::Code::Unavailable), "{step}");
                let error = keystile.tokens().revoke(token).unwrap_err();
                assert!(matches!(error, RevokeTokenError::ClosedKey), "{error}");
            }
        }
        let rotation = SigningKeyRotation { algorithm: Some(SigningAlgorithm::EdDsa), ..AT_ONCE };
        keystile.signing_keys().rotate(rotation).unwrap();
    }
    let eddsa = issue(&keystile);
    let nobody = issue(&World::new().open());
    for keystile in &closed {
        assert_eq!(code(keystile, eddsa.token.expose_secret()), None, "a public key is no secret");
        assert_eq!(code(keystile, nobody.token.expose_secret()), Some(crate::Code::UnknownIssuer));
    }
}

/// What was made without a key is sealed under the first one that comes, and no other is taken then.
#[test]
fn the_first_key_that_seals_is_the_key_of_the_store() {
    let world = World::new();
    let path = world.folder.path().join("plain.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let open = |key| Keystile::options().on_demand(true).key_encryption_key(key).open(&path).unwrap();
    let one = open(KeyEncryptionKey::generate().unwrap());
    let two = open(KeyEncryptionKey::generate().unwrap());
    create_user(&one);
    issue(&one);
    let begun = one.audit(None, 0, 10).unwrap().into_iter().filter(|entry| entry.action == "sealing.begun").count();
    assert_eq!(begun, 1);
    let error = two.tokens().issue(new_token()).unwrap_err();
    assert!(matches!(error, IssueTokenError::Key(SigningKeyError::Damaged { .. })), "{error}");
    let error = two.signing_keys().rotate(SigningKeyRotation::default()).unwrap_err();
    assert_eq!(error.to_string(), KekError::Wrong.to_string());
}

#[test]
fn a_sealed_key_that_was_moved_or_changed_does_not_sign() {
    for sql in [
        // Into the place of the other key, with its name.
        "UPDATE signing_keys SET sealed_key = (SELECT sealed_key FROM signing_keys WHERE state = 'published') \
         WHERE state = 'active'",
        "UPDATE signing_keys SET kid = 'x' WHERE state = 'active'",
        "UPDATE signing_keys SET sealed_key = zeroblob(64) WHERE state = 'active'",
        "UPDATE signing_keys SET algorithm = 'ES256' WHERE state = 'active'",
    ] {
        let world = World::new();
        let keystile = world.open();
        issue(&keystile);
        keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap();
        world.raw().execute(sql, []).unwrap();
        let error = keystile.tokens().issue(new_token()).unwrap_err();
        assert!(matches!(error, IssueTokenError::Key(SigningKeyError::Damaged { .. })), "{sql}: {error}");
    }
}

/// A key of one store says nothing in another, even under the same key-encryption key.
#[test]
fn a_sealed_key_opens_in_its_own_store_only() {
    let world = World::new();
    issue(&world.open());
    let other = world.folder.path().join("other.db");
    world.options().create(&other, NewStore::default()).unwrap();
    create_user(&world.options().on_demand(true).open(&other).unwrap());
    let raw = rusqlite::Connection::open(&other).unwrap();
    raw.execute("ATTACH DATABASE ?1 AS one", [world.db().to_str().unwrap()]).unwrap();
    raw.execute("INSERT INTO main.signing_keys SELECT * FROM one.signing_keys", []).unwrap();
    let keystile = world.options().on_demand(true).open(&other).unwrap();
    let error = keystile.tokens().issue(new_token()).unwrap_err();
    assert!(matches!(error, IssueTokenError::Key(SigningKeyError::Damaged { .. })), "{error}");
}

/// Neither the tokens nor the keys, in whatever this library says or writes down.
#[test]
fn nothing_secret_is_told() {
    let world = World::new();
    let keystile = world.options().open(world.db()).unwrap();
    let mut told = Vec::new();
    let mut secrets = vec![std::fs::read_to_string(world.kek()).unwrap().trim_end().to_owned()];
    for algorithm in SigningAlgorithm::ALL.iter().copied() {
        keystile.signing_keys().rotate(SigningKeyRotation { algorithm: Some(algorithm), ..AT_ONCE }).unwrap();
        let issued = issue(&keystile);
        told.push(format!("{issued:?}"));
        let revoked = keystile.tokens().revoke(issued.token.expose_secret()).unwrap();
        told.push(format!("{revoked:?} {keystile:?}"));
        told.push(format!("{:?}", UnverifiedToken::read(issued.token.expose_secret()).unwrap()));
        secrets.push(issued.token.expose_secret().to_owned());
        secrets.push(issued.token.expose_secret().rsplit_once('.').unwrap().1.to_owned());
    }
    told.push(format!("{:?}", keystile.signing_keys().list().unwrap()));
    told.push(format!("{:?}", keystile.audit(None, 0, 1_000).unwrap()));
    told.push(keystile.signing_keys().jwks().unwrap());
    let forged = format!("{}x", secrets[1]);
    told.push(format!("{:?}", keystile.tokens().revoke(&forged).unwrap_err()));
    for secret in &secrets {
        for told in &told {
            assert!(!told.contains(secret.as_str()), "a secret was told in: {told}");
        }
    }
    // Of the keys nothing but sealed bytes is in the file.
    let view = keystile.inner.store().read().unwrap();
    let rows = view.signing_keys().unwrap();
    let active = rows.iter().find(|row| row.state == SigningKeyState::Active).unwrap();
    let private = keystile.inner.open_key(&*view, active).unwrap().expose_private().to_vec();
    drop(view);
    drop(keystile);
    for name in ["keystile.db", "keystile.db-wal"] {
        let bytes = std::fs::read(world.folder.path().join(name)).unwrap_or_default();
        assert!(!bytes.windows(private.len()).any(|window| window == private.as_slice()), "{name}");
    }
    let tables = SEALED_TABLES.map(|table| -> i64 {
        world.raw().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    });
    assert_eq!(tables, [1, 4]);
}
