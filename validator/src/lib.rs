//! The pure validator of Keystile: the same verdict everywhere.
//!
//! [`check`] judges one credential against a record and a request. It is a pure function: no clock,
//! no randomness, no environment, no I/O and no global state; the time comes in with the
//! [`Request`]. It recomputes the digest of the credential and compares it in constant time, so a
//! caller that hands it the wrong record still gets a deny.
//!
//! [`jwt`] verifies tokens, by the same vocabulary and as purely.
//!
//! ```
//! use keystile_validator::{Digest, Environment, KeyFormat, KeyId, KeyRecord, Request, Timestamp, check};
//!
//! let format = KeyFormat::with_defaults("hx")?;
//! let live = Environment::new("live")?;
//! let secret = format.assemble(&live, "0123456789abcdefghijABCDEFGHIJ")?;
//! let record = KeyRecord::new(KeyId::from_bytes([7; 16]), Digest::of(secret.as_bytes()), live);
//! let request = Request::at(Timestamp::from_unix(1_700_000_000)?);
//!
//! let verdict = check(secret.as_bytes(), Some(&record), &request, &[format]);
//! assert!(verdict.is_allow());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(test)]
extern crate std;

// The judgement
mod check;
pub use check::{MAX_CREDENTIAL_LEN, Record, check, check_batch};

// What goes in
pub use address::{AddressRange, AddressRangeError};
pub use digest::{Digest, DigestError};
pub use environment::{Environment, EnvironmentError};
pub use id::{KeyId, KeyIdError};
pub use key_format::{Checksum, FormatMatch, KeyFormat, KeyFormatError, Separator};
pub use record::{KeyRecord, KeyRecordError, KeyState, Rate, RateError};
pub use request::{Request, RequestError, Usage};
pub use scope::{Scope, ScopeError};
pub use time::{Timestamp, TimestampError};

// What comes out
pub use verdict::{Code, Denial, Principal, PrincipalKind, Verdict};

/// Bounds of the data types, each one checked where the type is made and where it is read.
pub mod bounds {
    pub use crate::check::MAX_CREDENTIAL_LEN;
    pub use crate::environment::MAX_ENVIRONMENT_LEN;
    pub use crate::jwt::{
        DEFAULT_TABLE_BYTES, DEFAULT_TOKEN_LEN, MAX_AUDIENCES, MAX_CACHED_TOKENS, MAX_CLAIM_NAME_LEN,
        MAX_FORBIDDEN_CLAIMS, MAX_HMAC_SECRET_LEN, MAX_ISSUER_LEN, MAX_ISSUERS, MAX_JSON_DEPTH, MAX_KEY_ID_LEN,
        MAX_KEY_SET_LEN, MAX_KEYS as MAX_KEYS_PER_SET, MAX_KEYS_WITH_TABLES, MAX_LEEWAY,
        MAX_NAME_LEN as MAX_ISSUER_NAME_LEN, MAX_REVOCABLE_LEN, MAX_RSA_MODULUS_BITS, MAX_TABLE_BYTES, MAX_TOKEN_LEN,
        MAX_TOKEN_SCOPES, MIN_HMAC_SECRET_LEN, MIN_RSA_EXPONENT, MIN_RSA_MODULUS_BITS,
    };
    pub use crate::key_format::{
        CHECKSUM_LEN, MAX_BODY_LEN, MAX_FORMAT_ENVIRONMENTS, MAX_FORMATS, MAX_PREFIX_LEN, MIN_BODY_LEN,
    };
    pub use crate::record::{MAX_ADDRESSES, MAX_OWNER_LEN, MAX_RECORD_LEN, MAX_SCOPES};
    pub use crate::request::MAX_REQUEST_SCOPES;
    pub use crate::scope::MAX_SCOPE_LEN;
    pub use crate::time::MAX_TIMESTAMP;
    pub use crate::wire::{MAX_BATCH, MAX_MESSAGE_LEN};
}

mod address;
mod base62;
mod crc32;
mod digest;
mod environment;
mod id;
pub mod jwt;
mod key_format;
mod record;
mod request;
mod scope;
#[cfg(feature = "serde")]
mod serde_forms;
pub mod text;
mod time;
mod verdict;
pub mod wire;
