//! Adding, enabling, disabling and removing issuers.

use std::fmt;

use keystile_validator::jwt::{Algorithm, ClaimMapping, TokenType};
use keystile_validator::{Environment, Timestamp};
use serde_json::json;
use zeroize::Zeroizing;

use super::Issuers;
use super::error::{AddIssuerError, ChangeIssuerError, UpdateIssuerError};
use super::fetch::DEFAULT_MAX_AGE;
use super::issuer::{ExternalIssuer, JwksUrl, KeySource, MAX_ISSUERS, check_fields, check_no_secret};
use super::key_set::KeySet;
use crate::audit;
use crate::in_force::{InForce, readable};
use crate::store::containment::{BareIssuer, IssuerRef};
use crate::store::{KeySetRow, ReadTransaction, StoreError, UnreadableRow, WriteTransaction};
use crate::tokens::OwnIssuer;

/// What a new issuer should be.
#[derive(Clone, Debug)]
pub struct NewIssuer {
    /// What operators call it.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its keys.
    pub keys: IssuerKeys,
    /// The algorithms that its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The audiences of which a token must name one; at least one, unless `any_audience` is set.
    pub audiences: Vec<String>,
    /// Whether a token may be for anybody. Not together with `audiences`.
    pub any_audience: bool,
    /// Claims that a token must not have. The default that is meant for nearly every issuer is
    /// [`FORBIDDEN_CLAIMS`](keystile_validator::jwt::FORBIDDEN_CLAIMS), those of ID tokens.
    pub forbidden_claims: Vec<String>,
    /// Whether a scope such as `invoices:*` in its tokens grants what begins with `invoices:`.
    pub wildcard_scopes: bool,
    /// The `typ` that the header of a token must have.
    pub token_type: Option<TokenType>,
    /// How far its clock may be off, in seconds.
    pub leeway: u32,
    /// Where the claims are that the standards do not fix.
    pub claims: ClaimMapping,
    /// The environment that all of its tokens belong to. `None`: the claim says so
    /// ([`ClaimMapping::environment`]), or nothing does. Not together with that claim.
    pub environment: Option<Environment>,
    /// Whether a token that belongs to no environment is good for every one. Otherwise it is refused
    /// where a request asks for an environment. Not together with `environment`.
    pub any_environment: bool,
}

/// What should change of an issuer; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default)]
pub struct IssuerUpdate {
    /// The algorithms that its tokens may be signed with.
    pub algorithms: Option<Vec<Algorithm>>,
    /// Whom its tokens are for.
    pub audience: Option<AudienceRule>,
    /// Claims that a token must not have.
    pub forbidden_claims: Option<Vec<String>>,
    /// Whether wildcards in the scopes of its tokens grant.
    pub wildcard_scopes: Option<bool>,
    /// The `typ` that the header of a token must have; `Some(None)`: either type, or none.
    pub token_type: Option<Option<TokenType>>,
    /// How far its clock may be off, in seconds.
    pub leeway: Option<u32>,
    /// Which environment its tokens belong to.
    pub environment: Option<EnvironmentRule>,
}

/// Whom the tokens of an issuer are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceRule {
    /// A token must name one of these.
    OneOf(Vec<String>),
    /// A token may be for anybody.
    Any,
}

/// Which environment the tokens of an issuer belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentRule {
    /// All to this one.
    Fixed(Environment),
    /// To the one that a claim names.
    Claim {
        /// The name of the claim, or the path to it.
        claim: String,
        /// Whether a token without the claim is good for every one.
        else_any: bool,
    },
    /// To none, and they are good for every one.
    Any,
}

impl IssuerUpdate {
    fn apply(self, issuer: &mut ExternalIssuer) {
        if let Some(algorithms) = self.algorithms {
            issuer.algorithms = without_duplicates(algorithms);
        }
        match self.audience {
            None => {}
            Some(AudienceRule::OneOf(audiences)) => {
                (issuer.audiences, issuer.any_audience) = (without_duplicates(audiences), false);
            }
            Some(AudienceRule::Any) => (issuer.audiences, issuer.any_audience) = (Vec::new(), true),
        }
        if let Some(claims) = self.forbidden_claims {
            issuer.forbidden_claims = without_duplicates(claims);
        }
        issuer.wildcard_scopes = self.wildcard_scopes.unwrap_or(issuer.wildcard_scopes);
        issuer.token_type = self.token_type.unwrap_or(issuer.token_type);
        issuer.leeway = self.leeway.unwrap_or(issuer.leeway);
        let (fixed, claim, any) = match self.environment {
            None => return,
            Some(EnvironmentRule::Fixed(environment)) => (Some(environment), None, false),
            Some(EnvironmentRule::Claim { claim, else_any }) => (None, Some(claim), else_any),
            Some(EnvironmentRule::Any) => (None, None, true),
        };
        (issuer.environment, issuer.claims.environment, issuer.any_environment) = (fixed, claim, any);
    }
}

/// The keys of a new issuer.
#[derive(Clone)]
pub enum IssuerKeys {
    /// Where they are fetched from.
    Url(JwksUrl),
    /// The key set itself, as JSON.
    Given(String),
}

impl fmt::Debug for IssuerKeys {
    /// Without the set: nobody has looked yet whether it holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssuerKeys::Url(url) => f.debug_tuple("Url").field(url).finish(),
            IssuerKeys::Given(_) => f.write_str("Given(…)"),
        }
    }
}

impl Issuers<'_> {
    /// Adds an issuer. Keys at a URL are not fetched yet: [`Issuers::refresh`] does so at once, a
    /// process that serves within seconds.
    ///
    /// # Errors
    /// [`AddIssuerError`]; nothing was added then.
    pub fn add(&self, new: NewIssuer) -> Result<ExternalIssuer, AddIssuerError> {
        let (source, given) = match new.keys {
            IssuerKeys::Url(url) => (KeySource::Url(url), None),
            // Nobody has looked yet whether it holds secrets.
            IssuerKeys::Given(text) => (KeySource::Given, Some(Zeroizing::new(text))),
        };
        self.inner.change(|transaction, now| {
            let issuer = ExternalIssuer {
                name: new.name,
                issuer: new.issuer,
                source,
                algorithms: without_duplicates(new.algorithms),
                audiences: without_duplicates(new.audiences),
                any_audience: new.any_audience,
                forbidden_claims: without_duplicates(new.forbidden_claims),
                wildcard_scopes: new.wildcard_scopes,
                token_type: new.token_type,
                leeway: new.leeway,
                claims: new.claims,
                environment: new.environment,
                any_environment: new.any_environment,
                enabled: true,
                created_at: now,
                created_by: self.inner.actor().to_owned(),
                updated_at: now,
            };
            check_fields(&issuer)?;
            check_no_secret(&*transaction, &issuer)?;
            let mut keys = no_keys();
            if let Some(text) = given {
                let set = KeySet::given(&text, &issuer.algorithms).map_err(AddIssuerError::Keys)?;
                (keys.jwks, keys.fetched_at) = (Some(set.text), Some(now));
            }
            let known = transaction.issuers()?;
            if let Some(taken) = known.iter().find(|known| known.name == issuer.name) {
                return Err(AddIssuerError::NameTaken { name: taken.name.clone() });
            }
            if let Some(taken) = known.iter().find(|known| known.issuer == issuer.issuer) {
                return Err(AddIssuerError::IssuerTaken { name: taken.name.clone() });
            }
            if let Some(other) = known.iter().find(|known| known.goes_by(&issuer.name) || known.goes_by(&issuer.issuer))
            {
                return Err(AddIssuerError::Ambiguous { name: other.name.clone() });
            }
            if issuer.goes_by(&OwnIssuer::of(&*transaction)?.issuer) {
                return Err(AddIssuerError::OwnIssuer);
            }
            if known.len() >= MAX_ISSUERS {
                return Err(AddIssuerError::TooMany);
            }
            if !transaction.insert_issuer(&issuer, &keys)? {
                return Err(AddIssuerError::NameTaken { name: issuer.name });
            }
            let subject = Some(issuer.name.clone());
            self.inner.audit(transaction, now, "issuer.added", subject, &describe(&issuer))?;
            Ok(issuer)
        })
    }

    /// Changes what is asked of the tokens of an issuer; its name, its `iss` and its keys stay. From then
    /// on all of its tokens are judged by the new settings, also those that were let in before.
    ///
    /// # Errors
    /// [`UpdateIssuerError`]; nothing was changed then.
    pub fn update(&self, name: &str, change: IssuerUpdate) -> Result<ExternalIssuer, UpdateIssuerError> {
        self.inner.change(|transaction, now| {
            let missing = || UpdateIssuerError::NotFound { name: name.to_owned() };
            let old = transaction.issuer(name)?.ok_or_else(missing)?;
            let mut issuer = old.clone();
            change.apply(&mut issuer);
            check_fields(&issuer)?;
            check_no_secret(&*transaction, &issuer)?;
            if issuer == old {
                return Ok(issuer);
            }
            issuer.updated_at = now;
            transaction.update_issuer(&issuer)?;
            self.inner.audit(transaction, now, "issuer.updated", Some(name.to_owned()), &describe(&issuer))?;
            Ok(issuer)
        })
    }

    /// Lets the tokens of an issuer in again.
    ///
    /// # Errors
    /// [`ChangeIssuerError`] when it is enabled already, or as many are as a validator takes.
    pub fn enable(&self, name: &str) -> Result<ExternalIssuer, ChangeIssuerError> {
        self.inner.change(|transaction, now| {
            let mut issuer = transaction.issuer(name)?.ok_or_else(|| not_found(name))?;
            if issuer.enabled {
                return Err(ChangeIssuerError::Conflict { name: name.to_owned(), enabled: true });
            }
            // After a restore there can be more that are disabled.
            if transaction.enabled_issuers()?.len() >= MAX_ISSUERS {
                return Err(ChangeIssuerError::TooMany);
            }
            (issuer.enabled, issuer.updated_at) = (true, now);
            transaction.update_issuer(&issuer)?;
            let detail = json!({ "issuer": issuer.issuer });
            self.inner.audit(transaction, now, "issuer.enabled", Some(name.to_owned()), &detail)?;
            Ok(issuer)
        })
    }

    /// Refuses all tokens of an issuer, until it is enabled again.
    ///
    /// Answers with the issuer as it is now; `None` when its row cannot be read. It is disabled then, too.
    ///
    /// # Errors
    /// [`ChangeIssuerError`] when it is disabled already.
    pub fn disable(&self, name: &str) -> Result<InForce<Option<ExternalIssuer>>, ChangeIssuerError> {
        self.inner.contain(|transaction, now| {
            let bare = named(&*transaction, name)?;
            if !bare.is_enabled {
                return Err(ChangeIssuerError::Conflict { name: name.to_owned(), enabled: false });
            }
            transaction.disable_issuer(name, now)?;
            let detail = json!({ "issuer": bare.issuer });
            self.inner.audit(transaction, now, "issuer.disabled", Some(name.to_owned()), &detail)?;
            let mut unreadable = Vec::new();
            let issuer = readable(transaction.issuer(name), name, &mut unreadable)?;
            Ok(InForce::new(issuer, unreadable))
        })
    }

    /// Removes an issuer and its keys. Its tokens are refused from then on.
    ///
    /// Answers with the issuer as it was; `None` when its row cannot be read. It is removed then, too.
    ///
    /// # Errors
    /// [`ChangeIssuerError`] when there is no such issuer, or the store refuses.
    pub fn remove(&self, name: &str) -> Result<InForce<Option<ExternalIssuer>>, ChangeIssuerError> {
        self.inner.contain(|transaction, now| {
            let bare = named(&*transaction, name)?;
            let mut unreadable = Vec::new();
            let issuer = readable(transaction.issuer(name), name, &mut unreadable)?;
            transaction.remove_issuer(name)?;
            let detail = issuer.as_ref().map_or_else(|| json!({ "issuer": bare.issuer }), describe);
            self.inner.audit(transaction, now, "issuer.removed", Some(name.to_owned()), &detail)?;
            Ok(InForce::new(issuer, unreadable))
        })
    }
}

/// What taking away needs to know of the issuer of this name.
fn named(view: &dyn WriteTransaction, name: &str) -> Result<BareIssuer, ChangeIssuerError> {
    view.bare_issuer(IssuerRef::Name(name))?.ok_or_else(|| not_found(name))
}

/// Makes the issuers of a restored store those of the current one, with their settings, states and keys; says of how
/// many that has changed anything. One that cannot be read is left out, which refuses its tokens.
pub(crate) fn keep(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<u64, StoreError> {
    let mut kept = 0_u64;
    let (currents, damaged) = current.readable_issuers()?;
    unreadable.extend(damaged);
    let mut tell = |restored: &mut dyn WriteTransaction, name: &str, what: &str| {
        kept = kept.saturating_add(1);
        let detail = json!({ "kept": what });
        audit::append(restored, now, actor, "issuer.carried_over", Some(name.to_owned()), &detail)
    };
    for old in restored.issuers()? {
        // One with another `iss` is another issuer, and in the way of the one that has its name.
        if !currents.iter().any(|issuer| issuer.name == old.name && issuer.issuer == old.issuer) {
            restored.remove_issuer(&old.name)?;
            tell(restored, &old.name, "removed, as in the replaced store")?;
        }
    }
    for issuer in currents {
        let keys = readable(current.key_set(&issuer.name), &issuer.name, unreadable)?.unwrap_or_else(no_keys);
        match restored.issuer(&issuer.name)? {
            None => {
                restored.insert_issuer(&issuer, &keys)?;
                tell(restored, &issuer.name, "unknown to the backup")?;
            }
            Some(old) => {
                if old != issuer {
                    restored.update_issuer(&issuer)?;
                    tell(restored, &issuer.name, "settings and keys")?;
                }
                restored.set_key_set(&issuer.name, &keys)?;
            }
        }
    }
    Ok(kept)
}

fn not_found(name: &str) -> ChangeIssuerError {
    ChangeIssuerError::NotFound { name: name.to_owned() }
}

/// What is known of keys that nobody has fetched.
fn no_keys() -> KeySetRow {
    KeySetRow {
        jwks: None,
        fetched_at: None,
        max_age: DEFAULT_MAX_AGE,
        etag: None,
        attempted_at: None,
        lease: None,
        failures: 0,
        problem: None,
    }
}

fn without_duplicates<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut unique = Vec::with_capacity(values.len());
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    unique
}

/// What the audit trail says of an issuer. A query of its URL could hold what nobody should read.
fn describe(issuer: &ExternalIssuer) -> serde_json::Value {
    let url = match &issuer.source {
        KeySource::Url(url) => Some(url.without_query()),
        KeySource::Given => None,
    };
    json!({
        "issuer": issuer.issuer,
        "jwks_url": url,
        "algorithms": issuer.algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>(),
        "audiences": issuer.audiences,
        "any_audience": issuer.any_audience,
        "forbidden_claims": issuer.forbidden_claims,
        "wildcard_scopes": issuer.wildcard_scopes,
        "typ": issuer.token_type.map(TokenType::as_str),
        "leeway": issuer.leeway,
        "scope_claims": issuer.claims.scopes.iter().map(|claim| claim.as_str()).collect::<Vec<_>>(),
        "org_claim": issuer.claims.organization,
        "roles_claim": issuer.claims.roles,
        "env": issuer.environment,
        "env_claim": issuer.claims.environment,
        "any_env": issuer.any_environment,
    })
}
