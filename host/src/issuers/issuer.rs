//! External issuers as operators see them: plain data.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use keystile_validator::jwt::{self, Algorithm, ClaimMapping, MAX_FORBIDDEN_CLAIMS, ScopeClaim, TokenType};
use keystile_validator::{Environment, Timestamp};
use ureq::http::Uri;
use ureq::http::uri::Authority;

use super::error::IssuerFieldError;
use super::problem::FetchProblem;
use crate::key::MAX_NAME_LEN;
use crate::secret_forms::SecretForms;
use crate::store::WriteTransaction;
use crate::text::is_line;

/// Most external issuers of a store. A validator takes a few more, for those that are no external ones.
pub const MAX_ISSUERS: usize = 60;
/// Longest `iss` of an issuer, in bytes.
pub const MAX_ISSUER_LEN: usize = 512;
/// Most audiences of an issuer.
pub const MAX_AUDIENCES: usize = 16;
/// Longest audience, in bytes.
pub const MAX_AUDIENCE_LEN: usize = 256;
/// Longest name of a claim, in bytes: some issuers use URLs.
pub const MAX_CLAIM_NAME_LEN: usize = 128;
/// Longest URL of a key set, in bytes.
pub const MAX_JWKS_URL_LEN: usize = 2_048;
/// Largest leeway, in seconds.
pub const MAX_LEEWAY: u32 = 60;

/// An external issuer: somebody else who signs tokens for callers of this turnstile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalIssuer {
    /// What operators call it.
    pub name: String,
    /// The `iss` of its tokens, compared exactly.
    pub issuer: String,
    /// Where its keys come from.
    pub source: KeySource,
    /// The algorithms that its tokens may be signed with. Never HMAC: its secret would have to be kept.
    pub algorithms: Vec<Algorithm>,
    /// The audiences of which a token must name one. Empty without `any_audience`: every token is refused.
    pub audiences: Vec<String>,
    /// Whether a token may be for anybody.
    pub any_audience: bool,
    /// Claims that a token must not have; unless said otherwise, those of ID tokens.
    pub forbidden_claims: Vec<String>,
    /// Whether a scope such as `invoices:*` in its tokens grants what begins with `invoices:`.
    pub wildcard_scopes: bool,
    /// The `typ` that the header of a token must have; `None`: one of these, or none.
    pub token_type: Option<TokenType>,
    /// How far its clock may be off, in seconds.
    pub leeway: u32,
    /// Where the claims are that the standards do not fix.
    pub claims: ClaimMapping,
    /// The environment that all of its tokens belong to. `None`: the claim says so
    /// ([`ClaimMapping::environment`]), or nothing does.
    pub environment: Option<Environment>,
    /// Whether a token that belongs to no environment is good for every one.
    pub any_environment: bool,
    /// Whether its tokens are let in.
    pub enabled: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// Who added it.
    pub created_by: String,
    /// When an operator last changed it.
    pub updated_at: Timestamp,
}

impl ExternalIssuer {
    /// Whether this is what operators call it, or the `iss` of its tokens: tokens are revoked by either.
    pub(crate) fn goes_by(&self, name: &str) -> bool {
        self.name == name || self.issuer == name
    }

    /// Whether its keys are fetched.
    pub fn is_fetched(&self) -> bool {
        matches!(self.source, KeySource::Url(_))
    }

    /// Whether its settings say whom its tokens are for. If they do not, every token is refused.
    pub fn says_audience(&self) -> bool {
        !self.audiences.is_empty() || self.any_audience
    }

    /// Whether neither audience nor type is asked for, so that its tokens for others are let in, and ID
    /// tokens that have none of the forbidden claims.
    pub fn takes_any_token(&self) -> bool {
        self.any_audience && self.token_type.is_none()
    }

    /// Whether its settings say which environment its tokens belong to. If they do not, its tokens are
    /// refused wherever a request asks for an environment.
    pub fn says_environment(&self) -> bool {
        self.environment.is_some() || self.claims.environment.is_some() || self.any_environment
    }

    /// Which environment its tokens belong to, for people. It may hold what an operator typed: make it
    /// printable before it is shown.
    pub fn environment_text(&self) -> String {
        let any = if self.any_environment { "any" } else { "none" };
        match (&self.environment, &self.claims.environment) {
            (Some(fixed), _) => fixed.to_string(),
            (None, Some(claim)) => format!("the claim {claim}, else {any}"),
            (None, None) => any.to_owned(),
        }
    }
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// They are fetched from this URL, again and again.
    Url(JwksUrl),
    /// They were given, and change only when others are given.
    Given,
}

/// The URL of a key set: HTTPS, or plain HTTP to an address of this machine; without credentials.
///
/// A query can hold what nobody else should read, so `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct JwksUrl(String);

impl JwksUrl {
    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL up to its query.
    pub fn without_query(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    /// Whoever answers for it: scheme, host and port. Two URLs with the same one are of one origin.
    pub(super) fn origin(&self) -> Option<Origin> {
        let uri: Uri = self.0.parse().ok()?;
        Origin::of(&uri)
    }
}

impl FromStr for JwksUrl {
    type Err = IssuerFieldError;

    fn from_str(text: &str) -> Result<JwksUrl, IssuerFieldError> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['#', '"', '<', '>', '\\']);
        if text.len() > MAX_JWKS_URL_LEN || !visible {
            return Err(IssuerFieldError::Url);
        }
        let uri: Uri = text.parse().map_err(|_| IssuerFieldError::Url)?;
        let authority = uri.authority().ok_or(IssuerFieldError::Url)?;
        if authority.as_str().contains('@') {
            return Err(IssuerFieldError::UrlCredentials);
        }
        let origin = Origin::of(&uri).ok_or(IssuerFieldError::Url)?;
        if !origin.secure && !is_loopback(authority) {
            return Err(IssuerFieldError::UrlInsecure);
        }
        Ok(JwksUrl(text.to_owned()))
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksUrl({})", self.without_query())
    }
}

/// Scheme, host and port.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Origin> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        // What stands behind the host is a port, or nothing.
        let port = match authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, rest)| rest) {
            bare if bare == authority.host() => {
                if secure {
                    443
                } else {
                    80
                }
            }
            _ => authority.port_u16()?,
        };
        let host = authority.host().to_ascii_lowercase();
        (!host.is_empty() && port != 0).then_some(Origin { secure, host, port })
    }
}

/// Whether a host is an address of this machine. A name is none: it could mean any machine.
fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What is known of the keys of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetInfo {
    /// The keys that a token can be verified with.
    pub keys: Vec<KeySetKey>,
    /// When they were last known to be those of the issuer; `None`: never.
    pub fetched_at: Option<Timestamp>,
    /// How long they are taken for fresh, in seconds.
    pub max_age: u32,
    /// When they were last asked for.
    pub attempted_at: Option<Timestamp>,
    /// How often asking has failed since it last worked.
    pub failures: u32,
    /// Why it failed last.
    pub problem: Option<FetchProblem>,
}

/// One key of a set, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetKey {
    /// Its id, if it has one.
    pub kid: Option<String>,
    /// Its type: `RSA`, `EC` or `OKP`.
    pub kty: String,
    /// The one algorithm it is for, if it says so.
    pub algorithm: Option<Algorithm>,
}

/// An issuer and what is known of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerInfo {
    /// The issuer.
    pub issuer: ExternalIssuer,
    /// Its keys.
    pub key_set: KeySetInfo,
}

/// Checks every field of an issuer that is about to be written.
pub(super) fn check_fields(issuer: &ExternalIssuer) -> Result<(), IssuerFieldError> {
    if !is_issuer_name(&issuer.name) {
        return Err(IssuerFieldError::Name);
    }
    if !is_line(&issuer.issuer, MAX_ISSUER_LEN) {
        return Err(IssuerFieldError::Issuer);
    }
    if issuer.algorithms.is_empty() {
        return Err(IssuerFieldError::NoAlgorithm);
    }
    if issuer.algorithms.iter().any(|algorithm| algorithm.is_hmac()) {
        return Err(IssuerFieldError::Hmac);
    }
    let audience_fits = |audience: &String| is_line(audience, MAX_AUDIENCE_LEN);
    if issuer.audiences.len() > MAX_AUDIENCES || !issuer.audiences.iter().all(audience_fits) {
        return Err(IssuerFieldError::Audience);
    }
    if issuer.audiences.is_empty() != issuer.any_audience {
        return Err(IssuerFieldError::AnyAudience);
    }
    let claim_fits = |name: &String| is_line(name, MAX_CLAIM_NAME_LEN);
    if issuer.forbidden_claims.len() > MAX_FORBIDDEN_CLAIMS || !issuer.forbidden_claims.iter().all(claim_fits) {
        return Err(IssuerFieldError::ForbiddenClaims);
    }
    if issuer.leeway > MAX_LEEWAY {
        return Err(IssuerFieldError::Leeway { given: issuer.leeway });
    }
    let claims = [&issuer.claims.organization, &issuer.claims.roles, &issuer.claims.environment];
    let mut claims = claims.into_iter().flatten();
    if issuer.claims.scopes.len() > ScopeClaim::ALL.len() || !claims.all(|name| is_line(name, MAX_CLAIM_NAME_LEN)) {
        return Err(IssuerFieldError::Claim);
    }
    if issuer.environment.is_some() && (issuer.claims.environment.is_some() || issuer.any_environment) {
        return Err(IssuerFieldError::Environment);
    }
    Ok(())
}

/// Refuses secrets in what people write.
pub(super) fn check_no_secret(view: &dyn WriteTransaction, issuer: &ExternalIssuer) -> Result<(), IssuerFieldError> {
    let forms = SecretForms::of(view);
    match [&issuer.name, &issuer.issuer].into_iter().chain(&issuer.audiences).any(|text| forms.is_in(text)) {
        true => Err(IssuerFieldError::Secret),
        false => Ok(()),
    }
}

/// Names of issuers are typed on command lines: no spaces.
fn is_issuer_name(name: &str) -> bool {
    is_line(name, MAX_NAME_LEN) && !name.contains(char::is_whitespace) && !name.starts_with('-')
}

// What fits here must fit the validator too.
const _: () = assert!(
    MAX_ISSUERS < jwt::MAX_ISSUERS
        && MAX_ISSUER_LEN <= jwt::MAX_NAME_LEN
        && MAX_AUDIENCES <= jwt::MAX_AUDIENCES
        && MAX_AUDIENCE_LEN <= jwt::MAX_NAME_LEN
        && MAX_CLAIM_NAME_LEN <= jwt::MAX_CLAIM_NAME_LEN
        && MAX_LEEWAY as u64 <= jwt::MAX_LEEWAY
);

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn issuer() -> ExternalIssuer {
        ExternalIssuer {
            name: "clerk".into(),
            issuer: "https://clerk.example.com".into(),
            source: KeySource::Given,
            algorithms: vec![Algorithm::Rs256],
            audiences: vec!["api".into()],
            any_audience: false,
            forbidden_claims: Vec::new(),
            wildcard_scopes: false,
            token_type: None,
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: false,
            enabled: true,
            created_at: Timestamp::MAX,
            created_by: "tests".into(),
            updated_at: Timestamp::MAX,
        }
    }

    #[test]
    fn only_https_and_loopback_are_fetched_from() {
        for good in [
            "https://clerk.example.com/.well-known/jwks.json",
            "https://example.com:8443/keys?p=policy",
            "https://10.0.0.7/keys",
            "https://[2001:db8::1]/keys",
            "http://127.0.0.1:8080/keys",
            "http://127.9.9.9/keys",
            "http://[::1]:8080/keys",
        ] {
            assert_eq!(good.parse::<JwksUrl>().unwrap().as_str(), good);
        }
        for (bad, error) in [
            ("", IssuerFieldError::Url),
            ("example.com/keys", IssuerFieldError::Url),
            ("/keys", IssuerFieldError::Url),
            ("ftp://example.com/keys", IssuerFieldError::Url),
            ("file:///etc/passwd", IssuerFieldError::Url),
            ("https:///keys", IssuerFieldError::Url),
            ("https://example.com/a b", IssuerFieldError::Url),
            ("https://example.com/#keys", IssuerFieldError::Url),
            ("https://example.com:99999/", IssuerFieldError::Url),
            ("https://example.com:0/", IssuerFieldError::Url),
            ("https://example.com/\u{e9}", IssuerFieldError::Url),
            ("https://a:b@example.com/", IssuerFieldError::UrlCredentials),
            ("https://a@example.com/", IssuerFieldError::UrlCredentials),
            ("http://example.com/keys", IssuerFieldError::UrlInsecure),
            ("http://localhost/keys", IssuerFieldError::UrlInsecure),
            ("http://10.0.0.7/keys", IssuerFieldError::UrlInsecure),
            ("http://127.0.0.1.example.com/keys", IssuerFieldError::UrlInsecure),
            ("http://0.0.0.0/keys", IssuerFieldError::UrlInsecure),
            ("http://2130706433/keys", IssuerFieldError::UrlInsecure),
        ] {
            assert_eq!(bad.parse::<JwksUrl>(), Err(error), "{bad}");
        }
        let path = "x".repeat(MAX_JWKS_URL_LEN - "https://a.b/".len());
        assert!(format!("https://a.b/{path}").parse::<JwksUrl>().is_ok());
        assert_eq!(format!("https://a.b/{path}x").parse::<JwksUrl>(), Err(IssuerFieldError::Url));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |url: &str| url.parse::<JwksUrl>().unwrap().origin().unwrap();
        assert!(origin("https://Example.com/a") == origin("https://example.com:443/b?c"));
        for other in ["https://example.org/", "https://example.com:444/", "https://www.example.com/"] {
            assert!(origin("https://example.com/") != origin(other), "{other}");
        }
        assert!(origin("http://127.0.0.1:443/") != origin("https://127.0.0.1/"));
    }

    #[test]
    fn a_query_is_not_in_debug() {
        let url: JwksUrl = "https://example.com/keys?apikey=hush".parse().unwrap();
        assert_eq!(format!("{url:?}"), "JwksUrl(https://example.com/keys)");
        assert!(!format!("{:?}", KeySource::Url(url)).contains("hush"));
    }

    #[test]
    fn every_bound_is_met() {
        type Change = fn(&mut ExternalIssuer);
        let cases: &[(Change, Change, IssuerFieldError)] = &[
            (|i| i.name = "x".repeat(MAX_NAME_LEN), |i| i.name = "x".repeat(MAX_NAME_LEN + 1), IssuerFieldError::Name),
            (|i| i.name = "a-b".into(), |i| i.name = "-a".into(), IssuerFieldError::Name),
            (|i| i.name = "é".into(), |i| i.name = "a b".into(), IssuerFieldError::Name),
            (
                |i| i.issuer = "x".repeat(MAX_ISSUER_LEN),
                |i| i.issuer = "x".repeat(MAX_ISSUER_LEN + 1),
                IssuerFieldError::Issuer,
            ),
            (|i| i.algorithms.push(Algorithm::EdDsa), |i| i.algorithms.clear(), IssuerFieldError::NoAlgorithm),
            (|i| i.algorithms.push(Algorithm::Es384), |i| i.algorithms.push(Algorithm::Hs512), IssuerFieldError::Hmac),
            (
                |i| i.audiences = vec!["x".repeat(MAX_AUDIENCE_LEN); MAX_AUDIENCES],
                |i| i.audiences = vec!["x".into(); MAX_AUDIENCES + 1],
                IssuerFieldError::Audience,
            ),
            (
                |i| i.audiences = vec!["a b".into()],
                |i| i.audiences = vec!["x".repeat(MAX_AUDIENCE_LEN + 1)],
                IssuerFieldError::Audience,
            ),
            (
                |i| (i.audiences, i.any_audience) = (Vec::new(), true),
                |i| (i.audiences, i.any_audience) = (Vec::new(), false),
                IssuerFieldError::AnyAudience,
            ),
            (|_| (), |i| i.any_audience = true, IssuerFieldError::AnyAudience),
            (
                |i| i.forbidden_claims = vec!["x".repeat(MAX_CLAIM_NAME_LEN); MAX_FORBIDDEN_CLAIMS],
                |i| i.forbidden_claims = vec!["x".into(); MAX_FORBIDDEN_CLAIMS + 1],
                IssuerFieldError::ForbiddenClaims,
            ),
            (
                |i| i.forbidden_claims = vec!["nonce".into()],
                |i| i.forbidden_claims = vec!["x".repeat(MAX_CLAIM_NAME_LEN + 1)],
                IssuerFieldError::ForbiddenClaims,
            ),
            (|i| i.leeway = MAX_LEEWAY, |i| i.leeway = MAX_LEEWAY + 1, IssuerFieldError::Leeway { given: 61 }),
            (
                |i| i.claims.organization = Some("x".repeat(MAX_CLAIM_NAME_LEN)),
                |i| i.claims.organization = Some("x".repeat(MAX_CLAIM_NAME_LEN + 1)),
                IssuerFieldError::Claim,
            ),
            (|i| i.claims.roles = Some("roles".into()), |i| i.claims.roles = Some("".into()), IssuerFieldError::Claim),
            (
                |i| i.claims.environment = Some("x".repeat(MAX_CLAIM_NAME_LEN)),
                |i| i.claims.environment = Some("x".repeat(MAX_CLAIM_NAME_LEN + 1)),
                IssuerFieldError::Claim,
            ),
            (
                |i| (i.claims.environment, i.any_environment) = (Some("env".into()), true),
                |i| (i.claims.environment, i.environment) = (Some("env".into()), Some("live".parse().unwrap())),
                IssuerFieldError::Environment,
            ),
            (
                |i| i.environment = Some("live".parse().unwrap()),
                |i| (i.any_environment, i.environment) = (true, Some("live".parse().unwrap())),
                IssuerFieldError::Environment,
            ),
            (
                |i| i.claims.scopes = ScopeClaim::ALL.to_vec(),
                |i| i.claims.scopes = vec![ScopeClaim::Scp; ScopeClaim::ALL.len() + 1],
                IssuerFieldError::Claim,
            ),
        ];
        for (fits, breaks, error) in cases {
            let (mut good, mut bad) = (issuer(), issuer());
            fits(&mut good);
            assert_eq!(check_fields(&good), Ok(()), "{good:?}");
            breaks(&mut bad);
            assert_eq!(check_fields(&bad), Err(error.clone()), "{bad:?}");
        }
    }
}
