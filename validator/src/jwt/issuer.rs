//! Issuers: who signs tokens, what is asked of them, and their keys.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::claims::{ClaimMapping, MAX_CLAIM_NAME_LEN, ScopeClaim};
use super::compact::MAX_TOKEN_LEN;
use super::header::TokenType;
use super::json::{JsonError, Number, SecretJson, Value, write_string};
use super::jwk::{KeyProblem, KeyRules, KeySet, KeySetError, MAX_KEY_SET_LEN};
use super::verifying_key::{BaseTables, SmallExponent};
use crate::environment::Environment;

/// Longest name of an issuer or an audience, in bytes.
pub const MAX_NAME_LEN: usize = 1_024;
/// Most audiences of an issuer.
pub const MAX_AUDIENCES: usize = 32;
/// Most claims that an issuer's tokens must not have.
pub const MAX_FORBIDDEN_CLAIMS: usize = 16;
/// The claims that tokens must not have unless their issuer's settings say otherwise. They belong to ID
/// tokens (OpenID Connect Core 1.0, sections 2 and 3.3.2.11), which are for a client and not for an API.
pub const FORBIDDEN_CLAIMS: &[&str] = &["nonce", "at_hash", "c_hash"];
/// Longest leeway, in seconds.
pub const MAX_LEEWAY: u64 = 60;
/// Longest token of an issuer whose settings do not say, in bytes.
pub const DEFAULT_TOKEN_LEN: usize = 8_192;
/// Longest JSON document of an issuer, in bytes: its settings and its keys.
pub const MAX_ISSUER_LEN: usize = 262_144;
/// Most issuers that a validator knows at once.
pub const MAX_ISSUERS: usize = 64;
/// Bytes of memory from which on the keys of further issuers get no tables, unless another limit is
/// set.
pub const DEFAULT_TABLE_BYTES: usize = 33_554_432;

/// What is asked of an issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name, as its tokens have it in `iss`; compared exactly.
    pub issuer: String,
    /// The algorithms it signs with.
    pub algorithms: Vec<Algorithm>,
    /// Whom a token must be for, one of these. Empty without `any_audience`: every token is refused.
    pub audiences: Vec<String>,
    /// Whether a token may be for anybody. Not together with `audiences`.
    pub any_audience: bool,
    /// Claims that a token must not have, whatever their value; at most [`MAX_FORBIDDEN_CLAIMS`].
    pub forbidden_claims: Vec<String>,
    /// Whether a scope such as `invoices:*` grants what begins with `invoices:`. Otherwise it is a name
    /// like any other, and grants itself only.
    pub wildcard_scopes: bool,
    /// What a token must say it is; `None`: a JWT, an access token, or nothing.
    pub token_type: Option<TokenType>,
    /// Seconds by which clocks may differ; at most [`MAX_LEEWAY`].
    pub leeway: u64,
    /// Where the claims are that the standards do not fix.
    pub claims: ClaimMapping,
    /// The environment that all of its tokens belong to. `None`: the claim says so
    /// ([`ClaimMapping::environment`]), or nothing does. Not together with that claim.
    pub environment: Option<Environment>,
    /// Whether a token that belongs to no environment is good for every one. Otherwise it is
    /// refused where a request asks for an environment. Not together with `environment`.
    pub any_environment: bool,
    /// Longest token in bytes; at most [`MAX_TOKEN_LEN`].
    pub longest_token: usize,
    /// Whether an RSA key may have the public exponent 3.
    pub small_exponent: SmallExponent,
    /// Whether tables are built for its keys: faster, and about half a megabyte for each.
    pub tables: bool,
    /// Whether shared secrets (`oct`) are keys. Only for a set that nobody else can read: never for
    /// one that was fetched.
    pub secrets: bool,
    /// Whether they are keys beside public ones too. Only for a set that the host has made itself.
    pub mixed_keys: bool,
}

impl IssuerSettings {
    /// The settings of an issuer that signs with these algorithms, all else by default: no audience yet,
    /// the [`FORBIDDEN_CLAIMS`], no wildcards in scopes, any type, no leeway, no environment, tokens of at most [`DEFAULT_TOKEN_LEN`] bytes, no secrets.
    pub fn new(issuer: impl Into<String>, algorithms: impl Into<Vec<Algorithm>>) -> IssuerSettings {
        IssuerSettings {
            issuer: issuer.into(),
            algorithms: algorithms.into(),
            audiences: Vec::new(),
            any_audience: false,
            forbidden_claims: FORBIDDEN_CLAIMS.iter().copied().map(String::from).collect(),
            wildcard_scopes: false,
            token_type: None,
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: false,
            longest_token: DEFAULT_TOKEN_LEN,
            small_exponent: SmallExponent::Refuse,
            tables: true,
            secrets: false,
            mixed_keys: false,
        }
    }

    /// Whether every bound holds.
    ///
    /// # Errors
    /// [`IssuerError`] names the setting that does not.
    pub fn validate(&self) -> Result<(), IssuerError> {
        let check =
            |holds: bool, setting: &'static str| if holds { Ok(()) } else { Err(IssuerError::Setting { setting }) };
        let is_name = |name: &String| !name.is_empty() && name.len() <= MAX_NAME_LEN;
        let is_claim_name = |name: &String| !name.is_empty() && name.len() <= MAX_CLAIM_NAME_LEN;
        let is_claim = |name: &Option<String>| name.as_ref().is_none_or(is_claim_name);
        check(is_name(&self.issuer), "issuer")?;
        check(!self.algorithms.is_empty() && self.algorithms.len() <= Algorithm::ALL.len(), "algorithms")?;
        check(self.audiences.len() <= MAX_AUDIENCES && self.audiences.iter().all(is_name), "audiences")?;
        check(self.audiences.is_empty() || !self.any_audience, "any_audience")?;
        check(
            self.forbidden_claims.len() <= MAX_FORBIDDEN_CLAIMS && self.forbidden_claims.iter().all(is_claim_name),
            "forbidden_claims",
        )?;
        check(self.leeway <= MAX_LEEWAY, "leeway")?;
        check(self.claims.scopes.len() <= ScopeClaim::ALL.len(), "claims")?;
        check(is_claim(&self.claims.organization) && is_claim(&self.claims.roles), "claims")?;
        check(is_claim(&self.claims.environment), "claims")?;
        // Two answers to one question: nobody could say which of them counts.
        check(self.environment.is_none() || self.claims.environment.is_none(), "environment")?;
        check(self.environment.is_none() || !self.any_environment, "any_environment")?;
        check((1..=MAX_TOKEN_LEN).contains(&self.longest_token), "longest_token")
    }

    fn key_rules(&self) -> KeyRules {
        KeyRules { secrets: self.secrets, mixed: self.mixed_keys, small_exponent: self.small_exponent }
    }
}

/// An issuer: its settings, and its keys ready for use.
///
/// ```
/// use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings};
/// let settings = IssuerSettings::new("https://id.example", [Algorithm::EdDsa]);
/// let jwks = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let issuer = Issuer::new(settings, jwks)?;
/// assert_eq!(Issuer::from_json(issuer.to_json().as_bytes())?.settings(), issuer.settings());
/// # Ok::<(), keystile_validator::jwt::IssuerError>(())
/// ```
pub struct Issuer {
    settings: Arc<IssuerSettings>,
    /// The key set, or the one key, as JSON, for [`Issuer::to_json`]. It may hold secrets.
    json: Zeroizing<String>,
    keys: KeySet,
}

impl Issuer {
    /// An issuer with the keys of this JWK Set.
    ///
    /// # Errors
    /// [`IssuerError`] when a setting breaks a bound, or the text as a whole is no key set. A key
    /// that cannot be used is none: [`Issuer::problems`] lists it.
    pub fn new(settings: IssuerSettings, jwks: &[u8]) -> Result<Issuer, IssuerError> {
        if jwks.len() > MAX_KEY_SET_LEN {
            return Err(IssuerError::KeySet(KeySetError::TooLong { given: jwks.len() }));
        }
        let json = SecretJson::read(jwks).map_err(|error| IssuerError::KeySet(KeySetError::Json(error)))?;
        Issuer::from_value(settings, Keys::Set(json.root()))
    }

    /// An issuer with the one key of this JWK, chosen by hand: a token may have any `kid` when the JWK
    /// has none ([`KeySet::from_jwk`]).
    ///
    /// # Errors
    /// [`IssuerError`] when a setting breaks a bound, or the text is no key that can be used.
    pub fn with_key(settings: IssuerSettings, jwk: &[u8]) -> Result<Issuer, IssuerError> {
        if jwk.len() > MAX_KEY_SET_LEN {
            return Err(IssuerError::KeySet(KeySetError::TooLong { given: jwk.len() }));
        }
        let json = SecretJson::read(jwk).map_err(|error| IssuerError::KeySet(KeySetError::Json(error)))?;
        Issuer::from_value(settings, Keys::One(json.root()))
    }

    /// An issuer from its JSON document: its settings, and its key set as `jwks`, or its one key as
    /// `jwk`. A setting nobody knows is refused.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn from_json(text: &[u8]) -> Result<Issuer, IssuerError> {
        if text.len() > MAX_ISSUER_LEN {
            return Err(IssuerError::TooLong { given: text.len() });
        }
        let json = SecretJson::read(text).map_err(IssuerError::Json)?;
        let (settings, keys) = read_settings(json.root())?;
        Issuer::from_value(settings, keys)
    }

    /// The JSON document that [`Issuer::from_json`] reads. It holds the secrets of an issuer that
    /// has some.
    pub fn to_json(&self) -> String {
        let settings = &*self.settings;
        let mut out = String::with_capacity(self.json.len().saturating_add(512));
        out.push_str("{\"issuer\":");
        write_string(&settings.issuer, &mut out);
        out.push_str(",\"algorithms\":");
        write_strings(settings.algorithms.iter().map(|algorithm| algorithm.as_str()), &mut out);
        out.push_str(",\"audiences\":");
        write_strings(settings.audiences.iter().map(String::as_str), &mut out);
        out.push_str(",\"forbidden_claims\":");
        write_strings(settings.forbidden_claims.iter().map(String::as_str), &mut out);
        out.push_str(",\"typ\":");
        write_option(settings.token_type.map(TokenType::as_str), &mut out);
        out.push_str(",\"leeway\":");
        write_number(settings.leeway, &mut out);
        out.push_str(",\"claims\":{\"scopes\":");
        write_strings(settings.claims.scopes.iter().map(|claim| claim.as_str()), &mut out);
        out.push_str(",\"organization\":");
        write_option(settings.claims.organization.as_deref(), &mut out);
        out.push_str(",\"roles\":");
        write_option(settings.claims.roles.as_deref(), &mut out);
        out.push_str(",\"environment\":");
        write_option(settings.claims.environment.as_deref(), &mut out);
        out.push_str("},\"environment\":");
        write_option(settings.environment.as_ref().map(Environment::as_str), &mut out);
        out.push_str(",\"longest_token\":");
        write_number(settings.longest_token as u64, &mut out);
        for (name, value) in [
            (",\"any_audience\":", settings.any_audience),
            (",\"wildcard_scopes\":", settings.wildcard_scopes),
            (",\"any_environment\":", settings.any_environment),
            (",\"small_exponent\":", settings.small_exponent == SmallExponent::AllowThree),
            (",\"tables\":", settings.tables),
            (",\"secrets\":", settings.secrets),
            (",\"mixed_keys\":", settings.mixed_keys),
        ] {
            out.push_str(name);
            out.push_str(if value { "true" } else { "false" });
        }
        out.push_str(if self.keys.is_chosen() { ",\"jwk\":" } else { ",\"jwks\":" });
        // Room for the end, too: a text that grows behind a secret leaves a copy of it behind.
        out.reserve(self.json.len().saturating_add(1));
        out.push_str(&self.json);
        out.push('}');
        out
    }

    /// What is asked of its tokens.
    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.issuer
    }

    /// Its keys that can be used.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Its keys that cannot be used, and why.
    pub fn problems(&self) -> &[KeyProblem] {
        self.keys.problems()
    }

    /// The settings, as something of which there is one for each loaded key set: nothing that was
    /// verified with another one has the same.
    pub(crate) fn version(&self) -> &Arc<IssuerSettings> {
        &self.settings
    }

    fn from_value(settings: IssuerSettings, keys: Keys<'_>) -> Result<Issuer, IssuerError> {
        settings.validate()?;
        let rules = settings.key_rules();
        let (value, keys) = match keys {
            Keys::Set(jwks) => (jwks, KeySet::from_value(jwks, rules)),
            Keys::One(jwk) => (jwk, KeySet::from_chosen(jwk, rules)),
        };
        let keys = keys.map_err(IssuerError::KeySet)?;
        // As it will be written, which can be longer than it came: escapes, and members nobody reads. With
        // that much room the text stays where it is, and leaves no copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_SET_LEN));
        value.write(&mut text);
        if text.len() > MAX_KEY_SET_LEN {
            return Err(IssuerError::KeySet(KeySetError::TooLong { given: text.len() }));
        }
        let json = Zeroizing::new(String::from(text.as_str()));
        Ok(Issuer { settings: Arc::new(settings), json, keys })
    }
}

/// Where the keys of an issuer are in its JSON.
enum Keys<'a> {
    /// A JWK Set.
    Set(Value<'a>),
    /// One JWK, chosen by hand.
    One(Value<'a>),
}

impl fmt::Debug for Issuer {
    /// The key set is left out: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("settings", &self.settings).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// All issuers that a validator knows, by name, with the tables of their keys.
///
/// ```
/// use keystile_validator::jwt::{Algorithm, Issuer, IssuerSettings, Issuers};
/// let mut issuers = Issuers::default();
/// let settings = IssuerSettings::new("https://id.example", [Algorithm::Rs256]);
/// issuers.put(Issuer::new(settings, br#"{"keys": []}"#)?)?;
/// assert!(issuers.get("https://id.example").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Issuers {
    issuers: BTreeMap<String, Issuer>,
    bases: BaseTables,
    max_table_bytes: usize,
}

impl Default for Issuers {
    fn default() -> Issuers {
        Issuers::with_table_limit(DEFAULT_TABLE_BYTES)
    }
}

impl Issuers {
    /// No issuers, whose keys' tables will take up about so many bytes at most: the last one that
    /// is begun is finished.
    pub fn with_table_limit(max_table_bytes: usize) -> Issuers {
        Issuers { issuers: BTreeMap::new(), bases: BaseTables::default(), max_table_bytes }
    }

    /// Adds an issuer, in place of the one of the same name, and builds the tables of its keys.
    /// Nothing that was verified with the replaced keys is remembered.
    ///
    /// # Errors
    /// [`IssuerError::TooManyIssuers`].
    pub fn put(&mut self, mut issuer: Issuer) -> Result<Option<Issuer>, IssuerError> {
        let replaced = self.issuers.remove(issuer.name());
        if self.issuers.len() >= MAX_ISSUERS {
            return Err(IssuerError::TooManyIssuers);
        }
        if issuer.settings.tables {
            let others = self.table_bytes();
            let algorithms = Arc::clone(&issuer.settings);
            let left = self.max_table_bytes.saturating_sub(others);
            issuer.keys.prepare(&algorithms.algorithms, &mut self.bases, left);
        }
        self.issuers.insert(issuer.settings.issuer.clone(), issuer);
        Ok(replaced)
    }

    /// Removes the issuer of this name.
    pub fn remove(&mut self, name: &str) -> Option<Issuer> {
        self.issuers.remove(name)
    }

    /// The issuer of exactly this name.
    pub fn get(&self, name: &str) -> Option<&Issuer> {
        self.issuers.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.issuers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Bytes that the tables of all keys take up, without those of the curves' base points.
    pub fn table_bytes(&self) -> usize {
        self.iter().fold(0, |sum: usize, issuer| sum.saturating_add(issuer.keys.table_bytes()))
    }
}

/// Why something is not an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerError {
    /// A document longer than [`MAX_ISSUER_LEN`].
    TooLong {
        /// Its length in bytes.
        given: usize,
    },
    /// Not a JSON object as it must be.
    Json(JsonError),
    /// A setting that nobody knows.
    UnknownSetting {
        /// Its name.
        setting: String,
    },
    /// A setting that is missing, of another type, or out of bounds.
    Setting {
        /// Its name.
        setting: &'static str,
    },
    /// The key set is none.
    KeySet(KeySetError),
    /// There are [`MAX_ISSUERS`] already.
    TooManyIssuers,
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssuerError::TooLong { given } => {
                write!(f, "an issuer of {given} bytes is too long · give at most {MAX_ISSUER_LEN} bytes")
            }
            IssuerError::Json(error) => error.fmt(f),
            IssuerError::UnknownSetting { setting } => {
                write!(f, "there is no setting `{}` · leave it out", setting.escape_debug())
            }
            IssuerError::Setting { setting } => write!(f, "the setting `{setting}` {}", what_fits(setting)),
            IssuerError::KeySet(error) => error.fmt(f),
            IssuerError::TooManyIssuers => {
                write!(f, "there are {MAX_ISSUERS} issuers already · remove one first")
            }
        }
    }
}

impl core::error::Error for IssuerError {}

fn what_fits(setting: &str) -> &'static str {
    match setting {
        "issuer" => "is missing or not a name · give what tokens have in `iss`, at most 1024 bytes",
        "algorithms" => "is missing or names no algorithm that we know · give at least one, such as ES256",
        "audiences" => "is not a list of names · give at most 32 strings of at most 1024 bytes",
        "any_audience" => "is not true or false, or is true beside `audiences` · give the audiences, or any, not both",
        "forbidden_claims" => "is not a list of claims · give at most 16 names of at most 256 bytes",
        "typ" => "is not a type of token · give JWT or at+jwt, or leave it out",
        "leeway" => "is not a leeway · give 0 to 60 seconds",
        "claims" => "does not say where claims are · give names of claims of at most 256 bytes",
        "environment" => {
            "is not an environment, or stands beside a claim for it · give one such as live or test, or the claim alone"
        }
        "any_environment" => {
            "is not true or false, or is true beside an `environment` · give one environment, or any, not both"
        }
        "longest_token" => "is not a length · give 1 to 65536 bytes",
        "jwks" => "is missing, or stands beside `jwk` · give a JWK Set, or one JWK as `jwk`",
        _ => "is not true or false · give one of them",
    }
}

fn read_settings(root: Value<'_>) -> Result<(IssuerSettings, Keys<'_>), IssuerError> {
    let Some(members) = root.members() else { return Err(IssuerError::Json(JsonError::NoObject)) };
    let mut settings = IssuerSettings::new("", []);
    let mut keys = None;
    for (name, value) in members {
        match name {
            "issuer" => settings.issuer = value.as_str().ok_or(wrong("issuer"))?.into(),
            "algorithms" => settings.algorithms = read_list(value, "algorithms", Algorithm::from_name)?,
            "audiences" => settings.audiences = read_list(value, "audiences", |name| Some(name.into()))?,
            "any_audience" => settings.any_audience = value.as_bool().ok_or(wrong("any_audience"))?,
            "forbidden_claims" => {
                settings.forbidden_claims = read_list(value, "forbidden_claims", |name| Some(name.into()))?;
            }
            "wildcard_scopes" => settings.wildcard_scopes = value.as_bool().ok_or(wrong("wildcard_scopes"))?,
            "typ" => settings.token_type = read_option(value, "typ", TokenType::from_name)?,
            "leeway" => settings.leeway = read_number(value, "leeway")?,
            "claims" => settings.claims = read_mapping(value)?,
            "environment" => {
                settings.environment = read_option(value, "environment", |name| Environment::new(name).ok())?;
            }
            "any_environment" => settings.any_environment = value.as_bool().ok_or(wrong("any_environment"))?,
            "longest_token" => {
                let bytes = read_number(value, "longest_token")?;
                settings.longest_token = usize::try_from(bytes).map_err(|_| wrong("longest_token"))?;
            }
            "small_exponent" => {
                let allowed = value.as_bool().ok_or(wrong("small_exponent"))?;
                settings.small_exponent = if allowed { SmallExponent::AllowThree } else { SmallExponent::Refuse };
            }
            "tables" => settings.tables = value.as_bool().ok_or(wrong("tables"))?,
            "secrets" => settings.secrets = value.as_bool().ok_or(wrong("secrets"))?,
            "mixed_keys" => settings.mixed_keys = value.as_bool().ok_or(wrong("mixed_keys"))?,
            "jwks" if keys.is_none() => keys = Some(Keys::Set(value)),
            "jwk" if keys.is_none() => keys = Some(Keys::One(value)),
            "jwks" | "jwk" => return Err(wrong("jwks")),
            _ => return Err(IssuerError::UnknownSetting { setting: name.into() }),
        }
    }
    Ok((settings, keys.ok_or(wrong("jwks"))?))
}

fn read_mapping(value: Value<'_>) -> Result<ClaimMapping, IssuerError> {
    let mut mapping = ClaimMapping::default();
    for (name, value) in value.members().ok_or(wrong("claims"))? {
        match name {
            "scopes" => mapping.scopes = read_list(value, "claims", ScopeClaim::from_name)?,
            "organization" => mapping.organization = read_option(value, "claims", |name| Some(name.into()))?,
            "roles" => mapping.roles = read_option(value, "claims", |name| Some(name.into()))?,
            "environment" => mapping.environment = read_option(value, "claims", |name| Some(name.into()))?,
            _ => return Err(IssuerError::UnknownSetting { setting: name.into() }),
        }
    }
    Ok(mapping)
}

fn read_list<T>(
    value: Value<'_>,
    setting: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, IssuerError> {
    let items = value.items().ok_or(wrong(setting))?;
    items.map(|item| item.as_str().and_then(&read).ok_or(wrong(setting))).collect()
}

/// A string that is read, or `null`.
fn read_option<T>(
    value: Value<'_>,
    setting: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, IssuerError> {
    if value.is_null() {
        return Ok(None);
    }
    value.as_str().and_then(read).map(Some).ok_or(wrong(setting))
}

fn read_number(value: Value<'_>, setting: &'static str) -> Result<u64, IssuerError> {
    match value.as_number() {
        Some(Number::Unsigned(number)) => Ok(number),
        _ => Err(wrong(setting)),
    }
}

const fn wrong(setting: &'static str) -> IssuerError {
    IssuerError::Setting { setting }
}

fn write_strings<'a>(texts: impl Iterator<Item = &'a str>, out: &mut String) {
    out.push('[');
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(text, out);
    }
    out.push(']');
}

fn write_option(text: Option<&str>, out: &mut String) {
    match text {
        Some(text) => write_string(text, out),
        None => out.push_str("null"),
    }
}

fn write_number(number: u64, out: &mut String) {
    use fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}
