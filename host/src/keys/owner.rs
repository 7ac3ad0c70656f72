//! Keys that act for a user: those whose owner is the user's e-mail address.
//!
//! They share the user's suspension. While a user is suspended, no active key acts for it.

use keystile_validator::{KeyId, KeyState, Timestamp};
use serde_json::json;

use super::write::{KeyEntry, contain_key, write_key};
use crate::ids::UserId;
use crate::key::Key;
use crate::keystile::Inner;
use crate::store::containment::KeyContainment;
use crate::store::users::UserRow;
use crate::store::{ReadTransaction, StoreError, UnreadableRow, WriteTransaction};
use crate::user::{Email, User};

/// The user that a key with this owner would act for, when that user is suspended.
pub(super) fn suspended_owner(
    view: &(impl ReadTransaction + ?Sized),
    owner: Option<&str>,
) -> Result<Option<UserId>, StoreError> {
    let Some(email) = owner.and_then(|owner| owner.parse::<Email>().ok()) else { return Ok(None) };
    Ok(match view.user_by_email(&email)? {
        Some(UserRow::Live { user, .. }) if user.suspended_at.is_some() => Some(user.id),
        Some(UserRow::Live { .. } | UserRow::Deleted { .. }) | None => None,
    })
}

/// Suspends the active keys that act for a user who is suspended; says which. Nobody can say which those of a user
/// without a readable address are.
pub(crate) fn suspend_with_user(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    (user, email): (UserId, Option<&Email>),
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<Vec<KeyId>, StoreError> {
    let detail = json!({ "owner_suspended": user.to_string() });
    let keys = email.map_or_else(|| Ok(Vec::new()), |email| transaction.active_keys_of(email))?;
    unreadable.extend(email.map_or_else(|| Ok(Vec::new()), |email| transaction.nameless_keys_of(email))?);
    for id in &keys {
        let how = KeyContainment::Suspend { with: Some(user) };
        let entry = KeyEntry { action: "key.suspended", detail: &detail };
        contain_key(inner, transaction, now, *id, how, entry, unreadable)?;
    }
    Ok(keys)
}

/// Resumes the keys that were suspended with this user and still act for it; says which.
pub(crate) fn resume_with_user(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    user: &User,
) -> Result<Vec<KeyId>, StoreError> {
    let detail = json!({ "owner_resumed": user.id.to_string() });
    let mut resumed = Vec::new();
    for id in transaction.keys_suspended_for(user.id)? {
        let Some(old) = transaction.key(id)? else { continue };
        let owner = old.owner.as_deref().and_then(|owner| owner.parse::<Email>().ok());
        if owner.as_ref() != Some(&user.email) {
            continue;
        }
        let new = Key { updated_at: now, ..switched_on(old.clone()) };
        write_key(inner, transaction, now, &old, &new, KeyEntry { action: "key.resumed", detail: &detail })?;
        resumed.push(id);
    }
    Ok(resumed)
}

/// Takes the keys away from an address that a user gives up, because somebody else may have it next: they have the
/// user's id as their owner, and those that are active are suspended. Says which. Those that share the user's
/// suspension no longer do: an operator decides when they are resumed.
pub(crate) fn disown_keys_of(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    (user, email): (UserId, Option<&Email>),
    detail: &serde_json::Value,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<Vec<KeyId>, StoreError> {
    let mut keys = email.map_or_else(|| Ok(Vec::new()), |email| transaction.active_keys_of(email))?;
    keys.extend(transaction.keys_suspended_for(user)?);
    let mut all = keys.clone();
    let owned = email.map_or_else(|| Ok(Vec::new()), |email| transaction.keys_of(email))?;
    all.extend(owned.into_iter().filter(|id| !keys.contains(id)));
    unreadable.extend(email.map_or_else(|| Ok(Vec::new()), |email| transaction.nameless_keys_of(email))?);
    for id in &all {
        let action = if keys.contains(id) { "key.suspended" } else { "key.updated" };
        let how = KeyContainment::Disown { user, email };
        contain_key(inner, transaction, now, *id, how, KeyEntry { action, detail }, unreadable)?;
    }
    Ok(keys)
}

/// A key that no longer acts for a user who gives up an address, or is deleted.
pub(crate) fn disowned(key: Key, now: Timestamp, user: &User) -> Key {
    let is_theirs = key.owner.as_deref().and_then(|owner| owner.parse::<Email>().ok()).as_ref() == Some(&user.email);
    let owner = if is_theirs { Some(user.id.to_string()) } else { key.owner.clone() };
    let key = Key { owner, updated_at: now, ..key };
    match key.state {
        KeyState::Active | KeyState::Suspended => suspended(key, now, None),
        KeyState::Revoked => key,
    }
}

/// A key, switched on again.
pub(super) fn switched_on(key: Key) -> Key {
    Key { state: KeyState::Active, suspended_at: None, suspended_for: None, suspended_by_restore: false, ..key }
}

/// A key, switched off: by itself, or with a user.
pub(crate) fn suspended(key: Key, now: Timestamp, user: Option<UserId>) -> Key {
    let suspended_at = key.suspended_at.or(Some(now));
    Key { state: KeyState::Suspended, suspended_at, suspended_for: user, updated_at: now, ..key }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use keystile_validator::{Code, Digest};

    use super::*;
    use crate::login::tests::{EMAIL, World, at, world};
    use crate::{
        AuditQuery, ChangeStateError, CreateKeyError, CreatedKey, ImportKeysError, ImportedKey, KeyChange, Keystile,
        NewKey, NewUser, RevokeReason, UpdateKeyError, UserChange,
    };

    fn new_key(owner: &str) -> NewKey {
        NewKey { name: "k".into(), owner: Some(owner.to_owned()), ..NewKey::default() }
    }

    impl World {
        fn key(&self, owner: &str) -> CreatedKey {
            self.keystile.keys().create(new_key(owner)).unwrap()
        }
    }

    fn code(keystile: &Keystile, key: &CreatedKey) -> Option<Code> {
        keystile.preview(key.secret.expose_secret(), &keystile.request()).code()
    }

    fn owner(to: &str) -> KeyChange {
        KeyChange { owner: Some(Some(to.to_owned())), ..KeyChange::default() }
    }

    #[test]
    fn a_suspended_user_has_no_keys_and_a_resumed_one_has_them_again() {
        let world = world();
        let (keys, users) = (world.keystile.keys(), world.keystile.users());
        let [back, shouted, held, ended, given_away] =
            [EMAIL, "ADA@Example.com", EMAIL, EMAIL, EMAIL].map(|owner| world.key(owner));
        let [off, revoked, other] = [EMAIL, EMAIL, "bob@x.org"].map(|owner| world.key(owner));
        keys.suspend(off.key.id).unwrap();
        keys.revoke(revoked.key.id, RevokeReason::Unspecified, None).unwrap();
        let (looking_up, following) = (world.open_at(&world.path), world.follow());

        let suspended = users.suspend(world.user.id).unwrap();
        let acting = [&back, &shouted, &held, &ended, &given_away];
        assert_eq!(suspended.value.keys_suspended, acting.map(|key| key.key.id));
        for key in acting {
            for keystile in [&world.keystile, &looking_up] {
                assert_eq!(code(keystile, key), Some(Code::Suspended));
            }
            let deadline = Instant::now() + Duration::from_secs(30);
            while code(&following, key) != Some(Code::Suspended) {
                assert!(Instant::now() < deadline, "{:?}", code(&following, key));
                std::thread::sleep(Duration::from_millis(5));
            }
            let shown = keys.show(key.key.id).unwrap();
            assert_eq!((shown.suspended_at, shown.suspended_for), (Some(at(0)), Some(world.user.id)));
            let newest = AuditQuery { subject: Some(shown.id.to_string()), limit: 1, ..AuditQuery::default() };
            let entry = world.keystile.recent_audit(&newest).unwrap().entries.remove(0);
            assert_eq!(entry.action, "key.suspended");
            assert_eq!(entry.detail, json!({ "owner_suspended": world.user.id.to_string() }).to_string());
        }
        assert_eq!(code(&world.keystile, &other), None);

        // What is decided about a key meanwhile goes on to hold.
        assert_eq!(keys.suspend(held.key.id).unwrap().value.unwrap().suspended_for, None);
        let twice = keys.suspend(held.key.id);
        assert!(matches!(twice, Err(ChangeStateError::Conflict { .. })), "{twice:?}");
        keys.revoke(ended.key.id, RevokeReason::KeyCompromise, None).unwrap();
        assert_eq!(keys.update(given_away.key.id, owner("bob@x.org")).unwrap().suspended_for, None);
        let resumed = users.resume(world.user.id).unwrap();
        assert_eq!(resumed.keys_resumed, [back.key.id, shouted.key.id]);
        for (key, expected) in [
            (&back, None),
            (&shouted, None),
            (&held, Some(Code::Suspended)),
            (&ended, Some(Code::Revoked)),
            (&given_away, Some(Code::Suspended)),
            (&off, Some(Code::Suspended)),
            (&revoked, Some(Code::Revoked)),
            (&other, None),
        ] {
            assert_eq!(code(&world.keystile, key), expected);
        }
        assert_eq!(keys.show(back.key.id).unwrap().suspended_for, None);
        assert_eq!(world.audited("key.resumed").len(), 2);
    }

    #[test]
    fn nobody_gives_a_suspended_user_a_key() {
        let world = world();
        let keys = world.keystile.keys();
        let [hers, other] = [EMAIL, "bob@x.org"].map(|owner| world.key(owner));
        let id = world.user.id;
        world.keystile.users().suspend(id).unwrap();
        let entries = world.keystile.audit(None, 0, 1_000).unwrap().len();
        let created = keys.create(new_key("Ada@Example.COM"));
        assert!(matches!(created, Err(CreateKeyError::OwnerSuspended { user }) if user == id), "{created:?}");
        let updated = keys.update(other.key.id, owner(EMAIL));
        assert!(matches!(updated, Err(UpdateKeyError::OwnerSuspended { user }) if user == id), "{updated:?}");
        let resumed = keys.resume(hers.key.id);
        assert!(matches!(resumed, Err(ChangeStateError::OwnerSuspended { user }) if user == id), "{resumed:?}");
        assert_eq!(world.keystile.audit(None, 0, 1_000).unwrap().len(), entries, "nothing was changed");
        // What is not about the owner can be changed.
        keys.update(hers.key.id, KeyChange { name: Some("hers".into()), ..KeyChange::default() }).unwrap();
        world.keystile.users().resume(id).unwrap();
        keys.update(other.key.id, owner(EMAIL)).unwrap();
        world.key(EMAIL);
    }

    #[test]
    fn nobody_imports_keys_for_a_suspended_user() {
        let world = world();
        let (keys, users) = (world.keystile.keys(), world.keystile.users());
        let imported = |number: u16, owner: &str| ImportedKey {
            owner: Some(owner.to_owned()),
            ..ImportedKey::new(Digest::of(&number.to_le_bytes()), "imported", "live".parse().unwrap())
        };
        // One key is staged when the user is suspended, and is suspended too; another one comes after that.
        let mut import = keys.begin_import();
        import.add(imported(0, "ADA@example.com")).unwrap();
        (1..1_000).for_each(|number| import.add(imported(number, "bob@x.org")).unwrap());
        assert_eq!(users.suspend(world.user.id).unwrap().value.keys_suspended.len(), 1);
        import.add(imported(1_000, EMAIL)).unwrap();
        let refused = import.complete();
        assert!(
            matches!(refused, Err(ImportKeysError::OwnerSuspended { user }) if user == world.user.id),
            "{refused:?}"
        );
        assert_eq!(keys.import([imported(1, "bob@x.org")]).unwrap().keys, 1);
        users.resume(world.user.id).unwrap();
        assert_eq!(keys.import([imported(2, EMAIL)]).unwrap().keys, 1);
    }

    #[test]
    fn a_suspended_user_takes_its_suspension_along_to_another_address() {
        let world = world();
        let (keys, users) = (world.keystile.keys(), world.keystile.users());
        let [old, new] = [EMAIL, "ada@lovelace.org"].map(|owner| world.key(owner));
        let id = world.user.id;
        users.suspend(id).unwrap();
        let email = |text: &str| UserChange { email: Some(text.parse().unwrap()), ..UserChange::default() };
        let changed = users.update(id, email("ada@lovelace.org")).unwrap();
        assert_eq!(changed.keys_suspended, [old.key.id, new.key.id]);
        let suspended_for = |key: &CreatedKey| keys.show(key.key.id).unwrap().suspended_for;
        assert_eq!((suspended_for(&old), suspended_for(&new)), (None, Some(id)));
        assert_eq!(code(&world.keystile, &new), Some(Code::Suspended));
        // The address may have been somebody else's meanwhile.
        let back = users.update(id, email(EMAIL)).unwrap();
        assert_eq!(back.keys_suspended, [new.key.id]);
        assert_eq!(users.resume(id).unwrap().keys_resumed, []);
        assert_eq!(
            (code(&world.keystile, &old), code(&world.keystile, &new)),
            (Some(Code::Suspended), Some(Code::Suspended))
        );
        keys.resume(old.key.id).unwrap();
    }

    #[test]
    fn the_keys_of_a_deleted_user_are_nobodys() {
        let world = world();
        let users = world.keystile.users();
        let key = world.key(EMAIL);
        users.suspend(world.user.id).unwrap();
        assert_eq!(users.delete(world.user.id).unwrap().value.keys_suspended, [key.key.id]);
        assert_eq!(world.keystile.keys().show(key.key.id).unwrap().suspended_for, None);
        let heir = users.create(NewUser::new(EMAIL.parse().unwrap())).unwrap();
        users.suspend(heir.id).unwrap();
        assert_eq!(users.resume(heir.id).unwrap().keys_resumed, []);
        assert_eq!(code(&world.keystile, &key), Some(Code::Suspended));
    }

    /// The backup knows the key and not the user that it acts for, who is kept suspended.
    #[test]
    fn a_restore_suspends_keys_with_their_users() {
        let world = world();
        let key = world.key("bob@x.org");
        let backup = world.path.with_file_name("backup.db");
        world.keystile.backup(&backup).unwrap();
        let bob = world.keystile.users().create(NewUser::new("bob@x.org".parse().unwrap())).unwrap();
        assert_eq!(code(&world.keystile, &key), None);
        Keystile::restore(&backup, &world.path, "tests").unwrap();
        assert_eq!(code(&world.keystile, &key), Some(Code::Suspended));
        assert_eq!(world.keystile.users().resume(bob.id).unwrap().keys_resumed, [key.key.id]);
        assert_eq!(code(&world.keystile, &key), None);
    }
}
