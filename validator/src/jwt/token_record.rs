//! What a host's store says of a token.

use super::error::JwtError;
use crate::time::Timestamp;

/// What a host found out about a token by its issuer, subject, token id and session
/// ([`UnverifiedJwt::lookup`](super::UnverifiedJwt::lookup)).
///
/// No record is the same as the default one: nothing is known against the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenRecord {
    /// The token or its session was ended for good.
    pub revoked: bool,
    /// Its subject is suspended.
    pub suspended: bool,
    /// Everything issued to its subject before this time is revoked. So is a token that does not
    /// say when it was issued.
    pub not_before: Option<Timestamp>,
}

impl TokenRecord {
    /// Whether a token that was issued at this second may be used.
    pub(crate) fn admit(&self, issued_at: Option<u64>) -> Result<(), JwtError> {
        let too_old = |not_before: Timestamp| issued_at.is_none_or(|issued_at| issued_at < not_before.unix());
        if self.revoked || self.not_before.is_some_and(too_old) {
            return Err(JwtError::Revoked);
        }
        if self.suspended { Err(JwtError::Suspended) } else { Ok(()) }
    }
}
