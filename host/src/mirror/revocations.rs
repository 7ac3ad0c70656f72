//! Revoked tokens in memory: what a look-up says of a token before it is judged.
//!
//! What has expired is dropped some time later: nothing that it refuses is valid by then.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use keystile_validator::Timestamp;
use keystile_validator::jwt::{TokenLookup, TokenRecord};

use super::health::Extent;
use crate::store::{Generation, ReadTransaction, RevocationKind, RevocationRow, StoreError, THIS_STORE};

/// Seconds for which a revocation is kept after the last token that it refuses has expired: a clock
/// that was set back by a day brings no revoked token back.
pub(crate) const KEPT_AFTER_EXPIRY: u64 = 86_400;

/// What a store says of a token of this issuer. Revocations never say that a subject is suspended: its tokens
/// are revoked then.
///
/// Those of the store's own tokens count for every issuer: the ids in them are random, and nobody else's.
pub(super) fn record_of_view(
    view: &dyn ReadTransaction,
    issuer: &str,
    lookup: TokenLookup<'_>,
) -> Result<TokenRecord, StoreError> {
    let of = |issuer: &str| {
        let find = |kind, value: Option<&str>| match value {
            Some(value) => view.revocation(issuer, kind, value),
            None => Ok(None),
        };
        let revoked = find(RevocationKind::Token, lookup.token_id)?.is_some()
            || find(RevocationKind::Session, lookup.session_id)?.is_some();
        let subject = find(RevocationKind::Subject, lookup.subject)?;
        Ok(TokenRecord { revoked, suspended: false, not_before: subject.map(|row| issued_before(&row)) })
    };
    Ok(both(of(THIS_STORE)?, of(issuer)?))
}

fn both(own: TokenRecord, theirs: TokenRecord) -> TokenRecord {
    TokenRecord {
        revoked: own.revoked || theirs.revoked,
        suspended: own.suspended || theirs.suspended,
        not_before: own.not_before.max(theirs.not_before),
    }
}

/// The time before which the tokens of a subject are refused.
fn issued_before(row: &RevocationRow) -> Timestamp {
    row.issued_before.unwrap_or(row.revoked_at)
}

/// The revocations of a store, by issuer.
#[derive(Default)]
pub(super) struct Revocations {
    issuers: RwLock<HashMap<String, OfIssuer>>,
}

/// Revocations that were read and are not yet in force.
pub(super) struct RevocationChanges {
    /// Whether they are all there are.
    all: bool,
    changed: Vec<RevocationRow>,
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
    /// Reads all there are.
    pub(super) fn read_all(view: &dyn ReadTransaction) -> Result<RevocationChanges, StoreError> {
        let mut changed = Vec::new();
        view.revocations(Generation::default(), &mut |row| changed.push(row))?;
        Ok(RevocationChanges { all: true, changed })
    }

    /// Reads what has changed after this generation.
    pub(super) fn read_changed(
        view: &dyn ReadTransaction,
        after: Generation,
        extent: &mut Extent<'_>,
    ) -> Result<RevocationChanges, StoreError> {
        let mut changed = Vec::new();
        view.revocations(after, &mut |row| {
            extent.count();
            changed.push(row);
        })?;
        Ok(RevocationChanges { all: false, changed })
    }

    /// Takes over what was read.
    pub(super) fn put(&self, RevocationChanges { all, changed }: RevocationChanges) {
        if !all && changed.is_empty() {
            return;
        }
        let mut issuers = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        if all {
            issuers.clear();
        }
        for row in changed {
            put(&mut issuers, row);
        }
    }

    /// What is known of a token of this issuer, as [`record_of_view`] says it.
    pub(super) fn record(&self, issuer: &str, lookup: TokenLookup<'_>) -> TokenRecord {
        let issuers = self.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let of = |issuer: &str| {
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
        };
        both(of(THIS_STORE), of(issuer))
    }

    /// Drops what refuses nothing any more.
    pub(super) fn sweep(&self, now: Timestamp) {
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
    let issued_before = issued_before(&row);
    let of_issuer = issuers.entry(row.issuer).or_default();
    match row.kind {
        RevocationKind::Token => of_issuer.tokens.insert(row.value, row.expires_at),
        RevocationKind::Session => of_issuer.sessions.insert(row.value, row.expires_at),
        RevocationKind::Subject => {
            of_issuer.subjects.insert(row.value, (issued_before, row.expires_at));
            None
        }
    };
}
