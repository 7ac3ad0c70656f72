//! Keys that a restore suspends are listed, and say so themselves.

use super::*;
use crate::login::tests::World;
use crate::{AuditQuery, NewKey, RevokeReason};

impl World {
    fn named(&self, name: &str, owner: Option<&str>) -> Key {
        let new = NewKey { name: name.to_owned(), owner: owner.map(str::to_owned), ..NewKey::default() };
        self.keystile.keys().create(new).unwrap().key
    }
}

fn backup(world: &World) -> std::path::PathBuf {
    let to = world.path.with_file_name("backup.db");
    world.keystile.backup(&to).unwrap();
    to
}

#[test]
fn keys_made_since_the_backup_are_listed_with_the_reason() {
    let world = crate::login::tests::world();
    world.clock.set(SystemClock.now());
    let keys = world.keystile.keys();
    let old = world.named("old", None);
    let backup = backup(&world);
    let [active, owned, revoked, suspended] =
        [("active", None), ("owned", Some("team")), ("revoked", None), ("suspended", None)]
            .map(|(name, owner)| world.named(name, owner));
    keys.revoke(revoked.id, RevokeReason::Superseded, None).unwrap();
    keys.suspend(suspended.id).unwrap();
    let restored = Keystile::restore(&backup, &world.path, "tests").unwrap();
    let listed = [&active, &owned].map(|key| SuspendedKey {
        id: key.id,
        name: key.name.clone(),
        owner: key.owner.clone(),
        created_at: key.created_at,
        reason: RestoreSuspension::MadeSince,
    });
    assert_eq!((restored.keys_suspended, &restored.suspended), (2, &listed.to_vec()));
    let flags =
        [&old, &active, &owned, &revoked, &suspended].map(|key| keys.show(key.id).unwrap().suspended_by_restore);
    assert_eq!(flags, [false, true, true, false, false], "what the operator did is the operator's");
    // The trail names each of them, and counts them.
    let trail = world.keystile.recent_audit(&AuditQuery::default()).unwrap().entries;
    assert!(trail[0].detail.contains("\"keys_suspended\":2"), "{}", trail[0].detail);
    for key in &listed {
        let entry = trail.iter().find(|entry| entry.subject == Some(key.id.to_string())).unwrap();
        assert_eq!(
            (entry.action.as_str(), entry.detail.as_str()),
            ("key.carried_over", "{\"kept\":\"suspended, unknown to the backup\"}")
        );
    }
    // Another restore tells of it no more; an operator's word is the last one.
    assert_eq!(Keystile::restore(&backup, &world.path, "tests").unwrap().keys_suspended, 0);
    assert!(keys.show(active.id).unwrap().suspended_by_restore);
    assert!(!keys.resume(active.id).unwrap().suspended_by_restore);
    assert!(!keys.revoke(owned.id, RevokeReason::Superseded, None).unwrap().value.unwrap().suspended_by_restore);
    assert!(matches!(world.keystile.verify_audit(None).unwrap(), crate::AuditReport::Intact { .. }));
}

/// As many as are listed, and one more.
#[test]
fn no_more_keys_are_listed_than_there_is_room_for() {
    let mut restored = Restored::default();
    let world = crate::login::tests::world();
    let key = world.named("k", None);
    for _ in 0..=MAX_LISTED_SUSPENDED {
        restored.suspend(&key, RestoreSuspension::MadeSince);
    }
    assert_eq!(restored.suspended.len(), MAX_LISTED_SUSPENDED);
    assert_eq!(restored.keys_suspended, MAX_LISTED_SUSPENDED as u64 + 1);
}
