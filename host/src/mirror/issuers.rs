//! The issuers whose tokens are let in, in the form that the validator reads: this store, and the enabled
//! external ones. The sandbox has the documents themselves; here is what they were made from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keystile_validator::Timestamp;
use keystile_validator::jwt::{Issuer, IssuerSettings};

use super::own_issuer::{ClosedKeys, Own};
use super::{MoveError, Source};
use crate::issuers::ExternalIssuer;
use crate::sandbox::{IssuerDocument, Sandbox};
use crate::store::{IssuersMark, Position, ReadTransaction, StoreError};

/// An external issuer as verification needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FollowedIssuer {
    /// Its name.
    pub(crate) name: String,
    /// The `iss` of its tokens.
    pub(crate) issuer: String,
    /// Settings and keys, as `keystile_validator::jwt::Issuer::from_json` reads them.
    pub(crate) json: String,
    /// Whether there are keys; without any, every token is refused.
    pub(crate) has_keys: bool,
}

/// All enabled external issuers, by name.
pub(crate) type FollowedIssuers = Arc<[Arc<FollowedIssuer>]>;

/// The issuers that the sandbox has, and where the store stood when they were read.
#[derive(Default)]
pub(super) struct Issuers(Mutex<State>);

/// The issuers at one moment.
#[derive(Clone, Default)]
struct State {
    position: Option<Position>,
    mark: Option<IssuersMark>,
    external: FollowedIssuers,
    /// This store; `None`: it has no keys that open.
    own: Option<IssuerDocument>,
    closed: Arc<ClosedKeys>,
    /// The time that `own` is of.
    read_at: Option<Timestamp>,
    /// When `own` changes although the store does not: a key of the store begins to sign or is gone.
    until: Option<Timestamp>,
}

impl State {
    /// Whether the own issuer is another one at this time, for all that the store says.
    fn is_due(&self, now: Timestamp) -> bool {
        // Also when the clock was set back: keys that had gone by then are there again.
        self.read_at.is_some_and(|read_at| now < read_at) || self.until.is_some_and(|until| now >= until)
    }
}

/// Issuers that were read and are not yet in force.
pub(super) struct IssuerChanges {
    next: State,
    /// Whether the sandbox needs other documents than it has.
    pub(super) documents_changed: bool,
    /// Whether external issuers are others than before.
    pub(super) external_changed: bool,
}

impl Issuers {
    /// Reads what this view says. `None`: what is in force is of this position and time.
    pub(super) fn read(
        &self,
        view: &dyn ReadTransaction,
        position: Position,
        source: &Source<'_>,
    ) -> Result<Option<IssuerChanges>, MoveError> {
        let here = self.lock().clone();
        if here.position == Some(position) && !here.is_due(source.now) {
            return Ok(None);
        }
        if here.position.is_some_and(|here| position < here) {
            return Err(MoveError::Older);
        }
        // Most changes of a store are of keys: then nothing is read of external issuers but this.
        let mark = Some(view.issuers_mark()?);
        let is_same_epoch = here.position.is_some_and(|here| here.epoch == position.epoch);
        let external = match is_same_epoch && mark == here.mark {
            true => Arc::clone(&here.external),
            false => read_external(view, &here.external)?,
        };
        let Own { document: own, closed, until } = Own::read(view, source)?;
        let external_changed = external != here.external;
        let documents_changed = here.position.is_none() || external_changed || own != here.own;
        let (position, closed) = (Some(position), Arc::new(closed));
        let next = State { position, mark, external, own, closed, read_at: Some(source.now), until };
        Ok(Some(IssuerChanges { next, documents_changed, external_changed }))
    }

    /// Puts in force what was read.
    pub(super) fn put(&self, IssuerChanges { next, documents_changed, .. }: IssuerChanges, sandbox: &Sandbox) {
        let mut state = self.lock();
        if documents_changed {
            let own = next.own.as_ref();
            let others = next.external.iter().filter(|other| own.is_none_or(|own| own.name() != other.issuer));
            let others = others.map(|other| IssuerDocument::new(other.issuer.as_str(), other.json.as_str()));
            sandbox.set_issuers(own.cloned().into_iter().chain(others).collect());
        }
        *state = next;
    }

    /// Whether they must be read again although the store has not changed.
    pub(super) fn are_due(&self, now: Timestamp) -> bool {
        self.lock().is_due(now)
    }

    /// All enabled external issuers.
    pub(super) fn external(&self) -> FollowedIssuers {
        Arc::clone(&self.lock().external)
    }

    /// The keys of the store that do not open.
    pub(super) fn closed_keys(&self) -> Arc<ClosedKeys> {
        Arc::clone(&self.lock().closed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced as a whole, so a panic elsewhere cannot have left it half-made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The enabled external issuers of a view. Those that are as before stay the same in memory.
fn read_external(view: &dyn ReadTransaction, before: &FollowedIssuers) -> Result<FollowedIssuers, StoreError> {
    let mut issuers = Vec::new();
    for issuer in view.enabled_issuers()? {
        let jwks = view.key_set(&issuer.name)?.and_then(|row| row.jwks);
        let next = FollowedIssuer {
            json: document(&issuer, jwks.as_deref())?,
            name: issuer.name,
            issuer: issuer.issuer,
            has_keys: jwks.is_some(),
        };
        let same = before.iter().find(|known| ***known == next).cloned();
        issuers.push(same.unwrap_or_else(|| Arc::new(next)));
    }
    Ok(issuers.into())
}

/// The document of an issuer.
fn document(issuer: &ExternalIssuer, jwks: Option<&str>) -> Result<String, StoreError> {
    let settings = IssuerSettings {
        audiences: issuer.audiences.clone(),
        any_audience: issuer.any_audience,
        forbidden_claims: issuer.forbidden_claims.clone(),
        wildcard_scopes: issuer.wildcard_scopes,
        token_type: issuer.token_type,
        leeway: issuer.leeway.into(),
        claims: issuer.claims.clone(),
        environment: issuer.environment.clone(),
        any_environment: issuer.any_environment,
        ..IssuerSettings::new(issuer.issuer.as_str(), issuer.algorithms.as_slice())
    };
    let with = |jwks: &str| Issuer::new(settings.clone(), jwks.as_bytes()).map(|issuer| issuer.to_json());
    // A set that this program does not take, though an earlier one did, is none: the tokens of this
    // issuer are refused, and those of the others are not.
    let document = match jwks.map(with) {
        Some(Ok(document)) => Ok(document),
        Some(Err(_)) | None => with(NO_KEYS),
    };
    document.map_err(|_| StoreError::InvalidRow { column: "issuers", row: issuer.name.clone() })
}

const NO_KEYS: &str = "{\"keys\":[]}";
