//! What can go wrong with each operation.

use std::fmt;

use keystile_validator::jwt::MAX_FORBIDDEN_CLAIMS;

use super::issuer::{
    MAX_AUDIENCE_LEN, MAX_AUDIENCES, MAX_CLAIM_NAME_LEN, MAX_ISSUER_LEN, MAX_ISSUERS, MAX_JWKS_URL_LEN, MAX_LEEWAY,
};
use super::problem::{FetchProblem, KeySetProblem};
use crate::key::MAX_NAME_LEN;
use crate::store::StoreError;

/// Which field of an issuer does not fit, and why. No message repeats what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerFieldError {
    /// The name is empty, too long, or holds spaces or control characters.
    Name,
    /// The `iss` is empty, too long, or holds control characters.
    Issuer,
    /// The URL of the key set is none.
    Url,
    /// The URL of the key set has a user name or password in it.
    UrlCredentials,
    /// The URL of the key set is not HTTPS, nor an address of this machine.
    UrlInsecure,
    /// No algorithm is given.
    NoAlgorithm,
    /// An algorithm with a shared secret.
    Hmac,
    /// Too many audiences, or one that is empty, too long, or holds control characters.
    Audience,
    /// The leeway is longer than [`MAX_LEEWAY`](crate::bounds::MAX_LEEWAY).
    Leeway {
        /// The seconds that were given.
        given: u32,
    },
    /// Too many claims, or a name that is empty, too long, or holds control characters.
    Claim,
    /// Neither audiences are given nor that any will do, or both are.
    AnyAudience,
    /// Too many forbidden claims, or a name that is empty, too long, or holds control characters.
    ForbiddenClaims,
    /// The environment is fixed, and also taken from a claim, or any.
    Environment,
    /// There is an API key or a token in the name, the `iss` or an audience.
    Secret,
}

impl fmt::Display for IssuerFieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssuerFieldError::Secret => {
                f.write_str("there is an API key or a token in the name, the `iss` or an audience · give another one")
            }
            IssuerFieldError::Name => {
                write!(f, "not a name of an issuer · give 1 to {MAX_NAME_LEN} bytes without spaces and control characters")
            }
            IssuerFieldError::Issuer => write!(
                f,
                "not an issuer · give the `iss` of its tokens as it is there, 1 to {MAX_ISSUER_LEN} bytes"
            ),
            IssuerFieldError::Url => write!(
                f,
                "not the URL of a key set · give one such as https://example.com/.well-known/jwks.json, of at most \
                 {MAX_JWKS_URL_LEN} bytes"
            ),
            IssuerFieldError::UrlCredentials => {
                f.write_str("the URL has a user name or password in it · give one without: key sets are public")
            }
            IssuerFieldError::UrlInsecure => f.write_str(
                "the URL is not https · give one that is; plain http is for addresses of this machine, such as 127.0.0.1",
            ),
            IssuerFieldError::NoAlgorithm => f.write_str("no algorithm is given · name at least one, such as RS256"),
            IssuerFieldError::Hmac => f.write_str(
                "an HMAC needs a shared secret, and none is kept here · give the algorithm of a public key, such as RS256",
            ),
            IssuerFieldError::Audience => write!(
                f,
                "the audiences do not fit · give at most {MAX_AUDIENCES}, each 1 to {MAX_AUDIENCE_LEN} bytes without \
                 control characters"
            ),
            IssuerFieldError::Leeway { given } => {
                write!(f, "a leeway of {given} seconds is too long · give at most {MAX_LEEWAY}")
            }
            IssuerFieldError::Claim => write!(
                f,
                "the claims do not fit · give each a name of 1 to {MAX_CLAIM_NAME_LEN} bytes without control characters"
            ),
            IssuerFieldError::AnyAudience => f.write_str(
                "whom its tokens are for is not said once · give the audiences of which a token must name one, or say \
                 that any will do",
            ),
            IssuerFieldError::ForbiddenClaims => write!(
                f,
                "the forbidden claims do not fit · give at most {MAX_FORBIDDEN_CLAIMS}, each a name of 1 to \
                 {MAX_CLAIM_NAME_LEN} bytes without control characters"
            ),
            IssuerFieldError::Environment => f.write_str(
                "an environment beside a claim for it, or beside any environment · give one of them",
            ),
        }
    }
}

impl std::error::Error for IssuerFieldError {}

/// Why no issuer was added.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddIssuerError {
    /// A field does not fit.
    Field(IssuerFieldError),
    /// The keys that were given cannot be used.
    Keys(KeySetProblem),
    /// There is an issuer of this name.
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is an issuer with this `iss`.
    IssuerTaken {
        /// The name it has.
        name: String,
    },
    /// There is an issuer whose name is this `iss`, or whose `iss` is this name: whoever revokes tokens by either could
    /// mean both.
    Ambiguous {
        /// The name it has.
        name: String,
    },
    /// This is the name or the `iss` of the store itself: its tokens could not be told apart.
    OwnIssuer,
    /// There are as many issuers as a store takes.
    TooMany,
    /// The store refused.
    Store(StoreError),
}

/// Why an issuer was not found or not read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShowIssuerError {
    /// There is no such issuer.
    NotFound {
        /// Its name.
        name: String,
    },
    /// The store refused.
    Store(StoreError),
}

/// Why the settings of an issuer are as they were.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpdateIssuerError {
    /// There is no such issuer.
    NotFound {
        /// Its name.
        name: String,
    },
    /// A field does not fit.
    Field(IssuerFieldError),
    /// The store refused.
    Store(StoreError),
}

/// Why an issuer was not changed or removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeIssuerError {
    /// There is no such issuer.
    NotFound {
        /// Its name.
        name: String,
    },
    /// It is enabled, or disabled, already.
    Conflict {
        /// Its name.
        name: String,
        /// Whether it is enabled.
        enabled: bool,
    },
    /// There are as many enabled issuers as a validator takes.
    TooMany,
    /// The store refused.
    Store(StoreError),
}

/// Why the keys of an issuer are as they were.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefreshIssuerError {
    /// There is no such issuer.
    NotFound {
        /// Its name.
        name: String,
    },
    /// Its keys were given: there is no URL to fetch others from.
    GivenKeys {
        /// Its name.
        name: String,
    },
    /// Its keys are fetched: none can be given.
    FetchedKeys {
        /// Its name.
        name: String,
    },
    /// The keys that were given cannot be used.
    Keys(KeySetProblem),
    /// The keys could not be fetched, or cannot be used.
    Fetch {
        /// The name of the issuer.
        name: String,
        /// Why.
        problem: FetchProblem,
        /// Whether there are older keys, which go on to be used.
        has_keys: bool,
    },
    /// The store refused.
    Store(StoreError),
}

const NOT_FOUND: &str = "· look it up with `issuers list`";

impl fmt::Display for AddIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddIssuerError::Field(error) => error.fmt(f),
            AddIssuerError::Keys(problem) => problem.fmt(f),
            AddIssuerError::NameTaken { name } => {
                write!(f, "there is already an issuer {name} · choose another name, or remove that one first")
            }
            AddIssuerError::IssuerTaken { name } => {
                write!(f, "the issuer {name} has this `iss` already · remove that one first")
            }
            AddIssuerError::Ambiguous { name } => write!(
                f,
                "the issuer {name} has this name as its `iss`, or this `iss` as its name · choose another name"
            ),
            AddIssuerError::OwnIssuer => f.write_str(
                "this store goes by this `iss` itself · give the store another one with `keystile settings set --issuer`, \
                 or choose another one",
            ),
            AddIssuerError::TooMany => {
                write!(f, "the store has {MAX_ISSUERS} issuers, as many as it takes · remove one first")
            }
            AddIssuerError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ShowIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShowIssuerError::NotFound { name } => write!(f, "the store has no issuer {name} {NOT_FOUND}"),
            ShowIssuerError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ChangeIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeIssuerError::NotFound { name } => write!(f, "the store has no issuer {name} {NOT_FOUND}"),
            ChangeIssuerError::Conflict { name, enabled: true } => {
                write!(f, "the issuer {name} is enabled already · nothing is left to do")
            }
            ChangeIssuerError::Conflict { name, enabled: false } => {
                write!(f, "the issuer {name} is disabled already · nothing is left to do")
            }
            ChangeIssuerError::TooMany => {
                write!(f, "{MAX_ISSUERS} issuers are enabled, as many as there can be · disable or remove one first")
            }
            ChangeIssuerError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for UpdateIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateIssuerError::NotFound { name } => write!(f, "the store has no issuer {name} {NOT_FOUND}"),
            UpdateIssuerError::Field(error) => error.fmt(f),
            UpdateIssuerError::Store(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for RefreshIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefreshIssuerError::NotFound { name } => write!(f, "the store has no issuer {name} {NOT_FOUND}"),
            RefreshIssuerError::GivenKeys { name } => {
                write!(f, "the keys of {name} were given in a file · give others with --jwks FILE")
            }
            RefreshIssuerError::FetchedKeys { name } => {
                write!(f, "the keys of {name} are fetched from its URL · leave --jwks out, or add it anew with a file")
            }
            RefreshIssuerError::Keys(problem) => problem.fmt(f),
            RefreshIssuerError::Fetch { name, problem, has_keys } => {
                let kept = if *has_keys { "its last good keys stay" } else { "it has no keys yet" };
                let text = problem.to_string();
                let (what, todo) = text.split_once(" · ").unwrap_or((&text, "try again later"));
                write!(f, "the keys of {name} were not fetched: {what}; {kept} · {todo}")
            }
            RefreshIssuerError::Store(error) => error.fmt(f),
        }
    }
}

macro_rules! from_store {
    ($($error:ident),*) => {$(
        impl std::error::Error for $error {}

        impl From<StoreError> for $error {
            fn from(error: StoreError) -> $error {
                $error::Store(error)
            }
        }
    )*};
}

from_store!(AddIssuerError, ShowIssuerError, UpdateIssuerError, ChangeIssuerError, RefreshIssuerError);

impl From<IssuerFieldError> for UpdateIssuerError {
    fn from(error: IssuerFieldError) -> UpdateIssuerError {
        UpdateIssuerError::Field(error)
    }
}

impl From<IssuerFieldError> for AddIssuerError {
    fn from(error: IssuerFieldError) -> AddIssuerError {
        AddIssuerError::Field(error)
    }
}
