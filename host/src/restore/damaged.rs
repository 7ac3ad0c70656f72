//! Rows of the replaced store that cannot be read, or are not in force: what they refused goes on to be refused.

use std::path::PathBuf;

use keystile_validator::jwt::{Algorithm, ClaimMapping};
use keystile_validator::{Code, Digest};

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::keys::MAX_STAGED_AT_ONCE;
use crate::login::attempts::LOCK_ACCOUNT_AFTER;
use crate::login::tests::{EMAIL, PASSWORD, World, password, world};
use crate::{
    ChangeStateError, Client, CreatedKey, Grace, ImportedKey, IssuerKeys, Login, LoginError, NewIssuer, NewKey,
    NewToken, Refresh, RefreshError, RevokeReason, Rotation, Secret, SigningKeyRotation,
};

/// A restore asks the clock of the system.
fn today() -> World {
    let world = world();
    world.clock.set(SystemClock.now());
    world
}

impl World {
    fn copy(&self, name: &str) -> PathBuf {
        let to = self.path.with_file_name(name);
        self.keystile.backup(&to).unwrap();
        to
    }

    fn put_back(&self, from: &Path) -> Restored {
        Keystile::restore(from, &self.path, "tests").unwrap()
    }

    fn new_key(&self) -> CreatedKey {
        self.keystile.keys().create(NewKey { name: "k".to_owned(), ..NewKey::default() }).unwrap()
    }

    fn says(&self, secret: &Secret) -> Option<Code> {
        self.keystile.preview(secret.expose_secret(), &self.keystile.request()).code()
    }

    fn revoke(&self, id: KeyId) {
        self.keystile.keys().revoke(id, RevokeReason::KeyCompromise, None).unwrap();
    }

    /// Writes into the file what no Keystile writes and SQLite does not mind; the triggers are there again afterwards.
    fn damage(&self, sql: &str) {
        let raw = rusqlite::Connection::open(&self.path).unwrap();
        raw.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let mut triggers = raw.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        let triggers = triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let triggers: Vec<(String, String)> = triggers.map(Result::unwrap).collect();
        triggers.iter().for_each(|(name, _)| raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
        assert!(raw.execute(sql, []).unwrap() > 0, "{sql}");
        triggers.iter().for_each(|(_, sql)| raw.execute_batch(sql).unwrap());
    }

    fn is_whole(&self) -> bool {
        matches!(self.keystile.verify_audit(None).unwrap(), crate::AuditReport::Intact { .. })
    }

    fn issued(&self) -> (String, Secret) {
        let new = NewToken { user: EMAIL.to_owned(), ..NewToken::default() };
        let issued = self.keystile.tokens().issue(new).unwrap();
        (issued.token_id, issued.token)
    }

    fn try_password(&self, with: &str) -> Result<crate::LoggedIn, LoginError> {
        self.keystile.login(&Login { email: EMAIL, password: &password(with), client: Client::default() })
    }
}

const UNREADABLE: &str = "UPDATE keys SET metadata = 'damaged'";

#[test]
fn a_revoke_outlives_damage_and_a_restore_whatever_the_backup_says_of_the_key() {
    // What the backup knows of the key: active, suspended, nothing.
    for damage in [
        UNREADABLE,
        "UPDATE keys SET scopes = '** **', revoke_reason = 'x'",
        "UPDATE keys SET state = 'active', revoked_at = 9223372036854775807",
    ] {
        let world = today();
        let before = world.copy("before.db");
        let key = world.new_key();
        let active = world.copy("active.db");
        world.keystile.keys().suspend(key.key.id).unwrap();
        let suspended = world.copy("suspended.db");
        world.keystile.keys().resume(key.key.id).unwrap();
        world.revoke(key.key.id);
        world.damage(damage);
        for backup in [suspended, before, active] {
            let restored = world.put_back(&backup);
            assert_eq!(world.says(&key.secret), Some(Code::Revoked), "{damage}: {}", backup.display());
            let resumed = world.keystile.keys().resume(key.key.id);
            assert!(matches!(resumed, Err(ChangeStateError::Conflict { .. })), "{resumed:?}");
            assert_eq!(restored.revoked.len(), 1);
            assert_eq!(
                (restored.revoked[0].id, restored.revoked[0].reason),
                (key.key.id, RestoreSuspension::Unreadable)
            );
            assert_eq!((restored.keys_revoked, restored.rows_unreadable), (1, 1));
            assert!(world.is_whole());
            world.damage(damage);
        }
    }
}

/// Damage before the revoke, which goes by id.
#[test]
fn an_unreadable_key_that_the_backup_does_not_know_is_refused_for_good() {
    let world = today();
    let before = world.copy("before.db");
    let key = world.new_key();
    let after = world.copy("after.db");
    world.damage(UNREADABLE);
    let restored = world.put_back(&before);
    assert_eq!((restored.keys_revoked, restored.revoked[0].reason), (1, RestoreSuspension::Unreadable));
    assert_eq!(world.says(&key.secret), Some(Code::Revoked));
    world.put_back(&after);
    assert_eq!(world.says(&key.secret), Some(Code::Revoked));
    assert!(world.is_whole());
}

#[test]
fn a_resumed_key_with_an_unreadable_row_has_no_secret_and_no_right_that_had_ended() {
    let world = today();
    let key = world.new_key();
    let backup = world.copy("backup.db");
    let keys = world.keystile.keys();
    let rotation = Rotation { grace: Grace::NONE, ..Rotation::default() };
    let new = keys.rotate(key.key.id, rotation).unwrap().secret.unwrap();
    let narrowed = crate::KeyChange { scopes: Some(vec!["a:read".parse().unwrap()]), ..Default::default() };
    keys.update(key.key.id, narrowed).unwrap();
    world.damage(UNREADABLE);
    let restored = world.put_back(&backup);
    assert_eq!((restored.keys_suspended, restored.suspended[0].reason), (1, RestoreSuspension::Unreadable));
    assert_eq!((world.says(&key.secret), world.says(&new)), (Some(Code::Suspended), Some(Code::Suspended)));
    let resumed = keys.resume(key.key.id).unwrap();
    assert_eq!((world.says(&key.secret), world.says(&new)), (Some(Code::Rotated), None));
    assert_eq!(resumed.scopes, ["a:read".parse().unwrap()]);
    // Once more, where not even the time of the old secret can be read.
    world.damage("UPDATE secrets SET ended_at = 9223372036854775807 WHERE number = 1");
    world.put_back(&backup);
    keys.resume(key.key.id).unwrap();
    assert_eq!((world.says(&key.secret), world.says(&new)), (Some(Code::Rotated), None));
}

/// Damage can take an import out of force; the backup has its keys active.
#[test]
fn keys_that_are_not_in_force_are_not_in_force_after_a_restore() {
    for damage in [
        "UPDATE imports SET generation = NULL, completed_at = NULL",
        "DELETE FROM imports",
        "UPDATE keys SET import_pk = 77",
    ] {
        let world = today();
        let secrets = ["one secret", "another secret"];
        let keys = secrets
            .map(|secret| ImportedKey::new(Digest::of(secret.as_bytes()), secret.to_owned(), "live".parse().unwrap()));
        world.keystile.keys().import(keys).unwrap();
        let backup = world.copy("backup.db");
        let code = |secret: &str| world.keystile.preview(secret, &world.keystile.request()).code();
        assert_eq!(secrets.map(code), [None, None]);
        let digest = Digest::of(secrets[0].as_bytes());
        let id = world.keystile.inner.store().read().unwrap().key_by_digest(&digest).unwrap().unwrap().id;
        world.revoke(id);
        world.damage(damage);
        let restored = world.put_back(&backup);
        assert_eq!(secrets.map(code), [Some(Code::Revoked), Some(Code::Suspended)], "{damage}");
        assert_eq!((restored.keys_suspended, restored.suspended[0].reason), (1, RestoreSuspension::NotInForce));
        assert!(world.is_whole());
    }
}

#[test]
fn a_staged_key_that_was_revoked_is_refused_after_a_restore() {
    let world = today();
    let before = world.copy("before.db");
    let mut import = world.keystile.keys().begin_import();
    for number in 0..MAX_STAGED_AT_ONCE {
        let digest = Digest::of(format!("secret {number}").as_bytes());
        import.add(ImportedKey::new(digest, format!("key {number}"), "live".parse().unwrap())).unwrap();
    }
    let staged = world.keystile.audit(None, 0, 1_000).unwrap();
    let first = staged.iter().find(|entry| entry.action == "key.imported").unwrap();
    world.revoke(first.subject.as_deref().unwrap().parse().unwrap());
    assert_eq!(world.put_back(&before).keys, 1);
    drop(import);
    let code = |number: usize| world.keystile.preview(format!("secret {number}"), &world.keystile.request()).code();
    assert_eq!((code(0), code(1)), (Some(Code::Revoked), Some(Code::Malformed)));
}

#[test]
fn a_user_that_cannot_be_read_is_suspended_without_a_password() {
    let world = today();
    let backup = world.copy("backup.db");
    let users = world.keystile.users();
    let (_, new) = users.generate_password(world.user.id).unwrap();
    users.suspend(world.user.id).unwrap();
    world.damage("UPDATE users SET created_at = 9223372036854775807");
    let restored = world.put_back(&backup);
    assert_eq!((restored.users_carried_over, restored.unreadable[0].column), (1, "users.created_at"));
    assert!(users.show(world.user.id).unwrap().suspended_at.is_some());
    users.resume(world.user.id).unwrap();
    for with in [PASSWORD, new.expose_secret()] {
        assert!(matches!(world.try_password(with), Err(LoginError::InvalidCredentials)));
    }
    // A deleted one, and one without an address.
    for damage in [
        "UPDATE users SET email = NULL, name = NULL, organization = NULL, password = NULL, password_set_at = NULL, deleted_at = 9223372036854775807",
        "UPDATE users SET email = 'no address'",
    ] {
        let world = today();
        let backup = world.copy("backup.db");
        world.damage(damage);
        world.put_back(&backup);
        assert!(matches!(world.try_password(PASSWORD), Err(LoginError::InvalidCredentials)), "{damage}");
        assert!(world.is_whole());
    }
}

#[test]
fn sessions_and_locks_that_cannot_be_read_are_ended_and_kept() {
    let world = today();
    let given = world.login();
    let backup = world.copy("backup.db");
    for _ in 0..LOCK_ACCOUNT_AFTER {
        world.clock.advance(40);
        assert!(world.try_password("wrong password").is_err());
    }
    world.damage("UPDATE sessions SET created_at = 9223372036854775807");
    world.damage("UPDATE attempts SET blocked_until = 9223372036854775807");
    let restored = world.put_back(&backup);
    assert!(restored.rows_unreadable >= 2, "{restored:?}");
    assert_eq!(world.says(&given.access_token), Some(Code::Revoked));
    let refused = world.keystile.refresh(given.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Invalid)), "{refused:?}");
    assert!(matches!(world.try_password(PASSWORD), Err(LoginError::TooManyAttempts { .. })));
}

#[test]
fn a_disabled_issuer_and_a_signing_key_that_cannot_be_read_are_left_out() {
    let world = today();
    world.keystile.signing_keys().rotate(SigningKeyRotation { at_once: true, ..Default::default() }).unwrap();
    let (_, token) = world.issued();
    let new = NewIssuer {
        name: "acme".to_owned(),
        issuer: "https://acme.org".to_owned(),
        keys: IssuerKeys::Given(world.keystile.signing_keys().jwks().unwrap()),
        algorithms: vec![Algorithm::EdDsa],
        audiences: Vec::new(),
        any_audience: true,
        forbidden_claims: Vec::new(),
        wildcard_scopes: false,
        token_type: None,
        leeway: 0,
        claims: ClaimMapping::default(),
        environment: None,
        any_environment: true,
    };
    world.keystile.issuers().add(new).unwrap();
    let backup = world.copy("backup.db");
    world.keystile.issuers().disable("acme").unwrap();
    world.damage("UPDATE issuers SET created_at = 9223372036854775807");
    world.damage("UPDATE signing_keys SET created_at = 9223372036854775807");
    let restored = world.put_back(&backup);
    assert_eq!(world.keystile.issuers().list().unwrap().issuers.len(), 0);
    assert_eq!(world.says(&token), Some(Code::UnknownIssuer));
    assert!(restored.unreadable.iter().any(|row| row.column == "issuers.created_at"), "{restored:?}");
    assert!(world.is_whole());
}

#[test]
fn a_revocation_that_cannot_be_read_refuses_what_it_may_have_refused() {
    let world = today();
    let (id, token) = world.issued();
    let backup = world.copy("backup.db");
    world.keystile.tokens().revoke_id(None, &id).unwrap();
    world.damage("UPDATE revocations SET expires_at = 9223372036854775807");
    world.put_back(&backup);
    assert_eq!(world.says(&token), Some(Code::Revoked));
    assert!(world.is_whole());
}

/// What decides and cannot be replaced by anything that refuses more.
#[test]
fn what_nobody_can_read_and_nobody_can_replace_keeps_a_restore_from_being_made() {
    for (damage, column) in [
        ("UPDATE revocations SET value = CAST(x'ff' AS TEXT)", "revocations.value"),
        ("UPDATE settings SET value = 'x' WHERE name = 'max_lifetime'", "settings.value"),
        ("UPDATE formats SET prefix = 'no prefix'", "formats.prefix"),
    ] {
        let world = today();
        world.keystile.change_settings(|settings| settings.max_lifetime = Some(86_400)).unwrap();
        let (id, _) = world.issued();
        let backup = world.copy("backup.db");
        world.keystile.tokens().revoke_id(None, &id).unwrap();
        world.damage(damage);
        let error = Keystile::restore(&backup, &world.path, "tests").unwrap_err();
        let RestoreError::Store(StoreError::Undecided { column: found, .. }) = &error else {
            panic!("{damage}: {error:?}")
        };
        assert_eq!(*found, column);
        assert_eq!(error.code(), "corrupt");
    }
}

#[test]
fn a_backup_with_a_row_that_cannot_be_read_is_a_damaged_one() {
    let world = today();
    world.new_key();
    world.damage(UNREADABLE);
    let backup = world.copy("backup.db");
    world.damage("UPDATE keys SET metadata = '{}'");
    let error = Keystile::restore(&backup, &world.path, "tests").unwrap_err();
    assert!(matches!(&error, RestoreError::Store(StoreError::DamagedBackup { .. })), "{error:?}");
}
