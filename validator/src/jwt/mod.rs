//! JSON Web Tokens: which algorithms exist, and what verifies a signature.

mod algorithm;
pub use algorithm::{Algorithm, AlgorithmError};

mod verifying_key;
pub use verifying_key::{BadSignature, BaseTables, KeyError, SmallExponent, VerifyingKey};
