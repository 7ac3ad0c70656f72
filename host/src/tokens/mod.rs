//! Tokens that the store issues itself, and tokens that it refuses before they expire.

mod error;
mod inspect;
mod issue;
mod own_issuer;
mod revoke;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt::Write as _;

pub use error::{IssueTokenError, RevokeTokenError};
pub use inspect::{InspectTokenError, MAX_INSPECTED_LEN, UnverifiedToken};
pub(crate) use issue::AccessTokenClaims;
pub use issue::{IssuedToken, MAX_CLAIM_LEN, MAX_TOKEN_LEN, NewToken};
pub use own_issuer::OwnIssuer;
pub(crate) use own_issuer::{ENVIRONMENT_CLAIM, OwnKeyMaterial, own_keys};
pub use revoke::{RevokedToken, RevokedTokens, TokensOf, WasToken};
pub(crate) use revoke::{are_subject_tokens_revoked, issued_so_far, latest_issue};
pub(crate) use settings::check;
pub use settings::{
    ACCESS_TOKEN_LIFETIME_BOUNDS, DEFAULT_ACCESS_TOKEN_LIFETIME, DEFAULT_PUBLISH_LEAD, MAX_ISSUER_LEN,
    PUBLISH_LEAD_BOUNDS, TokenSettings,
};

use crate::keystile::Inner;
use crate::secret::GenerateError;

/// The operations on tokens of a [`Keystile`](crate::Keystile).
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    inner: &'a Inner,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Tokens<'a> {
        Tokens { inner }
    }
}

/// 128 random bits in hexadecimal: an id that nobody can guess, and that says nothing.
pub(crate) fn random_id() -> Result<String, GenerateError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| GenerateError::Generator)?;
    Ok(random.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
