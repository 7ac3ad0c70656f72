//! How often a key was used, day by day.

use keystile_validator::KeyId;

use super::Keys;
use super::error::ShowKeyError;

/// Days of which the uses of a key are known: today and those before it.
pub const USAGE_DAYS: usize = 30;
pub(crate) const DAY: u64 = 86_400;

impl Keys<'_> {
    /// How often the key was used on each of the last [`USAGE_DAYS`] days, the oldest first, today (in UTC)
    /// last. Uses are written behind, like the counters of its secrets.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Keystile, NewKey, NewStore};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// let created = keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() })?;
    /// assert!(keystile.verify(created.secret.expose_secret(), &keystile.request()).is_allow());
    /// keystile.flush()?;
    /// let usage = keystile.keys().usage(created.key.id)?;
    /// assert_eq!((usage.len(), usage.iter().sum::<u64>()), (30, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ShowKeyError`] when there is no such key, or the store refuses.
    pub fn usage(&self, id: KeyId) -> Result<Vec<u64>, ShowKeyError> {
        let view = self.inner.store().read()?;
        view.key(id)?.ok_or(ShowKeyError::NotFound { id })?;
        let today = self.inner.now().unix() / DAY;
        let mut usage = vec![0; USAGE_DAYS];
        for (day, uses) in view.usage_days(id)? {
            // A clock that was set back leaves days that are still to come.
            let ago = today.checked_sub(day).and_then(|ago| usize::try_from(ago).ok());
            let place = ago.and_then(|ago| (USAGE_DAYS - 1).checked_sub(ago));
            if let Some(place) = place.and_then(|place| usage.get_mut(place)) {
                *place = uses;
            }
        }
        Ok(usage)
    }
}
