//! What becomes of revocations and signing keys when a backup is restored.

use super::*;

#[test]
fn a_restore_brings_no_revoked_token_and_no_retired_key_back() {
    let world = World::new();
    let backup = world.folder.path().join("backup.db");
    let keystile = world.open();
    let token = issue(&keystile);
    let other = issue(&keystile);
    keystile.tokens().revoke(other.token.expose_secret()).unwrap();
    keystile.backup(&backup).unwrap();
    keystile.tokens().revoke(token.token.expose_secret()).unwrap();
    keystile.signing_keys().rotate(SigningKeyRotation { refuse_older: true, ..AT_ONCE }).unwrap();
    let after = issue(&keystile);
    let before = keystile.signing_keys().list().unwrap();
    let following = world.options().open(world.db()).unwrap();
    for _ in 0..2 {
        Keystile::restore(&backup, world.db(), "tester").unwrap();
        let keystile = world.open();
        assert!(is_revoked(&keystile, &token.token_id) && is_revoked(&keystile, &other.token_id));
        assert_eq!(keystile.signing_keys().list().unwrap(), before);
        assert!(keystile.signing_keys().jwks().unwrap().contains(&kid_of(&after)));
        assert_eq!(kid_of(&issue(&keystile)), kid_of(&after), "it goes on signing");
        assert_eq!(keystile.tokens().revoke(after.token.expose_secret()).unwrap().token_id, after.token_id);
        keystile.inner.store().read().unwrap();
    }
    // Also whoever had it open and holds revocations in memory.
    let restored = std::time::Instant::now();
    while !is_revoked(&following, &after.token_id) {
        assert!(restored.elapsed() < Duration::from_secs(10), "the restore was never seen");
        std::thread::yield_now();
    }
    assert!(is_revoked(&following, &token.token_id));
}

/// Where there is nothing that could be kept, the keys of the backup sign.
#[test]
fn a_restore_onto_nothing_brings_the_keys_of_the_backup() {
    let world = World::new();
    let backup = world.folder.path().join("backup.db");
    let keystile = world.open();
    let token = issue(&keystile);
    keystile.tokens().revoke(token.token.expose_secret()).unwrap();
    keystile.backup(&backup).unwrap();
    let to = world.folder.path().join("restored.db");
    Keystile::restore(&backup, &to, "tester").unwrap();
    let restored = world.options().on_demand(true).open(&to).unwrap();
    assert!(is_revoked(&restored, &token.token_id));
    assert_eq!(kid_of(&issue(&restored)), kid_of(&token));
}
