//! Verdicts: the validator's answer, in one vocabulary for keys and tokens.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use crate::id::KeyId;
use crate::jwt::VerifiedJwt;
use crate::scope::{self, Scope};
use crate::time::Timestamp;

/// The validator's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The caller is this principal and may do what it asks for.
    Allow(Principal),
    /// The caller may not.
    Deny(Denial),
}

impl Verdict {
    /// A deny with this code.
    pub const fn deny(code: Code) -> Verdict {
        Verdict::Deny(Denial { code, retry_after: None })
    }

    /// Whether the caller may.
    pub const fn is_allow(&self) -> bool {
        matches!(self, Verdict::Allow(_))
    }

    /// The code of a deny.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Verdict::Allow(_) => None,
            Verdict::Deny(denial) => Some(denial.code),
        }
    }
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub code: Code,
    /// Seconds after which to try again, with `rate_limited`.
    pub retry_after: Option<NonZeroU32>,
}

/// Who the caller is.
///
/// Its texts lie in one piece of memory: an allow costs one allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    kind: PrincipalKind,
    key_id: Option<KeyId>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// The parts one after the other, then each scope behind a space.
    text: Box<str>,
    /// Where each part ends; an empty part is none.
    ends: [u16; PARTS],
    roles: Box<[Box<str>]>,
}

/// The texts of a principal but its scopes and roles, checked where they come from.
#[derive(Clone, Copy, Default)]
pub(crate) struct PrincipalTexts<'a> {
    pub(crate) environment: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) organization: &'a str,
    pub(crate) token_id: &'a str,
    pub(crate) session_id: &'a str,
    pub(crate) client_id: &'a str,
}

const PARTS: usize = 8;

impl Principal {
    /// The principal of a key. `None`: its texts are too long together.
    pub(crate) fn of_key<'a>(
        key_id: KeyId,
        texts: &PrincipalTexts<'_>,
        scopes: impl Iterator<Item = &'a str> + Clone,
        expires_at: Option<Timestamp>,
    ) -> Option<Principal> {
        let (text, ends) = pack(texts, scopes)?;
        let kind = PrincipalKind::ApiKey;
        Some(Principal { kind, key_id: Some(key_id), issued_at: None, expires_at, text, ends, roles: Box::default() })
    }

    /// The principal that a token names. `None`: its texts are too long together.
    pub(crate) fn of_token(token: &VerifiedJwt) -> Option<Principal> {
        let claims = token.claims();
        let scopes = claims.scopes();
        Principal::of_claims(
            &PrincipalTexts::of_token(token),
            scopes,
            claims.roles().map(Box::from).collect(),
            claims.issued_at(),
            claims.expires_at(),
        )
    }

    pub(crate) fn of_claims<'a>(
        texts: &PrincipalTexts<'_>,
        scopes: impl Iterator<Item = &'a str> + Clone,
        roles: Box<[Box<str>]>,
        issued_at: Option<Timestamp>,
        expires_at: Timestamp,
    ) -> Option<Principal> {
        let (text, ends) = pack(texts, scopes)?;
        let kind = PrincipalKind::Jwt;
        Some(Principal { kind, key_id: None, issued_at, expires_at: Some(expires_at), text, ends, roles })
    }

    /// What kind of credential proved it.
    pub const fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The key; `None`: a token proved it.
    pub const fn key_id(&self) -> Option<KeyId> {
        self.key_id
    }

    /// The environment of the key or token. `None`: the token belongs to none. A request that asked for
    /// an environment has then allowed it only because its issuer's settings say that such tokens are
    /// good for any.
    pub fn environment(&self) -> Option<&str> {
        self.part(0)
    }

    /// Who the key acts for.
    pub fn owner(&self) -> Option<&str> {
        self.part(1)
    }

    /// Who issued the token (`iss`).
    pub fn issuer(&self) -> Option<&str> {
        self.part(2)
    }

    /// Who the token was issued to (`sub`).
    pub fn subject(&self) -> Option<&str> {
        self.part(3)
    }

    /// The organization that the subject acts in (`org_id`).
    pub fn organization(&self) -> Option<&str> {
        self.part(4)
    }

    /// The token's own id (`jti`).
    pub fn token_id(&self) -> Option<&str> {
        self.part(5)
    }

    /// The session that the token belongs to (`sid`).
    pub fn session_id(&self) -> Option<&str> {
        self.part(6)
    }

    /// The client that the token was issued to (`client_id`).
    pub fn client_id(&self) -> Option<&str> {
        self.part(7)
    }

    /// The subject's roles, where the issuer's settings say they are.
    pub fn roles(&self) -> impl Iterator<Item = &str> + Clone {
        self.roles.iter().map(|role| &**role)
    }

    /// What the caller may do.
    pub fn scopes(&self) -> impl Iterator<Item = &str> + Clone {
        let start = self.ends.last().copied().unwrap_or_default();
        // A scope has no space in it, and the first one has a space before it.
        self.text.get(usize::from(start)..).unwrap_or_default().split(' ').skip(1)
    }

    /// Whether one of the scopes grants what needs `required`.
    pub fn may(&self, required: &Scope) -> bool {
        self.scopes().any(|scope| scope::grants(scope.as_bytes(), required.as_str().as_bytes()))
    }

    /// When the token was issued (`iat`).
    pub const fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// When the key or the token expires.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    fn part(&self, number: usize) -> Option<&str> {
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = *self.ends.get(number)?;
        self.text.get(usize::from(start)..usize::from(end)).filter(|part| !part.is_empty())
    }
}

impl<'a> PrincipalTexts<'a> {
    pub(crate) fn of_token(token: &'a VerifiedJwt) -> PrincipalTexts<'a> {
        let claims = token.claims();
        PrincipalTexts {
            environment: token.environment().unwrap_or_default(),
            owner: "",
            issuer: claims.issuer(),
            subject: claims.subject().unwrap_or_default(),
            organization: claims.organization().unwrap_or_default(),
            token_id: claims.token_id().unwrap_or_default(),
            session_id: claims.session_id().unwrap_or_default(),
            client_id: claims.client_id().unwrap_or_default(),
        }
    }

    fn parts(&self) -> [&'a str; PARTS] {
        [
            self.environment,
            self.owner,
            self.issuer,
            self.subject,
            self.organization,
            self.token_id,
            self.session_id,
            self.client_id,
        ]
    }
}

/// Puts the parts and the scopes into one piece of memory of the right size.
fn pack<'a>(
    texts: &PrincipalTexts<'_>,
    scopes: impl Iterator<Item = &'a str> + Clone,
) -> Option<(Box<str>, [u16; PARTS])> {
    let parts = texts.parts();
    let parts_len = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let len = scopes.clone().fold(parts_len, |sum, scope| sum.saturating_add(scope.len()).saturating_add(1));
    let mut text = String::with_capacity(len);
    let mut ends = [0; PARTS];
    for (end, part) in ends.iter_mut().zip(parts) {
        text.push_str(part);
        *end = u16::try_from(text.len()).ok()?;
    }
    for scope in scopes {
        text.push(' ');
        text.push_str(scope);
    }
    Some((text.into_boxed_str(), ends))
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("kind", &self.kind)
            .field("key_id", &self.key_id)
            .field("environment", &self.environment())
            .field("owner", &self.owner())
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("organization", &self.organization())
            .field("scopes", &self.scopes().collect::<Vec<_>>())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What kind of credential proved who the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// An API key.
    ApiKey,
    /// A JSON Web Token.
    Jwt,
}

impl PrincipalKind {
    /// The name in JSON and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            PrincipalKind::ApiKey => "api_key",
            PrincipalKind::Jwt => "jwt",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $status:literal, $message:literal;)*) => {
        /// Why a credential is denied. The code is for programs and logs; [`Code::message`] is what may
        /// leave the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The name for programs and logs, such as `unknown_key`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// What the caller may be told. It never says more than the caller may know: no such key,
            /// a wrong checksum and a wrong digest read the same.
            pub const fn message(self) -> &'static str {
                match self { $(Code::$name => $message,)* }
            }
        }
    };
}

codes! {
    /// Nothing was presented.
    MissingCredential = 1, "missing_credential", 401, "No credential was presented. Send an API key or a token as `Authorization: Bearer …`.";
    /// Not a key of any known format, not a token.
    Malformed = 2, "malformed", 401, "The credential is no key of a known format and no token. Check that it was copied whole.";
    /// No such secret, or its checksum is wrong.
    UnknownKey = 3, "unknown_key", 401, "The key is not valid. Check that it was copied whole, or ask for a new one.";
    /// The key was ended for good; of a token, the token itself, its session, or all that was issued to its
    /// subject by then.
    Revoked = 4, "revoked", 401, "The credential was revoked. Ask for a new key, or log in again.";
    /// The key is switched off, or the subject of the token is.
    Suspended = 5, "suspended", 401, "The credential is suspended. Ask the operator to resume it.";
    /// The key or token is past its expiry.
    Expired = 6, "expired", 401, "The credential has expired. Ask for a new key, or log in again.";
    /// The key or token is not valid yet.
    NotYetValid = 7, "not_yet_valid", 401, "The credential is not valid yet. Try again later.";
    /// The secret was replaced and its grace period is over.
    Rotated = 8, "rotated", 401, "The key was rotated and this secret has retired. Use the new secret.";
    /// The signature of a token is wrong.
    BadSignature = 9, "bad_signature", 401, "The token is not valid. Log in again.";
    /// Nobody known has issued the token.
    UnknownIssuer = 10, "unknown_issuer", 401, "The token is not valid. Log in again.";
    /// The issuer has no such signing key.
    UnknownSigningKey = 11, "unknown_signing_key", 401, "The token is not valid. Log in again.";
    /// The issuer does not sign with this algorithm.
    AlgorithmNotAllowed = 12, "algorithm_not_allowed", 401, "The token is not valid. Log in again.";
    /// The token is for somebody else.
    WrongAudience = 13, "wrong_audience", 401, "The token is for another audience. Ask for one that names this service.";
    /// A claim is missing, of the wrong type, or out of range.
    InvalidClaim = 14, "invalid_claim", 401, "The token is not valid. Log in again.";
    /// Valid, but without the scope that is needed.
    InsufficientScope = 15, "insufficient_scope", 403, "The credential does not have the scope this needs. Ask the operator to grant it.";
    /// Valid, but for another environment.
    WrongEnvironment = 16, "wrong_environment", 403, "The credential is for another environment. Use one of this environment.";
    /// Valid, but not from this address.
    AddressNotAllowed = 17, "address_not_allowed", 403, "The key may not be used from this address. Ask its operator to allow it.";
    /// Too many calls in the window.
    RateLimited = 18, "rate_limited", 429, "Too many calls. Try again when the time in Retry-After has passed.";
    /// The quota is spent.
    QuotaExceeded = 19, "quota_exceeded", 429, "The quota is spent. Ask the operator for more.";
    /// The bundle is too old to trust.
    StaleBundle = 20, "stale_bundle", 503, "The service cannot check credentials at the moment. Try again later.";
    /// We cannot say: fail closed.
    Unavailable = 21, "unavailable", 503, "The service cannot check credentials at the moment. Try again later.";
}

impl Code {
    /// The number in the binary form.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code of this number.
    pub fn from_number(number: u8) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.number() == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_statuses_are_consistent() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!([401, 403, 429, 503].contains(&code.status()), "{code}");
        }
        assert_eq!(Code::from_number(0), None);
        assert_eq!(Code::from_number(22), None);
    }
}
