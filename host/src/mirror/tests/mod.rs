//! Tests of the mirror: what is acknowledged holds whatever fails, and new keys keep nobody waiting.

mod extent;
mod faults;
mod migrated;
mod steps;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;

use keystile_validator::jwt::{Algorithm, ClaimMapping, TokenLookup, TokenRecord};
use keystile_validator::{Code, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::keystile::Inner;
use crate::{
    CreatedKey, IssuerKeys, KeyEncryptionKey, Keystile, ManualClock, NewIssuer, NewKey, NewStore, NewToken, NewUser,
    OpenOptions, RevokeReason, SigningAlgorithm, SigningKeyRotation,
};

impl Inner {
    /// The external issuers that a token would be judged by now; `None`: no token would be.
    pub(crate) fn issuer_documents(&self) -> Option<FollowedIssuers> {
        let basis = self.look()?.basis(None, TokenLookup::default(), &self.source()).ok()??;
        self.announce(basis.moved);
        Some(self.mirror.external_issuers())
    }

    /// What a token would be judged by now.
    pub(crate) fn token_record(&self, issuer: &str, lookup: TokenLookup<'_>) -> Option<TokenRecord> {
        Some(self.look()?.basis(Some(issuer), lookup, &self.source()).ok()??.record)
    }
}

/// A store, a reader whose mirror moves only when a test says so, and another process on the same store.
struct World {
    folder: TempDir,
    clock: Arc<ManualClock>,
    here: Keystile,
    elsewhere: Keystile,
}

const ISSUER: &str = "https://id.example.com";
const EMAIL: &str = "ada@example.com";

impl World {
    fn new() -> World {
        World::with_step(RECORDS_A_STEP)
    }

    fn with_step(records_a_step: usize) -> World {
        World::with_bounds(records_a_step, CHANGES_AT_ONCE)
    }

    fn with_bounds(records_a_step: usize, changes_at_once: usize) -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(1_700_000_000).unwrap()));
        let (path, kek) = (folder.path().join("keystile.db"), folder.path().join("kek"));
        KeyEncryptionKey::generate().unwrap().write_new(&kek).unwrap();
        let options = || Keystile::options().clock(Arc::clone(&clock)).key_encryption_key_file(&kek);
        options().create(&path, NewStore::default()).unwrap();
        let elsewhere = options().on_demand(true).open(&path).unwrap();
        elsewhere.users().create(NewUser::new(EMAIL.parse().unwrap())).unwrap();
        let here = options().in_steps(records_a_step).changes_at_once(changes_at_once).open(&path).unwrap();
        World { folder, clock, here, elsewhere }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keystile.db")
    }

    fn options(&self) -> OpenOptions {
        let kek = self.folder.path().join("kek");
        Keystile::options().clock(Arc::clone(&self.clock)).key_encryption_key_file(kek)
    }

    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// One turn of the follower.
    fn look_after(&self) {
        let inner = &self.here.inner;
        inner.mirror.look_after(inner.store(), inner.now(), &|| inner.follow());
    }

    /// The code of the verdict here; `None`: it is an allow.
    fn code(&self, credential: &str) -> Option<Code> {
        self.here.verify(credential, &self.here.request()).code()
    }

    fn create_key(&self) -> CreatedKey {
        self.elsewhere.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap()
    }

    fn revoke_key(&self, created: &CreatedKey) {
        self.elsewhere.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap();
    }

    fn issue(&self) -> crate::IssuedToken {
        issue(&self.elsewhere)
    }

    /// Adds an external issuer, and gives a token of it.
    fn add_issuer(&self, name: &str, issuer: &str) -> String {
        let other = World::new();
        other.elsewhere.change_settings(|settings| settings.tokens.issuer = Some(issuer.to_owned())).unwrap();
        let token = issue(&other.elsewhere).token.expose_secret().to_owned();
        let new = NewIssuer {
            name: name.into(),
            issuer: issuer.into(),
            keys: IssuerKeys::Given(other.elsewhere.signing_keys().jwks().unwrap()),
            algorithms: vec![Algorithm::EdDsa],
            audiences: Vec::new(),
            any_audience: true,
            forbidden_claims: Vec::new(),
            wildcard_scopes: false,
            token_type: None,
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: false,
        };
        self.elsewhere.issuers().add(new).unwrap();
        token
    }
}

fn issue(keystile: &Keystile) -> crate::IssuedToken {
    keystile.tokens().issue(NewToken { user: EMAIL.to_owned(), ..NewToken::default() }).unwrap()
}

/// When nobody follows the store any more, nothing is allowed.
#[test]
fn without_a_follower_everything_is_denied() {
    let world = World::new();
    let keystile = world.options().open(world.path()).unwrap();
    let (created, token) = (world.create_key(), world.issue());
    keystile.inner.follow().unwrap();
    let verdict = |credential: &str| keystile.verify(credential, &keystile.request()).code();
    let credentials = [created.secret.expose_secret(), token.token.expose_secret()];
    assert_eq!(credentials.map(verdict), [None; 2]);
    keystile.inner.mirror.abandon();
    assert_eq!(credentials.map(verdict), [Some(Code::Unavailable); 2]);
    let batch = keystile.verify_batch(&credentials, &keystile.request());
    assert!(batch.iter().all(|verdict| verdict.code() == Some(Code::Unavailable)));
    let preview = keystile.preview(credentials[0], &keystile.request());
    assert_eq!(preview.code(), Some(Code::Unavailable));
}

/// An older file in the place of the store has lost what was acknowledged, and may be changed on from there.
#[test]
fn a_store_that_goes_back_is_not_followed() {
    let world = World::new();
    let created = world.create_key();
    world.look_after();
    assert_eq!(world.code(created.secret.expose_secret()), None);
    world.raw().execute_batch("UPDATE position SET generation = generation - 1").unwrap();
    world.look_after();
    assert_eq!(world.code(created.secret.expose_secret()), Some(Code::Unavailable));
    assert!(matches!(world.here.inner.follow(), Err(StoreError::WentBack { .. })));
}

/// Other caches let a slow look-up put a revoked record back: a view that is older than what is in force.
#[test]
fn trap_6_a_view_from_before_a_revoke_changes_nothing() {
    let world = World::new();
    let created = world.create_key();
    world.look_after();
    let inner = &world.here.inner;
    let slow = inner.store().read().unwrap();
    let before = slow.position().unwrap();
    world.here.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap();
    assert_eq!(slow.position().unwrap(), before, "the view still shows the moment before the revoke");
    assert!(
        inner
            .mirror
            .move_to(&mut lock(&inner.mirror.progress), &*slow, &inner.source(), inner.mirror.health.stamp())
            .is_err()
    );
    assert_eq!(world.code(created.secret.expose_secret()), Some(Code::Revoked));
}

/// Which key of the store is in use depends on the time: that takes no change of the store.
#[test]
fn the_issuers_follow_the_clock() {
    let world = World::new();
    world.elsewhere.signing_keys().rotate(SigningKeyRotation::default()).unwrap();
    let next = world.elsewhere.signing_keys().rotate(SigningKeyRotation::default()).unwrap().value;
    world.look_after();
    let moves = || *world.here.inner.mirror.moves.read().unwrap();
    let before = moves();
    world.look_after();
    assert_eq!(moves(), before, "nothing to do");
    let after = next.signs_from.seconds_since(crate::Clock::now(&*world.clock));
    world.clock.advance(after);
    assert!(world.here.inner.mirror.issuers.are_due(world.here.inner.now()));
    world.look_after();
    assert!(!world.here.inner.mirror.issuers.are_due(world.here.inner.now()));
    assert_eq!(moves(), before + 1);
    // A clock that was set back makes the keys of then the ones of now.
    world.clock.set(Timestamp::from_unix(1_700_000_000).unwrap());
    assert!(world.here.inner.mirror.issuers.are_due(world.here.inner.now()));
    world.look_after();
    assert_eq!(moves(), before + 2);
}

/// A verdict on a token is of one moment: when the mirror has moved while the token was judged, it is given
/// anew.
#[test]
fn a_basis_does_not_stand_once_the_mirror_has_moved() {
    let world = World::new();
    let token = world.issue();
    world.look_after();
    for keystile in [&world.here, &world.elsewhere] {
        let inner = &keystile.inner;
        let source = inner.source();
        let basis = inner.look().unwrap().basis(None, TokenLookup::default(), &source).unwrap().unwrap();
        assert!(inner.mirror.stands_at(basis.moment, &source).unwrap());
        let slow = inner.look().unwrap();
        if let Look::View(_, view) = &slow {
            // What it sees is fixed by the first read.
            view.position().unwrap();
        }
        world.elsewhere.signing_keys().rotate(SigningKeyRotation { at_once: true, ..Default::default() }).unwrap();
        inner.follow().unwrap();
        inner.issuer_documents().unwrap();
        assert!(!inner.mirror.stands_at(basis.moment, &source).unwrap());
        if let Look::View(..) = slow {
            let later = slow.basis(None, TokenLookup::default(), &source).unwrap();
            assert!(later.is_none(), "the sandbox has the issuers of a later view");
        }
    }
    assert_eq!(world.code(token.token.expose_secret()), None);
}

/// An instance that cannot take the issuers judges no token; keys are judged all the same.
#[test]
fn issuers_that_the_sandbox_does_not_take_deny_tokens() {
    let world = World::new();
    let (created, token) = (world.create_key(), world.issue());
    world.look_after();
    assert_eq!(world.code(token.token.expose_secret()), None);
    world.here.inner.sandbox().set_issuers(vec![crate::sandbox::IssuerDocument::new(ISSUER, "no issuer")]);
    for _ in 0..3 {
        world.here.inner.sandbox().prepare_issuers();
        assert_eq!(world.code(token.token.expose_secret()), Some(Code::Unavailable));
        assert_eq!(world.code(created.secret.expose_secret()), None);
    }
}
