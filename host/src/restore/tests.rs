//! The law of a restore, for users: nothing comes back that the replaced store refused.

use std::path::{Path, PathBuf};

use crate::clock::{Clock as _, SystemClock};
use crate::login::tests::{EMAIL, PASSWORD, World, password, world};
use crate::{
    Client, Code, CreatedKey, EndReason, Keystile, Login, LoginError, NewKey, NewToken, NewUser, Refresh, RefreshError,
    Restored, SessionStatus, User, UserChange,
};

/// A restore asks the clock of the system.
fn today() -> World {
    let world = world();
    world.clock.set(SystemClock.now());
    world
}

impl World {
    fn backup(&self, name: &str) -> PathBuf {
        let to = self.path.with_file_name(name);
        self.keystile.backup(&to).unwrap();
        to
    }

    fn restore(&self, from: &Path) -> Restored {
        Keystile::restore(from, &self.path, "tests").unwrap()
    }

    fn knows(&self, email: &str, with: &str) -> bool {
        match self.keystile.login(&Login { email, password: &password(with), client: Client::default() }) {
            Ok(_) => true,
            Err(LoginError::InvalidCredentials) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn key_of(&self, owner: &str) -> CreatedKey {
        let new = NewKey { name: "k".to_owned(), owner: Some(owner.to_owned()), ..NewKey::default() };
        self.keystile.keys().create(new).unwrap()
    }

    fn make(&self, email: &str) -> User {
        let new = NewUser { password: Some(password(PASSWORD)), ..NewUser::new(email.parse().unwrap()) };
        self.keystile.users().create(new).unwrap()
    }
}

/// A backup of another line of the same store: where the one that is replaced has never heard of a key.
#[test]
fn keys_that_the_replaced_store_does_not_know_log_in_to_nobody_new() {
    let world = today();
    let early = world.backup("early.db");
    let bob = world.make("bob@x.org");
    let [of_ada, of_bob] = [EMAIL, "bob@x.org"].map(|email| world.key_of(email));
    let late = world.backup("late.db");
    // The store is lost, and begun again from the early backup.
    let elsewhere = world.path.with_file_name("elsewhere.db");
    Keystile::restore(&early, &elsewhere, "tests").unwrap();
    let there = world.open_at(&elsewhere);
    let heir = there.users().create(NewUser::new("bob@x.org".parse().unwrap())).unwrap();
    Keystile::restore(&late, &elsewhere, "tests").unwrap();
    assert!(there.users().show(bob.id).is_err());
    there.users().resume(heir.id).unwrap();
    assert!(there.login_with_key(of_ada.secret.expose_secret(), Client::default()).is_ok());
    let refused = there.login_with_key(of_bob.secret.expose_secret(), Client::default());
    assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{refused:?}");
    assert_eq!(there.keys().show(of_bob.key.id).unwrap().state, keystile_validator::KeyState::Suspended);
}

#[test]
fn suspended_and_deleted_users_and_old_passwords_do_not_come_back() {
    let world = today();
    let users = world.keystile.users();
    let [suspended, deleted, demoted] = ["s@x.org", "d@x.org", "a@x.org"].map(|email| world.make(email));
    users.update(demoted.id, UserChange { admin: Some(true), ..UserChange::default() }).unwrap();
    let backup = world.backup("backup.db");
    users.suspend(suspended.id).unwrap();
    users.delete(deleted.id).unwrap();
    let name = Some(Some("New Name".to_owned()));
    users.update(demoted.id, UserChange { admin: Some(false), name, ..UserChange::default() }).unwrap();
    let (_, new) = users.generate_password(world.user.id).unwrap();
    for _ in 0..2 {
        let restored = world.restore(&backup);
        assert_eq!(restored.users_carried_over, 4);
        assert!(!world.knows("s@x.org", PASSWORD) && !world.knows("d@x.org", PASSWORD));
        assert!(users.show(suspended.id).unwrap().suspended_at.is_some());
        assert!(users.show(deleted.id).is_err());
        assert!(!world.knows(EMAIL, PASSWORD) && world.knows(EMAIL, new.expose_secret()));
        let demoted = users.show(demoted.id).unwrap();
        assert_eq!((demoted.admin, demoted.name), (false, None), "the name is that of the backup");
    }
    assert!(matches!(world.keystile.verify_audit(None).unwrap(), crate::AuditReport::Intact { .. }));
    assert_eq!(
        world.restore(&world.backup("same.db")).users_carried_over,
        0,
        "a backup of what is there changes nothing"
    );
}

#[test]
fn a_user_that_the_backup_does_not_know_is_kept_suspended() {
    let world = today();
    let backup = world.backup("backup.db");
    let young = world.make("young@x.org");
    let login = Login { email: "young@x.org", password: &password(PASSWORD), client: Client::default() };
    let given = world.keystile.login(&login).unwrap();
    let sent = NewToken { user: "young@x.org".into(), scopes: Vec::new(), environment: None, ttl: None };
    let sent = world.keystile.tokens().issue(sent).unwrap().token;
    let code = |token: &crate::Secret| world.keystile.verify(token.expose_secret(), &world.keystile.request()).code();
    assert_eq!((code(&given.access_token), code(&sent)), (None, None));
    assert_eq!(world.restore(&backup).users_carried_over, 1);
    assert_eq!((code(&given.access_token), code(&sent)), (Some(Code::Revoked), Some(Code::Revoked)));
    assert!(world.keystile.users().show(young.id).unwrap().suspended_at.is_some());
    assert!(!world.knows("young@x.org", PASSWORD));
    let refused = world.keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Ended)), "{refused:?}");
    world.keystile.users().resume(young.id).unwrap();
    assert!(world.knows("young@x.org", PASSWORD));
}

#[test]
fn sessions_are_those_of_the_replaced_store() {
    let world = today();
    let [ended, rotated, kept] = [world.login(), world.login(), world.login()];
    let backup = world.backup("backup.db");
    world.keystile.sessions().end(ended.session_id).unwrap();
    let refresh = |token: &crate::Secret| world.keystile.refresh(token.expose_secret(), &Refresh::default());
    let second = refresh(&rotated.refresh_token).unwrap();
    let third = refresh(&second.refresh_token).unwrap();
    let young = world.login();
    world.restore(&backup);
    assert!(matches!(refresh(&ended.refresh_token), Err(RefreshError::Ended)));
    // Its counter has not gone back: what was used is still used.
    assert!(refresh(&kept.refresh_token).is_ok() && refresh(&young.refresh_token).is_ok());
    assert!(refresh(&third.refresh_token).is_ok());
    assert!(matches!(refresh(&rotated.refresh_token), Err(RefreshError::Reused)));
}

#[test]
fn a_lock_is_not_restored_away() {
    let world = today();
    let backup = world.backup("backup.db");
    for _ in 0..crate::bounds::LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        assert!(!world.knows(EMAIL, "wrong password"));
    }
    world.restore(&backup);
    let login = Login { email: EMAIL, password: &password(PASSWORD), client: Client::default() };
    assert!(matches!(world.keystile.login(&login), Err(LoginError::TooManyAttempts { .. })));
    assert!(world.keystile.users().locked_until(world.user.id).unwrap().is_some());
}

/// Nothing is known of what came after the backup, so nobody stays logged in by it.
#[test]
fn where_there_is_no_store_all_sessions_end() {
    let world = today();
    let given = world.login();
    let backup = world.backup("backup.db");
    let elsewhere = world.path.with_file_name("elsewhere.db");
    let restored = Keystile::restore(&backup, &elsewhere, "tests").unwrap();
    assert_eq!(restored.sessions_ended, 1);
    let there = world.open_at(&elsewhere);
    let refused = there.refresh(given.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Ended | RefreshError::Expired)), "{refused:?}");
    let session = there.sessions().show(given.session_id).unwrap();
    assert_ne!(session.status(world.clock_now()), SessionStatus::Active);
    let verdict = there.verify(given.access_token.expose_secret(), &there.request());
    assert_eq!(verdict.code(), Some(Code::Revoked));
    assert!(matches!(session.end.unwrap().reason, EndReason::Restored | EndReason::Expired));
}

/// Two users have changed addresses, and a third has taken that of one who was deleted.
#[test]
fn addresses_are_those_of_the_replaced_store() {
    let world = today();
    let users = world.keystile.users();
    let [one, two, gone] = ["one@x.org", "two@x.org", "gone@x.org"].map(|email| world.make(email));
    let keys = ["one@x.org", "two@x.org", "gone@x.org"].map(|email| world.key_of(email));
    let backup = world.backup("backup.db");
    let rename = |user: &User, email: &str| {
        let change = UserChange { email: Some(email.parse().unwrap()), ..UserChange::default() };
        users.update(user.id, change).unwrap();
    };
    rename(&one, "spare@x.org");
    rename(&two, "one@x.org");
    rename(&one, "two@x.org");
    users.delete(gone.id).unwrap();
    let heir = world.make("gone@x.org");
    world.restore(&backup);
    let email = |user: &User| users.show(user.id).map(|user| user.email.as_str().to_owned()).ok();
    assert_eq!(email(&one).as_deref(), Some("two@x.org"));
    assert_eq!(email(&two).as_deref(), Some("one@x.org"));
    assert_eq!(email(&gone), None);
    assert_eq!(email(&heir).as_deref(), Some("gone@x.org"));
    // The keys that acted for those who had the addresses when the backup was made stay suspended.
    users.resume(heir.id).unwrap();
    for key in keys {
        let refused = world.keystile.login_with_key(key.secret.expose_secret(), Client::default());
        assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{refused:?}");
    }
    users.suspend(heir.id).unwrap();
    assert!(world.knows("one@x.org", PASSWORD) && !world.knows("gone@x.org", PASSWORD), "the heir is suspended");
}

/// Of a key whose row something else has damaged, what can be read counts.
#[test]
fn a_revoked_key_with_an_unreadable_row_does_not_come_back() {
    let world = today();
    let created = world.keystile.keys().create(NewKey { name: "k".to_owned(), ..NewKey::default() }).unwrap();
    let code = || world.keystile.preview(created.secret.expose_secret(), &world.keystile.request()).code();
    let backup = world.backup("backup.db");
    world.keystile.keys().revoke(created.key.id, crate::RevokeReason::KeyCompromise, None).unwrap();
    let raw = rusqlite::Connection::open(&world.path).unwrap();
    assert_eq!(raw.execute("UPDATE keys SET revoke_reason = 'no such reason'", []).unwrap(), 1);
    drop(raw);
    let restored = world.restore(&backup);
    assert_eq!(restored.revoked[0].reason, crate::RestoreSuspension::Unreadable);
    assert_eq!(code(), Some(Code::Revoked));
}

/// The same secret, imported twice: what was decided about it holds, whatever the key is called in the backup.
#[test]
fn a_revoked_secret_does_not_come_back_under_another_key() {
    let world = today();
    let digest = keystile_validator::Digest::of(b"imported");
    let import = |keystile: &Keystile| {
        let mut import = keystile.keys().begin_import();
        import.add(crate::ImportedKey::new(digest, "k".to_owned(), "live".parse().unwrap())).unwrap();
        import.complete().unwrap();
        keystile.inner.store().read().unwrap().key_by_digest(&digest).unwrap().unwrap().id
    };
    let before = world.backup("before.db");
    let first = import(&world.keystile);
    let with_key = world.backup("with-key.db");
    // The disk is lost, and the older backup is restored to an empty place.
    let place = world.path.with_file_name("again.db");
    Keystile::restore(&before, &place, "tests").unwrap();
    let again = world.open_at(&place);
    let second = import(&again);
    assert_ne!(first, second);
    again.keys().revoke(second, crate::RevokeReason::KeyCompromise, None).unwrap();
    let code = || again.preview("imported", &again.request()).code();
    assert_eq!(code(), Some(Code::Revoked));
    let restored = Keystile::restore(&with_key, &place, "tests").unwrap();
    assert!(code().is_some(), "allowed again");
    assert_eq!(restored.suspended[0].reason, crate::RestoreSuspension::SecretElsewhere);
    // The secret has ended, also when somebody resumes the key.
    again.keys().resume(first).unwrap();
    assert_eq!(code(), Some(Code::Rotated));
    assert!(matches!(again.verify_audit(None).unwrap(), crate::AuditReport::Intact { .. }));
}

/// A deployment repeats its request until it is answered, also when the store was restored in between.
#[test]
fn a_rotation_that_is_repeated_after_a_restore_rotates_once() {
    let world = today();
    let created = world.key_of("team");
    let early = world.backup("early.db");
    let young = world.key_of("team");
    let keys = world.keystile.keys();
    let request = || crate::Rotation {
        grace: crate::Grace::NONE,
        request_id: Some("deploy-42".to_owned()),
        ..crate::Rotation::default()
    };
    let code =
        |secret: &crate::Secret| world.keystile.preview(secret.expose_secret(), &world.keystile.request()).code();
    let [new, newer] = [created.key.id, young.key.id].map(|id| keys.rotate(id, request()).unwrap().secret.unwrap());
    // The backup does not know the rotation of the first key, nor the second key.
    for _ in 0..2 {
        world.restore(&early);
        for id in [created.key.id, young.key.id] {
            if keys.show(id).unwrap().suspended_by_restore {
                keys.resume(id).unwrap();
            }
            assert!(keys.rotate(id, request()).unwrap().secret.is_none(), "rotated twice");
        }
        assert_eq!((code(&new), code(&newer)), (None, None));
        assert_eq!(code(&created.secret), Some(Code::Rotated));
    }
    assert!(matches!(world.keystile.verify_audit(None).unwrap(), crate::AuditReport::Intact { .. }));
}
