//! What can go wrong with tokens.

use std::fmt;

use super::MAX_CLAIM_LEN;
use crate::sandbox::SandboxFailure;
use crate::signing_keys::SigningKeyError;
use crate::store::StoreError;

/// Why no token was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum IssueTokenError {
    /// There is no such user.
    NoSuchUser,
    /// The user is suspended.
    Suspended,
    /// A claim does not fit.
    Claim {
        /// Its name.
        name: &'static str,
    },
    /// The lifetime is zero, or longer than the settings allow.
    Lifetime {
        /// The seconds that were given.
        seconds: u64,
        /// The seconds that are allowed.
        longest: u64,
    },
    /// The token would be longer than verifiers take.
    TooLong,
    /// There is no key to sign with.
    Key(SigningKeyError),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for IssueTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssueTokenError::NoSuchUser => f.write_str(
                "there is no such user · give a user id or an e-mail address, as `keystile users list` shows them",
            ),
            IssueTokenError::Suspended => f.write_str("the user is suspended · resume it with `keystile users resume`"),
            IssueTokenError::Claim { name } => {
                write!(f, "the claim {name} does not fit · give a shorter value, without control characters")
            }
            IssueTokenError::Lifetime { seconds, longest } => write!(
                f,
                "a lifetime of {seconds} seconds does not fit · give 1 to {longest} seconds, or change the settings"
            ),
            IssueTokenError::TooLong => f.write_str("the token would be longer than 8 KiB · give it fewer scopes"),
            IssueTokenError::Key(error) => error.fmt(f),
            IssueTokenError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IssueTokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            IssueTokenError::Key(error) => Some(error),
            IssueTokenError::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for IssueTokenError {
    fn from(error: StoreError) -> IssueTokenError {
        IssueTokenError::Store(error)
    }
}

impl From<SigningKeyError> for IssueTokenError {
    fn from(error: SigningKeyError) -> IssueTokenError {
        match error {
            SigningKeyError::Store(error) => IssueTokenError::Store(error),
            error => IssueTokenError::Key(error),
        }
    }
}

/// Why a token was not revoked.
#[derive(Debug)]
#[non_exhaustive]
pub enum RevokeTokenError {
    /// It is no token that a known issuer has signed. The caller learns no more.
    Unknown,
    /// The key that it names is one of this store, and does not open without the key-encryption key.
    ClosedKey,
    /// It has no id to be revoked by.
    NoTokenId,
    /// This is not the id of a token.
    TokenId,
    /// This is not what tokens can be revoked by.
    Name {
        /// The claim that it was given for.
        claim: &'static str,
    },
    /// An API key or a token was given in the place of an id.
    Secret,
    /// The tokens of this store end with their session or user.
    OwnIssuer,
    /// This is not the name of an issuer.
    Issuer,
    /// Nobody can say now which issuers the store knows.
    Unavailable,
    /// The validator could not say whether the token is what it looks like.
    Sandbox(SandboxFailure),
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for RevokeTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RevokeTokenError::Unknown => f.write_str(
                "no issuer that this store knows has signed this token · give the whole token, or revoke it by its id with --jti",
            ),
            RevokeTokenError::ClosedKey => f.write_str(
                "the key that the token names does not open here · give the key-encryption key, or revoke it by its id with --jti",
            ),
            RevokeTokenError::NoTokenId => {
                f.write_str("the token has no `jti` that it can be revoked by · end the session of its user instead, or disable the issuer")
            }
            RevokeTokenError::TokenId => {
                f.write_str("not the id of a token · give its `jti`, as `keystile tokens inspect` shows it")
            }
            RevokeTokenError::Name { claim } => write!(
                f,
                "no token has this `{claim}` · give it as `keystile tokens inspect` shows it, at most {MAX_CLAIM_LEN} bytes"
            ),
            RevokeTokenError::Secret => f.write_str(
                "what was given is an API key or a token itself, not an id · revoke a key with `keystile keys revoke` by \
                 its id, a token by giving it on standard input",
            ),
            RevokeTokenError::OwnIssuer => f.write_str(
                "this store is the issuer itself · end the session with `keystile sessions end`, or suspend the user",
            ),
            RevokeTokenError::Issuer => {
                f.write_str("the store knows no such issuer · give its name, as `keystile issuers list` shows it")
            }
            RevokeTokenError::Unavailable => f.write_str(
                "the token cannot be verified now, because the store was not read completely · run `keystile doctor`, or \
                 revoke the token by its id with --jti",
            ),
            RevokeTokenError::Sandbox(error) => error.fmt(f),
            RevokeTokenError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RevokeTokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RevokeTokenError::Sandbox(error) => Some(error),
            RevokeTokenError::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for RevokeTokenError {
    fn from(error: StoreError) -> RevokeTokenError {
        RevokeTokenError::Store(error)
    }
}
