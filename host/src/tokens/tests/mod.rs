//! Tests of tokens, signing keys and their sealing, on real stores.

mod explain;
mod external;
mod issue;
mod restore;
mod revoke;
mod sealing;
mod signing_keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use keystile_validator::jwt::{TokenLookup, TokenRecord};
use keystile_validator::{Scope, Timestamp};
use serde_json::Value;

use super::*;
use crate::{
    Clock as _, KekError, KeyEncryptionKey, Keystile, ManualClock, NewStore, NewUser, OpenError, OpenOptions,
    SessionId, SigningAlgorithm, SigningKeyError, SigningKeyRotation, SigningKeyState, StoreError, UnverifiedToken,
};

/// A folder with a store and its key-encryption key, and a clock that stands still.
struct World {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

/// A user of the store.
const EMAIL: &str = "ada@example.com";
const USER: &str = "usr_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f";
const AT_ONCE: SigningKeyRotation = SigningKeyRotation { algorithm: None, at_once: true, refuse_older: false };
const SEALED_TABLES: [&str; 2] = ["sealing", "signing_keys"];

impl World {
    fn new() -> World {
        let world = World {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(Timestamp::from_unix(1_700_000_000).unwrap())),
        };
        KeyEncryptionKey::generate().unwrap().write_new(world.kek()).unwrap();
        world.options().create(world.db(), NewStore::default()).unwrap();
        create_user(&world.open());
        world
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("keystile.db")
    }

    fn kek(&self) -> PathBuf {
        self.folder.path().join("kek")
    }

    fn options(&self) -> OpenOptions {
        Keystile::options().clock(Arc::clone(&self.clock)).key_encryption_key_file(self.kek())
    }

    fn open(&self) -> Keystile {
        self.options().on_demand(true).open(self.db()).unwrap()
    }

    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.db()).unwrap()
    }
}

fn create_user(keystile: &Keystile) {
    keystile.users().create(NewUser::new(EMAIL.parse().unwrap())).unwrap();
}

fn new_token() -> NewToken {
    let scopes = vec![Scope::new("invoices:read").unwrap(), Scope::new("invoices:write").unwrap()];
    NewToken { user: EMAIL.to_owned(), scopes, environment: None, ttl: None }
}

fn issue(keystile: &Keystile) -> IssuedToken {
    keystile.tokens().issue(new_token()).unwrap()
}

fn states(keystile: &Keystile) -> Vec<&'static str> {
    keystile.signing_keys().list().unwrap().iter().map(|key| key.state.as_str()).collect()
}

fn kid_of(token: &IssuedToken) -> String {
    jsonwebtoken::decode_header(token.token.expose_secret()).unwrap().kid.unwrap()
}

/// Verifies as another service would: by the key set alone, at any time.
fn claims(token: &str, jwks: &str, audience: &str) -> Option<Value> {
    let set: JwkSet = serde_json::from_str(jwks).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let jwk = set.find(header.kid.as_deref().unwrap())?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.set_audience(&[audience]);
    let verified = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation);
    Some(verified.unwrap().claims)
}

fn is_revoked(keystile: &Keystile, token_id: &str) -> bool {
    let issuer = keystile.tokens().issuer().unwrap().issuer;
    let lookup = TokenLookup { token_id: Some(token_id), ..TokenLookup::default() };
    keystile.inner.token_record(&issuer, lookup).unwrap().revoked
}
