//! The fields of a key, and what they may hold.

use std::collections::BTreeMap;
use std::fmt;

use keystile_validator::{KeyRecordError, Scope, Timestamp};

use crate::key::{
    Key, MAX_DISPLAY_LEN, MAX_METADATA, MAX_METADATA_NAME_LEN, MAX_METADATA_VALUE_LEN, MAX_NAME_LEN, Origin, SecretInfo,
};
use crate::secret_forms::SecretForms;
use crate::text::{is_line, rfc3339};

/// Which field of a key does not fit, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFieldError {
    /// The name is empty, too long, or holds control characters.
    Name,
    /// The owner, the scopes or the address ranges break a bound.
    Record(KeyRecordError),
    /// The expiry is not after now.
    ExpiryInPast {
        /// The expiry that was asked for.
        expires_at: Timestamp,
    },
    /// The key would never be valid.
    StartsAfterExpiry,
    /// The key would live longer than the operator allows.
    LifetimeTooLong {
        /// The longest lifetime, in seconds.
        max_lifetime: u64,
        /// The latest expiry that is allowed.
        latest: Timestamp,
    },
    /// What lists should show of an imported secret is too long to be a hint, or holds control
    /// characters.
    Display,
    /// A text holds a secret: an API key of a format of the store, a refresh token or a JWT.
    Secret {
        /// Which one, such as `name`.
        field: &'static str,
    },
    /// Too many metadata entries.
    MetadataCount {
        /// How many were given.
        given: usize,
    },
    /// The name or value of a metadata entry is empty, too long, or holds control characters.
    MetadataEntry {
        /// The position of the entry, from 0.
        index: usize,
    },
}

impl fmt::Display for KeyFieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFieldError::Name => write!(
                f,
                "not a name · give 1 to {MAX_NAME_LEN} bytes without control characters and without spaces at the ends"
            ),
            KeyFieldError::Record(error) => error.fmt(f),
            KeyFieldError::ExpiryInPast { expires_at } => {
                write!(f, "the expiry {} is not after now · give a later one, such as 90d", rfc3339(*expires_at))
            }
            KeyFieldError::StartsAfterExpiry => {
                f.write_str("the key would start at or after its expiry · give an earlier start or a later expiry")
            }
            KeyFieldError::LifetimeTooLong { max_lifetime, latest } => write!(
                f,
                "the key would live longer than this store allows ({} days) · give an expiry up to {}",
                max_lifetime / 86_400,
                rfc3339(*latest)
            ),
            KeyFieldError::Display => write!(
                f,
                "not a display form · give at most {MAX_DISPLAY_LEN} bytes, such as the first characters of the secret and …"
            ),
            KeyFieldError::Secret { field } => write!(
                f,
                "there is an API key or a token in the {field} · give another one: it is shown in lists and in the audit \
                 trail, for good"
            ),
            KeyFieldError::MetadataCount { given } => {
                write!(f, "{given} metadata entries are too many · give at most {MAX_METADATA}")
            }
            KeyFieldError::MetadataEntry { index } => write!(
                f,
                "metadata entry {} does not fit · give a name of 1 to {MAX_METADATA_NAME_LEN} bytes and a value of at \
                 most {MAX_METADATA_VALUE_LEN}, without control characters",
                index + 1
            ),
        }
    }
}

impl std::error::Error for KeyFieldError {}

/// Checks every field of a key that is about to be written, but for its expiry against now.
pub(super) fn check_fields(key: &Key) -> Result<(), KeyFieldError> {
    if !is_line(&key.name, MAX_NAME_LEN) {
        return Err(KeyFieldError::Name);
    }
    check_metadata(&key.metadata)?;
    if let (Some(not_before), Some(expires_at)) = (key.not_before, key.expires_at)
        && not_before >= expires_at
    {
        return Err(KeyFieldError::StartsAfterExpiry);
    }
    key.secrets.iter().try_for_each(|secret| key.record(secret).validate()).map_err(KeyFieldError::Record)?;
    if key.owner.as_deref().is_some_and(|owner| !is_line(owner, usize::MAX)) {
        return Err(KeyFieldError::Record(KeyRecordError::Owner));
    }
    Ok(())
}

/// Refuses secrets in what people write, as far as it is not in the key already.
pub(super) fn check_no_secret(forms: &SecretForms, key: &Key, old: Option<&Key>) -> Result<(), KeyFieldError> {
    if old.is_none_or(|old| old.name != key.name) && forms.is_in(&key.name) {
        return Err(KeyFieldError::Secret { field: "name" });
    }
    if old.is_none_or(|old| old.owner != key.owner) && key.owner.as_deref().is_some_and(|it| forms.is_in(it)) {
        return Err(KeyFieldError::Secret { field: "owner" });
    }
    let in_scope = |scope: &Scope| old.is_none_or(|old| !old.scopes.contains(scope)) && forms.is_in(scope.as_str());
    if key.scopes.iter().any(in_scope) {
        return Err(KeyFieldError::Secret { field: "scopes" });
    }
    let in_entry = |(name, value): (&String, &String)| {
        old.is_none_or(|old| old.metadata.get(name) != Some(value)) && (forms.is_in(name) || forms.is_in(value))
    };
    if key.metadata.iter().any(in_entry) {
        return Err(KeyFieldError::Secret { field: "metadata" });
    }
    let is_shown = |secret: &SecretInfo| secret.origin == Origin::Imported && forms.is_in(&secret.display);
    if old.is_none() && key.secrets.iter().any(is_shown) {
        return Err(KeyFieldError::Secret { field: "display form" });
    }
    Ok(())
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), KeyFieldError> {
    if metadata.len() > MAX_METADATA {
        return Err(KeyFieldError::MetadataCount { given: metadata.len() });
    }
    let fits = |(name, value): (&String, &String)| {
        is_line(name, MAX_METADATA_NAME_LEN) && (value.is_empty() || is_line(value, MAX_METADATA_VALUE_LEN))
    };
    match metadata.iter().position(|entry| !fits(entry)) {
        Some(index) => Err(KeyFieldError::MetadataEntry { index }),
        None => Ok(()),
    }
}

/// Refuses an expiry that is not after now.
pub(super) fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), KeyFieldError> {
    match expires_at {
        Some(expires_at) if expires_at <= now => Err(KeyFieldError::ExpiryInPast { expires_at }),
        _ => Ok(()),
    }
}
