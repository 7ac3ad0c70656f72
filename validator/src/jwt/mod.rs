//! JSON Web Tokens: who may sign them, how they are verified, what they claim.
//!
//! A token goes through types: [`UnverifiedJwt::parse`] reads its form, [`UnverifiedJwt::verify`]
//! checks it against [`Issuers`], and only a [`VerifiedJwt`] has [`Claims`]. Where the standards
//! (RFC 7515, 7517, 7519, 8037, 8725, 9068, 9864) leave room, the strict side is taken.
//!
//! Nothing here has a clock or a store: the time comes in, and so does what a host knows of a token
//! ([`TokenRecord`]).

// What verifies
mod verify;
pub use verify::{TokenLookup, UnverifiedJws, UnverifiedJwt, VerifiedJws, VerifiedJwt};
mod cache;
pub use cache::{MAX_CACHED_TOKENS, TokenCache};
mod state;
pub use state::{DEFAULT_CACHE_BYTES, DEFAULT_CACHED_TOKENS, TokenState};
mod judgement;
pub(crate) use judgement::judge_token;

// What it is verified against
mod issuer;
pub use issuer::{
    DEFAULT_TABLE_BYTES, DEFAULT_TOKEN_LEN, FORBIDDEN_CLAIMS, Issuer, IssuerError, IssuerSettings, Issuers,
    MAX_AUDIENCES, MAX_FORBIDDEN_CLAIMS, MAX_ISSUER_LEN, MAX_ISSUERS, MAX_LEEWAY, MAX_NAME_LEN,
};
mod jwk;
pub use jwk::{
    KeyProblem, KeyReason, KeyRules, KeySet, KeySetError, MAX_KEY_SET_LEN, MAX_KEYS, MAX_KEYS_WITH_TABLES, thumbprint,
};
mod token_record;
pub use token_record::TokenRecord;
mod algorithm;
pub use algorithm::{Algorithm, AlgorithmError};
mod verifying_key;
pub use verifying_key::{BadSignature, BaseTables, KeyError, SmallExponent, VerifyingKey};
pub use verifying_key::{
    MAX_HMAC_SECRET_LEN, MAX_RSA_MODULUS_BITS, MAX_TABLE_BYTES, MIN_HMAC_SECRET_LEN, MIN_RSA_EXPONENT,
    MIN_RSA_MODULUS_BITS,
};

// What comes out
mod claims;
pub use claims::{
    ClaimMapping, Claims, MAX_CLAIM_NAME_LEN, MAX_REVOCABLE_LEN, MAX_TOKEN_SCOPES, ScopeClaim, is_revocable,
};
mod error;
pub use error::{ClaimProblem, JwtError, Part};

// What a token is made of
mod base64url;
mod compact;
pub use compact::{MAX_TOKEN_LEN, looks_like_jws};
mod header;
pub use header::{MAX_KEY_ID_LEN, TokenType};
mod json;
pub use json::{JsonError, MAX_JSON_DEPTH};

#[cfg(test)]
mod tests;
