//! What a validator keeps of tokens from one call to the next.

use super::cache::TokenCache;
use super::issuer::Issuers;

/// The issuers that a validator knows, and the tokens that it has verified.
///
/// It is handed in like everything else: the judgement itself keeps nothing.
///
/// ```
/// use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings, TokenState};
/// let mut state = TokenState::default();
/// let settings = IssuerSettings::new("https://id.example", [Algorithm::EdDsa]);
/// state.issuers.put(Issuer::new(settings, br#"{"keys": []}"#)?)?;
/// assert_eq!(state.issuers.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TokenState {
    /// Who may sign tokens.
    pub issuers: Issuers,
    /// What was verified lately.
    pub cache: TokenCache,
}

impl Default for TokenState {
    /// No issuers, and a cache of [`DEFAULT_CACHED_TOKENS`] tokens of [`DEFAULT_CACHE_BYTES`].
    fn default() -> TokenState {
        TokenState::with_cache(TokenCache::new(DEFAULT_CACHED_TOKENS, DEFAULT_CACHE_BYTES))
    }
}

impl TokenState {
    /// No issuers, and this cache.
    pub fn with_cache(cache: TokenCache) -> TokenState {
        TokenState { issuers: Issuers::default(), cache }
    }

    /// Knows nobody and remembers nothing; costs no memory. Every token is of an unknown issuer.
    pub fn empty() -> TokenState {
        TokenState::with_cache(TokenCache::new(0, 0))
    }
}

/// Most tokens that a validator remembers, unless it is told otherwise.
pub const DEFAULT_CACHED_TOKENS: usize = 4_096;
/// Most bytes that the remembered tokens take up, unless it is told otherwise.
pub const DEFAULT_CACHE_BYTES: usize = 4_194_304;
