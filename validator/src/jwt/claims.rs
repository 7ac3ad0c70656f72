//! Claims (RFC 7519, section 4): typed, and never coerced.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::{ClaimProblem, JwtError, Part};
use super::json::{Json, JsonError, Number, Value};
use crate::environment::is_environment;
use crate::scope::is_scope;
use crate::time::Timestamp;

/// Most scopes that a token can bring.
pub const MAX_TOKEN_SCOPES: usize = 128;
/// Longest name or path of a claim in a mapping, in bytes.
pub const MAX_CLAIM_NAME_LEN: usize = 256;

/// Where an issuer's tokens have what the standards do not fix.
///
/// A name is that of a claim; one that starts with `/` is a path into nested objects (a JSON
/// Pointer, RFC 6901), such as `/realm_access/roles`. A path that leads into what is no object is that
/// claim with a wrong type; where a step is missing, the claim is.
///
/// ```
/// use keystile_validator::jwt::{ClaimMapping, ScopeClaim};
/// let mapping = ClaimMapping {
///     scopes: vec![ScopeClaim::Permissions],
///     organization: Some("/o/id".to_owned()),
///     ..ClaimMapping::default()
/// };
/// assert_eq!(ClaimMapping::default().organization.as_deref(), Some("org_id"));
/// # let _ = mapping;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The claims that hold scopes; all of them together are the token's.
    pub scopes: Vec<ScopeClaim>,
    /// The claim that names the organization: a string.
    pub organization: Option<String>,
    /// The claim that names roles: a string, or an array of strings.
    pub roles: Option<String>,
    /// The claim that names the environment: a string that is an [`Environment`](crate::Environment).
    pub environment: Option<String>,
}

impl Default for ClaimMapping {
    /// Scopes in `scope`, the organization in `org_id`, no roles, no environment.
    fn default() -> ClaimMapping {
        ClaimMapping {
            scopes: Vec::from([ScopeClaim::Scope]),
            organization: Some("org_id".into()),
            roles: None,
            environment: None,
        }
    }
}

/// A claim that can hold scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeClaim {
    /// `scope`: a string, the scopes separated by spaces (RFC 8693, section 4.2).
    Scope,
    /// `scp`: an array of strings.
    Scp,
    /// `scopes`: an array of strings.
    Scopes,
    /// `permissions`: an array of strings.
    Permissions,
}

impl ScopeClaim {
    /// All of them.
    pub const ALL: &'static [ScopeClaim] =
        &[ScopeClaim::Scope, ScopeClaim::Scp, ScopeClaim::Scopes, ScopeClaim::Permissions];

    /// The name of the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            ScopeClaim::Scope => "scope",
            ScopeClaim::Scp => "scp",
            ScopeClaim::Scopes => "scopes",
            ScopeClaim::Permissions => "permissions",
        }
    }

    /// The claim of this name.
    pub fn from_name(name: &str) -> Option<ScopeClaim> {
        ScopeClaim::ALL.iter().copied().find(|claim| claim.as_str() == name)
    }
}

/// The claims of a token that was verified.
///
/// ```
/// # use keystile_validator::jwt::*;
/// # fn show(token: &VerifiedJwt) {
/// let claims = token.claims();
/// println!("{:?} of {:?} until {}", claims.subject(), claims.organization(), claims.expires_at().unix());
/// # }
/// ```
pub struct Claims {
    claims: UnverifiedClaims,
    times: Times,
    scopes: Vec<usize>,
    organization: Option<usize>,
    roles: Option<usize>,
    environment: Option<usize>,
}

impl Claims {
    /// Who issued the token (`iss`).
    pub fn issuer(&self) -> &str {
        self.claims.issuer_text().unwrap_or_default()
    }

    /// Who it was issued to (`sub`).
    pub fn subject(&self) -> Option<&str> {
        self.claims.text(self.claims.places.subject)
    }

    /// The organization, where the issuer's settings say it is.
    pub fn organization(&self) -> Option<&str> {
        self.claims.text(self.organization)
    }

    /// The environment, where the issuer's settings say it is.
    pub fn environment(&self) -> Option<&str> {
        self.claims.text(self.environment)
    }

    /// The roles, where the issuer's settings say they are.
    pub fn roles(&self) -> impl Iterator<Item = &str> + Clone {
        strings(self.claims.value(self.roles))
    }

    /// The scopes, where the issuer's settings say they are; each is a [`Scope`](crate::Scope). What
    /// no request can ask for (a lone `*`, a name too long) is left out.
    pub fn scopes(&self) -> impl Iterator<Item = &str> + Clone {
        self.scopes
            .iter()
            .flat_map(|place| strings(self.claims.value(Some(*place))))
            .flat_map(|text| text.split(' '))
            .filter(|name| is_scope(name.as_bytes()))
    }

    /// Whom it is for (`aud`).
    pub fn audiences(&self) -> impl Iterator<Item = &str> + Clone {
        strings(self.claims.value(self.claims.places.audience))
    }

    /// The second in which it was issued (`iat`).
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.times.issued_at.map(|date| to_timestamp(date.floor))
    }

    /// From this second on it is expired (`exp`).
    pub fn expires_at(&self) -> Timestamp {
        to_timestamp(self.times.expires_at.ceil)
    }

    /// From this second on it is valid (`nbf`).
    pub fn not_before(&self) -> Option<Timestamp> {
        self.times.not_before.map(|date| to_timestamp(date.ceil))
    }

    /// Its own id (`jti`).
    pub fn token_id(&self) -> Option<&str> {
        self.claims.text(self.claims.places.token_id)
    }

    /// The session it belongs to (`sid`).
    pub fn session_id(&self) -> Option<&str> {
        self.claims.text(self.claims.places.session_id)
    }

    /// The client it was issued to (`client_id`).
    pub fn client_id(&self) -> Option<&str> {
        self.claims.text(self.claims.places.client_id)
    }

    /// All claims, as the JSON text that was signed.
    pub fn json(&self) -> &str {
        self.claims.json.text()
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// Bytes that they take up in memory.
    pub(crate) fn size(&self) -> usize {
        size_of::<Claims>()
            .saturating_add(self.claims.json.size())
            .saturating_add(self.scopes.capacity().saturating_mul(size_of::<usize>()))
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// Claims that nobody vouches for yet: a JSON object, nothing more.
pub(crate) struct UnverifiedClaims {
    json: Json,
    places: Places,
}

/// Where the claims are that every token is asked for.
#[derive(Clone, Copy, Default)]
struct Places {
    issuer: Option<usize>,
    subject: Option<usize>,
    audience: Option<usize>,
    expires_at: Option<usize>,
    not_before: Option<usize>,
    issued_at: Option<usize>,
    token_id: Option<usize>,
    session_id: Option<usize>,
    client_id: Option<usize>,
    organization: Option<usize>,
    scope: Option<usize>,
    /// A claim that only tokens of another kind have.
    other_kind: Option<usize>,
    other_kind_name: &'static str,
}

impl UnverifiedClaims {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`JwtError::Json`].
    pub(crate) fn read(bytes: Vec<u8>) -> Result<UnverifiedClaims, JwtError> {
        let json_error = |error| JwtError::Json { part: Part::Payload, error };
        let json = Json::read(bytes).map_err(json_error)?;
        let Some(members) = json.root().members() else {
            return Err(json_error(JsonError::NoObject));
        };
        let mut places = Places::default();
        for (name, value) in members {
            let place = match name {
                "iss" => &mut places.issuer,
                "sub" => &mut places.subject,
                "aud" => &mut places.audience,
                "exp" => &mut places.expires_at,
                "nbf" => &mut places.not_before,
                "iat" => &mut places.issued_at,
                "jti" => &mut places.token_id,
                "sid" => &mut places.session_id,
                "client_id" => &mut places.client_id,
                "org_id" => &mut places.organization,
                "scope" => &mut places.scope,
                _ => match other_kind(name, value) {
                    Some(name) => {
                        places.other_kind_name = name;
                        &mut places.other_kind
                    }
                    None => continue,
                },
            };
            *place = Some(value.position());
        }
        Ok(UnverifiedClaims { json, places })
    }

    /// The issuer that the token names.
    ///
    /// # Errors
    /// [`JwtError::InvalidClaim`] when there is none, or it is not a string.
    pub(crate) fn issuer(&self) -> Result<&str, JwtError> {
        let issuer = self.value(self.places.issuer).ok_or_else(|| JwtError::claim("iss", ClaimProblem::Missing))?;
        issuer.as_str().ok_or_else(|| JwtError::claim("iss", ClaimProblem::WrongType))
    }

    /// The issuer, when it is a string.
    pub(crate) fn issuer_text(&self) -> Option<&str> {
        self.text(self.places.issuer)
    }

    /// The subject, when it is a string.
    pub(crate) fn subject_text(&self) -> Option<&str> {
        self.text(self.places.subject)
    }

    /// The id of the token, when it is a string.
    pub(crate) fn token_id_text(&self) -> Option<&str> {
        self.text(self.places.token_id)
    }

    /// The session, when it is a string.
    pub(crate) fn session_id_text(&self) -> Option<&str> {
        self.text(self.places.session_id)
    }

    /// The second in which it was issued, when it says so in a way that can be.
    pub(crate) fn issued_at(&self) -> Option<u64> {
        self.value(self.places.issued_at).and_then(|value| read_date("iat", value).ok()).map(|date| date.floor)
    }

    /// The JSON text.
    pub(crate) fn json(&self) -> &str {
        self.json.text()
    }

    /// The times, when the token is valid at this one.
    ///
    /// # Errors
    /// [`JwtError::InvalidClaim`], [`JwtError::Expired`], [`JwtError::NotYetValid`].
    pub(crate) fn check_times(&self, now: Timestamp, leeway: u64) -> Result<Times, JwtError> {
        let date = |claim, place| self.value(place).map(|value| read_date(claim, value)).transpose();
        let expires_at = date("exp", self.places.expires_at)?;
        let expires_at = expires_at.ok_or_else(|| JwtError::claim("exp", ClaimProblem::Missing))?;
        let mut times = Times { expires_at, not_before: None, issued_at: None };
        times.admit(now, leeway)?;
        times.not_before = date("nbf", self.places.not_before)?;
        times.issued_at = date("iat", self.places.issued_at)?;
        times.admit(now, leeway)?;
        Ok(times)
    }

    /// The claims, when each is as it must be and the token is for one of these audiences.
    ///
    /// # Errors
    /// [`JwtError::WrongAudience`], [`JwtError::InvalidClaim`].
    pub(crate) fn check(self, times: Times, audiences: &[String], mapping: &ClaimMapping) -> Result<Claims, JwtError> {
        self.check_audience(audiences)?;
        let places = &self.places;
        for (claim, place) in [
            ("sub", places.subject),
            ("jti", places.token_id),
            ("sid", places.session_id),
            ("client_id", places.client_id),
            // Wherever the issuer's settings say that it is: nobody may read it as what it is not.
            ("org_id", places.organization),
            ("scope", places.scope),
        ] {
            if place.is_some() && self.text(place).is_none() {
                return Err(JwtError::claim(claim, ClaimProblem::WrongType));
            }
        }
        if places.other_kind.is_some() {
            return Err(JwtError::claim(places.other_kind_name, ClaimProblem::WrongKind));
        }
        let organization = self.check_organization(mapping)?;
        let roles = self.check_roles(mapping)?;
        let environment = self.check_environment(mapping)?;
        let scopes = self.check_scopes(mapping)?;
        Ok(Claims { claims: self, times, scopes, organization, roles, environment })
    }

    fn check_audience(&self, audiences: &[String]) -> Result<(), JwtError> {
        let Some(audience) = self.value(self.places.audience) else {
            return if audiences.is_empty() { Ok(()) } else { Err(JwtError::claim("aud", ClaimProblem::Missing)) };
        };
        if !is_string_or_strings(audience) {
            return Err(JwtError::claim("aud", ClaimProblem::WrongType));
        }
        let mut named = strings(Some(audience)).peekable();
        if named.peek().is_none() {
            return Err(JwtError::claim("aud", ClaimProblem::OutOfRange));
        }
        if audiences.is_empty() || named.any(|name| audiences.iter().any(|known| known == name)) {
            Ok(())
        } else {
            Err(JwtError::WrongAudience)
        }
    }

    fn check_organization(&self, mapping: &ClaimMapping) -> Result<Option<usize>, JwtError> {
        let Some((claim, value)) = self.mapped(mapping.organization.as_deref())? else { return Ok(None) };
        match value.as_str() {
            Some(_) => Ok(Some(value.position())),
            None => Err(JwtError::claim(claim, ClaimProblem::WrongType)),
        }
    }

    fn check_roles(&self, mapping: &ClaimMapping) -> Result<Option<usize>, JwtError> {
        let Some((claim, value)) = self.mapped(mapping.roles.as_deref())? else { return Ok(None) };
        if is_string_or_strings(value) {
            Ok(Some(value.position()))
        } else {
            Err(JwtError::claim(claim, ClaimProblem::WrongType))
        }
    }

    /// A name that no environment can have would be refused by every request that asks for one, and
    /// let in by all others: it is a mistake of the issuer, and refused.
    fn check_environment(&self, mapping: &ClaimMapping) -> Result<Option<usize>, JwtError> {
        let Some((claim, value)) = self.mapped(mapping.environment.as_deref())? else { return Ok(None) };
        match value.as_str() {
            Some(name) if is_environment(name.as_bytes()) => Ok(Some(value.position())),
            Some(_) => Err(JwtError::claim(claim, ClaimProblem::OutOfRange)),
            None => Err(JwtError::claim(claim, ClaimProblem::WrongType)),
        }
    }

    /// Where the scopes are, each a scope token of RFC 6749, section 3.3.
    fn check_scopes(&self, mapping: &ClaimMapping) -> Result<Vec<usize>, JwtError> {
        let mut places = Vec::new();
        let mut count = 0_usize;
        for claim in &mapping.scopes {
            let (name, as_text) = (claim.as_str(), *claim == ScopeClaim::Scope);
            let value = if as_text { self.value(self.places.scope) } else { self.json.root().member(name) };
            let Some(value) = value else { continue };
            if !is_string_or_strings(value) || value.as_str().is_some() != as_text {
                return Err(JwtError::claim(name, ClaimProblem::WrongType));
            }
            for text in strings(Some(value)) {
                if as_text && text.is_empty() {
                    continue;
                }
                for scope in text.split(' ') {
                    count = count.saturating_add(1);
                    if !is_scope_token(scope) || count > MAX_TOKEN_SCOPES || (!as_text && scope.len() != text.len()) {
                        return Err(JwtError::claim(name, ClaimProblem::OutOfRange));
                    }
                }
            }
            places.push(value.position());
        }
        Ok(places)
    }

    /// What a name of a mapping stands for, and the name.
    fn mapped<'a>(&'a self, claim: Option<&'a str>) -> Result<Option<(&'a str, Value<'a>)>, JwtError> {
        let Some(claim) = claim else { return Ok(None) };
        let mut value = self.json.root();
        let Some(path) = claim.strip_prefix('/') else {
            return Ok(value.member(claim).map(|value| (claim, value)));
        };
        for step in path.split('/') {
            if value.members().is_none() {
                return Err(JwtError::claim(claim, ClaimProblem::WrongType));
            }
            let member = if step.contains('~') { value.member(&unescape(step)) } else { value.member(step) };
            match member {
                Some(member) => value = member,
                None => return Ok(None),
            }
        }
        Ok(Some((claim, value)))
    }

    fn value(&self, place: Option<usize>) -> Option<Value<'_>> {
        place.map(|place| self.json.value(place))
    }

    fn text(&self, place: Option<usize>) -> Option<&str> {
        self.value(place)?.as_str()
    }
}

/// The times of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    expires_at: NumericDate,
    not_before: Option<NumericDate>,
    issued_at: Option<NumericDate>,
}

impl Times {
    /// Whether a token of these times is valid now.
    ///
    /// # Errors
    /// [`JwtError::Expired`], [`JwtError::NotYetValid`].
    pub(crate) fn admit(&self, now: Timestamp, leeway: u64) -> Result<(), JwtError> {
        if now.unix() >= self.expires_at.ceil.saturating_add(leeway) {
            return Err(JwtError::Expired { expired_at: to_timestamp(self.expires_at.ceil) });
        }
        for (claim, date) in [("nbf", self.not_before), ("iat", self.issued_at)] {
            match date {
                Some(date) if now.unix().saturating_add(leeway) < date.ceil => {
                    return Err(JwtError::NotYetValid { claim, valid_from: to_timestamp(date.ceil) });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The second in which the token was issued.
    pub(crate) fn issued_at(&self) -> Option<u64> {
        self.issued_at.map(|date| date.floor)
    }
}

/// A NumericDate (RFC 7519, section 2), which can lie between two seconds. Before a fraction of a
/// second is over means before the whole second is, since clocks here count whole seconds.
#[derive(Clone, Copy, Debug)]
struct NumericDate {
    floor: u64,
    ceil: u64,
}

fn read_date(claim: &str, value: Value<'_>) -> Result<NumericDate, JwtError> {
    let Some(number) = value.as_number() else {
        return Err(JwtError::claim(claim, ClaimProblem::WrongType));
    };
    match number {
        Number::Unsigned(whole) if whole < DATE_LIMIT => Ok(NumericDate { floor: whole, ceil: whole }),
        Number::Float(date) if (0.0..DATE_LIMIT as f64).contains(&date) => {
            // Exact: below 2^53 a float holds every whole number.
            let floor = date as u64;
            let ceil = if floor as f64 == date { floor } else { floor.saturating_add(1) };
            Ok(NumericDate { floor, ceil })
        }
        _ => Err(JwtError::claim(claim, ClaimProblem::OutOfRange)),
    }
}

fn to_timestamp(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap_or(Timestamp::MAX)
}

/// The claim, when only tokens of another kind have it: id tokens (OpenID Connect Core 1.0, section
/// 3.3.2.11), logout tokens and other events (RFC 8417, section 2.2), and what some issuers write
/// into the tokens that are for themselves.
fn other_kind(name: &str, value: Value<'_>) -> Option<&'static str> {
    match (name, value.as_str()) {
        ("events", _) => Some("events"),
        ("at_hash", _) => Some("at_hash"),
        ("c_hash", _) => Some("c_hash"),
        ("token_use", use_) if use_ != Some("access") => Some("token_use"),
        ("typ", Some("ID" | "Refresh" | "Offline" | "Logout")) => Some("typ"),
        _ => None,
    }
}

/// The string, or the strings of the array; nothing else is given.
fn strings<'a>(value: Option<Value<'a>>) -> impl Iterator<Item = &'a str> + Clone {
    let one = value.and_then(Value::as_str);
    let many = value.and_then(Value::items).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

fn is_string_or_strings(value: Value<'_>) -> bool {
    value.as_str().is_some() || value.items().is_some_and(|mut items| items.all(|item| item.as_str().is_some()))
}

fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// A step of a JSON Pointer without its escapes.
fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// 2^53: from here on a float leaves whole numbers out.
const DATE_LIMIT: u64 = 1 << 53;
