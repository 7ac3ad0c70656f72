//! Signing keys: what the store's own tokens are signed with.
//!
//! A new key is first published, so that every verifier has it in its copy of the key set when it
//! begins to sign. The old one is kept until the last token that it has signed is dead.

mod algorithm;
mod error;
mod lifecycle;
mod material;

use keystile_validator::Timestamp;
use serde_json::json;

pub use algorithm::{SigningAlgorithm, SigningKeyState};
pub use error::{RotateSigningKeyError, SigningKeyError};
pub(crate) use lifecycle::at_time;
pub(crate) use material::{KeyMaterial, thumbprint};

use self::lifecycle::{clear_the_way, give_up_all_but_active, promote};
use crate::in_force::InForce;
use crate::keystile::Inner;
use crate::sealing::{Place, Sealing};
use crate::store::{ReadTransaction, SigningKeyRow, StoreError, WriteTransaction};
use crate::tokens::random_id;

/// The operations on the signing keys of a [`Keystile`](crate::Keystile).
#[derive(Clone, Copy)]
pub struct SigningKeys<'a> {
    inner: &'a Inner,
}

/// A signing key as operators see it: without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// What tokens name it by: the thumbprint of the public key (RFC 7638); of an HMAC secret, random
    /// text.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// Where it stands.
    pub state: SigningKeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When it ceased to sign.
    pub retired_at: Option<Timestamp>,
    /// While it retires: until when tokens that it has signed can be valid.
    pub kept_until: Option<Timestamp>,
}

/// How to rotate the signing keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigningKeyRotation {
    /// What the new key signs with; `None`: what the settings say.
    pub algorithm: Option<SigningAlgorithm>,
    /// Whether the new key signs at once, instead of when every verifier knows it. For emergencies:
    /// until its copy of the key set is fetched anew, a verifier refuses what the new key has signed.
    pub at_once: bool,
    /// Whether all that older keys have signed is refused from now on: for a private key that leaked.
    /// Without `at_once` it says nothing.
    pub refuse_older: bool,
}

impl<'a> SigningKeys<'a> {
    pub(crate) fn new(inner: &'a Inner) -> SigningKeys<'a> {
        SigningKeys { inner }
    }

    /// The signing keys as they stand now, oldest first, also those that are gone.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn list(&self) -> Result<Vec<SigningKey>, StoreError> {
        let keys = at_time(self.inner.store().read()?.signing_keys()?, self.inner.now());
        Ok(keys.into_iter().map(SigningKey::from).collect())
    }

    /// Makes a new signing key. The first one of a store signs at once; any other is published first
    /// and signs when every verifier has had the time to fetch it.
    ///
    /// A rotation at once that refuses what older keys have signed gives up keys that cannot be read, too, and names
    /// them. Any other rotation needs all keys that are not gone.
    ///
    /// # Errors
    /// [`RotateSigningKeyError`]; nothing has changed then.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{KeyEncryptionKey, Keystile, NewStore, SigningKeyRotation, SigningKeyState};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::options().key_encryption_key(KeyEncryptionKey::generate()?).open(&path)?;
    /// let first = keystile.signing_keys().rotate(SigningKeyRotation::default())?.value;
    /// let next = keystile.signing_keys().rotate(SigningKeyRotation::default())?.value;
    /// assert_eq!((first.state, next.state), (SigningKeyState::Active, SigningKeyState::Published));
    /// assert!(keystile.signing_keys().jwks()?.contains(&next.kid));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rotate(&self, rotation: SigningKeyRotation) -> Result<InForce<SigningKey>, RotateSigningKeyError> {
        let refuses_older = rotation.at_once && rotation.refuse_older;
        let rotate = |transaction: &mut dyn WriteTransaction, now: Timestamp| {
            let mut given_up = Vec::new();
            let keys = if refuses_older {
                let (keys, unreadable) = self.inner.readable_keys_of_now(transaction, now)?;
                given_up = self.inner.give_up(transaction, now, unreadable)?;
                keys
            } else {
                self.inner.keys_of_now(transaction, now)?
            };
            let algorithm = rotation.algorithm;
            let pending = keys.iter().find(|key| key.state == SigningKeyState::Published).cloned();
            if let Some(pending) = pending {
                if !rotation.at_once {
                    return Err(RotateSigningKeyError::Pending { kid: pending.kid, signs_from: pending.signs_from });
                }
                // Whoever has copied the store has the one that waits too: then it is given up with the others.
                if !rotation.refuse_older && algorithm.is_none_or(|algorithm| algorithm == pending.algorithm) {
                    let mut after = keys.clone();
                    promote(&mut after, now);
                    self.inner.write_keys(transaction, now, &keys, &after)?;
                    let promoted = after.into_iter().find(|key| key.kid == pending.kid).unwrap_or(pending);
                    return Ok(InForce::new(promoted.into(), given_up));
                }
            }
            let settings = transaction.settings()?.tokens;
            let is_first = keys.iter().all(|key| key.state != SigningKeyState::Active);
            let lead = if is_first || rotation.at_once { 0 } else { settings.publish_lead };
            let algorithm = algorithm.unwrap_or(settings.signing_algorithm);
            let key = self.inner.make_key(transaction, now, algorithm, now.saturating_add(lead))?;
            if key.state == SigningKeyState::Active {
                let mut after = keys.clone();
                clear_the_way(&mut after, now);
                if refuses_older {
                    give_up_all_but_active(&mut after, now);
                }
                self.inner.write_keys(transaction, now, &keys, &after)?;
            }
            self.inner.add_key(transaction, now, &key)?;
            Ok(InForce::new(key.into(), given_up))
        };
        // For a key that leaked, also when the disk is full.
        if refuses_older { self.inner.contain(rotate) } else { self.inner.change(rotate) }
    }

    /// The public keys of the store as a JWK set (RFC 7517, section 5), in JSON: what other services
    /// verify tokens with. HMAC secrets are never in it.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn jwks(&self) -> Result<String, StoreError> {
        let keys = at_time(self.inner.store().read()?.signing_keys_in_use()?, self.inner.now());
        Ok(jwks(&keys))
    }
}

/// The key set of these keys.
fn jwks(keys: &[SigningKeyRow]) -> String {
    let public = keys.iter().filter(|key| key.is_in_use()).filter_map(|key| {
        // Whatever else somebody has written into the store is not given away.
        let public_key = key.public_key.as_deref().filter(|public_key| thumbprint(public_key) == key.kid)?;
        let jwk: serde_json::Map<String, serde_json::Value> = serde_json::from_str(public_key).ok()?;
        let members = ["kty", "crv", "x", "y", "n", "e"];
        let mut public: serde_json::Map<_, _> =
            jwk.into_iter().filter(|(name, _)| members.contains(&name.as_str())).collect();
        public.insert("kid".to_owned(), key.kid.as_str().into());
        public.insert("alg".to_owned(), key.algorithm.as_str().into());
        public.insert("use".to_owned(), "sig".into());
        Some(serde_json::Value::Object(public))
    });
    json!({ "keys": public.collect::<Vec<_>>() }).to_string()
}

impl From<SigningKeyRow> for SigningKey {
    fn from(row: SigningKeyRow) -> SigningKey {
        SigningKey {
            kept_until: row.kept_until().filter(|_| row.state == SigningKeyState::Retiring),
            kid: row.kid,
            algorithm: row.algorithm,
            state: row.state,
            created_at: row.created_at,
            signs_from: row.signs_from,
            retired_at: row.retired_at,
        }
    }
}

/// The key that signs now, opened.
pub(crate) struct Signer {
    /// What tokens name it by.
    pub(crate) kid: String,
    /// The key.
    pub(crate) material: KeyMaterial,
}

impl Inner {
    /// The key that signs at this time; the first one of a store is made here.
    pub(crate) fn signer(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
    ) -> Result<Signer, SigningKeyError> {
        let keys = self.keys_of_now(transaction, now)?;
        let active = keys.into_iter().find(|key| key.state == SigningKeyState::Active);
        let key = match active {
            Some(key) => key,
            None => {
                let algorithm = transaction.settings()?.tokens.signing_algorithm;
                let key = self.make_key(transaction, now, algorithm, now)?;
                self.add_key(transaction, now, &key)?;
                key
            }
        };
        let material = self.open_key(transaction, &key)?;
        Ok(Signer { kid: key.kid, material })
    }

    /// Opens the private key of a row, and makes sure that it is the one that the row names.
    pub(crate) fn open_key(
        &self,
        view: &(impl ReadTransaction + ?Sized),
        key: &SigningKeyRow,
    ) -> Result<KeyMaterial, SigningKeyError> {
        open_key(&self.sealing, view, key)
    }

    /// Makes a key and seals it. It is not yet in the store.
    fn make_key(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        algorithm: SigningAlgorithm,
        signs_from: Timestamp,
    ) -> Result<SigningKeyRow, SigningKeyError> {
        let kek = self.key_to_seal(transaction, now)?;
        let material = KeyMaterial::generate(algorithm)?;
        let public_key = material.public_key()?;
        let kid = match &public_key {
            Some(public_key) => thumbprint(public_key),
            // A thumbprint would be a hash of the secret.
            None => random_id().map_err(|_| SigningKeyError::Generator)?,
        };
        let sealed = kek.seal(&place(transaction.store_id()?, &kid), material.expose_private())?;
        let signs_at_once = signs_from <= now;
        Ok(SigningKeyRow {
            kid,
            algorithm,
            state: if signs_at_once { SigningKeyState::Active } else { SigningKeyState::Published },
            public_key,
            sealed_key: Some(sealed),
            created_at: now,
            signs_from,
            activated_at: signs_at_once.then_some(signs_from),
            retired_at: None,
            last_expiry: None,
        })
    }
}

/// Opens the private key of a row, and makes sure that it is the one that the row names.
pub(crate) fn open_key(
    sealing: &Sealing,
    view: &(impl ReadTransaction + ?Sized),
    key: &SigningKeyRow,
) -> Result<KeyMaterial, SigningKeyError> {
    let damaged = || SigningKeyError::Damaged { kid: key.kid.clone() };
    let kek = sealing.key()?;
    let sealed = key.sealed_key.as_deref().ok_or_else(damaged)?;
    let private = kek.open(&place(view.store_id()?, &key.kid), sealed).ok_or_else(damaged)?;
    let material = KeyMaterial::from_private(key.algorithm, private);
    // Else somebody could have this store publish one key and sign with another.
    match material.public_key() {
        Ok(None) => Ok(material),
        Ok(Some(public_key)) if thumbprint(&public_key) == key.kid => Ok(material),
        _ => Err(damaged()),
    }
}

/// Where the private key of this `kid` is sealed.
fn place(store_id: [u8; 16], kid: &str) -> Place<'_> {
    Place { store_id, table: "signing_keys", column: "sealed_key", row: kid }
}
