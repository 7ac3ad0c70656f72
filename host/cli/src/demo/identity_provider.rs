//! An identity provider for the story: it signs tokens as Clerk does, and publishes its keys over
//! HTTP on a loopback address.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile::Secret;
use serde_json::{Value, json};

use super::loopback::LoopbackServer;
use crate::failure::{Exit, Failure, PAIR};

/// A provider that is up until it is dropped.
pub(super) struct IdentityProvider {
    key: RsaKeyPair,
    server: LoopbackServer,
}

impl IdentityProvider {
    /// The `iss` of its tokens.
    pub(super) const ISSUER: &str = "https://clerk.example.com";

    /// Makes a key, and serves its public half.
    pub(super) fn start() -> Result<IdentityProvider, Failure> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("no RSA key could be made"))?;
        let public = key.public_key();
        let (n, e) =
            (public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero());
        let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        let jwk = json!({ "kty": "RSA", "n": n, "e": e, "kid": KID, "alg": "RS256", "use": "sig" });
        let body = json!({ "keys": [jwk] }).to_string();
        let server = LoopbackServer::start(move |_| (200, body.clone()))
            .map_err(|error| failed(&format!("no loopback port: {error}")))?;
        Ok(IdentityProvider { key, server })
    }

    /// Where its keys are.
    pub(super) fn jwks_url(&self) -> String {
        self.server.url("/.well-known/jwks.json")
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<Secret, Failure> {
        let header = json!({ "alg": "RS256", "kid": KID, "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| failed("a token could not be signed"))?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(Secret::from(token))
    }
}

fn failed(what: &str) -> Failure {
    Failure::new(Exit::CannotSay, "system", format!("{what}{PAIR}the demo cannot show this part; run it again"))
}

/// What its tokens name its key by.
const KID: &str = "ins_2abc";
