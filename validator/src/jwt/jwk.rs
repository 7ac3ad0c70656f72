//! Keys in JSON: JWK and JWK Sets (RFC 7517), RSA and EC keys and secrets (RFC 7518, section 6),
//! Ed25519 keys (RFC 8037, section 2).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::base64url;
use super::error::JwtError;
use super::header::MAX_KEY_ID_LEN;
use super::json::{JsonError, SecretJson, Value, write_string};
use super::verifying_key::{BaseTables, KeyError, SmallExponent, VerifyingKey};

/// Longest text of a key set, in bytes.
pub const MAX_KEY_SET_LEN: usize = 196_608;
/// Most keys in a key set, those counted that are skipped.
pub const MAX_KEYS: usize = 64;
/// Most keys of a set that get tables: the first ones. Building those of 64 keys took a good part of a
/// second; more than a few are never in use at once.
pub const MAX_KEYS_WITH_TABLES: usize = 16;

/// Which keys of a set may be used at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// Whether shared secrets (`oct`) are keys. Only for sets that nobody else can read: never for
    /// one that was fetched.
    pub secrets: bool,
    /// Whether they are keys beside public ones too. Only for sets that a host has made itself: one with
    /// public keys is mostly one that is published.
    pub mixed: bool,
    /// Whether an RSA key may have the public exponent 3.
    pub small_exponent: SmallExponent,
}

/// Keys that verify signatures, each with the name and the algorithm it is for.
///
/// One bad key does not spoil the set: it is left out, and [`KeySet::problems`] says why. Keys of
/// the same `kid` are all left out, since nobody could tell which one is meant; and shared secrets
/// are, where they stand beside public keys, since a set with public keys is one that is published,
/// unless [`KeyRules::mixed`] says otherwise.
///
/// ```
/// use keystile_validator::jwt::{KeyRules, KeySet};
/// let jwks = br#"{"keys": [
///     {"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kty": "OKP", "crv": "Ed448", "kid": "2", "x": "AAAA"}
/// ]}"#;
/// let keys = KeySet::from_jwks(jwks, KeyRules::default())?;
/// assert_eq!((keys.len(), keys.problems().len()), (1, 1));
/// # Ok::<(), keystile_validator::jwt::KeySetError>(())
/// ```
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<SigningKey>,
    problems: Vec<KeyProblem>,
    /// The set is one key that was chosen by hand, so that a token may name it or not.
    chosen: bool,
}

#[derive(Debug)]
struct SigningKey {
    key_id: Option<String>,
    algorithm: Option<Algorithm>,
    key: VerifyingKey,
}

impl SigningKey {
    /// Whether signatures of this algorithm are made with this key. One key, one algorithm, where
    /// the set names it (RFC 8725, section 3.1).
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.key.supports(algorithm)
    }
}

impl KeySet {
    /// The keys of a JWK Set.
    ///
    /// # Errors
    /// [`KeySetError`] when the text as a whole is no key set, or has more keys than
    /// [`MAX_KEYS`].
    pub fn from_jwks(text: &[u8], rules: KeyRules) -> Result<KeySet, KeySetError> {
        KeySet::from_value(read(text)?.root(), rules)
    }

    /// The key of one JWK. A token may have another `kid` only when the JWK has none.
    ///
    /// # Errors
    /// [`KeySetError`] when the text is not a JWK, or the key cannot be used.
    pub fn from_jwk(text: &[u8], rules: KeyRules) -> Result<KeySet, KeySetError> {
        KeySet::from_chosen(read(text)?.root(), rules)
    }

    /// The key of one JWK that was read as JSON.
    pub(crate) fn from_chosen(jwk: Value<'_>, rules: KeyRules) -> Result<KeySet, KeySetError> {
        match read_key(jwk, rules) {
            Ok(key) => Ok(KeySet { keys: Vec::from([key]), problems: Vec::new(), chosen: true }),
            Err(reason) => Err(KeySetError::Key { reason }),
        }
    }

    /// The keys of a JWK Set that was read as JSON.
    pub(crate) fn from_value(set: Value<'_>, rules: KeyRules) -> Result<KeySet, KeySetError> {
        let Some(items) = set.member("keys").and_then(Value::items) else {
            return Err(KeySetError::NoKeys);
        };
        let count = items.clone().count();
        if count > MAX_KEYS {
            return Err(KeySetError::TooManyKeys { given: count });
        }
        let ids: Vec<Option<&str>> = items.clone().map(key_id).collect();
        let mixed = items.clone().any(is_secret) && items.clone().any(is_public);
        let mut set = KeySet { keys: Vec::with_capacity(count), problems: Vec::new(), chosen: false };
        for (index, item) in items.enumerate() {
            let id = key_id(item);
            let read = if id.is_some() && ids.iter().filter(|other| **other == id).count() > 1 {
                Err(KeyReason::DuplicateKeyId)
            } else if mixed && !rules.mixed && is_secret(item) {
                Err(KeyReason::SecretAmongPublicKeys)
            } else {
                read_key(item, rules)
            };
            match read {
                Ok(key) => set.keys.push(key),
                Err(reason) => {
                    let key_id = id.filter(|id| id.len() <= MAX_KEY_ID_LEN).map(String::from);
                    set.problems.push(KeyProblem { index, key_id, reason });
                }
            }
        }
        Ok(set)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it is one key that was chosen by hand.
    pub(crate) fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// The keys that cannot be used, and why.
    pub fn problems(&self) -> &[KeyProblem] {
        &self.problems
    }

    /// Bytes that the tables of these keys take up.
    pub fn table_bytes(&self) -> usize {
        self.keys.iter().fold(0, |sum: usize, key| sum.saturating_add(key.key.table_bytes()))
    }

    /// Builds the tables of the keys that can be asked for with these algorithms, one key after the
    /// other, until they take up so many bytes. The others work too, more slowly.
    pub(crate) fn prepare(&mut self, algorithms: &[Algorithm], bases: &mut BaseTables, max_bytes: usize) {
        let mut bytes = self.table_bytes();
        let fitting = self.keys.iter_mut().filter(|key| algorithms.iter().any(|algorithm| key.fits(*algorithm)));
        for key in fitting.take(MAX_KEYS_WITH_TABLES) {
            if bytes >= max_bytes {
                return;
            }
            key.key.prepare(bases);
            bytes = bytes.saturating_add(key.key.table_bytes());
        }
    }

    /// The key for a token: the one of its `kid`; without a `kid` the only one that fits.
    ///
    /// # Errors
    /// [`JwtError::UnknownSigningKey`], and [`JwtError::AlgorithmNotAllowed`] when the key is known
    /// and is not for this algorithm.
    pub(crate) fn choose(&self, key_id: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, JwtError> {
        let is_meant = |key: &&SigningKey| match (key_id, key.key_id.as_deref()) {
            (None, _) => self.chosen || key.fits(algorithm),
            (Some(_), None) => self.chosen,
            (Some(asked), Some(own)) => asked == own,
        };
        let mut meant = self.keys.iter().filter(is_meant);
        let (Some(key), None) = (meant.next(), meant.next()) else {
            return Err(JwtError::UnknownSigningKey);
        };
        if key.fits(algorithm) { Ok(&key.key) } else { Err(JwtError::AlgorithmNotAllowed) }
    }
}

/// The thumbprint of a public key (RFC 7638), with SHA-256, in base64url: a name that anybody can
/// compute from the key.
///
/// ```
/// let jwk = br#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// assert_eq!(keystile_validator::jwt::thumbprint(jwk)?, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), keystile_validator::jwt::KeySetError>(())
/// ```
///
/// # Errors
/// [`KeySetError`] when the text is not a JWK, or it is no public key of a type we know.
pub fn thumbprint(jwk: &[u8]) -> Result<String, KeySetError> {
    let json = read(jwk)?;
    let kty = required(json.root(), "kty").map_err(|reason| KeySetError::Key { reason })?;
    // In alphabetical order, as the hash is made over them.
    let members: &[&'static str] = match kty {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return Err(KeySetError::Key { reason: KeyReason::UnknownKeyType }),
    };
    let mut text = String::from("{");
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(member, &mut text);
        text.push(':');
        write_string(required(json.root(), member).map_err(|reason| KeySetError::Key { reason })?, &mut text);
    }
    text.push('}');
    Ok(base64url::encode(&Sha256::digest(text.as_bytes())))
}

fn read(text: &[u8]) -> Result<SecretJson, KeySetError> {
    if text.len() > MAX_KEY_SET_LEN {
        return Err(KeySetError::TooLong { given: text.len() });
    }
    let json = SecretJson::read(text).map_err(KeySetError::Json)?;
    if json.root().members().is_none() {
        return Err(KeySetError::Json(JsonError::NoObject));
    }
    Ok(json)
}

/// The key of a JWK.
fn read_key(jwk: Value<'_>, rules: KeyRules) -> Result<SigningKey, KeyReason> {
    if jwk.members().is_none() {
        return Err(KeyReason::NoObject);
    }
    let kty = text(jwk, "kty")?.ok_or(KeyReason::Member { member: "kty" })?;
    let key_id = text(jwk, "kid")?;
    if key_id.is_some_and(|id| id.len() > MAX_KEY_ID_LEN) {
        return Err(KeyReason::Member { member: "kid" });
    }
    check_use(jwk)?;
    let algorithm = match text(jwk, "alg")? {
        None => None,
        Some(name) => Some(Algorithm::from_name(name).ok_or(KeyReason::UnknownAlgorithm)?),
    };
    let key = match kty {
        "EC" => match required(jwk, "crv")? {
            "P-256" => VerifyingKey::p256(&bytes(jwk, "x")?, &bytes(jwk, "y")?)?,
            "P-384" => VerifyingKey::p384(&bytes(jwk, "x")?, &bytes(jwk, "y")?)?,
            _ => return Err(KeyReason::UnknownCurve),
        },
        "OKP" => match required(jwk, "crv")? {
            "Ed25519" => VerifyingKey::ed25519(&bytes(jwk, "x")?)?,
            _ => return Err(KeyReason::UnknownCurve),
        },
        "RSA" => VerifyingKey::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?, rules.small_exponent)?,
        "oct" if rules.secrets => VerifyingKey::hmac(&Zeroizing::new(bytes(jwk, "k")?))?,
        "oct" => return Err(KeyReason::SecretNotAllowed),
        _ => return Err(KeyReason::UnknownKeyType),
    };
    if algorithm.is_some_and(|algorithm| !key.supports(algorithm)) {
        return Err(KeyReason::OtherAlgorithm);
    }
    Ok(SigningKey { key_id: key_id.map(String::from), algorithm, key })
}

/// Whether the key is for verifying signatures (RFC 7517, sections 4.2 and 4.3).
fn check_use(jwk: Value<'_>) -> Result<(), KeyReason> {
    if text(jwk, "use")?.is_some_and(|use_| use_ != "sig") {
        return Err(KeyReason::OtherUse);
    }
    let Some(operations) = jwk.member("key_ops") else { return Ok(()) };
    let operations = operations.items().ok_or(KeyReason::Member { member: "key_ops" })?;
    if operations.clone().any(|operation| operation.as_str().is_none()) {
        return Err(KeyReason::Member { member: "key_ops" });
    }
    if operations.clone().any(|operation| operation.as_str() == Some("verify")) {
        Ok(())
    } else {
        Err(KeyReason::OtherUse)
    }
}

/// A member that is a string when it is there.
fn text<'a>(jwk: Value<'a>, member: &'static str) -> Result<Option<&'a str>, KeyReason> {
    jwk.member(member).map(|value| value.as_str().ok_or(KeyReason::Member { member })).transpose()
}

fn required<'a>(jwk: Value<'a>, member: &'static str) -> Result<&'a str, KeyReason> {
    text(jwk, member)?.ok_or(KeyReason::Member { member })
}

fn bytes(jwk: Value<'_>, member: &'static str) -> Result<Vec<u8>, KeyReason> {
    base64url::decode(required(jwk, member)?.as_bytes()).map_err(|_| KeyReason::Member { member })
}

fn key_id(jwk: Value<'_>) -> Option<&str> {
    jwk.member("kid")?.as_str()
}

fn is_secret(jwk: Value<'_>) -> bool {
    jwk.member("kty").and_then(Value::as_str) == Some("oct")
}

fn is_public(jwk: Value<'_>) -> bool {
    jwk.member("kty").and_then(Value::as_str).is_some_and(|kty| kty != "oct")
}

/// A key of a set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyProblem {
    /// Its place in the set, from 0 on.
    pub index: usize,
    /// Its name, when it has one.
    pub key_id: Option<String>,
    /// Why it cannot be used.
    pub reason: KeyReason,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key_id {
            Some(key_id) => write!(f, "key {} (`{}`): {}", self.index, key_id.escape_debug(), self.reason),
            None => write!(f, "key {}: {}", self.index, self.reason),
        }
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyReason {
    /// It is not a JSON object.
    NoObject,
    /// A member is missing or of another form.
    Member {
        /// The member.
        member: &'static str,
    },
    /// A key type that we do not know. It is skipped, as RFC 7517, section 5, has it.
    UnknownKeyType,
    /// A curve that we do not verify on.
    UnknownCurve,
    /// An algorithm that we do not know.
    UnknownAlgorithm,
    /// The algorithm is none for a key of this type.
    OtherAlgorithm,
    /// It is not for verifying signatures.
    OtherUse,
    /// Another key of the set has the same `kid`.
    DuplicateKeyId,
    /// A shared secret, and the issuer's settings allow none.
    SecretNotAllowed,
    /// A shared secret beside public keys.
    SecretAmongPublicKeys,
    /// The key itself is not one.
    Key(KeyError),
}

impl From<KeyError> for KeyReason {
    fn from(error: KeyError) -> KeyReason {
        KeyReason::Key(error)
    }
}

impl fmt::Display for KeyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyReason::NoObject => f.write_str("it is not an object · give a JWK"),
            KeyReason::Member { member } => {
                write!(f, "its `{member}` is missing or not as it must be · write it as RFC 7517 has it")
            }
            KeyReason::UnknownKeyType => f.write_str("its `kty` is not known · give EC, OKP, RSA or oct"),
            KeyReason::UnknownCurve => f.write_str("its `crv` is not known · give P-256, P-384 or Ed25519"),
            KeyReason::UnknownAlgorithm => f.write_str("its `alg` is not known · give a signature algorithm, or none"),
            KeyReason::OtherAlgorithm => f.write_str("its `alg` does not fit its type · give the one it signs with"),
            KeyReason::OtherUse => {
                f.write_str("it is not for verifying · give keys with `use` sig or `key_ops` verify")
            }
            KeyReason::DuplicateKeyId => f.write_str("another key has its `kid` · give each key its own"),
            KeyReason::SecretNotAllowed => {
                f.write_str("it is a shared secret · allow secrets if nobody else can read the set, else remove it")
            }
            KeyReason::SecretAmongPublicKeys => {
                f.write_str("it is a shared secret beside public keys · keep secrets in a set of their own")
            }
            KeyReason::Key(error) => error.fmt(f),
        }
    }
}

/// Why a text gives no keys at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySetError {
    /// Longer than [`MAX_KEY_SET_LEN`].
    TooLong {
        /// Its length in bytes.
        given: usize,
    },
    /// Not a JSON object as it must be.
    Json(JsonError),
    /// No array `keys`.
    NoKeys,
    /// More keys than [`MAX_KEYS`].
    TooManyKeys {
        /// How many there are.
        given: usize,
    },
    /// The one key that was given cannot be used.
    Key {
        /// Why.
        reason: KeyReason,
    },
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySetError::TooLong { given } => {
                write!(f, "a key set of {given} bytes is too long · give at most {MAX_KEY_SET_LEN} bytes")
            }
            KeySetError::Json(error) => error.fmt(f),
            KeySetError::NoKeys => f.write_str("the key set has no `keys` · give a JWK Set: {\"keys\": […]}"),
            KeySetError::TooManyKeys { given } => {
                write!(f, "{given} keys are too many · give at most {MAX_KEYS}")
            }
            KeySetError::Key { reason } => write!(f, "the key cannot be used: {reason}"),
        }
    }
}

impl core::error::Error for KeySetError {}
