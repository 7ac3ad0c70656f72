//! JSON Web Tokens: which algorithms exist, and what verifies a signature.

mod algorithm;
pub use algorithm::{Algorithm, AlgorithmError};

mod verifying_key;
pub use verifying_key::{BadSignature, BaseTables, KeyError, SmallExponent, VerifyingKey};
pub use verifying_key::{
    MAX_HMAC_SECRET_LEN, MAX_RSA_MODULUS_BITS, MAX_TABLE_BYTES, MIN_HMAC_SECRET_LEN, MIN_RSA_EXPONENT,
    MIN_RSA_MODULUS_BITS,
};
