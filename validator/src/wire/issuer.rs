//! Issuers as a host hands them over.

use core::fmt;

use crate::jwt::{Issuer, IssuerError, TokenState};

/// Adds an issuer to what a validator knows, in place of the one of the same name: a JSON document as
/// [`Issuer::to_json`] writes it. Says how many of its keys can be used. This is what the core module
/// runs.
///
/// # Errors
/// [`PutIssuerError`] when it is no issuer, or there are too many; then nothing has changed.
pub fn put_issuer(document: &[u8], state: &mut TokenState) -> Result<i32, PutIssuerError> {
    let issuer = Issuer::from_json(document).map_err(|_| PutIssuerError::Document)?;
    let keys = i32::try_from(issuer.keys().len()).map_err(|_| PutIssuerError::Document)?;
    match state.issuers.put(issuer) {
        Ok(_) => Ok(keys),
        Err(IssuerError::TooManyIssuers) => Err(PutIssuerError::TooMany),
        Err(_) => Err(PutIssuerError::Document),
    }
}

/// Why an issuer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutIssuerError {
    /// The document is no issuer.
    Document,
    /// There are too many issuers.
    TooMany,
}

impl PutIssuerError {
    /// The negative number that the core module returns for it.
    pub const fn code(self) -> i32 {
        match self {
            PutIssuerError::Document => -7,
            PutIssuerError::TooMany => -8,
        }
    }
}

impl fmt::Display for PutIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutIssuerError::Document => "the document is no issuer · see docs/abi.md",
            PutIssuerError::TooMany => "there are too many issuers · at most 64 are known at once",
        })
    }
}

impl core::error::Error for PutIssuerError {}
