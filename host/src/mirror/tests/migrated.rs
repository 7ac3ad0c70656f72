//! A newer Keystile migrates the store: whoever has it open allows nothing any more, and says what to do.

use super::*;
use crate::{ChangeStateError, CreateKeyError};

fn set_schema(world: &World, by: i64) {
    let raw = world.raw();
    let version: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    raw.pragma_update(None, "user_version", version + by).unwrap();
}

#[test]
fn a_store_that_was_migrated_allows_nothing() {
    let world = World::new();
    let (created, issued) = (world.create_key(), world.issue());
    let external = world.add_issuer("id", ISSUER);
    let credentials = [created.secret.expose_secret(), issued.token.expose_secret(), &*external];
    let open = |on_demand: bool, read_only: bool| {
        world.options().in_steps(RECORDS_A_STEP).on_demand(on_demand).read_only(read_only).open(world.path()).unwrap()
    };
    let opened = [false, true].map(|on_demand| [false, true].map(|read_only| open(on_demand, read_only)));
    let handles = || opened.iter().flatten().chain([&world.elsewhere]);
    let code = |keystile: &Keystile, credential| keystile.verify(credential, &keystile.request()).code();
    for keystile in handles() {
        assert_eq!(credentials.map(|credential| code(keystile, credential)), [None; 3]);
    }

    set_schema(&world, 1);
    for keystile in handles() {
        let inner = &keystile.inner;
        inner.mirror.look_after(inner.store(), inner.now(), &|| inner.follow());
        let unavailable = Some(Code::Unavailable);
        assert_eq!(credentials.map(|credential| code(keystile, credential)), [unavailable; 3]);
        let batch = keystile.verify_batch(&credentials, &keystile.request());
        assert!(batch.iter().all(|verdict| verdict.code() == unavailable));
        assert_eq!(keystile.preview(credentials[0], &keystile.request()).code(), unavailable);
        let why = keystile.ready().unwrap_err();
        assert!(matches!(why, StoreError::Migrated { .. }), "{why:?}");
        let (what, next) = (why.to_string(), "start this process again with that version or a newer one");
        assert!(what.contains("was migrated by a newer Keystile while it was open") && what.ends_with(next), "{what}");
        assert!(keystile.explain(credentials[0], &keystile.request()).is_err());
    }
    for keystile in handles().filter(|keystile| !keystile.inner.read_only) {
        let refused = keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None);
        assert!(matches!(refused, Err(ChangeStateError::Store(StoreError::Migrated { .. }))), "{refused:?}");
        let refused = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() });
        assert!(matches!(refused, Err(CreateKeyError::Store(StoreError::Migrated { .. }))), "{:?}", refused.err());
        assert!(matches!(keystile.flush(), Err(StoreError::Migrated { .. })));
    }

    // Put back by hand: what was changed meanwhile is unknown here, and nothing was written.
    set_schema(&world, -1);
    for keystile in handles() {
        let inner = &keystile.inner;
        inner.mirror.look_after(inner.store(), inner.now(), &|| inner.follow());
        assert_eq!(credentials.map(|credential| code(keystile, credential)), [Some(Code::Unavailable); 3]);
    }
    let again = open(false, false);
    assert_eq!(credentials.map(|credential| code(&again, credential)), [None; 3]);
    assert_eq!(again.inner.store().read().unwrap().key_count().unwrap(), 1);
}
