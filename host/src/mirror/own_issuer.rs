//! This store as an issuer, in the form that the validator reads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::Timestamp;
use keystile_validator::jwt::{Algorithm, ClaimMapping, Issuer, IssuerSettings, TokenType, UnverifiedJwt};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Source;
use crate::sandbox::IssuerDocument;
use crate::store::{ReadTransaction, StoreError};
use crate::tokens::{ENVIRONMENT_CLAIM, OwnIssuer, OwnKeyMaterial, own_keys};

/// Keys of the store that tokens verify with and that do not open here, because the key-encryption key is
/// missing or another one. Nobody can judge the tokens that they have signed.
#[derive(Default)]
pub(crate) struct ClosedKeys {
    /// The `iss` of their tokens.
    issuer: String,
    /// What tokens name them by.
    key_ids: Vec<String>,
}

impl ClosedKeys {
    /// Whether one of them is the key that this token names, or could be signed with.
    pub(crate) fn has_key_of(&self, jwt: &UnverifiedJwt<'_>) -> bool {
        let ClosedKeys { issuer, key_ids } = self;
        let is_one = |named: &str| key_ids.iter().any(|key_id| key_id == named);
        !key_ids.is_empty() && jwt.lookup().issuer == Some(issuer) && jwt.key_id().is_none_or(is_one)
    }
}

/// The store as an issuer at one moment.
pub(super) struct Own {
    /// `None`: it has no keys that open.
    pub(super) document: Option<IssuerDocument>,
    pub(super) closed: ClosedKeys,
    /// When the next key begins to sign or is gone.
    pub(super) until: Option<Timestamp>,
}

impl Own {
    /// Reads this store as an issuer, with the keys whose tokens can be valid now.
    pub(super) fn read(view: &dyn ReadTransaction, source: &Source<'_>) -> Result<Own, StoreError> {
        let OwnIssuer { issuer, audience } = OwnIssuer::of(view)?;
        let mut closed = ClosedKeys { issuer: issuer.clone(), key_ids: Vec::new() };
        let keys = own_keys(source.sealing, view, source.now)?;
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
