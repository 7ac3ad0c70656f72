//! External issuers in the store, and the keys they publish.

use keystile_validator::Timestamp;

use super::{Generation, StoreError, UnreadableRow};
use crate::issuers::{ExternalIssuer, FetchProblem};

/// Names one lease of the right to fetch the keys of an issuer. No two are the same, whatever the clock says, and
/// also when an issuer is removed and added again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseId(pub(crate) [u8; 16]);

impl LeaseId {
    /// A new one, of random bytes.
    pub(crate) fn generate() -> Result<LeaseId, StoreError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandomBytes)?;
        Ok(LeaseId(bytes))
    }
}

/// What is kept of the keys of an issuer: the last good set, and how fetching it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySetRow {
    /// The last good set; `None`: there was none yet.
    pub(crate) jwks: Option<String>,
    /// When it was last known to be that of the issuer.
    pub(crate) fetched_at: Option<Timestamp>,
    /// How long it is taken for fresh, in seconds.
    pub(crate) max_age: u32,
    /// What the issuer calls this state of it, to be asked for a newer one only.
    pub(crate) etag: Option<String>,
    /// When it was last asked for.
    pub(crate) attempted_at: Option<Timestamp>,
    /// The newest lease, while its answer is waited for: whoever writes this is the one that asks, and no answer to
    /// an older lease is kept.
    pub(crate) lease: Option<LeaseId>,
    /// How often asking has failed since it last worked.
    pub(crate) failures: u32,
    /// Why it failed last.
    pub(crate) problem: Option<FetchProblem>,
}

/// Tells whether anything about issuers has changed, within one epoch: every change of one is of a newer
/// generation, and a removal leaves fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IssuersMark {
    /// How many there are.
    pub(crate) count: u64,
    /// The generation of the last change.
    pub(crate) newest: Generation,
}

/// What can be read of issuers.
pub(crate) trait ReadIssuers {
    /// All issuers, by name.
    fn issuers(&self) -> Result<Vec<ExternalIssuer>, StoreError>;

    /// The issuers whose tokens are let in, by name: those that verification needs.
    fn enabled_issuers(&self) -> Result<Vec<ExternalIssuer>, StoreError>;

    /// All issuers that can be read, by name, and those that cannot.
    fn readable_issuers(&self) -> Result<(Vec<ExternalIssuer>, Vec<UnreadableRow>), StoreError>;

    /// The issuer of this name.
    fn issuer(&self, name: &str) -> Result<Option<ExternalIssuer>, StoreError>;

    /// Tells whether anything about them has changed.
    fn issuers_mark(&self) -> Result<IssuersMark, StoreError>;

    /// What is kept of the keys of an issuer; `None` when there is no such issuer.
    fn key_set(&self, name: &str) -> Result<Option<KeySetRow>, StoreError>;
}

/// What can be changed of issuers.
pub(crate) trait WriteIssuers: ReadIssuers {
    /// Adds an issuer with its keys. `Ok(false)`: its name or its `iss` is taken, and nothing was added.
    fn insert_issuer(&mut self, issuer: &ExternalIssuer, keys: &KeySetRow) -> Result<bool, StoreError>;

    /// Writes all fields of an issuer but its keys. `Ok(false)`: there is no such issuer.
    fn update_issuer(&mut self, issuer: &ExternalIssuer) -> Result<bool, StoreError>;

    /// Removes an issuer and its keys. `Ok(false)`: there is no such issuer.
    fn remove_issuer(&mut self, name: &str) -> Result<bool, StoreError>;

    /// Writes what is kept of the keys of an issuer. Only another set is a new generation: no verdict
    /// depends on when it was fetched.
    fn set_key_set(&mut self, name: &str, keys: &KeySetRow) -> Result<(), StoreError>;
}
