//! Revoking tokens before they expire.

use std::collections::HashSet;

use jsonwebtoken::{DecodingKey, Validation};
use keystile_validator::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::error::RevokeTokenError;
use super::issue::ACCESS_TOKEN_TYPE;
use super::own_issuer::{OwnIssuer, OwnKeyMaterial};
use super::revocations::KEPT_AFTER_EXPIRY;
use super::settings::{ACCESS_TOKEN_LIFETIME_BOUNDS, MAX_ISSUER_LEN};
use super::{MAX_CLAIM_LEN, MAX_TOKEN_LEN, Tokens};
use crate::keystile::Inner;
use crate::signing_keys::{decoding_key, jws_algorithm};
use crate::store::{ReadTransaction, RevocationKind, RevocationRow, StoreError, WriteTransaction};
use crate::text::{is_line, rfc3339};

/// How long the revocation of a token is kept whose expiry nobody knows: one year, in seconds.
pub const UNKNOWN_EXPIRY: u64 = 365 * 86_400;

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
    /// Revokes a token that is at hand. It must verify: else anybody could have any token revoked.
    ///
    /// # Errors
    /// [`RevokeTokenError`]; nothing was revoked then.
    pub fn revoke(&self, token: &str) -> Result<RevokedToken, RevokeTokenError> {
        self.inner.change(|transaction, now| {
            let token = self.inner.verify_to_revoke(transaction, now, token)?;
            let token_id = token.token_id.ok_or(RevokeTokenError::NoTokenId)?;
            if token.expires_at <= now {
                let TokenToRevoke { issuer, expires_at, .. } = token;
                return Ok(RevokedToken { issuer, token_id, expires_at, was: WasToken::Expired });
            }
            self.inner.revoke_token(transaction, now, token.issuer, token_id, token.expires_at)
        })
    }

    /// Revokes the token of this id (`jti`), of this issuer or, when none is given, of this store.
    ///
    /// # Errors
    /// [`RevokeTokenError`]; nothing was revoked then.
    pub fn revoke_id(&self, issuer: Option<&str>, token_id: &str) -> Result<RevokedToken, RevokeTokenError> {
        if !is_line(token_id, MAX_CLAIM_LEN) {
            return Err(RevokeTokenError::TokenId);
        }
        if !issuer.is_none_or(|issuer| is_line(issuer, MAX_ISSUER_LEN)) {
            return Err(RevokeTokenError::Issuer);
        }
        self.inner.change(|transaction, now| {
            let own = OwnIssuer::of(transaction)?.issuer;
            let issuer = issuer.map_or(own.clone(), str::to_owned);
            // No token of this store lives longer, whatever the settings once were.
            let longest = if issuer == own { *ACCESS_TOKEN_LIFETIME_BOUNDS.end() } else { UNKNOWN_EXPIRY };
            self.inner.revoke_token(transaction, now, issuer, token_id.to_owned(), now.saturating_add(longest))
        })
    }
}

/// What must be known of a token to revoke it. Its signature was verified.
pub(crate) struct TokenToRevoke {
    issuer: String,
    token_id: Option<String>,
    expires_at: Timestamp,
}

/// The claims that a revocation looks at.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: u64,
    jti: Option<String>,
}

impl Inner {
    /// Makes sure that a token is of an issuer that this store knows: that it is really signed by it,
    /// whatever its time.
    fn verify_to_revoke(
        &self,
        view: &(impl ReadTransaction + ?Sized),
        now: Timestamp,
        token: &str,
    ) -> Result<TokenToRevoke, RevokeTokenError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(RevokeTokenError::Unknown);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| RevokeTokenError::Unknown)?;
        let keys = self.own_keys(view, now)?;
        let key = keys.into_iter().find(|key| header.kid.as_ref() == Some(&key.kid));
        let key = key.ok_or(RevokeTokenError::Unknown)?;
        let algorithm = jws_algorithm(key.algorithm);
        let is_access_token = header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE));
        if header.alg != algorithm || !is_access_token {
            return Err(RevokeTokenError::Unknown);
        }
        let verifies_with = match key.verifies_with.map_err(RevokeTokenError::Key)? {
            OwnKeyMaterial::Public(jwk) => decoding_key(&jwk).map_err(|_| RevokeTokenError::Unknown)?,
            OwnKeyMaterial::Hmac(secret) => DecodingKey::from_secret(&secret),
        };
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[OwnIssuer::of(view)?.issuer]);
        validation.required_spec_claims = HashSet::from(["iss".to_owned(), "exp".to_owned()]);
        let verified = jsonwebtoken::decode::<Claims>(token, &verifies_with, &validation);
        let Claims { iss, exp, jti } = verified.map_err(|_| RevokeTokenError::Unknown)?.claims;
        let expires_at = Timestamp::from_unix(exp).unwrap_or(Timestamp::MAX);
        Ok(TokenToRevoke { issuer: iss, token_id: jti, expires_at })
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
        if transaction.revocation(&issuer, RevocationKind::Token, &token_id)?.is_some() {
            return Ok(RevokedToken { issuer, token_id, expires_at, was: WasToken::Revoked });
        }
        let row = RevocationRow {
            issuer,
            kind: RevocationKind::Token,
            value: token_id,
            revoked_at: now,
            issued_before: None,
            expires_at,
        };
        put(transaction, now, &row)?;
        let RevocationRow { issuer, value: token_id, .. } = row;
        let detail = json!({ "issuer": issuer, "expires_at": rfc3339(expires_at) });
        self.audit(transaction, now, "token.revoked", Some(token_id.clone()), &detail)?;
        Ok(RevokedToken { issuer, token_id, expires_at, was: WasToken::Live })
    }

    /// Revokes all tokens of this store that belong to a session; none of them is valid after `until`.
    /// The audit entry is the caller's: it knows why the session ends.
    pub(crate) fn revoke_session_tokens(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        session_id: &str,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let issuer = OwnIssuer::of(transaction)?.issuer;
        let row = RevocationRow {
            issuer,
            kind: RevocationKind::Session,
            value: session_id.to_owned(),
            revoked_at: now,
            issued_before: None,
            expires_at: until,
        };
        put(transaction, now, &row)
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
        let issuer = OwnIssuer::of(transaction)?.issuer;
        let row = RevocationRow {
            issuer,
            kind: RevocationKind::Subject,
            value: subject.to_owned(),
            revoked_at: now,
            issued_before: Some(issued_before),
            expires_at: issued_before.max(now).saturating_add(*ACCESS_TOKEN_LIFETIME_BOUNDS.end()),
        };
        put(transaction, now, &row)
    }
}

/// Writes a revocation down, and removes those that refuse nothing any more.
fn put(transaction: &mut dyn WriteTransaction, now: Timestamp, row: &RevocationRow) -> Result<(), StoreError> {
    transaction.put_revocation(row)?;
    let before = now.unix().saturating_sub(KEPT_AFTER_EXPIRY);
    transaction.sweep_revocations(Timestamp::from_unix(before).unwrap_or(Timestamp::MAX))
}
