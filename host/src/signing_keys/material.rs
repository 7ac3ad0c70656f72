//! The key itself: made and used by AWS-LC, through `jsonwebtoken`.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SigningAlgorithm;

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

    /// What `jsonwebtoken` signs with. It wipes its copy.
    pub(crate) fn encoding_key(&self) -> EncodingKey {
        match self.algorithm {
            SigningAlgorithm::EdDsa => EncodingKey::from_ed_der(&self.private),
            SigningAlgorithm::Es256 => EncodingKey::from_ec_der(&self.private),
            SigningAlgorithm::Rs256 => EncodingKey::from_rsa_der(&self.private),
            SigningAlgorithm::Hs256 => EncodingKey::from_secret(&self.private),
        }
    }

    /// The public key as RFC 7638 hashes it: a JWK of its required members only, in their order,
    /// without white space. `None` for HMAC.
    pub(crate) fn public_key(&self) -> Result<Option<String>, BadKey> {
        if !self.algorithm.has_public_key() {
            return Ok(None);
        }
        let jwk = Jwk::from_encoding_key(&self.encoding_key(), jws_algorithm(self.algorithm)).map_err(|_| BadKey)?;
        // The values are base64url: none of them has a character that JSON escapes.
        match jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                Ok(Some(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, okp.x)))
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Ok(Some(format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, ec.x, ec.y)))
            }
            AlgorithmParameters::RSA(rsa) => Ok(Some(format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, rsa.e, rsa.n))),
            _ => Err(BadKey),
        }
    }

    /// A key that cannot verify what it signs must never sign a token.
    fn try_out(&self) -> Result<(), BadKey> {
        const MESSAGE: &[u8] = b"keystile signing key";
        let algorithm = jws_algorithm(self.algorithm);
        let signature = jsonwebtoken::crypto::sign(MESSAGE, &self.encoding_key(), algorithm).map_err(|_| BadKey)?;
        let verifies = match self.public_key()? {
            Some(public_key) => decoding_key(&public_key)?,
            None => DecodingKey::from_secret(&self.private),
        };
        match jsonwebtoken::crypto::verify(&signature, MESSAGE, &verifies, algorithm) {
            Ok(true) => Ok(()),
            _ => Err(BadKey),
        }
    }
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

/// What `jsonwebtoken` verifies with, from a public JWK.
fn decoding_key(public_key: &str) -> Result<DecodingKey, BadKey> {
    let jwk: Jwk = serde_json::from_str(public_key).map_err(|_| BadKey)?;
    DecodingKey::from_jwk(&jwk).map_err(|_| BadKey)
}

/// The algorithm as `jsonwebtoken` names it.
pub(crate) fn jws_algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Hs256 => Algorithm::HS256,
    }
}

/// The `RSAPrivateKey` (RFC 8017, appendix A.1.2) inside of a `PrivateKeyInfo` (RFC 5208, section 5).
/// AWS-LC writes the one, `jsonwebtoken` reads the other. A key of 2048 bits gives every length two
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
/// Bytes of an HMAC secret: as long as the hash (RFC 7518, section 3.2).
const HMAC_SECRET_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

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
