//! What the validator's parsers are fuzzed for.
//!
//! A target takes any bytes and panics when a law does not hold; that nothing else panics is the
//! first of them. `libfuzzer/` makes a program of each for cargo-fuzz (`make fuzz`); `tests/replay.rs`
//! runs the same functions over `corpus/` and over mutations of it, on a stable compiler.

// Tokens
pub use jose::{claims, compact, header};
pub use token::token;

// What tokens are verified against
pub use issuers::{issuer, key_set};

// Keys, and what host and validator tell each other
pub use credentials::credential;
pub use messages::{message, verdict};
pub use records::record;

// What runs them
pub mod fixtures;
pub use mutation::Mutations;

mod credentials;
mod everywhere;
mod issuers;
mod jose;
mod messages;
mod mutation;
mod records;
mod token;

/// A target: its name, which its corpus folder has as well, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. A test sees that each is a program for cargo-fuzz and has a corpus.
pub const TARGETS: &[Target] = &[
    ("compact", compact),
    ("header", header),
    ("claims", claims),
    ("key_set", key_set),
    ("issuer", issuer),
    ("credential", credential),
    ("record", record),
    ("message", message),
    ("verdict", verdict),
    ("token", token),
];
