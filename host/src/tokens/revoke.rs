//! Revoking tokens before they expire.

use keystile_validator::Timestamp;
use keystile_validator::jwt::{UnverifiedJwt, is_revocable};
use serde::Deserialize;
use serde_json::json;

use super::Tokens;
use super::error::RevokeTokenError;
use super::own_issuer::OwnIssuer;
use super::settings::ACCESS_TOKEN_LIFETIME_BOUNDS;
use super::verify::MAX_LOOKS;
use crate::in_force::readable;
use crate::issuers::MAX_LEEWAY;
use crate::keystile::Inner;
use crate::mirror::KEPT_AFTER_EXPIRY;
use crate::secret_forms::SecretForms;
use crate::store::containment::{BareIssuer, IssuerRef};
use crate::store::{ReadTransaction, RevocationKind, RevocationRow, StoreError, THIS_STORE, WriteTransaction};
use crate::text::rfc3339;
use crate::timekeeping::forgettable;

/// What a revocation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedToken {
    /// Who has signed it.
    pub issuer: String,
    /// Its `jti`.
    pub token_id: String,
    /// When it expires, at the latest.
    pub expires_at: Timestamp,
    /// What it was before.
    pub was: WasToken,
}

/// What a token was before it was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WasToken {
    /// As far as this store knows, valid.
    Live,
    /// Revoked already: nothing was changed.
    Revoked,
    /// Expired already: nothing was changed.
    Expired,
}

impl Tokens<'_> {
    /// Revokes a token that is at hand, of this store or of an external issuer that it knows. Its
    /// signature must be good: else anybody could have any token revoked.
    ///
    /// # Errors
    /// [`RevokeTokenError`]; nothing was revoked then.
    pub fn revoke(&self, token: &str) -> Result<RevokedToken, RevokeTokenError> {
        let TokenToRevoke { issuer, token_id, expires_at } = self.inner.verify_to_revoke(token)?;
        self.inner.contain(|transaction, now| {
            // An issuer's leeway, or a clock that is set back, can bring back what has just expired.
            if forgettable(transaction)?.is_some_and(|by| expires_at.saturating_add(KEPT_AFTER_EXPIRY) <= by) {
                let (issuer, token_id) = (issuer.clone(), token_id.clone());
                return Ok(RevokedToken { issuer, token_id, expires_at, was: WasToken::Expired });
            }
            self.inner.revoke_token(transaction, now, issuer.clone(), token_id.clone(), expires_at)
        })
    }

    /// Revokes the token of this id (`jti`), of this store or of an external issuer that it knows, named
    /// as the store names it or as its tokens do (`iss`).
    ///
    /// # Errors
    /// [`RevokeTokenError`]; nothing was revoked then.
    pub fn revoke_id(&self, issuer: Option<&str>, token_id: &str) -> Result<RevokedToken, RevokeTokenError> {
        if !is_revocable(token_id) {
            return Err(RevokeTokenError::TokenId);
        }
        self.inner.contain(|transaction, now| {
            if SecretForms::of(&*transaction).is_in(token_id) {
                return Err(RevokeTokenError::Secret);
            }
            let own = OwnIssuer::of(transaction)?.issuer;
            // When a token of another issuer expires, nobody knows; nor when one goes by the name of this store: the id
            // may be one of its tokens.
            let newest = self.inner.known_clock(transaction, now)?.newest.max(now);
            let is_shared = transaction.bare_issuer(IssuerRef::NameOrIss(&own))?.is_some();
            let own_until = if is_shared { Timestamp::MAX } else { last_own_expiry(&*transaction, newest)? };
            let (issuer, until) = match issuer {
                None => (own, own_until),
                Some(name) if name == own => (own, own_until),
                Some(name) => (iss_of(external(&*transaction, name)?)?, Timestamp::MAX),
            };
            self.inner.revoke_token(transaction, now, issuer, token_id.to_owned(), until)
        })
    }
}

/// Which tokens of an external issuer to revoke, when not one by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokensOf<'a> {
    /// All tokens of a session (`sid`), also those that are yet to come.
    Session(&'a str),
    /// All tokens that were issued to a subject (`sub`) up to now. The clock of the issuer may be ahead by as much as
    /// [`MAX_LEEWAY`](crate::bounds::MAX_LEEWAY), so those of the next minute are refused, too. Those that do not say when
    /// they were issued (`iat`) are refused from now on.
    Subject(&'a str),
}

/// What a revocation of many tokens did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedTokens {
    /// Who signs them.
    pub issuer: String,
    /// Of a subject: tokens with an `iat` before this time are refused.
    pub issued_before: Option<Timestamp>,
    /// Whether they were revoked already; those of a subject are revoked anew each time.
    pub was: WasToken,
}

impl Tokens<'_> {
    /// Revokes the tokens of a session or of a subject of an external issuer, which is named as the store
    /// names it or as its tokens do (`iss`).
    ///
    /// # Errors
    /// [`RevokeTokenError`]; nothing was revoked then. [`RevokeTokenError::OwnIssuer`] for this store
    /// itself, where sessions end and users are suspended.
    pub fn revoke_all(&self, issuer: &str, tokens: TokensOf<'_>) -> Result<RevokedTokens, RevokeTokenError> {
        let (kind, value) = match tokens {
            TokensOf::Session(value) => (RevocationKind::Session, value),
            TokensOf::Subject(value) => (RevocationKind::Subject, value),
        };
        if !is_revocable(value) {
            return Err(RevokeTokenError::Name { claim: if kind == RevocationKind::Session { "sid" } else { "sub" } });
        }
        self.inner.contain(|transaction, now| {
            if SecretForms::of(&*transaction).is_in(value) {
                return Err(RevokeTokenError::Secret);
            }
            if issuer == OwnIssuer::of(transaction)?.issuer {
                return Err(RevokeTokenError::OwnIssuer);
            }
            let issuer = iss_of(external(&*transaction, issuer)?)?;
            // Whatever was issued so far, by the clock of an issuer that may be ahead by any leeway that can be set
            // later. When the clock here is behind, the issuer's need not be.
            let newest = self.inner.known_clock(transaction, now)?.newest.max(now);
            let latest = newest.saturating_add(MAX_LEEWAY.into());
            let issued_before = (kind == RevocationKind::Subject).then(|| latest.saturating_add(1));
            let before = known_revocation(&*transaction, &issuer, kind, value)?;
            let is_same = before.is_some_and(|before| before.issued_before >= issued_before);
            let was = if is_same { WasToken::Revoked } else { WasToken::Live };
            if was == WasToken::Live {
                let row = RevocationRow {
                    issuer: issuer.clone(),
                    kind,
                    value: value.to_owned(),
                    revoked_at: now,
                    issued_before,
                    // Nobody knows when the last of them expires.
                    expires_at: Timestamp::MAX,
                };
                put(transaction, &row)?;
                let detail = json!({
                    "issuer": issuer,
                    "of": kind.as_str(),
                    "issued_before": issued_before.map(rfc3339),
                });
                self.inner.audit(transaction, now, "tokens.revoked", Some(value.to_owned()), &detail)?;
            }
            Ok(RevokedTokens { issuer, issued_before, was })
        })
    }
}

/// What must be known of a token to revoke it. Its signature was verified.
struct TokenToRevoke {
    issuer: String,
    token_id: String,
    expires_at: Timestamp,
}

/// The claims that a revocation looks at.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: f64,
    jti: Option<String>,
}

impl Inner {
    /// Makes sure that a token is really signed by an issuer that this store knows, whatever its times
    /// and its other claims: one that is refused now may be let in by other settings.
    fn verify_to_revoke(&self, token: &str) -> Result<TokenToRevoke, RevokeTokenError> {
        let jwt = UnverifiedJwt::parse(token.as_bytes()).map_err(|_| RevokeTokenError::Unknown)?;
        let claims: Claims = serde_json::from_str(jwt.dangerous_claims()).map_err(|_| RevokeTokenError::Unknown)?;
        self.verify_signature(&jwt, token, &claims.iss)?;
        let token_id = claims.jti.filter(|id| is_revocable(id)).ok_or(RevokeTokenError::NoTokenId)?;
        // A time may have a fraction (RFC 7519, section 2); one out of range is the last there is.
        let expires_at = Timestamp::from_unix(claims.exp.ceil() as u64).unwrap_or(Timestamp::MAX);
        Ok(TokenToRevoke { issuer: claims.iss, token_id, expires_at })
    }

    /// Verifies the signature of a token by the issuers that the store has now.
    fn verify_signature(&self, jwt: &UnverifiedJwt<'_>, token: &str, issuer: &str) -> Result<(), RevokeTokenError> {
        for _ in 0..MAX_LOOKS {
            // What was enabled or rotated elsewhere a moment ago counts as well.
            self.follow()?;
            let look = self.look().ok_or(RevokeTokenError::Unavailable)?;
            let Some(basis) = look.signers(&self.source())? else { continue };
            self.announce(basis.moved);
            let checked = self.sandbox.check_jws(issuer, token.as_bytes()).map_err(RevokeTokenError::Sandbox)?;
            if !self.mirror.has_issuers_of(basis.moment) {
                continue;
            }
            return checked.map_err(|_| match basis.closed.has_key_of(jwt) {
                true => RevokeTokenError::ClosedKey,
                false => RevokeTokenError::Unknown,
            });
        }
        Err(RevokeTokenError::Unavailable)
    }

    /// Revokes one token, whose claims are believed.
    pub(crate) fn revoke_token(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        issuer: String,
        token_id: String,
        expires_at: Timestamp,
    ) -> Result<RevokedToken, RevokeTokenError> {
        let is_own = issuer == OwnIssuer::of(transaction)?.issuer;
        let filed_under = if is_own { THIS_STORE.to_owned() } else { issuer.clone() };
        let known = known_revocation(&*transaction, &filed_under, RevocationKind::Token, &token_id)?;
        let was = if known.is_some() { WasToken::Revoked } else { WasToken::Live };
        let expires_at = known.map_or(expires_at, |known| known.expires_at.max(expires_at));
        let row = RevocationRow {
            issuer: filed_under,
            kind: RevocationKind::Token,
            value: token_id,
            revoked_at: now,
            issued_before: None,
            expires_at,
        };
        // Also one that is there: it may have been kept for too short a time.
        put(transaction, &row)?;
        let token_id = row.value;
        if was == WasToken::Live {
            let detail = json!({ "issuer": issuer, "expires_at": rfc3339(expires_at) });
            self.audit(transaction, now, "token.revoked", Some(token_id.clone()), &detail)?;
        }
        Ok(RevokedToken { issuer, token_id, expires_at, was })
    }

    /// Revokes all tokens of this store that belong to a session; none of them is valid after `until`. Says whether
    /// they were revoked before. The audit entry is the caller's: it knows why the session ends.
    pub(crate) fn revoke_session_tokens(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        session_id: &str,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let known = known_revocation(&*transaction, THIS_STORE, RevocationKind::Session, session_id)?;
        let row = RevocationRow {
            issuer: THIS_STORE.to_owned(),
            kind: RevocationKind::Session,
            value: session_id.to_owned(),
            revoked_at: now,
            issued_before: None,
            expires_at: until,
        };
        put(transaction, &row)?;
        Ok(known.is_some_and(|known| known.expires_at >= now))
    }

    /// Revokes all tokens of this store that were issued to a subject before a time: those with an
    /// `iat` below it. The audit entry is the caller's: it knows why.
    pub(crate) fn revoke_subject_tokens(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        subject: &str,
        issued_before: Timestamp,
    ) -> Result<(), StoreError> {
        let row = RevocationRow {
            issuer: THIS_STORE.to_owned(),
            kind: RevocationKind::Subject,
            value: subject.to_owned(),
            revoked_at: now,
            issued_before: Some(issued_before),
            expires_at: issued_before.max(now).saturating_add(*ACCESS_TOKEN_LIFETIME_BOUNDS.end()),
        };
        put(transaction, &row)
    }
}

/// The time before which all tokens are refused that were issued to a user of this store so far, and none that is
/// issued from now on: the trail has an entry for each, so a token of this second is known by it.
pub(crate) fn issued_so_far(view: &dyn ReadTransaction, user: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
    let latest = view.latest_audit_time(user, "token.issued")?;
    Ok(latest.map_or(now, |latest| latest.saturating_add(1).max(now)))
}

/// The latest time at which a token can have been issued to a user of this store so far: later than now, when
/// one was made while the clock was ahead, which would be valid again when it gets there. The audit trail
/// has an entry for each.
pub(crate) fn latest_issue(view: &dyn ReadTransaction, user: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
    Ok(view.latest_audit_time(user, "token.issued")?.map_or(now, |latest| latest.max(now)))
}

/// The latest time at which a token of this store can expire that can be verified: whatever the settings once were, and
/// whatever the clock said when it was issued. `newest` is the newest time that is known.
fn last_own_expiry(view: &dyn WriteTransaction, newest: Timestamp) -> Result<Timestamp, StoreError> {
    let (keys, unreadable) = view.readable_signing_keys()?;
    if !unreadable.is_empty() {
        return Ok(Timestamp::MAX);
    }
    let noted = keys.iter().filter_map(|key| key.last_expiry).max();
    Ok(noted.max(Some(newest.saturating_add(*ACCESS_TOKEN_LIFETIME_BOUNDS.end()))).unwrap_or(Timestamp::MAX))
}

/// Whether all tokens that were issued to a user of this store are revoked, or have expired.
pub(crate) fn are_subject_tokens_revoked(
    view: &dyn WriteTransaction,
    user: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(latest) = view.latest_audit_time(user, "token.issued")? else { return Ok(true) };
    let known = known_revocation(view, THIS_STORE, RevocationKind::Subject, user)?;
    let are_revoked = known.and_then(|known| known.issued_before).is_some_and(|before| latest < before);
    Ok(are_revoked || latest.saturating_add(*ACCESS_TOKEN_LIFETIME_BOUNDS.end()) <= now)
}

/// The external issuer that goes by this name, or whose tokens say this `iss`. What cannot be read of it, or of others,
/// keeps nobody from revoking.
fn external(view: &dyn WriteTransaction, name: &str) -> Result<BareIssuer, RevokeTokenError> {
    view.bare_issuer(IssuerRef::NameOrIss(name))?.ok_or(RevokeTokenError::Issuer)
}

/// The `iss` that revocations of an issuer are filed under.
fn iss_of(known: BareIssuer) -> Result<String, StoreError> {
    known.issuer.ok_or(StoreError::InvalidValue { column: "issuers.issuer" })
}

/// A revocation that is there already. One that cannot be read is none: it is written anew.
fn known_revocation(
    view: &dyn WriteTransaction,
    issuer: &str,
    kind: RevocationKind,
    value: &str,
) -> Result<Option<RevocationRow>, StoreError> {
    readable(view.revocation(issuer, kind, value), value, &mut Vec::new())
}

/// Writes a revocation down, and removes those that refuse nothing any more.
fn put(transaction: &mut dyn WriteTransaction, row: &RevocationRow) -> Result<(), StoreError> {
    transaction.put_revocation(row)?;
    match forgettable(&*transaction)? {
        Some(by) => transaction.sweep_revocations(by.saturating_sub(KEPT_AFTER_EXPIRY)),
        None => Ok(()),
    }
}
