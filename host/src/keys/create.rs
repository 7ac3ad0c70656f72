//! Creating keys.

use std::collections::BTreeMap;

use keystile_validator::{AddressRange, Environment, KeyId, KeyState, Rate, Scope, Timestamp};
use serde_json::json;

use super::error::CreateKeyError;
use super::field::{check_expiry, check_fields, check_no_secret};
use super::owner::suspended_owner;
use super::{Keys, within_lifetime};
use crate::audit;
use crate::ids::new_uuid;
use crate::key::{Key, NamedFormat, Origin, SecretInfo};
use crate::secret::{GenerateError, Secret};
use crate::secret_forms::SecretForms;
use crate::store::{ReadTransaction, StoreError};
use crate::text::rfc3339;

/// What a new key should be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// Who it acts for.
    pub owner: Option<String>,
    /// The name of its format; `None`: the first format of the store.
    pub format: Option<String>,
    /// Its environment; `None`: the first one of its format.
    pub environment: Option<Environment>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where it may be used from; empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// How often it may be used.
    pub rate: Option<Rate>,
    /// What the operator wants to remember with it.
    pub metadata: BTreeMap<String, String>,
    /// From when on it is valid; `None`: at once.
    pub not_before: Option<Timestamp>,
    /// From when on it is expired; `None`: never, or at the longest lifetime of the store.
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made, with its secret.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key.
    pub key: Key,
    /// Its secret, this once.
    pub secret: Secret,
}

impl Keys<'_> {
    /// Makes a key and its first secret.
    ///
    /// # Errors
    /// [`CreateKeyError`]; nothing was made then.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Keystile, NewKey, NewStore, Request};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// let created = keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() })?;
    /// let verdict = keystile.verify(created.secret.expose_secret(), &keystile.request());
    /// assert!(verdict.is_allow());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(&self, new: NewKey) -> Result<CreatedKey, CreateKeyError> {
        let created = self.inner.change(|transaction, now| {
            let formats = transaction.formats()?;
            let named = find_format(&formats, new.format.as_deref())
                .map_err(|(name, known)| CreateKeyError::UnknownFormat { name, known })?;
            let environment = match new.environment {
                Some(environment) => environment,
                None => named.format.environments()[0].clone(),
            };
            let secret = Secret::generate(&named.format, &environment)?;
            check_expiry(new.expires_at, now)?;
            let expires_at = within_lifetime(new.expires_at, now, transaction.settings()?.max_lifetime)?;
            let key = Key {
                id: new_key_id(now)?,
                name: new.name,
                owner: new.owner,
                format: Some(named.name.clone()),
                environment,
                scopes: without_duplicates(new.scopes),
                addresses: without_duplicates(new.addresses),
                rate: new.rate,
                metadata: new.metadata,
                created_at: now,
                created_by: self.inner.actor().to_owned(),
                updated_at: now,
                not_before: new.not_before,
                expires_at,
                state: KeyState::Active,
                suspended_at: None,
                suspended_for: None,
                suspended_by_restore: false,
                revocation: None,
                secrets: vec![secret_info(1, &secret, named, now)],
            };
            check_fields(&key)?;
            check_no_secret(&SecretForms::of(&*transaction), &key, None)?;
            if let Some(user) = suspended_owner(&*transaction, key.owner.as_deref())? {
                return Err(CreateKeyError::OwnerSuspended { user });
            }
            // 178 random bits do not meet again; if they did, the generator is broken.
            if !transaction.insert_key(&key)? {
                return Err(CreateKeyError::Generator);
            }
            let detail = describe(&*transaction, &key)?;
            self.inner.audit(transaction, now, "key.created", Some(key.id.to_string()), &detail)?;
            Ok(CreatedKey { key, secret })
        });
        // Also while a large import of somebody else is still being loaded.
        self.inner.load_new_keys();
        created
    }
}

/// The format of this name, or the first one; else the name and the names there are.
pub(super) fn find_format<'f>(
    formats: &'f [NamedFormat],
    name: Option<&str>,
) -> Result<&'f NamedFormat, (String, Vec<String>)> {
    let found = match name {
        None => formats.first(),
        Some(name) => formats.iter().find(|named| named.name == name),
    };
    found.ok_or_else(|| {
        (name.unwrap_or("(default)").to_owned(), formats.iter().map(|named| named.name.clone()).collect())
    })
}

/// What the store keeps of a secret that was just made.
pub(super) fn secret_info(number: u32, secret: &Secret, named: &NamedFormat, now: Timestamp) -> SecretInfo {
    SecretInfo {
        number,
        digest: secret.digest(),
        display: named.format.display(secret.expose_secret()).unwrap_or_default(),
        origin: Origin::Generated,
        created_at: now,
        retires_at: None,
        pending_grace: None,
        ended_at: None,
        uses: 0,
        first_used_at: None,
        last_used_at: None,
    }
}

pub(crate) fn new_key_id(now: Timestamp) -> Result<KeyId, GenerateError> {
    new_uuid(now).map(KeyId::from_bytes)
}

pub(super) fn without_duplicates<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut unique = Vec::with_capacity(values.len());
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    unique
}

/// What the audit trail says of a new key. It names an owner by the id of a user, never by an address.
pub(super) fn describe(view: &dyn ReadTransaction, key: &Key) -> Result<serde_json::Value, StoreError> {
    Ok(json!({
        "name": key.name,
        "owner": audit::owner(view, key.owner.as_deref())?,
        "format": key.format,
        "env": key.environment,
        "prefix": key.display(),
        "scopes": key.scopes,
        "addresses": key.addresses,
        "rate": key.rate.map(|rate| rate.to_string()),
        "not_before": key.not_before.map(rfc3339),
        "expires_at": key.expires_at.map(rfc3339),
    }))
}
