//! Tokens, keys and signatures that others published or recorded, each with the answer that was
//! written down with it: what they refuse is refused here, and what is refused here only is listed by
//! the rule that refuses it, case by case. A case that is on no list fails, and so does an entry that
//! no case needs any more.
//!
//! Every question is asked twice: of the validator as it is, and of the one in its sandbox, which must
//! say the same.
//!
//! The files are read from the folder in `KEYSTILE_VECTORS`, or from `shared/vectors` beside the
//! checkout. Where it is absent the tests say so; under `CI=true` they fail.

mod encrypted;
mod golang;
mod json;
mod pem;
mod primitives;
mod published;
mod recorded;
mod refusal;
mod sandbox;
mod signatures;
mod signing;
mod support;
