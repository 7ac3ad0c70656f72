//! Settings of a store.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::json;

use crate::key::Settings;
use crate::keystile::Keystile;
use crate::login::LoginSettingsError;
use crate::store::StoreError;

/// What the longest lifetime of keys can be set to: one minute to ten years, in seconds.
pub const MAX_LIFETIME_BOUNDS: RangeInclusive<u64> = 60..=3_650 * 86_400;

impl Keystile {
    /// The settings.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        self.inner.store().read()?.settings()
    }

    /// Writes the settings. A new longest lifetime holds for keys that are made or changed from now
    /// on.
    ///
    /// # Errors
    /// [`SetSettingsError`] when a setting is out of bounds, or the store refuses.
    pub fn set_settings(&self, settings: &Settings) -> Result<(), SetSettingsError> {
        check(settings)?;
        self.inner.change(|transaction, now| {
            transaction.set_settings(settings)?;
            let logins = &settings.logins;
            let detail = json!({
                "max_lifetime_seconds": settings.max_lifetime,
                "min_password_len": logins.min_password_len,
                "session_lifetime_seconds": logins.session_lifetime,
                "refresh_window_seconds": logins.refresh_window,
            });
            self.inner.audit(transaction, now, "settings.changed", None, &detail)?;
            Ok(())
        })
    }
}

pub(crate) fn check(settings: &Settings) -> Result<(), SetSettingsError> {
    match settings.max_lifetime {
        Some(seconds) if !MAX_LIFETIME_BOUNDS.contains(&seconds) => Err(SetSettingsError::MaxLifetime { seconds }),
        _ => settings.logins.check().map_err(SetSettingsError::Logins),
    }
}

/// Why settings were not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetSettingsError {
    /// The longest lifetime is out of bounds.
    MaxLifetime {
        /// The seconds that were given.
        seconds: u64,
    },
    /// A setting of logins is out of bounds.
    Logins(LoginSettingsError),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for SetSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetSettingsError::MaxLifetime { seconds } => {
                write!(f, "a longest lifetime of {seconds} seconds does not fit · give 1m to 3650d, such as 90d")
            }
            SetSettingsError::Logins(error) => error.fmt(f),
            SetSettingsError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetSettingsError {}

impl From<StoreError> for SetSettingsError {
    fn from(error: StoreError) -> SetSettingsError {
        SetSettingsError::Store(error)
    }
}
