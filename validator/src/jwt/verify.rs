//! From bytes to a verified token: each stage is a type, and only the last one has claims.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::claims::{Claims, UnverifiedClaims};
use super::compact::Compact;
use super::error::{ClaimProblem, JwtError};
use super::header::{Header, PayloadKind, TokenType};
use super::issuer::{Issuer, IssuerSettings, Issuers};
use super::jwk::KeySet;
use super::token_record::TokenRecord;
use crate::time::Timestamp;

/// A token in its compact form, well formed, of which nothing is to be believed yet.
///
/// ```
/// use keystile_validator::jwt::{Issuers, JwtError, UnverifiedJwt};
/// use keystile_validator::Timestamp;
/// let token = b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSJ9.";
/// let jwt = UnverifiedJwt::parse(token)?;
/// assert_eq!(jwt.lookup().issuer, Some("me"));
/// let now = Timestamp::from_unix(1_700_000_000).unwrap();
/// assert_eq!(jwt.verify(&Issuers::default(), now, None).unwrap_err(), JwtError::UnknownIssuer);
/// # Ok::<(), JwtError>(())
/// ```
pub struct UnverifiedJwt<'a> {
    compact: Compact<'a>,
    header: Header,
    claims: UnverifiedClaims,
    /// Wiped when it is dropped: with what is remembered of a token it would be the token.
    signature: Zeroizing<Vec<u8>>,
}

impl<'a> UnverifiedJwt<'a> {
    /// Reads a token: its form, its header, and its claims as far as they are JSON.
    ///
    /// # Errors
    /// [`JwtError`] with the code `malformed`.
    pub fn parse(token: &'a [u8]) -> Result<UnverifiedJwt<'a>, JwtError> {
        UnverifiedJwt::read(Compact::split(token)?)
    }

    /// Reads a token that was taken apart.
    pub(crate) fn read(compact: Compact<'a>) -> Result<UnverifiedJwt<'a>, JwtError> {
        let header = Header::read(compact.header()?, PayloadKind::Claims)?;
        let claims = UnverifiedClaims::read(compact.payload()?)?;
        let signature = Zeroizing::new(compact.signature()?);
        Ok(UnverifiedJwt { compact, header, claims, signature })
    }

    /// What a host needs to look the token up. Never to be believed: anybody can write this.
    pub fn lookup(&self) -> TokenLookup<'_> {
        TokenLookup {
            issuer: self.claims.issuer_text(),
            subject: self.claims.subject_text(),
            token_id: self.claims.token_id_text(),
            session_id: self.claims.session_id_text(),
        }
    }

    /// Which key it says it is signed with (`kid`). Never to be believed: anybody can write this.
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id()
    }

    /// The header as JSON, for people to look at. Never to be believed: anybody can write this.
    pub fn dangerous_header(&self) -> &str {
        self.header.text()
    }

    /// The claims as JSON, for people to look at. Never to be believed: anybody can write this.
    pub fn dangerous_claims(&self) -> &str {
        self.claims.json()
    }

    /// Verifies the token, in this order: issuer, algorithm, key, signature; what the host's store
    /// says of it; its times; its type, audience and other claims.
    ///
    /// # Errors
    /// [`JwtError`] names the first rule that the token breaks.
    pub fn verify(
        self,
        issuers: &Issuers,
        now: Timestamp,
        record: Option<&TokenRecord>,
    ) -> Result<VerifiedJwt, JwtError> {
        let issuer = issuers.get(self.claims.issuer()?).ok_or(JwtError::UnknownIssuer)?;
        self.verify_signature(issuer)?.verify_claims(now, record)
    }

    fn verify_signature(self, issuer: &Issuer) -> Result<SignedJwt<'_>, JwtError> {
        let settings = issuer.settings();
        if self.compact.len() > settings.longest_token {
            return Err(JwtError::TooLong { limit: settings.longest_token });
        }
        verify_signature(&self.compact, &self.header, &self.signature, issuer.keys(), &settings.algorithms)?;
        Ok(SignedJwt { issuer, token_type: self.header.token_type, claims: self.claims })
    }
}

/// What a token says of itself, for looking it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLookup<'a> {
    /// Who is said to have issued it (`iss`).
    pub issuer: Option<&'a str>,
    /// Who it is said to be issued to (`sub`).
    pub subject: Option<&'a str>,
    /// What is said to be its id (`jti`).
    pub token_id: Option<&'a str>,
    /// What is said to be its session (`sid`).
    pub session_id: Option<&'a str>,
}

/// A token that this issuer has signed.
struct SignedJwt<'i> {
    issuer: &'i Issuer,
    token_type: Option<TokenType>,
    claims: UnverifiedClaims,
}

impl SignedJwt<'_> {
    fn verify_claims(self, now: Timestamp, record: Option<&TokenRecord>) -> Result<VerifiedJwt, JwtError> {
        let settings = self.issuer.version();
        record.copied().unwrap_or_default().admit(self.claims.issued_at())?;
        let times = self.claims.check_times(now, settings.leeway)?;
        if settings.token_type.is_some_and(|asked| self.token_type != Some(asked)) {
            let problem = if self.token_type.is_none() { ClaimProblem::Missing } else { ClaimProblem::WrongKind };
            return Err(JwtError::claim("typ", problem));
        }
        let claims = self.claims.check(times, &settings.audiences, &settings.claims)?;
        let token_type = self.token_type;
        Ok(VerifiedJwt(Arc::new(Verified { settings: Arc::clone(settings), token_type, claims })))
    }
}

/// A token that its issuer has signed, and that was valid when it was verified. It can be made in
/// one place only, so whoever holds one has had every check.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct VerifiedJwt(Arc<Verified>);

struct Verified {
    settings: Arc<IssuerSettings>,
    token_type: Option<TokenType>,
    claims: Claims,
}

impl VerifiedJwt {
    /// Its claims.
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// What its header says it is.
    pub fn token_type(&self) -> Option<TokenType> {
        self.0.token_type
    }

    /// The environment it belongs to, by its issuer's settings or by its claim; `None`: to none.
    pub fn environment(&self) -> Option<&str> {
        match &self.0.settings.environment {
            Some(fixed) => Some(fixed.as_str()),
            None => self.0.claims.environment(),
        }
    }

    /// Whether it is good for this environment: its own, or any, where it has none and its issuer's
    /// settings say so.
    pub(crate) fn is_for_environment(&self, asked: &[u8]) -> bool {
        match self.environment() {
            Some(own) => own.as_bytes() == asked,
            None => self.0.settings.any_environment,
        }
    }

    /// Checks again what can change after the signature was verified.
    pub(crate) fn verify_again(&self, now: Timestamp, record: Option<&TokenRecord>) -> Result<(), JwtError> {
        let times = self.0.claims.times();
        record.copied().unwrap_or_default().admit(times.issued_at())?;
        times.admit(now, self.0.settings.leeway)
    }

    /// Whether it was verified with what is known of its issuer now.
    pub(crate) fn is_current(&self, issuers: &Issuers) -> bool {
        issuers.get(self.0.claims.issuer()).is_some_and(|issuer| Arc::ptr_eq(issuer.version(), &self.0.settings))
    }

    /// Bytes that it takes up in memory, without its issuer's settings.
    pub(crate) fn size(&self) -> usize {
        size_of::<Verified>().saturating_add(self.0.claims.size())
    }
}

impl fmt::Debug for VerifiedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJwt").field("claims", self.claims()).finish_non_exhaustive()
    }
}

/// A JWS whose payload is anything: the signature alone is verified, and nothing is said of whom it
/// is from, whom it is for, or when. For tokens of claims there is [`UnverifiedJwt`].
///
/// ```
/// use keystile_validator::jwt::{Algorithm, KeyRules, KeySet, UnverifiedJws, SmallExponent};
/// // RFC 8037, appendix A.4
/// let jwk = br#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let jws = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
///     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// let key = KeySet::from_jwk(jwk, KeyRules::default())?;
/// let verified = UnverifiedJws::parse(jws)?.verify(&key, &[Algorithm::EdDsa])?;
/// assert_eq!(verified.payload(), b"Example of Ed25519 signing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnverifiedJws<'a> {
    compact: Compact<'a>,
    header: Header,
    payload: Vec<u8>,
    signature: Zeroizing<Vec<u8>>,
}

impl<'a> UnverifiedJws<'a> {
    /// Reads a JWS: its form and its header.
    ///
    /// # Errors
    /// [`JwtError`] with the code `malformed`.
    pub fn parse(jws: &'a [u8]) -> Result<UnverifiedJws<'a>, JwtError> {
        let compact = Compact::split(jws)?;
        let header = Header::read(compact.header()?, PayloadKind::Bytes)?;
        let payload = compact.payload()?;
        let signature = Zeroizing::new(compact.signature()?);
        Ok(UnverifiedJws { compact, header, payload, signature })
    }

    /// The header as JSON, for people to look at. Never to be believed: anybody can write this.
    pub fn dangerous_header(&self) -> &str {
        self.header.text()
    }

    /// The payload, for people to look at. Never to be believed: anybody can write this.
    pub fn dangerous_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Verifies the signature with one of these keys and one of these algorithms.
    ///
    /// # Errors
    /// [`JwtError::AlgorithmNotAllowed`], [`JwtError::UnknownSigningKey`], [`JwtError::BadSignature`].
    pub fn verify(self, keys: &KeySet, algorithms: &[Algorithm]) -> Result<VerifiedJws, JwtError> {
        verify_signature(&self.compact, &self.header, &self.signature, keys, algorithms)?;
        Ok(VerifiedJws { header: self.header, payload: self.payload })
    }
}

/// A JWS whose signature was verified.
pub struct VerifiedJws {
    header: Header,
    payload: Vec<u8>,
}

impl VerifiedJws {
    /// The payload that was signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The header as JSON, which was signed with the payload.
    pub fn header(&self) -> &str {
        self.header.text()
    }
}

impl fmt::Debug for VerifiedJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJws").field("header", &self.header()).finish_non_exhaustive()
    }
}

/// The one way to a good signature: an algorithm of the list, then the key, then the signature.
fn verify_signature(
    compact: &Compact<'_>,
    header: &Header,
    signature: &[u8],
    keys: &KeySet,
    algorithms: &[Algorithm],
) -> Result<(), JwtError> {
    let allowed = header.algorithm.filter(|algorithm| algorithms.contains(algorithm));
    let algorithm = allowed.ok_or(JwtError::AlgorithmNotAllowed)?;
    let key = keys.choose(header.key_id(), algorithm)?;
    key.verify(algorithm, compact.signed, signature).map_err(|_| JwtError::BadSignature)
}
