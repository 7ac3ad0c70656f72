//! The issuers whose tokens are let in: this store, and the external ones. The validator knows them,
//! and follows when they change.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::Timestamp;
use keystile_validator::jwt::{Algorithm, ClaimMapping, Issuer, IssuerSettings, TokenType, UnverifiedJwt};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::own_issuer::{OwnIssuer, OwnKeyMaterial};
use crate::issuers::FollowedIssuers;
use crate::keystile::Inner;
use crate::sandbox::IssuerDocument;
use crate::store::{Position, ReadTransaction, StoreError};

/// What the validator was told of issuers.
#[derive(Default)]
pub(crate) struct TrustedIssuers(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// Where the store stood; `None`: nothing was told, or it is not known to be so any more.
    position: Option<Position>,
    /// When the next one of the store's own keys begins to sign or is gone: that takes no change of the
    /// store.
    until: Option<Timestamp>,
    own: Option<IssuerDocument>,
    /// The keys of the store that did not open.
    closed: ClosedKeys,
    external: FollowedIssuers,
}

/// Keys of the store that tokens verify with and that do not open here, because the key-encryption key is
/// not given or not theirs. Of their tokens nobody can say anything.
#[derive(Default)]
struct ClosedKeys {
    /// The `iss` of their tokens.
    issuer: String,
    /// What tokens name them by.
    key_ids: Vec<String>,
}

/// What the store is as an issuer.
struct Own {
    /// `None`: it has no keys that open.
    document: Option<IssuerDocument>,
    closed: ClosedKeys,
    /// When the next key begins to sign or is gone.
    until: Option<Timestamp>,
}

impl Inner {
    /// Tells the validator of the issuers of now, when they are others than it was told of.
    pub(crate) fn tell_issuers(&self) -> Result<(), StoreError> {
        // Held from before the view is taken: whoever waits here then sees a later one.
        let mut told = self.trusted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.tell(&mut told);
        if result.is_err() {
            told.position = None;
        }
        result
    }

    fn tell(&self, told: &mut Told) -> Result<(), StoreError> {
        let view = self.store.read()?;
        let position = view.position()?;
        let external = self.issuer_documents().ok_or(StoreError::InvalidValue { column: "issuers" })?;
        let is_first = told.position.is_none();
        let same_external = Arc::ptr_eq(&told.external, &external);
        let now = self.now();
        if told.position == Some(position) && same_external && told.until.is_none_or(|until| now < until) {
            return Ok(());
        }
        let Own { document: own, closed, until } = self.own_issuer(&*view, now)?;
        if is_first || !same_external || told.own != own {
            let others = external.iter().filter(|other| own.as_ref().is_none_or(|own| own.name() != other.issuer));
            let others = others.map(|other| IssuerDocument::new(other.issuer.as_str(), other.json.as_str()));
            self.sandbox.set_issuers(own.iter().cloned().chain(others).collect());
            self.prepare_bell.ring();
        }
        *told = Told { position: Some(position), until, own, closed, external };
        Ok(())
    }

    /// Whether the key that this token names, or could be signed with, is one of the store's own that does
    /// not open here.
    pub(crate) fn has_closed_key_of(&self, jwt: &UnverifiedJwt<'_>) -> bool {
        let told = self.trusted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ClosedKeys { issuer, key_ids } = &told.closed;
        let is_one = |named: &str| key_ids.iter().any(|key_id| key_id == named);
        !key_ids.is_empty() && jwt.lookup().issuer == Some(issuer) && jwt.key_id().is_none_or(is_one)
    }

    /// Whether the validator knows the issuers of now, as far as the store has not changed.
    pub(crate) fn has_told_issuers(&self) -> bool {
        let told = self.trusted.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.position.is_some() && told.until.is_none_or(|until| self.now() < until)
    }

    /// Whether the validator is known to know the issuers of now. Where nothing is held in memory, it
    /// is told of them here.
    pub(crate) fn knows_issuers(&self) -> bool {
        match &self.records {
            Some(records) => {
                let told = || self.trusted.0.lock().unwrap_or_else(PoisonError::into_inner).position.is_some();
                records.is_healthy() && told()
            }
            None => self.tell_issuers().is_ok(),
        }
    }

    /// This store as an issuer, with the keys whose tokens can be valid now.
    fn own_issuer(&self, view: &(impl ReadTransaction + ?Sized), now: Timestamp) -> Result<Own, StoreError> {
        let OwnIssuer { issuer, audience } = OwnIssuer::of(view)?;
        let mut closed = ClosedKeys { issuer: issuer.clone(), key_ids: Vec::new() };
        let keys = self.own_keys(view, now)?;
        let until = keys.iter().filter_map(|key| key.changes_at).min();
        let mut jwks: Vec<Value> = Vec::new();
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for key in keys {
            let name = key.algorithm.as_str();
            let jwk = match key.verifies_with {
                Ok(OwnKeyMaterial::Public(jwk)) => serde_json::from_str::<Value>(&jwk).ok(),
                Ok(OwnKeyMaterial::Hmac(secret)) => {
                    let k = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*secret));
                    Some(json!({ "kty": "oct", "k": &*k }))
                }
                // Without the key that opens it, of its tokens nothing is said, and of the others all is.
                Err(_) => {
                    closed.key_ids.push(key.kid.clone());
                    None
                }
            };
            let Some(Value::Object(mut jwk)) = jwk else { continue };
            jwk.insert("kid".to_owned(), key.kid.into());
            jwk.insert("alg".to_owned(), name.into());
            jwks.push(jwk.into());
            if let Some(algorithm) = Algorithm::from_name(name)
                && !algorithms.contains(&algorithm)
            {
                algorithms.push(algorithm);
            }
        }
        if algorithms.is_empty() {
            return Ok(Own { document: None, closed, until });
        }
        let settings = IssuerSettings {
            audiences: vec![audience],
            token_type: Some(TokenType::AccessToken),
            claims: ClaimMapping { environment: Some(ENVIRONMENT_CLAIM.to_owned()), ..ClaimMapping::default() },
            secrets: true,
            // Between two algorithms there are keys of both, and the set is seen by the validator alone.
            mixed_keys: true,
            ..IssuerSettings::new(issuer.as_str(), algorithms)
        };
        let jwks = Zeroizing::new(json!({ "keys": jwks }).to_string());
        let known = Issuer::new(settings, jwks.as_bytes());
        let known = known.map_err(|_| StoreError::InvalidValue { column: "signing_keys" })?;
        Ok(Own { document: Some(IssuerDocument::new(issuer, known.to_json())), closed, until })
    }
}

/// The claim of the store's own tokens that names the environment they belong to.
pub(super) const ENVIRONMENT_CLAIM: &str = "env";
