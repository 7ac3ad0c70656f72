//! Revoked tokens in memory: what a look-up says of a token before it is judged.
//!
//! They follow the store by generation, as the records of keys do. What has expired is dropped some
//! time later: nothing that it refuses is valid by then.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use keystile_validator::Timestamp;
use keystile_validator::jwt::{TokenLookup, TokenRecord};

use crate::keystile::Inner;
use crate::store::{Generation, ReadTransaction, RevocationKind, RevocationRow, StoreError};

/// Seconds for which a revocation is kept after the last token that it refuses has expired: a clock
/// that was set back by a day brings no revoked token back.
pub(crate) const KEPT_AFTER_EXPIRY: u64 = 86_400;

/// What revocations of this store's own tokens are filed under, whatever the store calls itself when:
/// a name that changes there and back must bring nothing back.
pub(crate) const THIS_STORE: &str = "urn:keystile:this-store";

impl Inner {
    /// What the store says of a token of this issuer. Revocations never say that a subject is
    /// suspended: its tokens are revoked then.
    ///
    /// Those of the store's own tokens count for every issuer: the ids in them are random, and nobody
    /// else's.
    pub(crate) fn token_record(&self, issuer: &str, lookup: TokenLookup<'_>) -> Result<TokenRecord, StoreError> {
        let of = |issuer: &str| match &self.records {
            Some(records) if records.is_healthy() => Ok(records.revocations().record(issuer, lookup)),
            // Looked up one by one, or not known to be up to date.
            _ => record_of_store(&*self.store.read()?, issuer, lookup),
        };
        let (own, theirs) = (of(THIS_STORE)?, of(issuer)?);
        Ok(TokenRecord {
            revoked: own.revoked || theirs.revoked,
            suspended: own.suspended || theirs.suspended,
            not_before: own.not_before.max(theirs.not_before),
        })
    }
}

fn record_of_store(
    view: &dyn ReadTransaction,
    issuer: &str,
    lookup: TokenLookup<'_>,
) -> Result<TokenRecord, StoreError> {
    let find = |kind, value: Option<&str>| match value {
        Some(value) => view.revocation(issuer, kind, value),
        None => Ok(None),
    };
    let revoked = find(RevocationKind::Token, lookup.token_id)?.is_some()
        || find(RevocationKind::Session, lookup.session_id)?.is_some();
    let not_before = find(RevocationKind::Subject, lookup.subject)?.and_then(|row| row.issued_before);
    Ok(TokenRecord { revoked, suspended: false, not_before })
}

/// The revocations of a store, by issuer.
#[derive(Default)]
pub(crate) struct Revocations {
    issuers: RwLock<HashMap<String, OfIssuer>>,
}

#[derive(Default)]
struct OfIssuer {
    /// Each with the time from which on nothing that it refuses is valid.
    tokens: HashMap<String, Timestamp>,
    sessions: HashMap<String, Timestamp>,
    /// Also with the time before which tokens are refused.
    subjects: HashMap<String, (Timestamp, Timestamp)>,
}

impl Revocations {
    /// Takes over what has changed after this generation; `None`: everything anew.
    pub(crate) fn follow(&self, view: &dyn ReadTransaction, after: Option<Generation>) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        view.revocations(after.unwrap_or_default(), &mut |row| changed.push(row))?;
        if after.is_some() && changed.is_empty() {
            return Ok(());
        }
        let mut issuers = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        if after.is_none() {
            issuers.clear();
        }
        for row in changed {
            put(&mut issuers, row);
        }
        Ok(())
    }

    /// What is known of a token.
    fn record(&self, issuer: &str, lookup: TokenLookup<'_>) -> TokenRecord {
        let issuers = self.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let Some(of_issuer) = issuers.get(issuer) else { return TokenRecord::default() };
        TokenRecord {
            revoked: lookup.token_id.is_some_and(|id| of_issuer.tokens.contains_key(id))
                || lookup.session_id.is_some_and(|id| of_issuer.sessions.contains_key(id)),
            suspended: false,
            not_before: lookup
                .subject
                .and_then(|subject| of_issuer.subjects.get(subject))
                .map(|(issued_before, _)| *issued_before),
        }
    }

    /// Drops what refuses nothing any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let is_needed = |expires_at: Timestamp| now.seconds_since(expires_at) <= KEPT_AFTER_EXPIRY;
        let mut issuers = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        issuers.retain(|_, of_issuer| {
            of_issuer.tokens.retain(|_, expires_at| is_needed(*expires_at));
            of_issuer.sessions.retain(|_, expires_at| is_needed(*expires_at));
            of_issuer.subjects.retain(|_, (_, expires_at)| is_needed(*expires_at));
            !(of_issuer.tokens.is_empty() && of_issuer.sessions.is_empty() && of_issuer.subjects.is_empty())
        });
    }
}

fn put(issuers: &mut HashMap<String, OfIssuer>, row: RevocationRow) {
    let of_issuer = issuers.entry(row.issuer).or_default();
    match row.kind {
        RevocationKind::Token => of_issuer.tokens.insert(row.value, row.expires_at),
        RevocationKind::Session => of_issuer.sessions.insert(row.value, row.expires_at),
        RevocationKind::Subject => {
            let issued_before = row.issued_before.unwrap_or(row.revoked_at);
            of_issuer.subjects.insert(row.value, (issued_before, row.expires_at));
            None
        }
    };
}
