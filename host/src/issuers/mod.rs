//! External issuers: others who sign tokens for the callers of this turnstile, known by their keys.
//!
//! | file | holds |
//! | --- | --- |
//! | `issuer` | issuers as plain data, and the bounds of their fields |
//! | `change`, `list` | the operations, each a transaction with its audit entry |
//! | `fetch` | one fetch of a key set over HTTP |
//! | `key_set` | what is kept of a set, and whether it may take the place of another one |
//! | `refresh` | when a set is fetched, by whom, and what becomes of the answer |
//! | `refresher` | the background thread that does so |

mod change;
mod error;
mod fetch;
mod issuer;
mod key_set;
mod list;
mod problem;
mod refresh;
mod refresher;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;

pub use change::{AudienceRule, EnvironmentRule, IssuerKeys, IssuerUpdate, NewIssuer};
pub use error::{
    AddIssuerError, ChangeIssuerError, IssuerFieldError, RefreshIssuerError, ShowIssuerError, UpdateIssuerError,
};
pub use fetch::{DEFAULT_MAX_AGE, MAX_AGE_BOUNDS, MAX_JWKS_LEN, MAX_REDIRECTS};
pub use issuer::{
    ExternalIssuer, IssuerInfo, JwksUrl, KeySetInfo, KeySetKey, KeySource, MAX_AUDIENCE_LEN, MAX_AUDIENCES,
    MAX_CLAIM_NAME_LEN, MAX_ISSUER_LEN, MAX_ISSUERS, MAX_JWKS_URL_LEN, MAX_LEEWAY,
};
pub use key_set::MAX_JWKS_KEYS;
pub use list::IssuerList;
pub use problem::{FetchProblem, KeySetProblem, UnknownProblem};
pub use refresh::{FETCH_COOLDOWN, MAX_BACKOFF, Refreshed};

pub(crate) use change::keep;
pub(crate) use refresher::{Refresher, refresh_in_background};

use fetch::Fetcher;

use crate::keystile::Inner;

/// The issuer operations of a [`Keystile`](crate::Keystile).
#[derive(Clone, Copy)]
pub struct Issuers<'a> {
    inner: &'a Inner,
}

impl<'a> Issuers<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Issuers<'a> {
        Issuers { inner }
    }
}

/// What a turnstile holds of issuers.
#[derive(Default)]
pub(crate) struct IssuerState {
    /// The background thread.
    pub(crate) refresher: Refresher,
    /// How their keys are fetched.
    pub(crate) fetcher: Fetcher,
}
