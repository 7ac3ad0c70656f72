//! A JWS whose signature alone is in question.

use core::fmt;

use super::LayoutError;
use super::bytes::{Buffer, Reader, Sink as _};
use super::message::MessageError;
use crate::jwt::{JwtError, MAX_TOKEN_LEN, TokenState, UnverifiedJws};
use crate::verdict::Code;

/// A JWS as a host asks for its signature.
#[derive(Clone, Copy)]
pub struct JwsMessage<'a> {
    /// The name of the issuer whose keys and algorithms count.
    pub issuer: &'a str,
    /// The JWS in its compact form.
    pub jws: &'a [u8],
}

/// Says how long the JWS is, never what it is.
impl fmt::Debug for JwsMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwsMessage").field("issuer", &self.issuer).field("jws_len", &self.jws.len()).finish()
    }
}

impl JwsMessage<'_> {
    /// Writes the message into a buffer and says how long it is.
    ///
    /// # Errors
    /// [`LayoutError`] when it does not fit.
    pub fn write_to(&self, buffer: &mut [u8]) -> Result<usize, LayoutError> {
        let mut buffer = Buffer::new(buffer);
        buffer.put_u16(u16::try_from(self.issuer.len()).map_err(|_| LayoutError)?)?;
        buffer.put(self.issuer.as_bytes())?;
        // One byte more than is looked at is enough to say `malformed`.
        let longest = MAX_TOKEN_LEN.saturating_add(1);
        buffer.put(self.jws.get(..longest).unwrap_or(self.jws))?;
        Ok(buffer.len())
    }
}

/// Verifies the signature of a JWS by the keys and the algorithms of one issuer, and nothing else:
/// its payload is anything, and nothing is said of whom it is from, whom it is for, or when. `None`:
/// the signature is good. This is what the core module runs.
///
/// # Errors
/// [`MessageError::Length`] when the message itself is malformed. The JWS must then be treated as
/// denied.
///
/// ```
/// use keystile_validator::Code;
/// use keystile_validator::jwt::TokenState;
/// use keystile_validator::wire::{JwsMessage, check_jws};
/// let mut message = [0; 64];
/// let length = JwsMessage { issuer: "me", jws: b"eyJhbGciOiJIUzI1NiJ9.aGk.AAAA" }.write_to(&mut message)?;
/// assert_eq!(check_jws(&message[..length], &TokenState::default())?, Some(Code::UnknownIssuer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_jws(message: &[u8], state: &TokenState) -> Result<Option<Code>, MessageError> {
    let mut reader = Reader::new(message);
    let name = reader.u16().and_then(|length| reader.take(usize::from(length))).map_err(|_| MessageError::Length)?;
    let issuer = str::from_utf8(name).ok().and_then(|name| state.issuers.get(name));
    let verified = match issuer {
        Some(issuer) => {
            UnverifiedJws::parse(reader.rest()).and_then(|jws| jws.verify(issuer.keys(), &issuer.settings().algorithms))
        }
        None => Err(JwtError::UnknownIssuer),
    };
    Ok(verified.err().map(|error| error.code()))
}
