//! Beginning sessions.

use std::net::IpAddr;
use std::time::Duration;

use keystile_validator::{Environment, KeyId, Scope, Timestamp};
use serde_json::{Value, json};

use super::end::end_session;
use super::outlived::end_of_standing;
use super::refresh_key::RefreshKey;
use super::{DEFAULT_CLIENT_ID, LoggedIn, token};
use crate::ids::SessionId;
use crate::keystile::Inner;
use crate::session::{EndReason, MAX_SESSIONS, Session};
use crate::signing_keys::SigningKeyError;
use crate::store::users::SessionRow;
use crate::store::{StoreError, WriteTransaction};
use crate::text::rfc3339;
use crate::timekeeping::forgettable;
use crate::tokens::{AccessTokenClaims, IssueTokenError};
use crate::user::User;

/// What a new session is to be.
pub(crate) struct NewSession {
    /// The client it is bound to.
    pub(crate) client_id: Option<String>,
    /// How the client described itself.
    pub(crate) client: Option<String>,
    /// Where the login came from.
    pub(crate) address: Option<IpAddr>,
    /// The key that begins it, and the number of the secret that was presented.
    pub(crate) key: Option<(KeyId, u32)>,
    /// The environment it is for.
    pub(crate) environment: Option<Environment>,
    /// The scopes of its access tokens.
    pub(crate) scopes: Vec<Scope>,
    /// What else the audit trail is to say.
    pub(crate) failures_before: u32,
}

/// Begins a session of this user, who was told apart from all others by now.
pub(crate) fn start(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    user: &mut User,
    new: NewSession,
) -> Result<LoggedIn, IssueTokenError> {
    let lifetime = transaction.settings()?.logins.session_lifetime;
    make_room(inner, transaction, now, user)?;
    if let Some(by) = forgettable(&*transaction)? {
        transaction.forget_sessions(by.saturating_sub(KEPT_SECONDS))?;
    }
    let id = SessionId::generate(now).map_err(|_| StoreError::NoRandomBytes)?;
    let key = RefreshKey::generate()?;
    let kek = inner.key_to_seal(transaction, now).map_err(SigningKeyError::from)?;
    let sealed = key.seal(kek, transaction.store_id()?, id).map_err(SigningKeyError::from)?;
    let mut row = SessionRow {
        session: Session {
            id,
            user: user.id,
            client_id: new.client_id,
            client: new.client,
            address: new.address,
            key: new.key.map(|(key, _)| key),
            secret: new.key.map(|(_, secret)| secret),
            environment: new.environment,
            scopes: new.scopes,
            created_at: now,
            last_used_at: now,
            expires_at: now.saturating_add(lifetime),
            end: None,
        },
        key: Some(sealed),
        counter: 1,
        rotated_at: None,
        tokens_until: None,
    };
    let ttl = token_lifetime(&*transaction, now, &mut row)?;
    transaction.insert_session(&row)?;
    user.last_login_at = user.last_login_at.max(Some(now));
    // Nobody else can have taken the address in this transaction.
    transaction.update_user(user)?;
    let session = &row.session;
    // Device and address are in the session, which can be forgotten.
    let detail = json!({
        "user": user.id.to_string(),
        "client_id": session.client_id,
        "key": session.key.map(|key| key.to_string()),
        "env": session.environment,
        "scopes": session.scopes,
        "expires_at": rfc3339(session.expires_at),
        "failures_before": Some(new.failures_before).filter(|failures| *failures > 0),
    });
    inner.audit(transaction, now, "session.started", Some(session.id.to_string()), &without_nulls(detail))?;
    give_tokens(inner, transaction, now, user, (&row, &key), ttl)
}

/// Ends the sessions that were used least lately, so that there is room for one more.
fn make_room(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    user: &User,
) -> Result<(), StoreError> {
    let open = transaction.open_sessions(Some(user.id), now)?;
    let too_many = open.len().saturating_add(1).saturating_sub(MAX_SESSIONS);
    for id in open.into_iter().take(too_many) {
        if let Some(bare) = transaction.bare_session(id)? {
            end_session(inner, transaction, now, &bare, EndReason::TooMany)?;
        }
    }
    Ok(())
}

/// Seconds for which the next access token of a session is valid, which is noted in its row. No token outlives its
/// session, nor the key and the secret that began it.
pub(super) fn token_lifetime(
    transaction: &dyn WriteTransaction,
    now: Timestamp,
    row: &mut SessionRow,
) -> Result<u64, StoreError> {
    let session = &row.session;
    let standing = match session.key {
        Some(key) => end_of_standing(transaction, key, session.secret)?,
        None => None,
    };
    let end = standing.map_or(session.expires_at, |end| end.min(session.expires_at));
    let ttl = transaction.settings()?.tokens.access_token_lifetime.min(end.seconds_since(now));
    row.tokens_until = row.tokens_until.max(Some(now.saturating_add(ttl)));
    Ok(ttl)
}

/// The newest refresh token of a session, with a new access token that is valid for so many seconds.
pub(super) fn give_tokens(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    user: &User,
    (row, key): (&SessionRow, &RefreshKey),
    ttl: u64,
) -> Result<LoggedIn, IssueTokenError> {
    let session = &row.session;
    let claims = AccessTokenClaims {
        subject: user.id.to_string(),
        client_id: session.client_id.clone().unwrap_or_else(|| DEFAULT_CLIENT_ID.to_owned()),
        session: Some(session.id),
        organization: user.organization.clone(),
        scopes: session.scopes.clone(),
        environment: session.environment.clone(),
        ttl: Some(Duration::from_secs(ttl)),
    };
    let issued = inner.issue_access_token(transaction, now, &claims)?;
    Ok(LoggedIn {
        session_id: session.id,
        user_id: user.id,
        access_token: issued.token,
        refresh_token: token::make(session.id, row.counter, key),
        expires_in: issued.expires_at.seconds_since(now),
        session_expires_at: session.expires_at,
    })
}

/// The object without the fields that say nothing.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// How long a session stays known after its expiry, so that a late refresh is told from a wrong one.
const KEPT_SECONDS: u64 = 30 * 86_400;
