//! Signing keys and revocations: read back as written, and what the tables refuse.

use super::*;
use crate::signing_keys::{SigningAlgorithm, SigningKeyState};
use crate::store::{RevocationKind, RevocationRow, SigningKeyRow};

fn signing_key(kid: &str, state: SigningKeyState) -> SigningKeyRow {
    SigningKeyRow {
        kid: kid.to_owned(),
        algorithm: SigningAlgorithm::EdDsa,
        state,
        public_key: Some("{}".to_owned()),
        sealed_key: (state != SigningKeyState::Gone).then(|| vec![1, 2, 3]),
        created_at: at(1),
        signs_from: at(2),
        activated_at: Some(at(3)),
        retired_at: Some(at(4)),
        last_expiry: Some(at(5)),
    }
}

fn revocation(kind: RevocationKind, value: &str) -> RevocationRow {
    let issued_before = (kind == RevocationKind::Subject).then(|| at(1));
    RevocationRow {
        issuer: "urn:a:b".to_owned(),
        kind,
        value: value.to_owned(),
        revoked_at: at(2),
        issued_before,
        expires_at: at(3),
    }
}

fn all_revocations(store: &SqliteStore, after: Generation) -> Vec<RevocationRow> {
    let mut rows = Vec::new();
    store.read().unwrap().revocations(after, &mut |row| rows.push(row)).unwrap();
    rows
}

#[test]
fn signing_keys_are_read_back_as_they_were_written() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let hmac = SigningKeyRow {
        algorithm: SigningAlgorithm::Hs256,
        public_key: None,
        activated_at: None,
        retired_at: None,
        last_expiry: None,
        ..signing_key("hmac", SigningKeyState::Published)
    };
    let mut keys = vec![
        signing_key("z", SigningKeyState::Gone),
        signing_key("a", SigningKeyState::Retiring),
        signing_key("m", SigningKeyState::Active),
        hmac,
    ];
    let before = generation(&store);
    for key in &keys {
        write(&store, |transaction| transaction.insert_signing_key(key).unwrap());
    }
    assert_eq!(store.read().unwrap().signing_keys().unwrap(), keys, "in the order in which they were made");
    keys[1] =
        SigningKeyRow { state: SigningKeyState::Gone, sealed_key: None, retired_at: Some(at(9)), ..keys[1].clone() };
    write(&store, |transaction| transaction.update_signing_key(&keys[1]).unwrap());
    assert_eq!(store.read().unwrap().signing_keys().unwrap(), keys);
    assert_eq!(generation(&store).0, before.0 + 5, "a verdict depends on each of them");
    // What a key has signed last changes no verdict, and never moves back.
    for (seconds, expected) in [(7, 7), (6, 7)] {
        write(&store, |transaction| transaction.note_expiry("m", at(seconds)).unwrap());
        assert_eq!(store.read().unwrap().signing_keys().unwrap()[2].last_expiry, Some(at(expected)));
    }
    assert_eq!(generation(&store).0, before.0 + 5);
    keys.truncate(1);
    write(&store, |transaction| transaction.replace_signing_keys(&keys).unwrap());
    assert_eq!(store.read().unwrap().signing_keys().unwrap(), keys);
}

#[test]
fn the_tables_refuse_what_no_rotation_writes() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let active = signing_key("a", SigningKeyState::Active);
    write(&store, |transaction| transaction.insert_signing_key(&active).unwrap());
    let second = signing_key("b", SigningKeyState::Active);
    let same = signing_key("a", SigningKeyState::Retiring);
    let without = SigningKeyRow { sealed_key: None, ..signing_key("b", SigningKeyState::Published) };
    let kept = SigningKeyRow { sealed_key: Some(vec![1]), ..signing_key("b", SigningKeyState::Gone) };
    let public = SigningKeyRow { algorithm: SigningAlgorithm::Hs256, ..signing_key("b", SigningKeyState::Retiring) };
    for bad in [second, same, without, kept, public] {
        let mut transaction = store.write().unwrap();
        assert!(transaction.insert_signing_key(&bad).is_err(), "{bad:?}");
        drop(transaction);
        assert_eq!(store.read().unwrap().signing_keys().unwrap(), std::slice::from_ref(&active));
    }
}

#[test]
fn revocations_only_grow_until_they_are_swept() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let rows: Vec<_> = [RevocationKind::Token, RevocationKind::Session, RevocationKind::Subject]
        .map(|kind| revocation(kind, "same"))
        .into();
    for row in &rows {
        write(&store, |transaction| transaction.put_revocation(row).unwrap());
    }
    assert_eq!(all_revocations(&store, Generation(0)).len(), 3);
    let here = generation(&store);
    assert_eq!(all_revocations(&store, here), []);
    let subject = &rows[2];
    for (issued_before, expires_at) in [(5, 1), (1, 9)] {
        let row = RevocationRow {
            issued_before: Some(at(issued_before)),
            expires_at: at(expires_at),
            revoked_at: at(8),
            ..subject.clone()
        };
        write(&store, |transaction| transaction.put_revocation(&row).unwrap());
    }
    let grown = RevocationRow { issued_before: Some(at(5)), expires_at: at(9), ..subject.clone() };
    assert_eq!(all_revocations(&store, here), std::slice::from_ref(&grown));
    let view = store.read().unwrap();
    assert_eq!(view.revocation("urn:a:b", RevocationKind::Subject, "same").unwrap(), Some(grown.clone()));
    assert_eq!(view.revocation("urn:a:c", RevocationKind::Subject, "same").unwrap(), None);
    drop(view);
    let here = generation(&store);
    write(&store, |transaction| transaction.sweep_revocations(at(3)).unwrap());
    assert_eq!(all_revocations(&store, Generation(0)).len(), 3, "one that expires at that time is kept");
    write(&store, |transaction| transaction.sweep_revocations(at(4)).unwrap());
    assert_eq!(all_revocations(&store, Generation(0)), [grown]);
    assert_eq!(generation(&store), here, "what refuses nothing any more changes no verdict");
}

#[test]
fn the_check_of_the_sealing_key_is_one() {
    let fixture = Fixture::new();
    let store = fixture.open();
    assert_eq!(store.read().unwrap().sealing_check().unwrap(), None);
    for check in [b"one".as_slice(), b"two"] {
        write(&store, |transaction| transaction.set_sealing_check(check).unwrap());
        assert_eq!(store.read().unwrap().sealing_check().unwrap().as_deref(), Some(check));
    }
    let other = Fixture::new();
    assert_ne!(store.read().unwrap().store_id().unwrap(), other.open().read().unwrap().store_id().unwrap());
}

#[test]
fn values_that_nobody_writes_are_told_by_their_column() {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| {
        transaction.insert_signing_key(&signing_key("a", SigningKeyState::Active)).unwrap();
        transaction.put_revocation(&revocation(RevocationKind::Token, "x")).unwrap();
    });
    let raw = fixture.raw();
    raw.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    raw.execute("UPDATE signing_keys SET algorithm = 'none'", []).unwrap();
    raw.execute("UPDATE revocations SET kind = 'other'", []).unwrap();
    let view = store.read().unwrap();
    let error = view.signing_keys().unwrap_err();
    assert!(matches!(error, StoreError::InvalidValue { column: "signing_keys.algorithm" }), "{error}");
    let error = view.revocations(Generation(0), &mut |_| {}).unwrap_err();
    assert!(matches!(error, StoreError::InvalidValue { column: "revocations.kind" }), "{error}");
}
