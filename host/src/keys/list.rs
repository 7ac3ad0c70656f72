//! Listing and showing keys.

use keystile_validator::{Digest, KeyId};

use super::Keys;
use super::error::{ListKeysError, ShowKeyError};
use crate::key::Key;
use crate::query::{KeyPage, KeyQuery, MAX_PAGE, MAX_SEARCH_LEN};
use crate::store::StoreError;

impl Keys<'_> {
    /// A page of keys, as of one moment.
    ///
    /// # Errors
    /// [`ListKeysError`] when the query breaks a bound, or the store refuses.
    pub fn list(&self, query: &KeyQuery) -> Result<KeyPage, ListKeysError> {
        if query.limit == 0 || query.limit > MAX_PAGE {
            return Err(ListKeysError::Limit { given: query.limit });
        }
        if query.search.as_ref().is_some_and(|search| search.len() > MAX_SEARCH_LEN) {
            return Err(ListKeysError::Search);
        }
        let fits = |sort, descending| sort == query.sort && descending == query.descending;
        if !query.after.as_ref().is_none_or(|cursor| fits(cursor.sort, cursor.descending)) {
            return Err(ListKeysError::Cursor);
        }
        Ok(self.inner.store().read()?.keys(query, self.inner.now())?)
    }

    /// A key with all that is known of its secrets, but for the secrets.
    ///
    /// # Errors
    /// [`ShowKeyError`] when there is no such key, or the store refuses.
    pub fn show(&self, id: KeyId) -> Result<Key, ShowKeyError> {
        self.inner.store().read()?.key(id)?.ok_or(ShowKeyError::NotFound { id })
    }

    /// The key that this secret proves, whatever its state: for a holder's "who am I".
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn find_by_secret(&self, secret: &str) -> Result<Option<Key>, StoreError> {
        self.inner.store().read()?.key_by_digest(&Digest::of(secret.as_bytes()))
    }
}
