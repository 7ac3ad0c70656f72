//! More changes at once than a bound: nothing is allowed until all of them are in force.

use super::*;
use crate::ids::{ImportId, UserId};
use crate::key::Key;
use crate::store::THIS_STORE;
use crate::store::faults::with_hook;
use crate::store::imports::ImportRow;
use crate::store::{RevocationKind, RevocationRow};
use crate::{Digest, Environment, ImportedKey};

const BOUND: usize = 6;

/// A user with so many keys.
fn user_with_keys(world: &World, count: usize) -> (UserId, Vec<CreatedKey>) {
    let owner = "bob@example.com";
    let user = world.elsewhere.users().create(NewUser::new(owner.parse().unwrap())).unwrap();
    let new = || NewKey { name: "k".into(), owner: Some(owner.into()), ..NewKey::default() };
    (user.id, (0..count).map(|_| world.elsewhere.keys().create(new()).unwrap()).collect())
}

/// Suspends a user with its keys, and refuses its tokens by one revocation.
fn suspended_user(world: &World, count: usize) {
    let (user, _) = user_with_keys(world, count - 1);
    world.look_after();
    assert_eq!(world.elsewhere.users().suspend(user).unwrap().value.keys_suspended.len(), count - 1);
}

/// The same with an older secret each, so that a key is two records.
fn rotated_keys(world: &World, count: usize) {
    let (user, keys) = user_with_keys(world, count / 2);
    for created in keys.iter().take((count - 1) / 2) {
        world.elsewhere.keys().rotate(created.key.id, crate::Rotation::default()).unwrap();
    }
    world.look_after();
    world.elsewhere.users().suspend(user).unwrap();
}

fn revoked_tokens(world: &World, count: usize) {
    let inner = &world.elsewhere.inner;
    let revoked: Result<(), StoreError> = inner.change(|transaction, now| {
        (0..count).try_for_each(|number| {
            transaction.put_revocation(&RevocationRow {
                issuer: THIS_STORE.to_owned(),
                kind: RevocationKind::Token,
                value: format!("token {number}"),
                revoked_at: now,
                issued_before: None,
                expires_at: now.saturating_add(60),
            })
        })
    });
    revoked.unwrap();
}

/// Rows that have no record: they take as long to read.
fn staged_keys(world: &World, count: usize) {
    let inner = &world.elsewhere.inner;
    let template = world.elsewhere.keys().list(&crate::KeyQuery::default()).unwrap().keys[0].clone();
    let id = |number: usize| crate::KeyId::from_bytes([u8::try_from(number).unwrap(); 16]);
    let staged: Result<(), StoreError> = inner.change(|transaction, now| {
        let import = ImportRow {
            id: ImportId::from_bytes([1; 16]),
            keys: 0,
            started_at: now,
            started_by: "tests".to_owned(),
            leased_until: now,
            completed_at: None,
        };
        transaction.insert_import(&import)?;
        (0..count).try_for_each(|number| {
            let key = Key { id: id(number), secrets: Vec::new(), ..template.clone() };
            transaction.stage_key(import.id, &key).map(|is_staged| assert!(is_staged))
        })
    });
    staged.unwrap();
    // One behind them, so that the mirror has passed them.
    world.create_key();
    world.look_after();
    for number in 0..count {
        world.elsewhere.keys().revoke(id(number), RevokeReason::KeyCompromise, None).unwrap();
    }
}

fn completed_imports(world: &World, count: usize) {
    for number in 0..count {
        let digest = Digest::of(&number.to_le_bytes());
        let imported = ImportedKey::new(digest, "imported", Environment::new("live").unwrap());
        world.elsewhere.keys().import([imported]).unwrap();
    }
}

fn some_of_all(world: &World, count: usize) {
    let keys = [world.create_key(), world.create_key()];
    world.look_after();
    keys.iter().for_each(|created| drop(world.elsewhere.keys().suspend(created.key.id).unwrap()));
    completed_imports(world, 2);
    revoked_tokens(world, count - 4);
}

/// Moves the mirror, and asks at each call of the engine for the verdict on a credential.
fn codes_on_the_way(world: &World, credential: &str) -> Vec<Option<Code>> {
    let (seen, here) = (Arc::new(Mutex::new(Vec::new())), world.here.clone());
    let (codes, credential) = (Arc::clone(&seen), credential.to_owned());
    let look = move || {
        codes.lock().unwrap().push(here.verify(&credential, &here.request()).code());
        false
    };
    with_hook(look, || world.look_after());
    let codes = seen.lock().unwrap();
    assert!(codes.len() > 20, "a move reads more than that");
    codes.clone()
}

#[test]
fn more_changes_than_the_bound_deny_everything_until_they_are_in_force() {
    type Change = fn(&World, usize);
    let all: [(&str, Change); 6] = [
        ("a user", suspended_user),
        ("keys with two secrets", rotated_keys),
        ("staged keys", staged_keys),
        ("revocations", revoked_tokens),
        ("imports", completed_imports),
        ("some of all", some_of_all),
    ];
    for (what, change) in all {
        let on_the_way = |count: usize| {
            let world = World::with_bounds(RECORDS_A_STEP, BOUND);
            let (key, token) = (world.create_key(), world.issue());
            world.look_after();
            change(&world, count);
            let codes = codes_on_the_way(&world, key.secret.expose_secret());
            assert_eq!(world.code(key.secret.expose_secret()), None, "{what}");
            assert_eq!(world.code(token.token.expose_secret()), None, "{what}");
            codes
        };
        let few = on_the_way(BOUND);
        assert!(few.iter().all(Option::is_none), "{what}: {few:?}");
        let denied_from = |count: usize| {
            let codes = on_the_way(count);
            let first = codes.iter().position(Option::is_some).expect("nothing is allowed");
            assert!(codes[first..].iter().all(|code| *code == Some(Code::Unavailable)), "{what}: {codes:?}");
            first
        };
        denied_from(BOUND + 1);
        assert_eq!(denied_from(3 * BOUND), denied_from(6 * BOUND), "{what}: so much is read before, and no more");
    }
}

/// What has changed is allowed until the bound is passed, and never after.
#[test]
fn what_has_changed_is_not_allowed_once_the_bound_is_passed() {
    let world = World::with_bounds(RECORDS_A_STEP, BOUND);
    let (user, keys) = user_with_keys(&world, 5 * BOUND);
    world.look_after();
    world.elsewhere.users().suspend(user).unwrap();
    for created in &keys {
        assert_eq!(world.code(created.secret.expose_secret()), None, "nobody has looked yet");
    }
    let codes = codes_on_the_way(&world, keys[0].secret.expose_secret());
    let first = codes.iter().position(Option::is_some).unwrap();
    assert!(codes[first..].iter().all(|code| matches!(code, Some(Code::Unavailable | Code::Suspended))), "{codes:?}");
    for created in &keys {
        assert_eq!(world.code(created.secret.expose_secret()), Some(Code::Suspended));
    }
}

/// A read that fails beyond the bound leaves nothing in force, and the next move reads all of it again.
#[test]
fn a_fault_beyond_the_bound_allows_nothing() {
    let world = World::with_bounds(RECORDS_A_STEP, BOUND);
    let (user, keys) = user_with_keys(&world, BOUND + 1);
    let secret = keys[0].secret.expose_secret();
    for at in 0.. {
        world.look_after();
        assert_eq!(world.code(secret), None);
        world.elsewhere.users().suspend(user).unwrap();
        let ((), failed) = crate::store::faults::failing_at(at, || world.look_after());
        let code = world.code(secret);
        assert!(matches!(code, Some(Code::Suspended | Code::Unavailable)), "{code:?} at {at}");
        world.look_after();
        assert_eq!(world.code(secret), Some(Code::Suspended), "at {at}");
        if !failed {
            return;
        }
        world.elsewhere.users().resume(user).unwrap();
    }
}

/// The bound that is in the documents, with as many keys as it takes.
#[test]
fn the_bound_is_hit_exactly() {
    for (changes, is_good) in [(CHANGES_AT_ONCE, true), (CHANGES_AT_ONCE + 1, false)] {
        let world = World::new();
        world.raw().execute_batch(&with_keys(changes)).unwrap();
        world.look_after();
        while world.here.inner.mirror.has_more() {
            world.look_after();
        }
        assert_eq!(world.here.secrets_in_memory(), changes as u64);
        let suspend = "UPDATE position SET generation = generation + 1; UPDATE keys SET state = 'suspended', \
                       suspended_at = 1, generation = (SELECT generation FROM position)";
        world.raw().execute_batch(suspend).unwrap();
        let (was_good, here) = (Arc::new(AtomicBool::new(true)), world.here.clone());
        let seen = Arc::clone(&was_good);
        let look = move || {
            seen.fetch_and(here.inner.mirror.is_healthy(), Ordering::AcqRel);
            false
        };
        with_hook(look, || world.look_after());
        assert_eq!(was_good.load(Ordering::Acquire), is_good, "{changes} changes");
        assert!(world.here.inner.mirror.is_healthy());
    }
}

/// So many keys, as an import leaves them.
fn with_keys(count: usize) -> String {
    format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
         INSERT INTO keys (id, generation, state, environment, scopes, addresses, name, metadata, created_at,
                           created_by, updated_at)
         SELECT randomblob(16), 1, 'active', 'live', '', '', 'n', '{{}}', 0, '', 0 FROM n;
         INSERT INTO secrets (key_pk, number, digest, display, origin, created_at)
         SELECT pk, 1, randomblob(32), '', 'imported', 0 FROM keys;
         UPDATE position SET generation = generation + 1, has_imports = 1"
    )
}
