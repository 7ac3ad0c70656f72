//! When the keys of an issuer are fetched, by whom, and what becomes of the answer.
//!
//! Whoever wants to fetch first writes the time of the attempt into the store. That is a lease: for the
//! cooldown, which is longer than any fetch, nobody else asks, in whatever process; and a process that
//! dies while it fetches costs no more than that time. So one cooldown sees one fetch for an issuer,
//! however many tokens with whatever key ids come in. Only an operator's own `refresh` does not wait.
//!
//! Each lease has an id of its own, and an answer is kept only while its lease is the newest one: an older answer
//! may hold keys that the issuer has withdrawn since. Times do not tell which is newer, because two leases can
//! begin within a second and the clock can be set back.

use keystile_validator::Timestamp;
use serde_json::json;

use super::Issuers;
use super::error::RefreshIssuerError;
use super::fetch::{FetchLimits, Fetched};
use super::issuer::{IssuerInfo, JwksUrl, KeySetInfo, KeySource};
use super::key_set::KeySet;
use super::problem::{FetchProblem, KeySetProblem};
use crate::keystile::Inner;
use crate::store::{KeySetRow, LeaseId, StoreError};

/// Seconds within which an issuer is asked once at most.
pub const FETCH_COOLDOWN: u64 = 30;
/// Longest time between two attempts while an issuer does not answer, in seconds. The first is
/// [`FETCH_COOLDOWN`]; it doubles with each failure.
pub const MAX_BACKOFF: u64 = 900;

/// What a refresh did.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The issuer and its keys, as they are now.
    pub info: IssuerInfo,
    /// Whether the keys are others than before. Not by this refresh when somebody else has asked later: then only the
    /// later answer counts.
    pub changed: bool,
}

/// Why keys are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// They are no longer fresh.
    Schedule,
    /// A token names a key that is not among them.
    UnknownKey,
    /// An operator wants it so.
    Operator,
}

/// The right to fetch the keys of an issuer, once.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) name: String,
    pub(super) url: JwksUrl,
    pub(super) etag: Option<String>,
    /// Which one.
    pub(super) id: LeaseId,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The keys are others than before.
    Changed,
    /// The keys are those that were there.
    Same,
    /// There are no new keys.
    Failed(FetchProblem),
    /// Somebody else has asked later, or a restore has come between: the answer was dropped.
    Superseded,
    /// The issuer was removed, or changed, while its keys were fetched.
    Gone,
}

impl Issuers<'_> {
    /// Fetches the keys of an issuer now.
    ///
    /// # Errors
    /// [`RefreshIssuerError`]; the keys are then as they were.
    pub fn refresh(&self, name: &str) -> Result<Refreshed, RefreshIssuerError> {
        let not_found = || RefreshIssuerError::NotFound { name: name.to_owned() };
        let issuer = self.inner.store().read()?.issuer(name)?.ok_or_else(not_found)?;
        if !issuer.is_fetched() {
            return Err(RefreshIssuerError::GivenKeys { name: name.to_owned() });
        }
        let lease = self.inner.lease_fetch(name, Reason::Operator)?.ok_or_else(not_found)?;
        let outcome = self.inner.fetch(&lease, FetchLimits::PATIENT)?;
        let info = self.show(name).map_err(|error| match error {
            super::ShowIssuerError::NotFound { name } => RefreshIssuerError::NotFound { name },
            super::ShowIssuerError::Store(error) => RefreshIssuerError::Store(error),
        })?;
        match outcome {
            Outcome::Changed => Ok(Refreshed { info, changed: true }),
            Outcome::Same | Outcome::Superseded => Ok(Refreshed { info, changed: false }),
            Outcome::Failed(problem) => {
                let has_keys = info.key_set.fetched_at.is_some();
                Err(RefreshIssuerError::Fetch { name: name.to_owned(), problem, has_keys })
            }
            Outcome::Gone => Err(not_found()),
        }
    }

    /// Gives an issuer whose keys were given other ones in their place.
    ///
    /// # Errors
    /// [`RefreshIssuerError`]; the keys are then as they were.
    pub fn set_keys(&self, name: &str, jwks: &str) -> Result<Refreshed, RefreshIssuerError> {
        self.inner.change(|transaction, now| {
            let issuer =
                transaction.issuer(name)?.ok_or_else(|| RefreshIssuerError::NotFound { name: name.to_owned() })?;
            if issuer.is_fetched() {
                return Err(RefreshIssuerError::FetchedKeys { name: name.to_owned() });
            }
            let set = KeySet::given(jwks, &issuer.algorithms).map_err(RefreshIssuerError::Keys)?;
            let mut row = key_set_of(transaction.key_set(name)?)?;
            let changed = !row.jwks.as_deref().is_some_and(|old| set.has_same_keys(old));
            let detail = describe(&set);
            if changed {
                row.jwks = Some(set.text);
            }
            (row.fetched_at, row.lease) = (Some(now), None);
            transaction.set_key_set(name, &row)?;
            if changed {
                self.inner.audit(transaction, now, KEYS_CHANGED, Some(name.to_owned()), &detail)?;
            }
            let key_set = KeySetInfo::new(&row, &issuer.algorithms);
            Ok(Refreshed { info: IssuerInfo { issuer, key_set }, changed })
        })
    }
}

impl Inner {
    /// Says that a token of this `iss` names a key that its issuer does not have, so that its keys are
    /// fetched again, once in a cooldown. That happens behind; only where there are no background
    /// threads, and the issuer has no keys at all, it is waited for: then it answers whether there are
    /// others now, so that judging again makes sense.
    pub(crate) fn note_unknown_kid(&self, issuer: &str) -> bool {
        let external = self.mirror.external_issuers();
        let Some(document) = external.iter().find(|document| document.issuer == issuer) else { return false };
        if !self.mirror.is_on_demand() {
            self.issuers.refresher.tell_unknown_key(&document.name, self.now());
            return false;
        }
        if document.has_keys || self.read_only {
            return false;
        }
        let lease = self.lease_fetch(&document.name, Reason::UnknownKey);
        matches!(lease, Ok(Some(lease)) if matches!(self.fetch(&lease, FetchLimits::SHORT), Ok(Outcome::Changed)))
    }

    /// Takes the right to fetch, when it is time and nobody else has it.
    pub(super) fn lease_fetch(&self, name: &str, reason: Reason) -> Result<Option<Lease>, StoreError> {
        // A look first: a write is worth it only when it is likely to be granted.
        let row = self.store.read()?.key_set(name)?;
        if !row.is_some_and(|row| is_due(&row, self.now(), reason)) {
            return Ok(None);
        }
        let mut transaction = self.store.write()?;
        let now = self.now();
        let (Some(issuer), Some(mut row)) = (transaction.issuer(name)?, transaction.key_set(name)?) else {
            return Ok(None);
        };
        let KeySource::Url(url) = issuer.source else { return Ok(None) };
        let wanted = issuer.enabled || reason == Reason::Operator;
        if !wanted || !is_due(&row, now, reason) {
            return Ok(None);
        }
        let id = LeaseId::generate()?;
        (row.attempted_at, row.lease) = (Some(now), Some(id));
        let etag = if row.jwks.is_some() { row.etag.clone() } else { None };
        transaction.set_key_set(name, &row)?;
        transaction.commit()?;
        Ok(Some(Lease { name: issuer.name, url, etag, id }))
    }

    /// Fetches what there is a lease for, and keeps it.
    pub(super) fn fetch(&self, lease: &Lease, limits: FetchLimits) -> Result<Outcome, StoreError> {
        let answer = self.issuers.fetcher.fetch(&lease.url, lease.etag.as_deref(), limits);
        self.keep_answer(lease, answer)
    }

    /// Keeps what a fetch gave. A set of no use never takes the place of another one.
    pub(super) fn keep_answer(
        &self,
        lease: &Lease,
        answer: Result<Fetched, FetchProblem>,
    ) -> Result<Outcome, StoreError> {
        self.change(|transaction, now| {
            let Some(issuer) = transaction.issuer(&lease.name)? else { return Ok(Outcome::Gone) };
            if issuer.source != KeySource::Url(lease.url.clone()) {
                return Ok(Outcome::Gone);
            }
            let mut row = key_set_of(transaction.key_set(&lease.name)?)?;
            // Somebody who has asked later may have had the newer answer already.
            if row.lease != Some(lease.id) {
                return Ok(Outcome::Superseded);
            }
            row.lease = None;
            let answer = answer.and_then(|fetched| match fetched.text.as_deref() {
                // Still the set that is here; if it has gone meanwhile, this is no answer.
                None if row.jwks.is_some() && row.etag == lease.etag => Ok((fetched, None)),
                None => Err(FetchProblem::BadAnswer),
                Some(text) => match KeySet::published(text, &issuer.algorithms) {
                    Ok(set) => Ok((fetched, Some(set))),
                    Err(problem) => Err(FetchProblem::KeySet(problem)),
                },
            });
            let mut keys_changed = None;
            let outcome = match answer {
                Err(problem) => {
                    row.failures = row.failures.saturating_add(1);
                    row.problem = Some(problem);
                    // Asked with the tag, an issuer that answers nonsense could do so for ever.
                    if matches!(problem, FetchProblem::KeySet(_) | FetchProblem::BadAnswer) {
                        row.etag = None;
                    }
                    Outcome::Failed(problem)
                }
                Ok((fetched, set)) => {
                    let same = |set: &KeySet| row.jwks.as_deref().is_some_and(|old| set.has_same_keys(old));
                    let changed = set.filter(|set| !same(set));
                    (row.fetched_at, row.max_age, row.etag) = (Some(now), fetched.max_age, fetched.etag);
                    (row.failures, row.problem) = (0, None);
                    match changed {
                        None => Outcome::Same,
                        Some(set) => {
                            keys_changed = Some(describe(&set));
                            row.jwks = Some(set.text);
                            Outcome::Changed
                        }
                    }
                }
            };
            transaction.set_key_set(&lease.name, &row)?;
            if let Some(detail) = keys_changed {
                self.audit(transaction, now, KEYS_CHANGED, Some(lease.name.clone()), &detail)?;
            }
            Ok(outcome)
        })
    }
}

/// Whether it is time to fetch a set.
pub(super) fn is_due(row: &KeySetRow, now: Timestamp, reason: Reason) -> bool {
    let Some(attempted_at) = row.attempted_at else { return true };
    if reason == Reason::Operator || attempted_at > now {
        // A time to come means that the clock was set back: waiting for it could take years.
        return true;
    }
    let since_attempt = now.seconds_since(attempted_at);
    if since_attempt < FETCH_COOLDOWN {
        return false;
    }
    if reason == Reason::UnknownKey {
        return true;
    }
    if row.failures > 0 {
        return since_attempt >= backoff(row.failures);
    }
    match row.fetched_at {
        Some(fetched_at) if fetched_at <= now => now.seconds_since(fetched_at) >= u64::from(row.max_age),
        _ => true,
    }
}

/// How long to wait after so many failures in a row.
fn backoff(failures: u32) -> u64 {
    let doubled = failures.saturating_sub(1).min(16);
    FETCH_COOLDOWN.saturating_mul(1 << doubled).min(MAX_BACKOFF)
}

fn key_set_of(row: Option<KeySetRow>) -> Result<KeySetRow, StoreError> {
    row.ok_or(StoreError::InvalidValue { column: "jwks_cache.name" })
}

/// What the audit trail says of a set: which keys are in it now.
fn describe(set: &KeySet) -> serde_json::Value {
    let kids: Vec<_> = set.keys.iter().filter_map(|key| key.kid.as_deref()).take(MAX_KIDS_TOLD).collect();
    json!({ "keys": set.keys.len(), "kids": kids })
}

const KEYS_CHANGED: &str = "issuer.keys_changed";
/// Most key ids in an audit entry.
const MAX_KIDS_TOLD: usize = 16;

impl From<KeySetProblem> for RefreshIssuerError {
    fn from(problem: KeySetProblem) -> RefreshIssuerError {
        RefreshIssuerError::Keys(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000 + seconds).unwrap()
    }

    fn row(fetched_at: Option<u64>, attempted_at: Option<u64>, failures: u32) -> KeySetRow {
        KeySetRow {
            jwks: fetched_at.map(|_| "{}".to_owned()),
            fetched_at: fetched_at.map(at),
            max_age: 600,
            etag: None,
            attempted_at: attempted_at.map(at),
            lease: None,
            failures,
            problem: None,
        }
    }

    #[test]
    fn a_set_is_due_when_it_is_no_longer_fresh() {
        let row = row(Some(1_000), Some(1_000), 0);
        for (now, due) in [(1_000, false), (1_599, false), (1_600, true), (9_999, true)] {
            assert_eq!(is_due(&row, at(now), Reason::Schedule), due, "{now}");
        }
        let long = KeySetRow { max_age: 86_400, ..row };
        assert!(!is_due(&long, at(1_000 + 86_399), Reason::Schedule) && is_due(&long, at(87_400), Reason::Schedule));
    }

    #[test]
    fn a_set_that_was_never_there_is_due_at_once_and_then_after_the_cooldown() {
        assert!(is_due(&row(None, None, 0), at(0), Reason::Schedule));
        // Somebody has begun to fetch it, and did not come back.
        let begun = row(None, Some(0), 0);
        assert!(!is_due(&begun, at(29), Reason::Schedule) && is_due(&begun, at(30), Reason::Schedule));
    }

    #[test]
    fn an_unknown_key_waits_for_the_cooldown_and_an_operator_does_not() {
        for failures in [0, 9] {
            let row = row(Some(1_000), Some(1_000), failures);
            assert!(!is_due(&row, at(1_029), Reason::UnknownKey) && is_due(&row, at(1_030), Reason::UnknownKey));
            assert!(is_due(&row, at(1_000), Reason::Operator));
        }
    }

    #[test]
    fn failures_are_retried_ever_more_rarely() {
        for (failures, wait) in [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (u32::MAX, 900)] {
            let row = row(Some(0), Some(100_000), failures);
            assert!(!is_due(&row, at(100_000 + wait - 1), Reason::Schedule), "{failures}");
            assert!(is_due(&row, at(100_000 + wait), Reason::Schedule), "{failures}");
        }
    }

    #[test]
    fn the_trail_names_so_many_keys_and_counts_all() {
        let key = |number: usize| super::super::KeySetKey {
            kid: (number > 0).then(|| format!("k{number}")),
            kty: "EC".to_owned(),
            algorithm: None,
        };
        let set = KeySet { text: String::new(), keys: (0..MAX_KIDS_TOLD + 3).map(key).collect() };
        let told = describe(&set);
        assert_eq!(told["keys"], MAX_KIDS_TOLD + 3);
        let kids = told["kids"].as_array().unwrap();
        assert!(kids.len() == MAX_KIDS_TOLD && kids[0] == "k1", "{told}");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_anything() {
        assert!(is_due(&row(Some(9_000), Some(9_000), 0), at(1_000), Reason::Schedule));
        // Asked again at the new time, and in vain: the cooldown holds.
        let asked = row(Some(9_000), Some(1_000), 0);
        assert!(!is_due(&asked, at(1_029), Reason::Schedule) && is_due(&asked, at(1_030), Reason::Schedule));
    }
}
