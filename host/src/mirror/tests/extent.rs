//! More changes at once than a bound: nothing is allowed until all of them are in force.

use serde_json::json;

use super::*;
use crate::key::Key;
use crate::store::faults::with_hook;
use crate::store::imports::ImportRow;
use crate::store::{RevocationRow, WriteTransaction};
use crate::{Digest, Environment, ImportedKey, KeyState};

const BOUND: usize = 6;

/// One write elsewhere.
fn write(world: &World, write: impl Fn(&mut dyn WriteTransaction, Timestamp) -> Result<(), StoreError>) {
    let inner = &world.elsewhere.inner;
    let result: Result<(), StoreError> = inner.change(|transaction, now| {
        write(transaction, now)?;
        inner.audit(transaction, now, "tests", None, &json!({}))
    });
    result.unwrap();
}

/// Suspends keys as a suspended user's are: all in one write.
fn suspend(world: &World, keys: &[CreatedKey]) {
    write(world, |transaction, now| {
        keys.iter().try_for_each(|created| {
            let key = transaction.key(created.key.id)?.unwrap();
            transaction.update_key(&Key { state: KeyState::Suspended, suspended_at: Some(now), ..key })
        })
    });
}

fn revoke_tokens(world: &World, count: usize) {
    write(world, |transaction, now| {
        (0..count).try_for_each(|number| {
            transaction.put_revocation(&RevocationRow {
                issuer: THIS_STORE.to_owned(),
                kind: crate::store::RevocationKind::Token,
                value: format!("token {number}"),
                revoked_at: now,
                issued_before: None,
                expires_at: now.saturating_add(60),
            })
        })
    });
}

/// Keys that the mirror has, all suspended at once.
fn known_keys(world: &World, count: usize) {
    let keys: Vec<_> = (0..count).map(|_| world.create_key()).collect();
    world.look_after();
    suspend(world, &keys);
}

/// The same with an older secret each, so that each key is two records.
fn rotated_keys(world: &World, count: usize) {
    let keys: Vec<_> = (0..count.div_ceil(2)).map(|_| world.create_key()).collect();
    for created in keys.iter().take(count / 2) {
        world.elsewhere.keys().rotate(created.key.id, crate::Rotation::default()).unwrap();
    }
    world.look_after();
    suspend(world, &keys);
}

/// Rows that have no record: they take as long to read.
fn staged_keys(world: &World, count: usize) {
    let staged = |number: usize| Key {
        id: crate::KeyId::from_bytes([u8::try_from(number).unwrap(); 16]),
        secrets: Vec::new(),
        ..world.elsewhere.keys().list(&crate::KeyQuery::default()).unwrap().keys[0].clone()
    };
    let keys: Vec<_> = (0..count).map(staged).collect();
    write(world, |transaction, now| {
        let import = ImportRow {
            id: crate::ids::ImportId::from_bytes([1; 16]),
            keys: 0,
            started_at: now,
            started_by: "tests".to_owned(),
            leased_until: now,
            completed_at: None,
        };
        transaction.insert_import(&import)?;
        keys.iter().try_for_each(|key| transaction.stage_key(import.id, key).map(|staged| assert!(staged)))
    });
    world.create_key();
    world.look_after();
    write(world, |transaction, _| keys.iter().try_for_each(|key| transaction.update_key(key)));
}

fn completed_imports(world: &World, count: usize) {
    for number in 0..count {
        let digest = Digest::of(&number.to_le_bytes());
        let imported = ImportedKey::new(digest, "imported", Environment::new("live").unwrap());
        world.elsewhere.keys().import([imported]).unwrap();
    }
}

fn some_of_all(world: &World, count: usize) {
    let keys: Vec<_> = (0..2).map(|_| world.create_key()).collect();
    world.look_after();
    suspend(world, &keys);
    revoke_tokens(world, count - 4);
    completed_imports(world, 2);
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
        ("keys", known_keys),
        ("keys with two secrets", rotated_keys),
        ("staged keys", staged_keys),
        ("revocations", revoke_tokens),
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
        let (first, many) = (denied_from(BOUND + 1), denied_from(5 * BOUND));
        // How much is read before is the same however much there is: the keys of some are created meanwhile.
        assert_eq!(first, many, "{what}");
    }
}

/// What has changed is allowed for as long as the bound lets it be, and never after.
#[test]
fn what_has_changed_is_not_allowed_once_the_bound_is_passed() {
    let world = World::with_bounds(RECORDS_A_STEP, BOUND);
    let keys: Vec<_> = (0..5 * BOUND).map(|_| world.create_key()).collect();
    world.look_after();
    suspend(&world, &keys);
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
    let keys: Vec<_> = (0..BOUND + 2).map(|_| world.create_key()).collect();
    let resume = |transaction: &mut dyn WriteTransaction, _| {
        keys.iter().try_for_each(|created| {
            let key = transaction.key(created.key.id)?.unwrap();
            transaction.update_key(&Key { state: KeyState::Active, suspended_at: None, ..key })
        })
    };
    for at in 0.. {
        write(&world, resume);
        world.look_after();
        assert_eq!(world.code(keys[0].secret.expose_secret()), None);
        suspend(&world, &keys);
        let ((), failed) = crate::store::faults::failing_at(at, || world.look_after());
        let code = world.code(keys[0].secret.expose_secret());
        assert!(matches!(code, Some(Code::Suspended | Code::Unavailable)), "{code:?} at {at}");
        world.look_after();
        assert_eq!(world.code(keys[0].secret.expose_secret()), Some(Code::Suspended), "at {at}");
        if !failed {
            return;
        }
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
