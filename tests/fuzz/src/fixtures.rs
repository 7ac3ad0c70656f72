//! The issuers, keys and formats that the targets and the corpus share. The keys are published: they
//! prove nothing.

use std::cell::RefCell;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto};
use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings, Issuers, TokenCache, TokenState};
use keystile_validator::{KeyFormat, Request, Timestamp};

#[path = "../../../validator/src/jwt/tests/keys.rs"]
#[allow(dead_code, reason = "the validator's tests need more of them")]
mod keys;

/// The time of every target.
pub const NOW: u64 = 1_800_000_000;
/// An issuer with a public key of every family.
pub const ISSUER: &str = "https://id.example";
/// An issuer that signs with [`SECRET`].
pub const HMAC_ISSUER: &str = "https://hmac.example";
/// Whom the tokens of both are for.
pub const AUDIENCE: &str = "api";
/// The secret of [`HMAC_ISSUER`].
pub const SECRET: &[u8; 64] = b"0123456789abcdef0123456789ABCDEF-123456789abcdef0123456789ABCDE-";

const ASYMMETRIC: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
];
const HMAC: &[Algorithm] = &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

/// A request at [`NOW`] that asks for nothing in particular.
#[must_use]
pub fn request() -> Request {
    Request::at(Timestamp::from_unix(NOW).unwrap_or(Timestamp::MAX))
}

/// The key formats in force: one with every choice made one way, one with every choice made the other.
///
/// # Panics
/// Never: both are formats.
#[must_use]
pub fn formats() -> Vec<KeyFormat> {
    use keystile_validator::{Checksum, Environment, Separator};
    let environments = vec![Environment::new("live").unwrap(), Environment::new("test_dev").unwrap()];
    let other = KeyFormat::new("cp_x", Separator::Dot, environments, 22, Checksum::None);
    vec![KeyFormat::with_defaults("hx").unwrap(), other.unwrap()]
}

/// Both issuers.
///
/// # Panics
/// Never: both are issuers.
pub fn issuers() -> &'static Issuers {
    static ISSUERS: OnceLock<Issuers> = OnceLock::new();
    ISSUERS.get_or_init(|| {
        let mut issuers = Issuers::default();
        for (name, algorithms, secrets) in [(ISSUER, ASYMMETRIC, false), (HMAC_ISSUER, HMAC, true)] {
            issuers
                .put(Issuer::new(settings(name, algorithms, secrets), key_set(secrets).as_bytes()).unwrap())
                .unwrap();
        }
        issuers
    })
}

/// Runs something with a state that knows both issuers and remembers no token yet.
///
/// # Panics
/// Never: both are issuers.
pub fn with_state<T>(run: impl FnOnce(&mut TokenState) -> T) -> T {
    thread_local! {
        static STATE: RefCell<TokenState> = RefCell::new({
            let mut state = TokenState::default();
            for issuer in issuers().iter() {
                state.issuers.put(Issuer::from_json(issuer.to_json().as_bytes()).unwrap()).unwrap();
            }
            state
        });
    }
    STATE.with_borrow_mut(|state| {
        state.cache = TokenCache::new(16, 65_536);
        run(state)
    })
}

/// Settings without tables, which take long to build.
fn settings(name: &str, algorithms: &[Algorithm], secrets: bool) -> IssuerSettings {
    let mut settings = IssuerSettings::new(name, algorithms);
    settings.audiences.push(AUDIENCE.into());
    settings.claims.roles = Some("/realm_access/roles".into());
    settings.tables = false;
    settings.secrets = secrets;
    settings
}

/// The key set of an issuer: the secret, or a public key of every family.
#[must_use]
pub fn key_set(secrets: bool) -> String {
    let algorithms: &[Algorithm] = if secrets {
        &[Algorithm::Hs256]
    } else {
        &[Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]
    };
    let keys: Vec<String> = algorithms.iter().map(|algorithm| jwk(*algorithm)).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// The JWK for an algorithm.
#[must_use]
pub fn jwk(algorithm: Algorithm) -> String {
    let key_id = key_id(algorithm);
    let members = match key_id {
        "hmac" => format!(r#""kty":"oct","k":"{}""#, base64url(SECRET)),
        "p256" => keys::P256_JWK.to_owned(),
        "p384" => keys::P384_JWK.to_owned(),
        "ed25519" => keys::ED25519_JWK.to_owned(),
        _ => keys::RSA_JWK.to_owned(),
    };
    format!(r#"{{"kid":"{key_id}",{members}}}"#)
}

/// The name of the key for an algorithm.
#[must_use]
pub fn key_id(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => "hmac",
        Algorithm::Es256 => "p256",
        Algorithm::Es384 => "p384",
        Algorithm::EdDsa | Algorithm::Ed25519 => "ed25519",
        _ => "rsa",
    }
}

/// A header that names an algorithm and its key.
#[must_use]
pub fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"alg":"{algorithm}","kid":"{}"}}"#, key_id(algorithm))
}

/// Claims of a good token of the issuer that signs with this algorithm.
#[must_use]
pub fn claims(algorithm: Algorithm) -> String {
    let issuer = if HMAC.contains(&algorithm) { HMAC_ISSUER } else { ISSUER };
    format!(
        r#"{{"iss":"{issuer}","aud":"{AUDIENCE}","sub":"usr_1","iat":{},"exp":{},"jti":"t1"}}"#,
        NOW - 10,
        NOW + 300
    )
}

/// Header and payload, whatever they are, as a signed token.
///
/// # Panics
/// When the signature cannot be made, which is the signer's fault.
#[must_use]
pub fn sign(algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    let key = match key_id(algorithm) {
        "hmac" => Ok(EncodingKey::from_secret(SECRET)),
        "p256" => EncodingKey::from_ec_pem(keys::P256_PEM.as_bytes()),
        "p384" => EncodingKey::from_ec_pem(keys::P384_PEM.as_bytes()),
        "ed25519" => EncodingKey::from_ed_pem(keys::ED25519_PEM.as_bytes()),
        _ => EncodingKey::from_rsa_pem(keys::RSA_PEM.as_bytes()),
    };
    let signed = format!("{}.{}", base64url(header), base64url(payload));
    let signature = crypto::sign(signed.as_bytes(), &key.unwrap(), oracle_algorithm(algorithm)).unwrap();
    format!("{signed}.{signature}")
}

/// The same algorithm as the oracle names it: Ed25519 has one name there.
pub(crate) fn oracle_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    let name = if algorithm == Algorithm::Ed25519 { "EdDSA" } else { algorithm.as_str() };
    name.parse().unwrap()
}

/// Bytes in base64url, without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What this is in base64url, by an independent reader that takes nothing but the one right form.
pub(crate) fn from_base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
