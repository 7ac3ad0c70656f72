//! HMAC (RFC 2104), as JWS has it (RFC 7518, section 3.2).

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{BadSignature, KeyError};
use crate::jwt::Algorithm;

/// Shortest secret in bytes: as long as the shortest hash (RFC 7518, section 3.2).
pub const MIN_HMAC_SECRET_LEN: usize = 32;

/// Longest secret in bytes. Longer than any block of the hashes, it adds nothing.
pub const MAX_HMAC_SECRET_LEN: usize = 1024;

/// A shared secret. It is wiped when it is dropped.
pub(super) struct HmacKey {
    secret: Zeroizing<Vec<u8>>,
    states: Option<States>,
}

/// The hashes after their first block, which is the secret. `sha2` wipes its states when dropped.
struct States {
    sha256: Hmac<Sha256>,
    sha384: Hmac<Sha384>,
    sha512: Hmac<Sha512>,
}

impl HmacKey {
    /// A key from a secret that is long enough, and no asymmetric key as text.
    pub(super) fn new(secret: &[u8]) -> Result<HmacKey, KeyError> {
        // First: what is wrong with a public key is not its length.
        if is_key_text(secret) {
            return Err(KeyError::SecretIsKeyText);
        }
        if secret.len() < MIN_HMAC_SECRET_LEN {
            return Err(KeyError::SecretTooShort { length: secret.len() });
        }
        if secret.len() > MAX_HMAC_SECRET_LEN {
            return Err(KeyError::SecretTooLong { length: secret.len() });
        }
        Ok(HmacKey { secret: Zeroizing::new(secret.to_vec()), states: None })
    }

    /// Whether the secret is at least as long as the hash of this algorithm.
    pub(super) fn supports(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Hs256 => self.secret.len() >= 32,
            Algorithm::Hs384 => self.secret.len() >= 48,
            Algorithm::Hs512 => self.secret.len() >= 64,
            _ => false,
        }
    }

    /// Hashes the secret once, instead of with every token.
    pub(super) fn prepare(&mut self) {
        if self.states.is_none() {
            self.states = States::new(&self.secret);
        }
    }

    /// Bytes that the prepared states take.
    pub(super) fn table_bytes(&self) -> usize {
        self.states.as_ref().map_or(0, size_of_val)
    }

    /// Verifies a tag of the full length of the hash, in constant time.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], tag: &[u8]) -> Result<(), BadSignature> {
        macro_rules! verify {
            ($field:ident, $hash:ty) => {{
                let mac = match &self.states {
                    Some(states) => states.$field.clone(),
                    None => Hmac::<$hash>::new_from_slice(&self.secret).map_err(|_| BadSignature)?,
                };
                mac.chain_update(message).verify_slice(tag).map_err(|_| BadSignature)
            }};
        }
        match algorithm {
            Algorithm::Hs256 => verify!(sha256, Sha256),
            Algorithm::Hs384 => verify!(sha384, Sha384),
            Algorithm::Hs512 => verify!(sha512, Sha512),
            _ => Err(BadSignature),
        }
    }
}

impl States {
    fn new(secret: &[u8]) -> Option<States> {
        Some(States {
            sha256: Hmac::new_from_slice(secret).ok()?,
            sha384: Hmac::new_from_slice(secret).ok()?,
            sha512: Hmac::new_from_slice(secret).ok()?,
        })
    }
}

/// Whether this is a key as text: a PEM (RFC 7468) anywhere in it, an OpenSSH public key, or a JWK or
/// a set of them. Such a text is public, or it holds the secret instead of being it; a token made with
/// a public text as a secret is a forgery.
fn is_key_text(secret: &[u8]) -> bool {
    let start = secret.trim_ascii_start();
    secret.windows(PEM.len()).any(|part| part == PEM)
        || OPENSSH.iter().any(|prefix| start.starts_with(prefix))
        || (start.starts_with(b"{") && secret.windows(JWK.len()).any(|part| part == JWK))
}

const PEM: &[u8] = b"-----BEGIN ";
const JWK: &[u8] = b"\"kty\"";
const OPENSSH: &[&[u8]] = &[b"ssh-rsa ", b"ssh-ed25519 ", b"ssh-dss ", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];
