//! A change that is in force, whatever of the store could not be read.

use crate::store::{StoreError, UnreadableRow};

/// A change that is in force, and the rows that it met and could not read.
///
/// Taking something away never waits for a row to be mended: it is done by id. So `Ok` means that it holds, and
/// [`unreadable`](InForce::unreadable) says what is damaged: run the doctor then, and restore a backup.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keystile.db");
/// use keystile::{Keystile, NewKey, NewStore, RevokeReason};
/// Keystile::create(&path, NewStore::default())?;
/// let keystile = Keystile::open(&path)?;
/// let created = keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() })?;
/// let revoked = keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None)?;
/// assert!(revoked.unreadable.is_empty());
/// assert!(revoked.value.is_some_and(|key| key.revocation.is_some()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InForce<T> {
    /// What was changed, as it is now.
    pub value: T,
    /// The rows that could not be read. None of them keeps the change from being in force.
    pub unreadable: Vec<UnreadableRow>,
}

impl<T> InForce<T> {
    pub(crate) fn new(value: T, unreadable: Vec<UnreadableRow>) -> InForce<T> {
        InForce { value, unreadable }
    }
}

/// What can be read of a row; what cannot be is added to `unreadable`.
pub(crate) fn readable<T>(
    read: Result<Option<T>, StoreError>,
    row: impl ToString,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(value),
        Err(error) => {
            let found = UnreadableRow::from_error(error, || row.to_string())?;
            if !unreadable.contains(&found) {
                unreadable.push(found);
            }
            Ok(None)
        }
    }
}
