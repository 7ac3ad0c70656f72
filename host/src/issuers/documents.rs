//! What verification needs of issuers, in memory. It follows the store by generation, as records do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use keystile_validator::jwt::{Issuer, IssuerSettings};

use super::fetch::FetchLimits;
use super::issuer::ExternalIssuer;
use super::refresh::{Outcome, Reason};
use crate::keystile::Inner;
use crate::store::{IssuersMark, Position, Store, StoreError};

/// An issuer as verification needs it.
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

/// All enabled issuers, by name.
pub(crate) type FollowedIssuers = Arc<[Arc<FollowedIssuer>]>;

/// The documents, and how far they have followed the store.
#[derive(Default)]
pub(crate) struct Documents {
    current: RwLock<FollowedIssuers>,
    /// Held while they move forwards, so that they move one step at a time.
    state: Mutex<State>,
    caught_up: AtomicBool,
}

#[derive(Default)]
struct State {
    position: Option<Position>,
    mark: Option<IssuersMark>,
}

impl Documents {
    /// Catches up with the store; whether anything is another now. When that fails, nothing may be
    /// allowed until it works again.
    pub(crate) fn follow(&self, store: &dyn Store) -> Result<bool, StoreError> {
        // Held from before the view is taken: whoever waits here then sees a later one.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.move_on(&mut state, store);
        self.caught_up.store(result.is_ok(), Ordering::Release);
        result
    }

    /// Whether the last attempt to catch up worked.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    fn current(&self) -> FollowedIssuers {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn move_on(&self, state: &mut State, store: &dyn Store) -> Result<bool, StoreError> {
        let view = store.read()?;
        let target = view.position()?;
        match state.position {
            Some(here) if here.epoch == target.epoch && here.generation >= target.generation => return Ok(false),
            Some(here) if here.epoch > target.epoch => return Ok(false),
            _ => {}
        }
        // Most changes of a store are of keys: then nothing is read but this.
        let mark = Some(view.issuers_mark()?);
        if state.position.is_some_and(|here| here.epoch == target.epoch) && mark == state.mark {
            state.position = Some(target);
            return Ok(false);
        }
        let before = self.current();
        let mut documents = Vec::new();
        for issuer in view.issuers()?.into_iter().filter(|issuer| issuer.enabled) {
            let jwks = view.key_set(&issuer.name)?.and_then(|row| row.jwks);
            let json = document(&issuer, jwks.as_deref())?;
            let same = before.iter().find(|known| known.name == issuer.name && known.json == json);
            documents.push(match same {
                Some(known) => Arc::clone(known),
                None => Arc::new(FollowedIssuer {
                    name: issuer.name,
                    issuer: issuer.issuer,
                    json,
                    has_keys: jwks.is_some(),
                }),
            });
        }
        let documents: FollowedIssuers = documents.into();
        let changed = documents != before;
        if changed {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = documents;
        }
        (state.position, state.mark) = (Some(target), mark);
        Ok(changed)
    }
}

/// The document of an issuer.
fn document(issuer: &ExternalIssuer, jwks: Option<&str>) -> Result<String, StoreError> {
    let settings = IssuerSettings {
        audiences: issuer.audiences.clone(),
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
    document.map_err(|_| StoreError::InvalidValue { column: "issuers" })
}

const NO_KEYS: &str = "{\"keys\":[]}";

impl Inner {
    /// What verification needs of all enabled issuers. `None`: it is not known to be what the store
    /// says, and no token may be allowed.
    pub(crate) fn issuer_documents(&self) -> Option<FollowedIssuers> {
        match &self.records {
            Some(records) if records.is_healthy() && self.issuers.documents.has_caught_up() => {}
            Some(_) => return None,
            None => drop(self.issuers.documents.follow(&*self.store).ok()?),
        }
        Some(self.issuers.documents.current())
    }

    /// Says that a token of this `iss` names a key that its issuer does not have, so that its keys are
    /// fetched again, once in a cooldown. That happens behind; only where there are no background
    /// threads, and the issuer has no keys at all, it is waited for: then it answers whether there are
    /// others now, so that judging again makes sense.
    pub(crate) fn note_unknown_kid(&self, issuer: &str) -> bool {
        let documents = self.issuers.documents.current();
        let Some(document) = documents.iter().find(|document| document.issuer == issuer) else { return false };
        if self.records.is_some() {
            self.issuers.refresher.tell_unknown_key(&document.name, self.now());
            return false;
        }
        if document.has_keys || self.read_only {
            return false;
        }
        let lease = self.lease_fetch(&document.name, Reason::UnknownKey);
        matches!(lease, Ok(Some(lease)) if matches!(self.fetch(&lease, FetchLimits::SHORT), Ok(Outcome::Changed)))
    }
}
