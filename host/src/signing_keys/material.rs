//! The key itself: made and used by AWS-LC.
//!
//! Nothing between: `jsonwebtoken` asks a default of the whole process which cryptography to use, and panics when
//! two of its features are on and nobody has chosen. Any other dependency of an embedder can turn one on.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SigningAlgorithm;
use crate::secret::Secret;

/// A signing key with its private part.
pub(crate) struct KeyMaterial {
    algorithm: SigningAlgorithm,
    /// PKCS #8 for EdDSA and ES256, PKCS #1 for RS256, the bare secret for HS256.
    private: Zeroizing<Vec<u8>>,
}

/// The key does not work: it is not of its algorithm, or the cryptography failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadKey;

impl KeyMaterial {
    /// A new key, tried out once.
    pub(crate) fn generate(algorithm: SigningAlgorithm) -> Result<KeyMaterial, BadKey> {
        let private = match algorithm {
            SigningAlgorithm::EdDsa => {
                let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(|_| BadKey)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                let document = pair.and_then(|pair| pair.to_pkcs8v1()).map_err(|_| BadKey)?;
                Zeroizing::new(document.as_ref().to_vec())
            }
            SigningAlgorithm::Rs256 => {
                let document = RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der());
                let document = document.map_err(|_| BadKey)?;
                Zeroizing::new(inner_rsa_key(document.as_ref()).ok_or(BadKey)?.to_vec())
            }
            SigningAlgorithm::Hs256 => {
                let mut secret = Zeroizing::new(vec![0; HMAC_SECRET_LEN]);
                getrandom::fill(&mut secret).map_err(|_| BadKey)?;
                secret
            }
        };
        let material = KeyMaterial { algorithm, private };
        material.try_out()?;
        Ok(material)
    }

    /// A key as it was sealed.
    pub(crate) fn from_private(algorithm: SigningAlgorithm, private: Zeroizing<Vec<u8>>) -> KeyMaterial {
        KeyMaterial { algorithm, private }
    }

    /// What is sealed of it.
    pub(crate) fn expose_private(&self) -> &[u8] {
        &self.private
    }

    /// The public key as RFC 7638 hashes it: a JWK of its required members only, in their order,
    /// without white space. `None` for HMAC.
    pub(crate) fn public_key(&self) -> Result<Option<String>, BadKey> {
        // The values are base64url: none of them has a character that JSON escapes.
        Ok(Some(match self.pair()? {
            Pair::EdDsa(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key());
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
            Pair::Es256(pair) => {
                // SEC 1, section 2.3.3: a byte that says "not compressed", then both coordinates.
                let point = pair.public_key().as_ref().strip_prefix(&[4]).ok_or(BadKey)?;
                let (x, y) = point.split_at_checked(P256_COORDINATE).ok_or(BadKey)?;
                let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Pair::Rs256(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref()).ok_or(BadKey)?;
                let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Pair::Hs256(_) => return Ok(None),
        }))
    }

    /// Signs claims: a JWS in its compact form (RFC 7515, section 7.1).
    pub(crate) fn sign_claims(
        &self,
        token_type: Option<&str>,
        kid: &str,
        claims: &impl Serialize,
    ) -> Result<Secret, BadKey> {
        let header = Header { typ: token_type, alg: self.algorithm.as_str(), kid };
        let header = serde_json::to_vec(&header).map_err(|_| BadKey)?;
        let claims = serde_json::to_vec(claims).map_err(|_| BadKey)?;
        // Of its final size from the start: growing would leave parts of a token behind.
        let room = base64_len(header.len()) + base64_len(claims.len()) + base64_len(LONGEST_SIGNATURE) + 2;
        let mut token = Zeroizing::new(String::with_capacity(room));
        URL_SAFE_NO_PAD.encode_string(&header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&claims, &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(Secret::from(std::mem::take(&mut *token)))
    }

    /// The signature over a message, as a JWS has it.
    fn sign(&self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadKey> {
        let random = SystemRandom::new();
        let signature = match self.pair()? {
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Es256(pair) => pair.sign(&random, message).map_err(|_| BadKey)?.as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| BadKey)?;
                signature
            }
            Pair::Hs256(key) => hmac::sign(&key, message).as_ref().to_vec(),
        };
        Ok(Zeroizing::new(signature))
    }

    /// A key that cannot verify what it signs must never sign a token.
    fn try_out(&self) -> Result<(), BadKey> {
        const MESSAGE: &[u8] = b"keystile signing key";
        let signature = self.sign(MESSAGE)?;
        let verifies = |algorithm: &'static dyn VerificationAlgorithm, public_key: &[u8]| {
            UnparsedPublicKey::new(algorithm, public_key).verify(MESSAGE, &signature)
        };
        let verified = match self.pair()? {
            Pair::EdDsa(pair) => verifies(&ED25519, pair.public_key().as_ref()),
            Pair::Es256(pair) => verifies(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()),
            Pair::Rs256(pair) => verifies(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
            Pair::Hs256(key) => hmac::verify(&key, MESSAGE, &signature),
        };
        verified.map_err(|_| BadKey)
    }

    /// The key as AWS-LC holds it, which wipes it.
    fn pair(&self) -> Result<Pair, BadKey> {
        let private = self.private.as_slice();
        // Its errors are about the key, and are not passed on.
        Ok(match self.algorithm {
            SigningAlgorithm::EdDsa => Pair::EdDsa(Ed25519KeyPair::from_pkcs8(private).map_err(|_| BadKey)?),
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private);
                Pair::Es256(pair.map_err(|_| BadKey)?)
            }
            SigningAlgorithm::Rs256 => Pair::Rs256(Box::new(RsaKeyPair::from_der(private).map_err(|_| BadKey)?)),
            SigningAlgorithm::Hs256 => Pair::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, private))),
        })
    }
}

/// A key as AWS-LC holds it.
enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
    Hs256(Box<hmac::Key>),
}

/// The JOSE header of what is signed here (RFC 7515, section 4).
#[derive(Serialize)]
struct Header<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
    alg: &'static str,
    kid: &'a str,
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMaterial").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The SHA-256 thumbprint of a public key in the form of [`KeyMaterial::public_key`] (RFC 7638,
/// section 3), in base64url.
pub(crate) fn thumbprint(public_key: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(public_key.as_bytes()))
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017, appendix A.1.1), big-endian and without leading zeros: a
/// sequence of two integers, of a key of 2048 bits.
fn rsa_numbers(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = public_key.strip_prefix(&[0x30, 0x82])?.split_first_chunk::<2>()?;
    // An integer whose first bit is set has a zero before it.
    let rest = rest.strip_prefix(&[0x02, 0x82, 0x01, 0x01, 0x00])?;
    let (modulus, rest) = rest.split_at_checked(RSA_MODULUS)?;
    let (len, exponent) = rest.strip_prefix(&[0x02])?.split_first()?;
    (usize::from(*len) == exponent.len()).then_some((modulus, exponent))
}

/// Characters of so many bytes in base64 without padding (RFC 4648, section 4).
fn base64_len(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// The `RSAPrivateKey` (RFC 8017, appendix A.1.2) inside of a `PrivateKeyInfo` (RFC 5208, section 5).
/// The one is what AWS-LC writes, the other what lies sealed in stores. A key of 2048 bits gives every length two
/// bytes.
fn inner_rsa_key(pkcs8: &[u8]) -> Option<&[u8]> {
    let (_, rest) = pkcs8.strip_prefix(&[0x30, 0x82])?.split_first_chunk::<2>()?;
    let (_, rest) =
        rest.strip_prefix(RSA_VERSION_AND_ALGORITHM)?.strip_prefix(&[0x04, 0x82])?.split_first_chunk::<2>()?;
    rest.starts_with(&[0x30, 0x82]).then_some(rest)
}

/// `INTEGER 0`, then the sequence of `rsaEncryption` (1.2.840.113549.1.1.1) and `NULL`, in DER.
const RSA_VERSION_AND_ALGORITHM: &[u8] =
    &[0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// Bytes of a coordinate of a point on P-256.
const P256_COORDINATE: usize = 32;
/// Bytes of the modulus of an RSA key of 2048 bits.
const RSA_MODULUS: usize = 256;
/// Bytes of the longest signature: that of RSA is as long as the modulus.
const LONGEST_SIGNATURE: usize = RSA_MODULUS;
/// Bytes of an HMAC secret: as long as the hash (RFC 7518, section 3.2).
const HMAC_SECRET_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    use super::*;

    /// What is signed here, `jsonwebtoken` verifies, by the public key alone.
    #[test]
    fn tokens_of_every_algorithm_are_verified_by_another_implementation() {
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            let made = KeyMaterial::generate(algorithm).unwrap();
            let key = match made.public_key().unwrap() {
                Some(jwk) => DecodingKey::from_jwk(&serde_json::from_str(&jwk).unwrap()).unwrap(),
                None => DecodingKey::from_secret(made.expose_private()),
            };
            let claims = serde_json::json!({ "exp": 4_000_000_000_u64, "sub": "ada" });
            let token = made.sign_claims(Some("at+jwt"), "key \"1\"", &claims).unwrap();
            let mut validation = Validation::new(algorithm.as_str().parse::<Algorithm>().unwrap());
            validation.validate_aud = false;
            let verified = jsonwebtoken::decode::<serde_json::Value>(token.expose_secret(), &key, &validation).unwrap();
            assert_eq!(verified.claims, claims);
            assert_eq!(verified.header.typ.as_deref(), Some("at+jwt"));
            assert_eq!(verified.header.kid.as_deref(), Some("key \"1\""));
            let other = KeyMaterial::generate(algorithm).unwrap().sign_claims(None, "1", &claims).unwrap();
            assert!(jsonwebtoken::decode::<serde_json::Value>(other.expose_secret(), &key, &validation).is_err());
        }
    }

    #[test]
    fn keys_of_every_algorithm_are_made_and_read_back() {
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            let made = KeyMaterial::generate(algorithm).unwrap();
            let again = KeyMaterial::from_private(algorithm, Zeroizing::new(made.expose_private().to_vec()));
            again.try_out().unwrap();
            assert_eq!(again.public_key(), made.public_key());
            assert_eq!(made.public_key().unwrap().is_some(), algorithm.has_public_key());
            let other = KeyMaterial::generate(algorithm).unwrap();
            assert_ne!(other.expose_private(), made.expose_private());
        }
    }

    #[test]
    fn a_key_of_another_algorithm_does_not_work() {
        for (made, used) in [
            (SigningAlgorithm::EdDsa, SigningAlgorithm::Es256),
            (SigningAlgorithm::Es256, SigningAlgorithm::EdDsa),
            (SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa),
            (SigningAlgorithm::Hs256, SigningAlgorithm::Rs256),
        ] {
            let private = KeyMaterial::generate(made).unwrap().expose_private().to_vec();
            let wrong = KeyMaterial::from_private(used, Zeroizing::new(private));
            assert_eq!(wrong.public_key(), Err(BadKey), "{made} as {used}");
        }
    }

    /// RFC 7638, section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZC\
                         iFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZg\
                         nYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw\
                         0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let public_key = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{N}"}}"#);
        assert_eq!(thumbprint(&public_key), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// `jsonwebtoken` computes thumbprints of its own.
    #[test]
    fn thumbprints_are_those_of_another_implementation() {
        for algorithm in SigningAlgorithm::ALL.iter().copied().filter(|algorithm| algorithm.has_public_key()) {
            let public_key = KeyMaterial::generate(algorithm).unwrap().public_key().unwrap().unwrap();
            let jwk: Jwk = serde_json::from_str(&public_key).unwrap();
            let theirs = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
            assert_eq!(thumbprint(&public_key), theirs, "{algorithm}");
        }
    }

    #[test]
    fn a_private_key_is_never_printed() {
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            let made = KeyMaterial::generate(algorithm).unwrap();
            let printed = format!("{made:?}");
            assert_eq!(printed, format!("KeyMaterial {{ algorithm: {algorithm:?}, .. }}"));
        }
    }
}
