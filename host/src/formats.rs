//! Adding key formats to a store.

use std::fmt;

use keystile_validator::KeyFormat;
use keystile_validator::bounds::MAX_FORMATS;
use serde_json::json;

use crate::key::{MAX_NAME_LEN, NamedFormat};
use crate::keystile::Keystile;
use crate::secret_forms::SecretForms;
use crate::store::StoreError;
use crate::text::is_line;

impl Keystile {
    /// The key formats, in the order they were added; the first one is the default.
    ///
    /// # Errors
    /// [`StoreError`] when the store refuses.
    pub fn formats(&self) -> Result<Vec<NamedFormat>, StoreError> {
        self.inner.store().read()?.formats()
    }

    /// Adds a key format.
    ///
    /// # Errors
    /// [`AddFormatError`] when the name does not fit or is taken, or there are too many formats.
    pub fn add_format(&self, name: &str, format: KeyFormat) -> Result<NamedFormat, AddFormatError> {
        if !is_format_name(name) {
            return Err(AddFormatError::Name);
        }
        self.inner.change(|transaction, now| {
            if SecretForms::of(&*transaction).is_in(name) {
                return Err(AddFormatError::Name);
            }
            if transaction.formats()?.len() >= MAX_FORMATS {
                return Err(AddFormatError::TooMany);
            }
            let named = NamedFormat { name: name.to_owned(), format, created_at: now };
            if !transaction.insert_format(&named)? {
                return Err(AddFormatError::NameTaken { name: name.to_owned() });
            }
            self.inner.audit(transaction, now, "format.added", Some(name.to_owned()), &json!(named.format))?;
            Ok(named)
        })
    }
}

/// Names of formats are typed on command lines: no spaces.
pub(crate) fn is_format_name(name: &str) -> bool {
    is_line(name, MAX_NAME_LEN) && !name.contains(char::is_whitespace) && !name.starts_with('-')
}

/// Why a format was not added.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddFormatError {
    /// The name is empty, too long, holds spaces or control characters, or is an API key or a token.
    Name,
    /// There is a format of this name.
    NameTaken {
        /// The name.
        name: String,
    },
    /// There are as many formats as a validator takes.
    TooMany,
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for AddFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddFormatError::Name => {
                write!(f, "not a format name · give 1 to {MAX_NAME_LEN} bytes without spaces and control characters")
            }
            AddFormatError::NameTaken { name } => {
                write!(f, "there is already a format {name} · choose another name; formats are never changed")
            }
            AddFormatError::TooMany => {
                write!(f, "the store has {MAX_FORMATS} formats, as many as a validator takes · use one of them")
            }
            AddFormatError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AddFormatError {}

impl From<StoreError> for AddFormatError {
    fn from(error: StoreError) -> AddFormatError {
        AddFormatError::Store(error)
    }
}
