//! Tokens and keys that others published or recorded, each with the answer that was written down
//! with it: what they refuse is refused here, and what is refused here only is listed by the rule
//! that refuses it, case by case. A case that is on no list fails, and so does an entry that no case
//! needs any more.
//!
//! The files are read from the folder in `KEYSTILE_VECTORS`, or from `shared/vectors` beside the
//! checkout. Where it is absent the tests say so; under `CI=true` they fail.

// A test may panic; the lints are for what reads input from outside.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod encrypted;
mod golang;
mod pem;
mod published;
mod recorded;
mod refusal;
mod signing;
mod support;
