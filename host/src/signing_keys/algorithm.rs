//! What tokens are signed with, and where a signing key stands.

use std::fmt;
use std::str::FromStr;

use crate::key::{UnknownName, names};

names! {
    /// What tokens are signed with: the names of JWS (RFC 7518, section 3.1; RFC 8037, section 3.1).
    SigningAlgorithm {
        /// Ed25519: small keys and signatures, the same signature for the same token.
        EdDsa = "EdDSA",
        /// ECDSA over P-256 with SHA-256.
        Es256 = "ES256",
        /// RSA PKCS #1 v1.5 with SHA-256, keys of 2048 bits: what every library can verify.
        Rs256 = "RS256",
        /// HMAC with SHA-256: whoever verifies can also sign. Only where a system asks for it.
        Hs256 = "HS256",
    }
}

impl SigningAlgorithm {
    /// Whether there is a public key that others can verify with.
    pub const fn has_public_key(self) -> bool {
        !matches!(self, SigningAlgorithm::Hs256)
    }
}

#[allow(clippy::derivable_impls, reason = "the list of names has no place for the attribute")]
impl Default for SigningAlgorithm {
    fn default() -> SigningAlgorithm {
        SigningAlgorithm::EdDsa
    }
}

names! {
    /// Where a signing key stands. It only ever moves forwards.
    SigningKeyState {
        /// In the key set, so that verifiers know it before it signs.
        Published = "published",
        /// It signs. A store has at most one such key.
        Active = "active",
        /// It signs no more; the tokens that it has signed are still valid.
        Retiring = "retiring",
        /// Its last token is dead: nothing that it has signed is accepted.
        Gone = "gone",
    }
}
