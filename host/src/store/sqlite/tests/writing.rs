//! Transactions: all or nothing, one after the other, and what the tables refuse.

use std::thread;
use std::time::Duration;

use keystile_validator::{Checksum, Rate, Separator};
use rusqlite::Connection;

use super::*;
use crate::audit::{self, AuditEntry, AuditReport};
use crate::ids::UserId;
use crate::key::{Revocation, RevokeReason};
use crate::login::LoginSettings;
use crate::store::{RotationRow, UsageDelta};

fn full_key() -> Key {
    let first = SecretInfo {
        retires_at: Some(at(9)),
        pending_grace: Some(60),
        ended_at: None,
        uses: 3,
        first_used_at: Some(at(1)),
        last_used_at: Some(at(2)),
        ..secret(1, 1)
    };
    let second = SecretInfo { origin: Origin::Imported, ..secret(1, 2) };
    Key {
        owner: Some("org_ü".to_owned()),
        scopes: ["invoices:read", "customers:*"].map(|scope| scope.parse().unwrap()).to_vec(),
        addresses: ["10.0.0.0/8", "2001:db8::/32"].map(|range| range.parse().unwrap()).to_vec(),
        rate: Some(Rate::new(600, 60).unwrap()),
        metadata: [("plan", "\"pro\" \\ x"), ("émile", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        not_before: Some(at(5)),
        expires_at: Some(Timestamp::MAX),
        state: KeyState::Revoked,
        suspended_at: Some(at(6)),
        suspended_for: Some(UserId::from_bytes([7; 16])),
        revocation: Some(Revocation {
            at: at(7),
            reason: RevokeReason::KeyCompromise,
            note: Some("leaked".to_owned()),
        }),
        secrets: vec![first, second],
        ..key(1)
    }
}

#[test]
fn what_is_written_is_read_back() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for written in [full_key(), key(2)] {
        insert(&store, [written.clone()]);
        let view = store.read().unwrap();
        assert_eq!(view.key(written.id).unwrap().as_ref(), Some(&written));
        for secret in &written.secrets {
            assert_eq!(view.key_by_digest(&secret.digest).unwrap().as_ref(), Some(&written));
        }
    }
    let view = store.read().unwrap();
    assert!(view.has_imports().unwrap());
    assert_eq!(view.key(key_id(3)).unwrap(), None);
    assert_eq!(view.key_by_digest(&Digest::of(b"")).unwrap(), None);
}

#[test]
fn all_fields_can_be_updated() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    let mut changed = Key { secrets: key(1).secrets, ..full_key() };
    write(&store, |transaction| transaction.update_key(&changed).unwrap());
    assert_eq!(find(&store, 1).as_ref(), Some(&changed));
    changed.secrets[0].retires_at = Some(at(50));
    changed.secrets[0].pending_grace = Some(1);
    changed.secrets.push(secret(1, 2));
    write(&store, |transaction| {
        transaction.update_secret(changed.id, &changed.secrets[0]).unwrap();
        assert!(transaction.insert_secret(changed.id, &changed.secrets[1]).unwrap());
    });
    assert_eq!(find(&store, 1).as_ref(), Some(&changed));
    // One after the other: a thread that began a second write would wait for itself.
    let refused =
        |step: fn(&mut dyn WriteTransaction) -> Result<(), StoreError>| step(&mut *store.write().unwrap()).unwrap_err();
    let missing = [
        refused(|transaction| transaction.update_key(&key(9))),
        refused(|transaction| transaction.insert_secret(key_id(9), &secret(9, 1)).map(|_| ())),
        refused(|transaction| transaction.update_secret(key_id(1), &secret(1, 9))),
    ];
    assert!(missing.iter().all(|error| matches!(error, StoreError::NoSuchKey { .. })), "{missing:?}");
}

#[test]
fn a_write_that_is_dropped_has_not_happened() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let before = generation(&store);
    let mut transaction = store.write().unwrap();
    assert!(transaction.insert_key(&key(1)).unwrap());
    assert!(transaction.key(key_id(1)).unwrap().is_some());
    drop(transaction);
    assert_eq!((find(&store, 1), generation(&store)), (None, before));
}

#[test]
fn a_failed_step_fails_the_write() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let mut transaction = store.write().unwrap();
    assert!(transaction.insert_key(&key(1)).unwrap());
    assert!(transaction.update_key(&key(2)).is_err());
    assert!(matches!(transaction.insert_key(&key(3)).unwrap_err(), StoreError::RolledBack));
    assert!(matches!(transaction.commit().unwrap_err(), StoreError::RolledBack));
    assert_eq!(find(&store, 1), None);
    insert(&store, [key(1)]);
}

#[test]
fn a_taken_digest_or_id_is_told_and_does_no_harm() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    let before = generation(&store);
    write(&store, |transaction| {
        let taken = Key { secrets: vec![secret(2, 1), SecretInfo { number: 2, ..secret(1, 1) }], ..key(2) };
        let twice = Key { secrets: vec![secret(2, 1), SecretInfo { number: 2, ..secret(2, 1) }], ..key(2) };
        assert!(!transaction.insert_key(&taken).unwrap());
        assert!(!transaction.insert_key(&twice).unwrap());
        assert!(!transaction.insert_key(&Key { secrets: vec![secret(2, 1)], ..key(1) }).unwrap());
        assert!(!transaction.insert_secret(key_id(1), &SecretInfo { number: 2, ..secret(1, 1) }).unwrap());
        assert!(!transaction.insert_format(&format("default", "other")).unwrap());
        assert_eq!(transaction.position().unwrap().generation, before, "nothing has changed yet");
        assert!(transaction.insert_key(&key(3)).unwrap());
    });
    assert_eq!((find(&store, 2), find(&store, 1), find(&store, 3)), (None, Some(key(1)), Some(key(3))));
}

#[test]
fn a_write_is_one_generation() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let start = generation(&store).0;
    let mut expected = start;
    let mut step = |grows: u64, change: &dyn Fn(&mut dyn WriteTransaction)| {
        let mut transaction = store.write().unwrap();
        change(&mut *transaction);
        expected += grows;
        assert_eq!(transaction.commit().unwrap().generation.0, expected);
        assert_eq!(generation(&store).0, expected);
    };
    step(0, &|_| ());
    step(1, &|t| assert!(t.insert_key(&key(1)).unwrap() && t.insert_key(&key(2)).unwrap()));
    step(1, &|t| assert!(t.insert_secret(key_id(1), &secret(1, 2)).unwrap()));
    step(1, &|t| t.update_secret(key_id(1), &secret(1, 1)).unwrap());
    step(1, &|t| t.update_key(&key(2)).unwrap());
    step(1, &|t| assert!(t.insert_format(&format("second", "hx")).unwrap()));
    let usage = UsageDelta { digest: secret(1, 1).digest, uses: 1, first: at(1), last: at(1) };
    step(0, &|t| t.add_usage(&[usage]).unwrap());
    step(0, &|t| audit::append(t, at(1), "tests", "tested", None, &serde_json::json!({})).unwrap());
    let view = store.read().unwrap();
    let ids = |after| {
        let mut ids: Vec<_> = records(&*view, Generation(after)).iter().map(|record| record.key_id).collect();
        ids.dedup();
        ids
    };
    assert_eq!(ids(start), [key_id(1), key_id(2)]);
    assert_eq!(ids(start + 3), [key_id(2)]);
    assert_eq!(ids(expected), []);
}

#[test]
fn formats_keep_their_order() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let environments = ["live_prod", "test_dev"].map(|name| Environment::new(name).unwrap()).to_vec();
    let dotted = KeyFormat::new("cp_x", Separator::Dot, environments, 40, Checksum::None).unwrap();
    let all = [format("default", "ks"), NamedFormat { format: dotted, ..format("a second", "hx") }, format("0", "zz")];
    write(&store, |transaction| {
        assert!(transaction.insert_format(&all[1]).unwrap() && transaction.insert_format(&all[2]).unwrap());
    });
    assert_eq!(store.read().unwrap().formats().unwrap(), all);
}

#[test]
fn settings_are_kept() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for (max_lifetime, seconds) in [(Some(1), 7), (Some(86_400), 60), (None, 10)] {
        let logins = LoginSettings { refresh_window: seconds, session_lifetime: seconds * 1_000, min_password_len: 15 };
        let settings = Settings { max_lifetime, logins, ..Settings::default() };
        write(&store, |transaction| transaction.set_settings(&settings).unwrap());
        assert_eq!(store.read().unwrap().settings().unwrap(), settings);
    }
}

#[test]
fn rotations_are_remembered() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    let rotation = RotationRow { number: 1, grace: 86_400, from_first_use: true };
    write(&store, |transaction| transaction.insert_rotation(key_id(1), "request 1", &rotation).unwrap());
    let view = store.read().unwrap();
    assert_eq!(view.rotation(key_id(1), "request 1").unwrap(), Some(rotation));
    assert_eq!(view.rotation(key_id(1), "request 2").unwrap(), None);
    assert_eq!(view.rotation(key_id(2), "request 1").unwrap(), None);
    // A secret that is not there, and a request that is.
    let no_secret = RotationRow { number: 2, ..rotation };
    for (request, rotation) in [("request 2", &no_secret), ("request 1", &rotation)] {
        let error = store.write().unwrap().insert_rotation(key_id(1), request, rotation).unwrap_err();
        assert!(matches!(error, StoreError::Engine { .. }), "{error}");
        assert!(!error.to_string().contains("rotations"), "{error}");
    }
}

#[test]
fn usage_only_moves_forwards() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    let usage = |uses, first, last| UsageDelta { digest: secret(1, 1).digest, uses, first: at(first), last: at(last) };
    let stranger = UsageDelta { digest: Digest::of(b"stranger"), ..usage(1, 1, 1) };
    for (delta, expected) in [
        (usage(2, 10, 20), (2, 10, 20)),
        (usage(1, 15, 15), (3, 10, 20)),
        (usage(1, 5, 30), (4, 5, 30)),
        (usage(u64::MAX, 6, 7), (i64::MAX as u64, 5, 30)),
        (usage(5, 6, 7), (i64::MAX as u64, 5, 30)),
    ] {
        write(&store, |transaction| transaction.add_usage(&[stranger, delta]).unwrap());
        let key = find(&store, 1).unwrap();
        let (uses, first, last) = expected;
        assert_eq!((key.uses(), key.secrets[0].first_used_at), (uses, Some(at(first))));
        assert_eq!(key.last_used_at(), Some(at(last)));
    }
}

/// The uses of both secrets are those of the key; days that are too old to be shown are gone.
#[test]
fn uses_are_counted_by_the_day() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [Key { secrets: vec![secret(1, 1), secret(1, 2)], ..key(1) }]);
    let use_on = |number, day: u64, uses| {
        let last = Timestamp::from_unix(day * 86_400 + 5).unwrap();
        let delta = UsageDelta { digest: secret(1, number).digest, uses, first: last, last };
        write(&store, |transaction| transaction.add_usage(&[delta]).unwrap());
        store.read().unwrap().usage_days(key_id(1)).unwrap()
    };
    assert_eq!(use_on(1, 100, 3), [(100, 3)]);
    assert_eq!(use_on(2, 100, 4), [(100, 7)]);
    assert_eq!(use_on(2, 129, 1), [(100, 7), (129, 1)]);
    assert_eq!(use_on(1, 100, i64::MAX as u64)[0], (100, i64::MAX as u64), "never too much");
    // A clock that was years ahead drives no real day out.
    assert_eq!(use_on(1, 9_000, 1), [(100, i64::MAX as u64), (129, 1), (9_000, 1)]);
    for day in 200..=257 {
        use_on(1, day, 1);
    }
    let kept = use_on(2, 258, 1);
    assert_eq!((kept.len(), kept[0], kept[1]), (60, (200, 1), (201, 1)));
    assert_eq!(store.read().unwrap().usage_days(key_id(2)).unwrap(), []);
}

#[test]
fn the_audit_trail_is_read_from_both_ends() {
    let fixture = Fixture::new();
    let store = fixture.open();
    assert_eq!(store.read().unwrap().last_audit().unwrap().unwrap().action, "store.created");
    write(&store, |transaction| {
        for number in 2..=9_u64 {
            let subject = (!number.is_multiple_of(3)).then(|| format!("key_{}", number % 3));
            audit::append(transaction, at(number), "me", "key.tested", subject, &serde_json::json!({"n": number}))
                .unwrap();
        }
    });
    let view = store.read().unwrap();
    let numbers = |entries: Vec<AuditEntry>| entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>();
    assert_eq!(numbers(view.audit(None, 0, usize::MAX).unwrap()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(numbers(view.audit(None, 4, 2).unwrap()), [5, 6]);
    assert_eq!(numbers(view.audit(Some("key_1"), 1, 9).unwrap()), [4, 7]);
    let recent = |query: audit::AuditQuery| {
        let page = view.recent_audit(&query).unwrap();
        (numbers(page.entries), page.next)
    };
    let two = audit::AuditQuery { limit: 2, ..audit::AuditQuery::default() };
    assert_eq!(recent(two.clone()), (vec![9, 8], Some(8)));
    let subject = Some("key_2".to_owned());
    assert_eq!(recent(audit::AuditQuery { subject: subject.clone(), ..two.clone() }), (vec![8, 5], Some(5)));
    assert_eq!(recent(audit::AuditQuery { subject, before: Some(5), ..two.clone() }).0, [2]);
    assert_eq!(
        recent(audit::AuditQuery { search: Some("KEY_2".to_owned()), limit: 9, before: None, ..two }).0,
        [8, 5, 2]
    );
    assert_eq!(view.last_audit().unwrap().unwrap().sequence, 9);
    assert!(matches!(audit::verify(&store, None).unwrap(), AuditReport::Intact { entries: 9, .. }));
}

/// Not even somebody with the `sqlite3` command does it by accident.
#[test]
fn the_tables_refuse_to_forget() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    write(&store, |transaction| {
        audit::append(transaction, at(1), "me", "tested", None, &serde_json::json!({})).unwrap();
    });
    let raw = fixture.raw();
    for sql in [
        "DELETE FROM audit",
        "UPDATE audit SET actor = 'you'",
        "REPLACE INTO audit SELECT * FROM audit",
        "INSERT INTO audit SELECT 9, at, actor, action, subject, detail, previous, hash FROM audit",
        "DELETE FROM keys",
        "UPDATE keys SET id = zeroblob(16)",
        "DELETE FROM secrets",
        "UPDATE secrets SET digest = zeroblob(32)",
        "UPDATE secrets SET algorithm = 'md5'",
        "UPDATE keys SET state = 'gone'",
        "UPDATE keys SET created_at = 'yesterday'",
        "INSERT INTO position SELECT 2, store_id, created_at, epoch, generation, 0 FROM position",
    ] {
        assert!(raw.execute_batch(sql).is_err(), "{sql}");
    }
    assert_eq!(find(&store, 1), Some(key(1)));
}

#[test]
fn a_value_that_nobody_wrote_is_an_error_that_names_its_column() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    let raw = fixture.raw();
    for (column, value) in [
        ("scopes", "a  b"),
        ("scopes", "\"secret\""),
        ("addresses", "10.0.0.1/8"),
        ("environment", "LIVE"),
        ("metadata", "[1]"),
    ] {
        raw.execute(&format!("UPDATE keys SET {column} = ?1"), [value]).unwrap();
        let view = store.read().unwrap();
        let error = view.key(key_id(1)).unwrap_err();
        assert!(matches!(error, StoreError::InvalidValue { column: name } if name == format!("keys.{column}")));
        assert!(!error.to_string().contains(value));
        assert_eq!(view.records_beyond(KeyOrdinal(0), 1, &mut |_| ()).is_err(), column != "metadata");
        drop(view);
        raw.execute("UPDATE keys SET scopes = '', addresses = '', environment = 'live', metadata = '{}'", []).unwrap();
    }
}

/// Many threads, each with a store of its own: as many processes would.
#[test]
fn eight_writers_lose_nothing() {
    const EACH: u32 = 25;
    let fixture = Fixture::new();
    let shared = fixture.open();
    thread::scope(|scope| {
        for writer in 0..8_u32 {
            let (fixture, shared) = (&fixture, &shared);
            scope.spawn(move || {
                let own = (writer >= 4).then(|| fixture.open());
                let store = own.as_ref().unwrap_or(shared);
                for number in 0..EACH {
                    let mut transaction = store.write().unwrap();
                    assert!(transaction.insert_key(&key(writer * EACH + number)).unwrap());
                    audit::append(&mut *transaction, at(0), "me", "key.created", None, &serde_json::json!({})).unwrap();
                    transaction.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(records(&*shared.read().unwrap(), Generation(0)).len(), 8 * EACH as usize);
    let AuditReport::Intact { entries, .. } = audit::verify(&shared, None).unwrap() else {
        panic!("the chain is broken")
    };
    assert_eq!(entries, u64::from(8 * EACH) + 1);
    assert_eq!(generation(&shared).0, u64::from(8 * EACH) + generation(&Fixture::new().open()).0);
}

#[test]
fn writers_wait_for_a_foreign_lock() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let foreign = fixture.raw();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| insert(&store, [key(1)]));
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        assert_eq!(find(&store, 1), None, "readers do not wait");
        foreign.execute_batch("COMMIT").unwrap();
    });
    assert!(find(&store, 1).is_some());
}

/// A full disk, as the engine reports it: it ends the transaction by itself.
#[test]
fn a_full_disk_changes_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, [key(1)]);
    limit_pages(&store, "PRAGMA max_page_count = 1");
    let mut transaction = store.write().unwrap();
    let error = (2..1_000).find_map(|number| transaction.insert_key(&key(number)).err()).unwrap();
    assert!(matches!(error, StoreError::DiskFull), "{error:?}");
    assert!(error.to_string().contains("nothing was changed"));
    assert!(matches!(transaction.insert_key(&key(1_001)), Err(StoreError::RolledBack)));
    assert!(matches!(transaction.commit(), Err(StoreError::RolledBack)));
    assert_eq!((find(&store, 1), find(&store, 2)), (Some(key(1)), None));
    limit_pages(&store, "PRAGMA max_page_count = 4294967294");
    insert(&store, (2..1_000).map(key));
    assert!(store.inspect().unwrap().integrity.is_empty());
}

/// The engine never sets the limit below the size that the file has.
fn limit_pages(store: &SqliteStore, pragma: &str) {
    let turn = store.writer.as_ref().unwrap().turn();
    let connection: &Connection = &turn;
    connection.query_row(pragma, [], |_| Ok(())).unwrap();
}
