//! Access tokens: JWTs by RFC 9068.

use std::time::Duration;

use keystile_validator::bounds::MAX_SCOPES;
use keystile_validator::{Environment, Scope, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::error::IssueTokenError;
use super::own_issuer::OwnIssuer;
use super::{Tokens, random_id};
use crate::ids::SessionId;
use crate::keystile::Inner;
use crate::secret::Secret;
use crate::signing_keys::SigningKeyError;
use crate::store::{ReadTransaction, WriteTransaction};
use crate::text::{is_line, rfc3339};
use crate::user::UserRef;
use crate::users::find_user_in;

/// Longest token that is made, in bytes: what verifiers take by default.
pub const MAX_TOKEN_LEN: usize = 8 * 1_024;
/// Longest subject, client id or organization in a token, in bytes.
pub const MAX_CLAIM_LEN: usize = keystile_validator::jwt::MAX_REVOCABLE_LEN;

/// A token for a user, as an operator asks for it.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// The user: an id, or an e-mail address.
    pub user: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The environment it belongs to; `None`: none, so it is refused where one is asked for.
    pub environment: Option<Environment>,
    /// How long it is valid; `None`: as long as the settings say, which is also the longest.
    pub ttl: Option<Duration>,
}

/// A token that was just made.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token, this once: it is not kept.
    pub token: Secret,
    /// What it can be revoked by: its `jti`.
    pub token_id: String,
    /// From when on it is expired.
    pub expires_at: Timestamp,
}

/// What an access token says, beside what every token of this store says.
#[derive(Clone, Debug)]
pub(crate) struct AccessTokenClaims {
    /// Who the caller is: the id of a user.
    pub(crate) subject: String,
    /// The program that asked for it.
    pub(crate) client_id: String,
    /// The session it belongs to, and ends with.
    pub(crate) session: Option<SessionId>,
    /// The organization of the subject.
    pub(crate) organization: Option<String>,
    /// What it may be used for.
    pub(crate) scopes: Vec<Scope>,
    /// The environment it belongs to.
    pub(crate) environment: Option<Environment>,
    /// How long it is valid; `None`: as long as the settings say, which is also the longest.
    pub(crate) ttl: Option<Duration>,
}

/// The claims in the order of RFC 9068, section 2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    exp: u64,
    aud: &'a str,
    sub: &'a str,
    client_id: &'a str,
    iat: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<&'a str>,
    /// Not of RFC 9068: what [`ENVIRONMENT_CLAIM`](super::ENVIRONMENT_CLAIM) names.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

impl Tokens<'_> {
    /// Makes an access token for a user, in the name of an operator.
    ///
    /// # Errors
    /// [`IssueTokenError`]; no token was made then.
    pub fn issue(&self, new: NewToken) -> Result<IssuedToken, IssueTokenError> {
        self.inner.change(|transaction, now| {
            let user = resolve_user(&*transaction, &new.user)?;
            let claims = AccessTokenClaims {
                subject: user.subject,
                client_id: OPERATOR_CLIENT.to_owned(),
                session: None,
                organization: user.organization,
                scopes: new.scopes,
                environment: new.environment,
                ttl: new.ttl,
            };
            self.inner.issue_access_token(transaction, now, &claims)
        })
    }
}

/// A user as tokens name them.
struct ResolvedUser {
    subject: String,
    organization: Option<String>,
}

/// The user that an operator means.
fn resolve_user(view: &dyn ReadTransaction, text: &str) -> Result<ResolvedUser, IssueTokenError> {
    let user: UserRef = text.parse().map_err(|_| IssueTokenError::NoSuchUser)?;
    let user = find_user_in(view, &user)?.ok_or(IssueTokenError::NoSuchUser)?;
    if user.suspended_at.is_some() {
        return Err(IssueTokenError::Suspended);
    }
    Ok(ResolvedUser { subject: user.id.to_string(), organization: user.organization })
}

impl Inner {
    /// Makes an access token, signed with the key that signs now. The first one of a store makes that
    /// key.
    pub(crate) fn issue_access_token(
        &self,
        transaction: &mut dyn WriteTransaction,
        now: Timestamp,
        claims: &AccessTokenClaims,
    ) -> Result<IssuedToken, IssueTokenError> {
        let fits = |text: &str| is_line(text, MAX_CLAIM_LEN);
        for (name, value) in [
            ("sub", Some(&claims.subject)),
            ("client_id", Some(&claims.client_id)),
            ("org_id", claims.organization.as_ref()),
        ] {
            if !value.is_none_or(|value| fits(value)) {
                return Err(IssueTokenError::Claim { name });
            }
        }
        if claims.scopes.len() > MAX_SCOPES {
            return Err(IssueTokenError::Claim { name: "scope" });
        }
        let longest = transaction.settings()?.tokens.access_token_lifetime;
        let seconds = claims.ttl.map_or(longest, |ttl| ttl.as_secs());
        if seconds == 0 || seconds > longest {
            return Err(IssueTokenError::Lifetime { seconds, longest });
        }
        let expires_at = now.saturating_add(seconds);
        let issuer = OwnIssuer::of(transaction)?;
        let signer = self.signer(transaction, now)?;
        let token_id = random_id().map_err(|_| IssueTokenError::Key(SigningKeyError::Generator))?;
        let scopes: Vec<&str> = claims.scopes.iter().map(Scope::as_str).collect();
        let body = Claims {
            iss: &issuer.issuer,
            exp: expires_at.unix(),
            aud: &issuer.audience,
            sub: &claims.subject,
            client_id: &claims.client_id,
            iat: now.unix(),
            jti: &token_id,
            sid: claims.session.map(|session| session.to_string()),
            org_id: claims.organization.as_deref(),
            env: claims.environment.as_ref().map(Environment::as_str),
            scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        };
        let token = signer.material.sign_claims(Some(ACCESS_TOKEN_TYPE), &signer.kid, &body);
        let token = token.map_err(|_| SigningKeyError::Damaged { kid: signer.kid.clone() })?;
        if token.expose_secret().len() > MAX_TOKEN_LEN {
            return Err(IssueTokenError::TooLong);
        }
        transaction.note_expiry(&signer.kid, expires_at)?;
        let detail = json!({
            "token_id": token_id,
            "client_id": claims.client_id,
            "session": body.sid,
            "org_id": claims.organization,
            "env": claims.environment,
            "scopes": scopes,
            "expires_at": rfc3339(expires_at),
            "kid": signer.kid,
        });
        self.audit(transaction, now, "token.issued", Some(claims.subject.clone()), &detail)?;
        Ok(IssuedToken { token, token_id, expires_at })
    }
}

/// The `typ` of access tokens (RFC 9068, section 2.1).
pub(super) const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The `client_id` of tokens that an operator has made.
const OPERATOR_CLIENT: &str = "keystile";
