//! The store as an issuer: its name, and the keys that its tokens verify with.

use keystile_validator::Timestamp;
use zeroize::Zeroizing;

use super::Tokens;
use crate::sealing::{KekError, Sealing};
use crate::signing_keys::{SigningAlgorithm, SigningKeyError, SigningKeyState, at_time, open_key};
use crate::store::{ReadTransaction, SigningKeyRow, StoreError};

/// Who the tokens of a store say has signed them, and whom they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` of its tokens.
    pub audience: String,
}

impl Tokens<'_> {
    /// Who the tokens of this store say has signed them, and whom they are for.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn issuer(&self) -> Result<OwnIssuer, StoreError> {
        OwnIssuer::of(&*self.inner.store().read()?)
    }
}

impl OwnIssuer {
    /// The issuer that a store is.
    pub(crate) fn of(view: &(impl ReadTransaction + ?Sized)) -> Result<OwnIssuer, StoreError> {
        let settings = view.settings()?.tokens;
        let issuer = match settings.issuer {
            Some(issuer) => issuer,
            None => format!("urn:uuid:{}", uuid::Uuid::from_bytes(view.store_id()?)),
        };
        Ok(OwnIssuer { audience: settings.audience.unwrap_or_else(|| issuer.clone()), issuer })
    }
}

/// A key that tokens of this store verify with.
pub(crate) struct OwnKey {
    /// What tokens name it by.
    pub(crate) kid: String,
    /// The one algorithm it is for.
    pub(crate) algorithm: SigningAlgorithm,
    /// When it becomes something else by itself: it begins to sign, or is gone.
    pub(crate) changes_at: Option<Timestamp>,
    /// The key; of HMAC, why it does not open.
    pub(crate) verifies_with: Result<OwnKeyMaterial, SigningKeyError>,
}

/// What tokens of this store verify with.
pub(crate) enum OwnKeyMaterial {
    /// A public JWK, in JSON.
    Public(String),
    /// An HMAC secret.
    Hmac(Zeroizing<Vec<u8>>),
}

/// The keys whose tokens can be valid at this time.
pub(crate) fn own_keys(
    sealing: &Sealing,
    view: &(impl ReadTransaction + ?Sized),
    now: Timestamp,
) -> Result<Vec<OwnKey>, StoreError> {
    let keys = at_time(view.signing_keys_in_use()?, now).into_iter().filter(SigningKeyRow::is_in_use);
    keys.map(|key| {
        let verifies_with = match &key.public_key {
            Some(public_key) => Ok(OwnKeyMaterial::Public(public_key.clone())),
            None => match open_key(sealing, view, &key) {
                // That the store could not be read says nothing of the key.
                Err(SigningKeyError::Store(error) | SigningKeyError::Kek(KekError::Store(error))) => return Err(error),
                opened => opened.map(|key| OwnKeyMaterial::Hmac(Zeroizing::new(key.expose_private().to_vec()))),
            },
        };
        let is_waiting = key.state == SigningKeyState::Published;
        let changes_at = if is_waiting { Some(key.signs_from) } else { key.kept_until() };
        Ok(OwnKey { kid: key.kid, algorithm: key.algorithm, changes_at, verifies_with })
    })
    .collect()
}

/// The claim of the store's own tokens that names the environment they belong to.
pub(crate) const ENVIRONMENT_CLAIM: &str = "env";
