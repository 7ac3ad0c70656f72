//! What the store keeps for tokens: signing keys, sealed, and revocations.

use std::str::FromStr;

use keystile_validator::Timestamp;

use super::containment::UnreadableSigningKey;
use super::{Generation, StoreError};
use crate::signing_keys::{SigningAlgorithm, SigningKeyState};

/// What revocations of this store's own tokens are filed under, whatever the store calls itself when:
/// a name that changes there and back must bring nothing back.
pub(crate) const THIS_STORE: &str = "urn:keystile:this-store";

/// A signing key as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SigningKeyRow {
    /// What tokens name it by.
    pub(crate) kid: String,
    /// What it signs with.
    pub(crate) algorithm: SigningAlgorithm,
    /// Where it stands.
    pub(crate) state: SigningKeyState,
    /// The public key as RFC 7638 hashes it; `None` for HMAC, which has none.
    pub(crate) public_key: Option<String>,
    /// The private key, sealed; `None` once it is no longer needed.
    pub(crate) sealed_key: Option<Vec<u8>>,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// From when on it signs.
    pub(crate) signs_from: Timestamp,
    /// When it began to sign.
    pub(crate) activated_at: Option<Timestamp>,
    /// When it ceased to sign.
    pub(crate) retired_at: Option<Timestamp>,
    /// When the last token that it has signed expires.
    pub(crate) last_expiry: Option<Timestamp>,
}

/// What a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevocationKind {
    /// One token, by its `jti`.
    Token,
    /// All tokens of a session, by its `sid`.
    Session,
    /// All tokens of a subject that were issued before a time, by its `sub`.
    Subject,
}

impl RevocationKind {
    /// The name in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            RevocationKind::Token => "token",
            RevocationKind::Session => "session",
            RevocationKind::Subject => "subject",
        }
    }
}

impl FromStr for RevocationKind {
    type Err = ();

    fn from_str(name: &str) -> Result<RevocationKind, ()> {
        let all = [RevocationKind::Token, RevocationKind::Session, RevocationKind::Subject];
        all.into_iter().find(|kind| kind.as_str() == name).ok_or(())
    }
}

/// Tokens that are refused before they expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevocationRow {
    /// Who signed them.
    pub(crate) issuer: String,
    /// What `value` is.
    pub(crate) kind: RevocationKind,
    /// The `jti`, `sid` or `sub`.
    pub(crate) value: String,
    /// When it was decided.
    pub(crate) revoked_at: Timestamp,
    /// Of a subject: tokens issued before this time are refused.
    pub(crate) issued_before: Option<Timestamp>,
    /// No token that it refuses is valid from then on.
    pub(crate) expires_at: Timestamp,
}

/// What is read for tokens.
pub(crate) trait ReadTokens {
    /// The id that a store shares with its backups, and with no other store.
    fn store_id(&self) -> Result<[u8; 16], StoreError>;

    /// What tells a wrong key-encryption key; `None`: nothing was ever sealed.
    fn sealing_check(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// All signing keys, oldest first, also those that are gone.
    fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StoreError>;

    /// The signing keys that are not gone, oldest first: those that verification needs.
    fn signing_keys_in_use(&self) -> Result<Vec<SigningKeyRow>, StoreError>;

    /// All signing keys that can be read, oldest first, and those that cannot and are not gone.
    fn readable_signing_keys(&self) -> Result<(Vec<SigningKeyRow>, Vec<UnreadableSigningKey>), StoreError>;

    /// The revocations that changed after this generation; [`Generation`] 0 means all of them.
    fn revocations(&self, after: Generation, each: &mut dyn FnMut(RevocationRow)) -> Result<(), StoreError>;

    /// One revocation.
    fn revocation(&self, issuer: &str, kind: RevocationKind, value: &str) -> Result<Option<RevocationRow>, StoreError>;
}

/// What is written for tokens.
pub(crate) trait WriteTokens {
    /// Keeps what tells a wrong key-encryption key, in the place of what was there.
    fn set_sealing_check(&mut self, check: &[u8]) -> Result<(), StoreError>;

    /// Adds a signing key.
    fn insert_signing_key(&mut self, key: &SigningKeyRow) -> Result<(), StoreError>;

    /// Writes state, private key and times of a signing key.
    fn update_signing_key(&mut self, key: &SigningKeyRow) -> Result<(), StoreError>;

    /// Puts these signing keys in the place of all that are there.
    fn replace_signing_keys(&mut self, keys: &[SigningKeyRow]) -> Result<(), StoreError>;

    /// Notes that a key has signed a token that expires then. No new generation.
    fn note_expiry(&mut self, kid: &str, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Adds a revocation; one that is there already only grows.
    fn put_revocation(&mut self, revocation: &RevocationRow) -> Result<(), StoreError>;

    /// Removes revocations whose last token has expired before this time. No new generation.
    fn sweep_revocations(&mut self, expired_before: Timestamp) -> Result<(), StoreError>;
}
