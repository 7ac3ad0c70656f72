//! Access tokens, as far as sessions need them: this file gives way to the issuer of tokens.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::{Scope, Timestamp};

use crate::ids::{SessionId, new_uuid};
use crate::keystile::Inner;
use crate::secret::Secret;
use crate::store::{StoreError, WriteTransaction};

/// What an access token is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessTokenClaims {
    pub(crate) subject: String,
    pub(crate) client_id: String,
    pub(crate) session: Option<SessionId>,
    pub(crate) organization: Option<String>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) ttl: Option<Duration>,
}

/// An access token that was just made.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) token: Secret,
    #[allow(dead_code, reason = "the issuer of tokens gives it")]
    pub(crate) token_id: String,
    pub(crate) expires_at: Timestamp,
}

impl Inner {
    pub(crate) fn issue_access_token(
        &self,
        _transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        claims: &AccessTokenClaims,
    ) -> Result<IssuedToken, IssueTokenError> {
        let id = new_uuid(now).map_err(|_| IssueTokenError::Generator)?;
        let expires_at = now.saturating_add(claims.ttl.map_or(1_800, |ttl| ttl.as_secs()));
        let AccessTokenClaims { subject, client_id, session, organization, scopes, .. } = claims;
        let plain = format!("{subject} {client_id} {session:?} {organization:?} {scopes:?} {id:?}");
        let token = Secret::from(URL_SAFE_NO_PAD.encode(plain));
        Ok(IssuedToken { token, token_id: URL_SAFE_NO_PAD.encode(id), expires_at })
    }

    pub(crate) fn revoke_session_tokens(
        &self,
        _transaction: &mut dyn WriteTransaction,
        _now: Timestamp,
        _session: &str,
        _until: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    pub(crate) fn revoke_subject_tokens(
        &self,
        _transaction: &mut dyn WriteTransaction,
        _now: Timestamp,
        _subject: &str,
        _issued_before: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Why no access token was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum IssueTokenError {
    /// The operating system gave no random bytes.
    Generator,
    /// The store refused.
    Store(StoreError),
}

impl fmt::Display for IssueTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssueTokenError::Generator => f.write_str("the operating system gave no random bytes · repeat"),
            IssueTokenError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IssueTokenError {}

impl From<StoreError> for IssueTokenError {
    fn from(error: StoreError) -> IssueTokenError {
        IssueTokenError::Store(error)
    }
}
