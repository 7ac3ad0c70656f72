//! Settings of a store.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::json;

use crate::key::Settings;
use crate::keystile::Keystile;
use crate::login::LoginSettingsError;
use crate::secret_forms::SecretForms;
use crate::store::StoreError;
use crate::tokens::OwnIssuer;

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
        self.change_settings(|current| settings.clone_into(current)).map(|_| ())
    }

    /// Changes some settings and leaves the others as they are, whoever changes those at the same time.
    ///
    /// # Errors
    /// [`SetSettingsError`] when a setting is out of bounds, or the store refuses.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, SetSettingsError> {
        self.inner.change(|transaction, now| {
            let mut settings = transaction.settings()?;
            change(&mut settings);
            check(&settings)?;
            let names = [&settings.tokens.issuer, &settings.tokens.audience];
            if names.into_iter().flatten().any(|name| SecretForms::of(&*transaction).is_in(name)) {
                return Err(SetSettingsError::Secret);
            }
            let before = OwnIssuer::of(&*transaction)?.issuer;
            transaction.set_settings(&settings)?;
            let own = OwnIssuer::of(&*transaction)?.issuer;
            // A store that has such an issuer already can change its other settings.
            if own != before
                && let Some(taken) = transaction.issuers()?.into_iter().find(|issuer| issuer.goes_by(&own))
            {
                return Err(SetSettingsError::IssuerTaken { name: taken.name });
            }
            self.inner.audit(transaction, now, "settings.changed", None, &describe(&settings))?;
            Ok(settings)
        })
    }
}

/// What the audit trail says of settings.
pub(crate) fn describe(settings: &Settings) -> serde_json::Value {
    let (tokens, logins) = (&settings.tokens, &settings.logins);
    json!({
        "max_lifetime_seconds": settings.max_lifetime,
        "issuer": tokens.issuer,
        "audience": tokens.audience,
        "access_token_lifetime_seconds": tokens.access_token_lifetime,
        "signing_alg": tokens.signing_algorithm.as_str(),
        "publish_lead_seconds": tokens.publish_lead,
        "session_lifetime_seconds": logins.session_lifetime,
        "refresh_window_seconds": logins.refresh_window,
        "min_password_length": logins.min_password_len,
    })
}

pub(crate) fn check(settings: &Settings) -> Result<(), SetSettingsError> {
    match settings.max_lifetime {
        Some(seconds) if !MAX_LIFETIME_BOUNDS.contains(&seconds) => Err(SetSettingsError::MaxLifetime { seconds }),
        _ => {
            settings.logins.check().map_err(SetSettingsError::Logins)?;
            crate::tokens::check(&settings.tokens)
        }
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
    /// The issuer is no URL or URN.
    Issuer,
    /// An external issuer goes by this name: its tokens and those of the store could not be told apart.
    IssuerTaken {
        /// What the store calls it.
        name: String,
    },
    /// The audience does not fit on a line.
    Audience,
    /// There is an API key or a token in the issuer or the audience.
    Secret,
    /// The lifetime of access tokens is out of bounds.
    AccessTokenLifetime {
        /// The seconds that were given.
        seconds: u64,
    },
    /// The time between publishing a key and signing with it is out of bounds.
    PublishLead {
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
            SetSettingsError::Issuer => f.write_str(
                "this cannot be an issuer · give an https:// URL without query or fragment, an http:// URL of localhost, or \
                 a URN",
            ),
            SetSettingsError::IssuerTaken { name } => {
                write!(f, "the external issuer {name} goes by this name · choose another one, or remove that issuer first")
            }
            SetSettingsError::Audience => {
                f.write_str("this cannot be an audience · give 1 to 256 bytes without control characters")
            }
            SetSettingsError::Secret => {
                f.write_str("there is an API key or a token in the issuer or the audience · give another one")
            }
            SetSettingsError::AccessTokenLifetime { seconds } => {
                write!(f, "a lifetime of {seconds} seconds does not fit access tokens · give 1m to 1d, such as 30m")
            }
            SetSettingsError::PublishLead { seconds } => {
                write!(f, "a lead of {seconds} seconds does not fit · give 0 to 7d, such as 20m")
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
