//! Tokens signed anew, with secrets that are long enough.

use hmac::{Hmac, KeyInit as _, Mac as _};
use keystile_validator::jwt::Algorithm;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::vectors::support::to_base64url;

/// The issuer of a token that names none.
pub(crate) const ISSUER: &str = "https://id.example";
/// What tokens are signed with that are signed well.
pub(crate) const SECRET: &[u8] = b"a secret of 64 bytes, which is as long as the longest hash is...";
/// What tokens are signed with that are not.
pub(crate) const OTHER_SECRET: &[u8] = b"another secret of 64 bytes, with which nothing is ever verified.";

/// A token with this header and payload. The algorithm is one of HMAC.
pub(crate) fn sign(algorithm: Algorithm, secret: &[u8], header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", to_base64url(header), to_base64url(payload));
    let tag = tag(algorithm, secret, &signed).unwrap();
    format!("{signed}.{}", to_base64url(&tag))
}

/// The tag of a JWS; `None`: the algorithm makes none.
pub(crate) fn tag(algorithm: Algorithm, secret: &[u8], signed: &str) -> Option<Vec<u8>> {
    macro_rules! tag {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(secret).unwrap().chain_update(signed).finalize().into_bytes().to_vec()
        };
    }
    match algorithm {
        Algorithm::Hs256 => Some(tag!(Sha256)),
        Algorithm::Hs384 => Some(tag!(Sha384)),
        Algorithm::Hs512 => Some(tag!(Sha512)),
        _ => None,
    }
}

pub(crate) fn secret_jwk(secret: &[u8]) -> Value {
    json!({"kty": "oct", "k": to_base64url(secret)})
}
