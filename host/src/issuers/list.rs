//! Listing and showing issuers.

use keystile_validator::jwt::Algorithm;

use super::Issuers;
use super::error::ShowIssuerError;
use super::issuer::{ExternalIssuer, IssuerInfo, KeySetInfo};
use super::key_set::usable_keys;
use crate::store::{KeySetRow, ReadTransaction, StoreError, UnreadableRow};

/// Issuers with what is known of their keys.
#[derive(Clone, Debug)]
pub struct IssuerList {
    /// The issuers, by name.
    pub issuers: Vec<IssuerInfo>,
    /// Issuers that cannot be read. While there are any, every verdict is `unavailable`.
    pub unreadable: Vec<UnreadableRow>,
}

impl Issuers<'_> {
    /// All issuers by name, with what is known of their keys.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn list(&self) -> Result<IssuerList, StoreError> {
        let view = self.inner.store().read()?;
        let (readable, unreadable) = view.readable_issuers()?;
        let mut list = IssuerList { issuers: Vec::new(), unreadable };
        for issuer in readable {
            let name = issuer.name.clone();
            match info(&*view, issuer) {
                Ok(info) => list.issuers.push(info),
                Err(error) => list.unreadable.push(UnreadableRow::from_error(error, || name)?),
            }
        }
        Ok(list)
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
