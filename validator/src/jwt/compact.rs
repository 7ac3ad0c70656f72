//! The compact form of a JWS (RFC 7515, section 7.1): three segments between two dots.

use alloc::vec::Vec;

use memchr::memchr_iter;

use super::base64url;
use super::error::{JwtError, Part};

/// Longest token that is looked at, in bytes, whatever an issuer allows.
pub const MAX_TOKEN_LEN: usize = 65_536;

/// Whether this has the outer form of a compact JWS: three segments between two dots. Cheap, and
/// says nothing of what is in them.
///
/// ```
/// use keystile_validator::jwt::looks_like_jws;
/// assert!(looks_like_jws(b"e30.e30.AA"));
/// assert!(!looks_like_jws(b"hx_live_0123456789"));
/// ```
pub fn looks_like_jws(credential: &[u8]) -> bool {
    // Nothing looks further: what is longer is no token.
    let looked_at = credential.get(..=MAX_TOKEN_LEN).unwrap_or(credential);
    memchr_iter(b'.', looked_at).take(3).count() == 2
}

/// The three segments, and what the signature is made over.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    /// Header and payload as they stand, with the dot between them.
    pub(crate) signed: &'a [u8],
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Takes a token apart. No more than five dots are ever looked for.
    ///
    /// # Errors
    /// [`JwtError::TooLong`], [`JwtError::Encrypted`], [`JwtError::NoToken`].
    pub(crate) fn split(token: &'a [u8]) -> Result<Compact<'a>, JwtError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(JwtError::TooLong { limit: MAX_TOKEN_LEN });
        }
        let mut dots = memchr_iter(b'.', token);
        let (Some(first), Some(second)) = (dots.next(), dots.next()) else {
            return Err(JwtError::NoToken);
        };
        match dots.take(3).count() {
            0 => {}
            2 => return Err(JwtError::Encrypted),
            _ => return Err(JwtError::NoToken),
        }
        let (signed, signature) = token.split_at_checked(second).ok_or(JwtError::NoToken)?;
        let (header, payload) = signed.split_at_checked(first).ok_or(JwtError::NoToken)?;
        let behind_dot = |segment: &'a [u8]| segment.split_first().map_or(&[][..], |(_, rest)| rest);
        Ok(Compact { signed, header, payload: behind_dot(payload), signature: behind_dot(signature) })
    }

    /// The bytes of the header.
    pub(crate) fn header(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.header, Part::Header)
    }

    /// The bytes of the payload.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.payload, Part::Payload)
    }

    /// The bytes of the signature.
    pub(crate) fn signature(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.signature, Part::Signature)
    }

    /// The signature as it stands.
    pub(crate) fn signature_text(&self) -> &'a [u8] {
        self.signature
    }

    /// Length of the whole token.
    pub(crate) fn len(&self) -> usize {
        self.signed.len().saturating_add(self.signature.len()).saturating_add(1)
    }
}

fn decode(segment: &[u8], part: Part) -> Result<Vec<u8>, JwtError> {
    base64url::decode(segment).map_err(|_| JwtError::Base64 { part })
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn the_longest_token_is_looked_at_and_no_longer_one() {
        let mut token = vec![b'A'; MAX_TOKEN_LEN];
        (token[1], token[2]) = (b'.', b'.');
        assert!(Compact::split(&token).is_ok_and(|compact| compact.len() == MAX_TOKEN_LEN));
        token.push(b'A');
        assert_eq!(Compact::split(&token).err(), Some(JwtError::TooLong { limit: MAX_TOKEN_LEN }));
    }
}
