//! Users, sessions and buckets: what is written is read back, and what the tables refuse.

use super::*;
use crate::ids::{SessionId, UserId};
use crate::session::{EndReason, Session, SessionEnd, SessionQuery};
use crate::store::users::{Bucket, BucketId, BucketKind, PasswordHash, SealedRefreshKey, SessionRow, UserRow};
use crate::user::User;

fn user(number: u8) -> User {
    User {
        id: UserId::from_bytes([number; 16]),
        email: format!("user{number}@example.com").parse().unwrap(),
        name: None,
        organization: None,
        admin: false,
        created_at: at(0),
        created_by: "tests".to_owned(),
        updated_at: at(0),
        suspended_at: None,
        password_set_at: None,
        last_login_at: None,
    }
}

fn full_user(number: u8) -> User {
    User {
        name: Some("Ærø".to_owned()),
        organization: Some("org_1".to_owned()),
        admin: true,
        suspended_at: Some(at(3)),
        password_set_at: Some(at(2)),
        last_login_at: Some(at(1)),
        ..user(number)
    }
}

fn session(number: u8, owner: u8) -> SessionRow {
    SessionRow {
        session: Session {
            id: SessionId::from_bytes([number; 16]),
            user: UserId::from_bytes([owner; 16]),
            client_id: Some("web".to_owned()),
            client: Some("Firefox".to_owned()),
            address: Some("2001:db8::1".parse().unwrap()),
            key: Some(key_id(1)),
            secret: Some(2),
            environment: Some("test_dev".parse().unwrap()),
            scopes: ["a:read", "b:*"].map(|scope| scope.parse().unwrap()).to_vec(),
            created_at: at(0),
            last_used_at: at(u64::from(number)),
            expires_at: at(1_000),
            end: None,
        },
        key: Some(SealedRefreshKey(vec![number; 61])),
        counter: 7,
        rotated_at: Some(at(5)),
        tokens_until: Some(at(6)),
    }
}

fn hash() -> PasswordHash {
    PasswordHash("$argon2id$…".to_owned())
}

fn row(store: &SqliteStore, number: u8) -> Option<UserRow> {
    store.read().unwrap().user(UserId::from_bytes([number; 16])).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let written =
        [UserRow::Live { user: full_user(1), password: Some(hash()) }, UserRow::Live { user: user(2), password: None }];
    let ended = SessionEnd { at: at(9), reason: EndReason::Reuse };
    let mut sessions = vec![session(1, 1), session(2, 2)];
    sessions[1] = SessionRow {
        session: Session {
            client_id: None,
            client: None,
            address: None,
            key: None,
            secret: None,
            environment: None,
            scopes: Vec::new(),
            end: Some(ended),
            ..sessions[1].session.clone()
        },
        rotated_at: None,
        tokens_until: None,
        ..sessions[1].clone()
    };
    write(&store, |transaction| {
        for row in &written {
            let UserRow::Live { user, password } = row else { unreachable!() };
            assert!(transaction.insert_user(user, password.as_ref()).unwrap());
        }
        sessions.iter().for_each(|row| transaction.insert_session(row).unwrap());
    });
    let view = store.read().unwrap();
    for row in &written {
        let UserRow::Live { user, .. } = row else { unreachable!() };
        assert_eq!(view.user(user.id).unwrap().as_ref(), Some(row));
        assert_eq!(view.user_by_email(&user.email).unwrap().as_ref(), Some(row));
    }
    for row in &sessions {
        assert_eq!(view.session(row.session.id).unwrap().as_ref(), Some(row));
    }
    let mut all = Vec::new();
    view.each_user(&mut |row| {
        all.push(row.whole()?);
        Ok(())
    })
    .unwrap();
    assert_eq!(all, written);
    let mut all = Vec::new();
    view.each_session(&mut |row| {
        all.push(row.whole()?);
        Ok(())
    })
    .unwrap();
    assert_eq!(all, sessions);
    assert_eq!(view.open_sessions(None, at(2_000_000)).unwrap(), [sessions[0].session.id]);
    let page = view.sessions(&SessionQuery::default(), at(1_000)).unwrap();
    assert!(page.sessions.is_empty(), "at its expiry a session is expired");
    let shown = format!("{written:?} {sessions:?}");
    assert!(!shown.contains("argon2") && !shown.contains("1, 1, 1"), "{shown}");
}

#[test]
fn an_address_is_that_of_one_user() {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| {
        assert!(transaction.insert_user(&user(1), None).unwrap() && transaction.insert_user(&user(2), None).unwrap());
        assert!(!transaction.insert_user(&user(1), None).unwrap());
        assert!(!transaction.insert_user(&User { email: user(1).email, ..user(3) }, None).unwrap());
        assert!(!transaction.update_user(&User { email: user(1).email, ..user(2) }).unwrap());
        assert!(transaction.update_user(&User { email: user(3).email, ..user(2) }).unwrap());
    });
    assert!(matches!(store.write().unwrap().update_user(&user(9)), Err(StoreError::NoSuchUser { .. })));
    let missing = store.write().unwrap().set_password(user(9).id, Some(&hash()), at(0));
    assert!(matches!(missing, Err(StoreError::NoSuchUser { .. })));
    assert!(matches!(store.write().unwrap().insert_session(&session(1, 9)), Err(StoreError::NoSuchUser { .. })));
}

/// What a verdict can depend on begins a new generation, so that whoever holds it in memory asks again.
#[test]
fn changes_of_users_and_ends_of_sessions_are_new_generations() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let mut last = generation(&store).0;
    let mut step = |grows: u64, change: &dyn Fn(&mut dyn WriteTransaction)| {
        write(&store, change);
        let now = generation(&store).0;
        assert_eq!(now, last + grows);
        last = now;
    };
    step(1, &|t| assert!(t.insert_user(&user(1), None).unwrap()));
    step(0, &|t| t.insert_session(&session(1, 1)).unwrap());
    step(0, &|t| t.update_session(&session(1, 1)).unwrap());
    step(1, &|t| assert!(t.end_session(session(1, 1).session.id, at(1), EndReason::Logout).unwrap()));
    step(1, &|t| assert!(t.update_user(&full_user(1)).unwrap()));
    step(1, &|t| t.delete_user(user(1).id, at(2)).unwrap());
}

#[test]
fn a_deleted_user_is_an_id() {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| assert!(transaction.insert_user(&full_user(1), Some(&hash())).unwrap()));
    write(&store, |transaction| transaction.delete_user(user(1).id, at(8)).unwrap());
    assert_eq!(row(&store, 1), Some(UserRow::Deleted { id: user(1).id, at: at(8) }));
    assert_eq!(store.read().unwrap().user_by_email(&user(1).email).unwrap(), None);
    drop(store);
    let texts: String = fixture
        .raw()
        .query_row("SELECT coalesce(name, '') || coalesce(password, '') || created_by FROM users", [], |row| row.get(0))
        .unwrap();
    assert_eq!(texts, "");
    let raw = fixture.raw();
    for refused in ["DELETE FROM users", "UPDATE users SET id = zeroblob(16)", "UPDATE users SET deleted_at = NULL"] {
        assert!(raw.execute_batch(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_session_goes_forwards_only() {
    let fixture = Fixture::new();
    let store = fixture.open();
    write(&store, |transaction| {
        assert!(transaction.insert_user(&user(1), None).unwrap());
        transaction.insert_session(&session(1, 1)).unwrap();
    });
    let id = session(1, 1).session.id;
    write(&store, |transaction| {
        let mut later = session(1, 1);
        (later.counter, later.session.last_used_at) = (8, at(0));
        transaction.update_session(&later).unwrap();
        assert_eq!(transaction.session(id).unwrap().unwrap().session.last_used_at, at(1));
        assert!(transaction.end_session(id, at(2), EndReason::Logout).unwrap());
        assert!(!transaction.end_session(id, at(3), EndReason::Operator).unwrap());
    });
    assert!(store.write().unwrap().update_session(&SessionRow { counter: 6, ..session(1, 1) }).is_err());
    let raw = fixture.raw();
    for refused in [
        "UPDATE sessions SET ended_at = NULL, end_reason = NULL",
        "UPDATE sessions SET expires_at = expires_at + 1",
        "UPDATE sessions SET counter = 1",
    ] {
        assert!(raw.execute_batch(refused).is_err(), "{refused}");
    }
}

#[test]
fn buckets_are_counted_emptied_and_forgotten() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let id = |kind, subject: u8, account: Option<u8>| BucketId {
        kind,
        subject: [subject; 32],
        account: account.map(|account| [account; 32]),
    };
    let bucket =
        |last: u64| Bucket { failures: 3, last_at: at(last), blocked_until: at(last + 60), succeeded_at: Some(at(1)) };
    let account = id(BucketKind::Account, 1, None);
    let all = [account, id(BucketKind::Address, 1, None), id(BucketKind::Device, 2, Some(1))];
    write(&store, |transaction| {
        assert_eq!(transaction.bucket_key().unwrap(), None);
        transaction.set_bucket_key(&[9; 32]).unwrap();
        for id in &all {
            transaction.set_bucket(id, &bucket(5)).unwrap();
            transaction.set_bucket(id, &bucket(10)).unwrap();
            assert_eq!(transaction.bucket(id).unwrap(), Some(bucket(10)));
        }
        let mut seen = Vec::new();
        transaction
            .each_bucket(&mut |row| {
                seen.push(row.whole()?);
                Ok(())
            })
            .unwrap();
        seen.sort_by_key(|(id, _)| (id.subject, id.kind == BucketKind::Address));
        assert_eq!(seen, all.map(|id| (id, bucket(10))));
        transaction.empty_buckets(&account).unwrap();
        let failures = |id| transaction.bucket(&id).unwrap().unwrap().failures;
        assert_eq!(all.map(failures), [0, 3, 0], "of the account and its devices");
        transaction.forget_buckets(at(9), at(10)).unwrap();
        assert_eq!(all.map(|id| transaction.bucket(&id).unwrap().is_some()), [false, false, true]);
        transaction.forget_buckets(at(10), at(10)).unwrap();
        assert_eq!(transaction.bucket(&all[2]).unwrap(), None);
        assert_eq!(transaction.bucket_key().unwrap(), Some([9; 32]));
    });
}
