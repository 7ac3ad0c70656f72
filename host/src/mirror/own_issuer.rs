//! This store as an issuer, in the form that the validator reads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::Timestamp;
use keystile_validator::jwt::{Algorithm, ClaimMapping, Issuer, IssuerSettings, TokenType, UnverifiedJwt};
use serde_json::Value;
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
        let mut jwks: Vec<Zeroizing<String>> = Vec::new();
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for key in keys {
            let name = key.algorithm.as_str();
            let jwk = match &key.verifies_with {
                Ok(OwnKeyMaterial::Public(jwk)) => public_jwk(jwk, name, &key.kid),
                Ok(OwnKeyMaterial::Hmac(secret)) => Some(hmac_jwk(secret, name, &key.kid)),
                // Without the key that opens it, of its tokens nothing is said, and of the others all is.
                Err(_) => {
                    closed.key_ids.push(key.kid.clone());
                    None
                }
            };
            let Some(jwk) = jwk else { continue };
            jwks.push(jwk);
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
            // Its scopes come from keys and operators of this store, and mean what theirs do.
            wildcard_scopes: true,
            token_type: Some(TokenType::AccessToken),
            claims: ClaimMapping { environment: Some(ENVIRONMENT_CLAIM.to_owned()), ..ClaimMapping::default() },
            secrets: true,
            // Between two algorithms there are keys of both, and the set is seen by the validator alone.
            mixed_keys: true,
            ..IssuerSettings::new(issuer.as_str(), algorithms)
        };
        let jwks = key_set(&jwks);
        let known = Issuer::new(settings, jwks.as_bytes());
        let known = known.map_err(|_| StoreError::InvalidValue { column: "signing_keys" })?;
        Ok(Own { document: Some(IssuerDocument::new(issuer, known.to_json())), closed, until })
    }
}

/// The JWK of a public key, with the algorithm it is for and its name.
fn public_jwk(jwk: &str, algorithm: &str, kid: &str) -> Option<Zeroizing<String>> {
    let Ok(Value::Object(mut jwk)) = serde_json::from_str(jwk) else { return None };
    jwk.insert("kid".to_owned(), kid.into());
    jwk.insert("alg".to_owned(), algorithm.into());
    Some(Zeroizing::new(Value::Object(jwk).to_string()))
}

/// The same of an HMAC secret. Written by hand: a JSON value would keep a copy of the secret that nobody wipes, and
/// so would a text that grows.
fn hmac_jwk(secret: &[u8], algorithm: &str, kid: &str) -> Zeroizing<String> {
    let kid = Value::from(kid).to_string();
    let parts = [r#"{"alg":""#, algorithm, r#"","kid":"#, &kid, r#","kty":"oct","k":""#];
    let room = parts.iter().map(|part| part.len()).sum::<usize>() + secret.len().saturating_mul(2) + ROOM_TO_CLOSE;
    let mut jwk = Zeroizing::new(String::with_capacity(room));
    parts.iter().for_each(|part| jwk.push_str(part));
    URL_SAFE_NO_PAD.encode_string(secret, &mut jwk);
    jwk.push_str(r#""}"#);
    jwk
}

/// The set of these keys, in a text of its final size from the start.
fn key_set(jwks: &[Zeroizing<String>]) -> Zeroizing<String> {
    let room = jwks.iter().map(|jwk| jwk.len().saturating_add(1)).sum::<usize>() + ROOM_TO_CLOSE;
    let mut set = Zeroizing::new(String::with_capacity(room));
    set.push_str(r#"{"keys":["#);
    for (index, jwk) in jwks.iter().enumerate() {
        if index > 0 {
            set.push(',');
        }
        set.push_str(jwk);
    }
    set.push_str("]}");
    set
}

/// Room for what stands around keys and values.
const ROOM_TO_CLOSE: usize = 16;
