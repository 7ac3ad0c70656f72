//! Tokens that were verified, so that one that comes again costs a comparison.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

use super::compact::Compact;
use super::error::JwtError;
use super::issuer::Issuers;
use super::token_record::TokenRecord;
use super::verify::{UnverifiedJwt, VerifiedJwt};
use crate::time::Timestamp;

/// Most tokens that a cache can remember.
pub const MAX_CACHED_TOKENS: usize = 65_536;

/// A bounded cache of verified tokens.
///
/// A token is found by the SHA-256 of its signature; what is signed is compared byte for byte. So it
/// is the same token, and of those that are remembered none could be put together again. It counts
/// only while its issuer is the very one it was verified with: an issuer that was put anew, with the
/// same keys or others, is another one. What can change with time is checked on every hit. Only tokens that passed every check get
/// in, so nobody can fill the cache without a key.
///
/// ```
/// use keystile_validator::Timestamp;
/// use keystile_validator::jwt::{Issuers, JwtError, TokenCache};
/// let mut cache = TokenCache::new(1_000, 1_000_000);
/// let now = Timestamp::from_unix(1_700_000_000).unwrap();
/// let verdict = cache.verify(b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSJ9.", &Issuers::default(), now, None);
/// assert_eq!(verdict.unwrap_err(), JwtError::UnknownIssuer);
/// assert_eq!(cache.len(), 0);
/// ```
pub struct TokenCache {
    /// Sets of [`WAYS`] slots; a token can only be in the set that the hash of its signature names.
    slots: Vec<Option<Entry>>,
    len: usize,
    bytes: usize,
    max_bytes: usize,
    /// The slot to be given up next.
    hand: usize,
}

/// The SHA-256 of a signature as it stands in a token. Not a digest of a credential: it finds an entry, and
/// header and payload must be the same, too.
#[derive(Clone, Copy)]
struct SignatureHash([u8; 32]);

struct Entry {
    hash: SignatureHash,
    /// Header and payload as they stand in the token.
    signed: Box<[u8]>,
    token: VerifiedJwt,
}

impl Entry {
    /// Bytes that it takes up beside its slot.
    fn size(&self) -> usize {
        self.token.size().saturating_add(self.signed.len())
    }
}

impl TokenCache {
    /// A cache of at most so many tokens, of [`MAX_CACHED_TOKENS`] at most, that take up at most so
    /// many bytes together. A cache of fewer than four tokens or of no bytes remembers nothing.
    pub fn new(max_tokens: usize, max_bytes: usize) -> TokenCache {
        let sets = max_tokens.min(MAX_CACHED_TOKENS) / WAYS;
        let mut slots = Vec::new();
        slots.resize_with(sets.saturating_mul(WAYS), || None);
        TokenCache { slots, len: 0, bytes: 0, max_bytes, hand: 0 }
    }

    /// Verifies a token: when it was verified before, only what can change with time; else from the
    /// beginning. The answer is the same either way.
    ///
    /// # Errors
    /// As [`UnverifiedJwt::parse`] and [`UnverifiedJwt::verify`].
    pub fn verify(
        &mut self,
        token: &[u8],
        issuers: &Issuers,
        now: Timestamp,
        record: Option<&TokenRecord>,
    ) -> Result<VerifiedJwt, JwtError> {
        let compact = Compact::split(token)?;
        if self.slots.is_empty() {
            return UnverifiedJwt::read(compact)?.verify(issuers, now, record);
        }
        let hash = SignatureHash(Sha256::digest(compact.signature_text()).into());
        if let Some(known) = self.find(&hash, compact.signed, issuers) {
            known.verify_again(now, record)?;
            return Ok(known);
        }
        let token = UnverifiedJwt::read(compact)?.verify(issuers, now, record)?;
        self.insert(Entry { hash, signed: compact.signed.into(), token: token.clone() });
        Ok(token)
    }

    /// How many tokens it remembers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the remembered tokens take up.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        for at in 0..self.slots.len() {
            self.forget(at);
        }
    }

    fn find(&mut self, hash: &SignatureHash, signed: &[u8], issuers: &Issuers) -> Option<VerifiedJwt> {
        let start = self.set_of(hash);
        let is_it = |slot: &Option<Entry>| {
            slot.as_ref().is_some_and(|entry| is_same(&entry.hash.0, &hash.0) && is_same(&entry.signed, signed))
        };
        let at = start.saturating_add(self.slots.iter().skip(start).take(WAYS).position(is_it)?);
        let token = &self.slots.get(at)?.as_ref()?.token;
        if token.is_current(issuers) {
            return Some(token.clone());
        }
        self.forget(at);
        None
    }

    fn insert(&mut self, entry: Entry) {
        let size = entry.size();
        if size > self.max_bytes {
            return;
        }
        let start = self.set_of(&entry.hash);
        let free = self.slots.iter().skip(start).take(WAYS).position(Option::is_none);
        let way = free.unwrap_or_else(|| self.hand.checked_rem(WAYS).unwrap_or_default());
        let at = start.saturating_add(way);
        self.forget(at);
        while self.bytes.saturating_add(size) > self.max_bytes {
            self.forget(self.hand);
            self.advance();
        }
        self.advance();
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(entry);
            self.bytes = self.bytes.saturating_add(size);
            self.len = self.len.saturating_add(1);
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(entry) = self.slots.get_mut(at).and_then(Option::take) {
            self.bytes = self.bytes.saturating_sub(entry.size());
            self.len = self.len.saturating_sub(1);
        }
    }

    fn advance(&mut self) {
        self.hand = self.hand.saturating_add(1).checked_rem(self.slots.len()).unwrap_or_default();
    }

    /// The first slot of the set that a hash names.
    fn set_of(&self, hash: &SignatureHash) -> usize {
        let [a, b, c, d, ..] = hash.0;
        let sets = self.slots.len() / WAYS;
        (u32::from_le_bytes([a, b, c, d]) as usize).checked_rem(sets).unwrap_or_default().saturating_mul(WAYS)
    }
}

/// Whether both are the same bytes. By words: the `memcmp` that Rust brings to wasm goes by bytes, and
/// took a quarter of the time of a hit.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let is_same = |(word, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*word) == u64::from_le_bytes(*other);
    one.len() == other.len() && words.iter().zip(other_words).all(is_same) && rest == other_rest
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCache({} tokens, {} bytes)", self.len, self.bytes)
    }
}

const WAYS: usize = 4;
