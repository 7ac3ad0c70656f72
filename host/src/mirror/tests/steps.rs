//! New keys follow in steps, and changes wait for one step at most.

use super::*;

const STEP: usize = 4;

/// A world whose mirror takes [`STEP`] new records at a time, and so many new keys.
fn with_new_keys(count: usize) -> (World, CreatedKey, Vec<CreatedKey>) {
    let world = World::with_step(STEP);
    let known = world.create_key();
    world.look_after();
    let new = (0..count).map(|_| world.create_key()).collect();
    (world, known, new)
}

/// How many of these keys are allowed; the others are unknown.
fn allowed(world: &World, keys: &[CreatedKey]) -> usize {
    let codes: Vec<_> = keys.iter().map(|key| world.code(key.secret.expose_secret())).collect();
    let allowed = codes.iter().filter(|code| code.is_none()).count();
    let expected: Vec<_> = (0..keys.len()).map(|at| (at >= allowed).then_some(Code::UnknownKey)).collect();
    assert_eq!(codes, expected, "in the order in which they were added");
    allowed
}

#[test]
fn a_revoke_waits_for_one_step_of_an_import_at_most() {
    let (world, known, new) = with_new_keys(3 * STEP);
    world.look_after();
    assert_eq!(allowed(&world, &new), STEP);
    assert!(world.here.inner.mirror.has_more());
    // In the midst of the import: of a key from before it, of one that is here, and of one that is not yet.
    let late = new.last().unwrap();
    for created in [&known, &new[0], late] {
        assert_ne!(world.code(created.secret.expose_secret()), Some(Code::Revoked));
        world.revoke_key(created);
    }
    world.look_after();
    assert_eq!(world.code(known.secret.expose_secret()), Some(Code::Revoked));
    assert_eq!(world.code(new[0].secret.expose_secret()), Some(Code::Revoked));
    assert_eq!(world.code(late.secret.expose_secret()), Some(Code::UnknownKey), "not there yet");
    assert_eq!(allowed(&world, &new[1..3 * STEP - 1]), 2 * STEP - 1);
    world.look_after();
    assert_eq!(world.code(late.secret.expose_secret()), Some(Code::Revoked));
    assert_eq!(allowed(&world, &new[1..3 * STEP - 1]), 3 * STEP - 2);
    world.look_after();
    assert!(!world.here.inner.mirror.has_more());
    assert_eq!(world.here.secrets_in_memory(), 1 + 3 * STEP as u64);
}

/// All secrets of a key are of one moment, also when a key is changed that is not here yet.
#[test]
fn a_rotation_during_an_import_is_whole() {
    let (world, _, new) = with_new_keys(2 * STEP);
    world.look_after();
    let rotate = |created: &CreatedKey| {
        let rotation = crate::Rotation { grace: crate::Grace::NONE, ..crate::Rotation::default() };
        world.elsewhere.keys().rotate(created.key.id, rotation).unwrap().secret.unwrap()
    };
    let (here, late) = (&new[0], new.last().unwrap());
    let (next_here, next_late) = (rotate(here), rotate(late));
    world.look_after();
    assert_eq!(world.code(here.secret.expose_secret()), Some(Code::Rotated));
    assert_eq!(world.code(next_here.expose_secret()), None);
    while world.here.inner.mirror.has_more() {
        world.look_after();
    }
    assert_eq!(world.code(late.secret.expose_secret()), Some(Code::Rotated));
    assert_eq!(world.code(next_late.expose_secret()), None);
}

/// Whoever creates a key uses it at once, however many keys of others are still to come.
#[test]
fn an_own_key_works_at_once() {
    let (world, _, new) = with_new_keys(3 * STEP);
    let own = world.here.keys().create(NewKey { name: "own".into(), ..NewKey::default() }).unwrap();
    assert_eq!(world.code(own.secret.expose_secret()), None);
    assert_eq!(allowed(&world, &new), new.len());
}

/// A step that fails may have handed out records: none of them is in force, or it could go stale.
#[test]
fn a_step_that_fails_changes_nothing() {
    let (world, _, _) = with_new_keys(0);
    for at in 0.. {
        let before = world.here.secrets_in_memory();
        let new: Vec<_> = (0..2 * STEP).map(|_| world.create_key()).collect();
        let ((), failed) = crate::store::faults::failing_at(at, || world.look_after());
        let loaded = world.here.secrets_in_memory() - before;
        assert!(loaded == 0 || loaded == STEP as u64, "{loaded} at {at}");
        world.revoke_key(&new[0]);
        world.revoke_key(&new[STEP]);
        while !world.here.inner.mirror.is_healthy() || world.here.secrets_in_memory() < before + 2 * STEP as u64 {
            world.look_after();
        }
        for (number, created) in new.iter().enumerate() {
            let expected = number.is_multiple_of(STEP).then_some(Code::Revoked);
            assert_eq!(world.code(created.secret.expose_secret()), expected, "key {number} at {at}");
        }
        if !failed {
            return;
        }
    }
}

/// A key that is added while an import is in progress lies behind the staged ones: they follow all the same, in
/// steps of their own, and a revoke waits for one of them at most.
#[test]
fn a_completed_import_follows_in_steps_of_its_own() {
    use crate::keys::MAX_STAGED_AT_ONCE;
    let world = World::with_step(MAX_STAGED_AT_ONCE / 2);
    let known = world.create_key();
    let secret = |number: usize| format!("secret number {number}");
    let imported = |number: usize| {
        let digest = crate::Digest::of(secret(number).as_bytes());
        crate::ImportedKey::new(digest, "imported", crate::Environment::new("live").unwrap())
    };
    let mut import = world.elsewhere.keys().begin_import();
    (0..MAX_STAGED_AT_ONCE).for_each(|number| import.add(imported(number)).unwrap());
    let between = world.create_key();
    world.look_after();
    assert_eq!(world.code(between.secret.expose_secret()), None);
    assert_eq!(world.here.secrets_in_memory(), 2, "staged keys are not here");
    // One of them is revoked while it is staged, by the id that the trail tells.
    let entries = world.elsewhere.audit(None, 0, 100).unwrap();
    let staged = entries.iter().find(|entry| entry.action == "key.imported").unwrap();
    let id = staged.subject.as_deref().unwrap().parse().unwrap();
    world.elsewhere.keys().revoke(id, crate::RevokeReason::KeyCompromise, None).unwrap();
    import.add(imported(MAX_STAGED_AT_ONCE)).unwrap();
    import.complete().unwrap();

    world.look_after();
    assert_eq!(world.here.secrets_in_memory(), 2 + MAX_STAGED_AT_ONCE as u64 / 2);
    assert_eq!(world.code(&secret(0)), Some(Code::Revoked));
    assert_eq!(world.code(&secret(1)), None);
    let last = secret(MAX_STAGED_AT_ONCE);
    assert_eq!(world.code(&last), Some(Code::Malformed), "not there yet");
    world.revoke_key(&known);
    world.look_after();
    assert_eq!(world.code(known.secret.expose_secret()), Some(Code::Revoked));
    while world.here.inner.mirror.has_more() {
        world.look_after();
    }
    assert_eq!(world.code(&last), None);
    assert_eq!(world.here.secrets_in_memory(), 3 + MAX_STAGED_AT_ONCE as u64);
}
