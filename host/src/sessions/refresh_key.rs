//! What the refresh tokens of a session are made with: sealed in the store, and open only while one is made or checked.

use std::fmt;

use zeroize::Zeroizing;

use crate::ids::SessionId;
use crate::keystile::Inner;
use crate::sealing::{KekError, KeyEncryptionKey, Place};
use crate::store::users::{SealedRefreshKey, SessionRow};
use crate::store::{ReadTransaction, StoreError};

/// The length of a key, in bytes: that of the MAC it is for.
const KEY_LEN: usize = 32;

/// The key that the refresh tokens of one session are made with.
pub(super) struct RefreshKey(pub(super) Zeroizing<[u8; KEY_LEN]>);

impl fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshKey(…)")
    }
}

impl RefreshKey {
    /// A new key, from the generator of the operating system.
    pub(super) fn generate() -> Result<RefreshKey, StoreError> {
        let mut key = RefreshKey(Zeroizing::new([0; KEY_LEN]));
        getrandom::fill(key.0.as_mut()).map_err(|_| StoreError::NoRandomBytes)?;
        Ok(key)
    }

    /// Seals it for this session of this store, where alone it opens.
    pub(super) fn seal(
        &self,
        kek: &KeyEncryptionKey,
        store_id: [u8; 16],
        session: SessionId,
    ) -> Result<SealedRefreshKey, KekError> {
        kek.seal(&place(store_id, &session.to_string()), self.0.as_slice()).map(SealedRefreshKey)
    }

    /// Opens what was sealed for this session; `None`: it was sealed for another one, or was changed.
    fn open(
        kek: &KeyEncryptionKey,
        store_id: [u8; 16],
        session: SessionId,
        sealed: &SealedRefreshKey,
    ) -> Option<RefreshKey> {
        let opened = kek.open(&place(store_id, &session.to_string()), &sealed.0)?;
        let mut key = RefreshKey(Zeroizing::new([0; KEY_LEN]));
        (opened.len() == KEY_LEN).then(|| key.0.copy_from_slice(&opened))?;
        Some(key)
    }
}

fn place(store_id: [u8; 16], session: &str) -> Place<'_> {
    Place { store_id, table: "sessions", column: "refresh_key", row: session }
}

impl Inner {
    /// Opens what the refresh tokens of a session are made with. `None`: it has none since keys are sealed, and was
    /// ended then.
    ///
    /// # Errors
    /// [`OpenRefreshKeyError`] when the key-encryption key is missing, or the key does not open.
    pub(super) fn refresh_key(
        &self,
        view: &(impl ReadTransaction + ?Sized),
        row: &SessionRow,
    ) -> Result<Option<RefreshKey>, OpenRefreshKeyError> {
        let Some(sealed) = &row.key else { return Ok(None) };
        self.open_refresh_key(view, row.session.id, sealed).map(Some)
    }

    /// Opens what the refresh tokens of this session are made with.
    ///
    /// # Errors
    /// [`OpenRefreshKeyError`] when the key-encryption key is missing, or the key does not open.
    pub(super) fn open_refresh_key(
        &self,
        view: &(impl ReadTransaction + ?Sized),
        session: SessionId,
        sealed: &SealedRefreshKey,
    ) -> Result<RefreshKey, OpenRefreshKeyError> {
        let kek = self.sealing.key()?;
        RefreshKey::open(kek, view.store_id()?, session, sealed)
            .ok_or_else(|| StoreError::InvalidRow { column: "sessions.refresh_key", row: session.to_string() }.into())
    }
}

/// Why the key of a session was not opened.
pub(super) enum OpenRefreshKeyError {
    /// There is no key-encryption key.
    Kek(KekError),
    /// The store refused, or the key was changed or moved there.
    Store(StoreError),
}

impl From<KekError> for OpenRefreshKeyError {
    fn from(error: KekError) -> OpenRefreshKeyError {
        match error {
            KekError::Store(error) => OpenRefreshKeyError::Store(error),
            error => OpenRefreshKeyError::Kek(error),
        }
    }
}

impl From<StoreError> for OpenRefreshKeyError {
    fn from(error: StoreError) -> OpenRefreshKeyError {
        OpenRefreshKeyError::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_bytes([5; 16]);

    #[test]
    fn a_key_opens_where_it_was_sealed_and_nowhere_else() {
        let [kek, other] = [(); 2].map(|()| KeyEncryptionKey::generate().unwrap());
        let key = RefreshKey::generate().unwrap();
        let sealed = key.seal(&kek, [1; 16], SESSION).unwrap();
        let open = |kek, store, session, sealed: &SealedRefreshKey| {
            RefreshKey::open(kek, store, session, sealed).map(|opened| opened.0)
        };
        assert_eq!(open(&kek, [1; 16], SESSION, &sealed), Some(key.0.clone()));
        assert!(!sealed.0.windows(KEY_LEN).any(|window| window == key.0.as_slice()));
        assert_eq!(open(&other, [1; 16], SESSION, &sealed), None);
        assert_eq!(open(&kek, [2; 16], SESSION, &sealed), None, "another store");
        assert_eq!(open(&kek, [1; 16], SessionId::from_bytes([6; 16]), &sealed), None, "another session");
        for index in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[index] ^= 1;
            assert_eq!(open(&kek, [1; 16], SESSION, &changed), None, "{index}");
        }
        let short = kek.seal(&place([1; 16], &SESSION.to_string()), &[0; KEY_LEN - 1]).map(SealedRefreshKey).unwrap();
        assert_eq!(open(&kek, [1; 16], SESSION, &short), None, "too short");
        assert_eq!(format!("{key:?} {sealed:?}"), "RefreshKey(…) SealedRefreshKey(…)");
    }
}
