//! Listing and showing issuers.

use keystile_validator::jwt::Algorithm;

use super::Issuers;
use super::error::ShowIssuerError;
use super::issuer::{ExternalIssuer, IssuerInfo, KeySetInfo};
use super::key_set::usable_keys;
use crate::store::{KeySetRow, ReadTransaction, StoreError};

impl Issuers<'_> {
    /// All issuers by name, with what is known of their keys.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn list(&self) -> Result<Vec<IssuerInfo>, StoreError> {
        let view = self.inner.store().read()?;
        view.issuers()?.into_iter().map(|issuer| info(&*view, issuer)).collect()
    }

    /// An issuer, with what is known of its keys.
    ///
    /// # Errors
    /// [`ShowIssuerError`] when there is no such issuer, or the store refuses.
    pub fn show(&self, name: &str) -> Result<IssuerInfo, ShowIssuerError> {
        let view = self.inner.store().read()?;
        let issuer = view.issuer(name)?.ok_or_else(|| ShowIssuerError::NotFound { name: name.to_owned() })?;
        Ok(info(&*view, issuer)?)
    }
}

fn info(view: &dyn ReadTransaction, issuer: ExternalIssuer) -> Result<IssuerInfo, StoreError> {
    let row = view.key_set(&issuer.name)?.ok_or(StoreError::InvalidValue { column: "jwks_cache.name" })?;
    let key_set = KeySetInfo::new(&row, &issuer.algorithms);
    Ok(IssuerInfo { issuer, key_set })
}

impl KeySetInfo {
    pub(super) fn new(row: &KeySetRow, algorithms: &[Algorithm]) -> KeySetInfo {
        KeySetInfo {
            keys: row.jwks.as_deref().map(|text| usable_keys(text, algorithms)).unwrap_or_default(),
            fetched_at: row.fetched_at,
            max_age: row.max_age,
            attempted_at: row.attempted_at,
            failures: row.failures,
            problem: row.problem,
        }
    }
}
