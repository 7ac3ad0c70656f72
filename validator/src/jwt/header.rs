//! The header of a token (RFC 7515, section 4), every member that has a meaning checked.

use alloc::vec::Vec;
use core::fmt;

use super::algorithm::Algorithm;
use super::error::{JwtError, Part};
use super::json::{Json, JsonError, Value};

/// Longest `kid`, in bytes, in a header and in a key set.
pub const MAX_KEY_ID_LEN: usize = 256;

/// What a token says it is, by the `typ` of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// `JWT` (RFC 7519, section 5.1).
    Jwt,
    /// `at+jwt`: an access token (RFC 9068, section 2.1).
    AccessToken,
}

impl TokenType {
    /// The name in a header and in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenType::Jwt => "JWT",
            TokenType::AccessToken => "at+jwt",
        }
    }

    /// The type of this name: with or without `application/`, in upper or lower case (RFC 7515,
    /// section 4.1.9).
    pub fn from_name(name: &str) -> Option<TokenType> {
        let name = match name.split_at_checked(MEDIA_TYPE.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(MEDIA_TYPE) => rest,
            _ => name,
        };
        [TokenType::Jwt, TokenType::AccessToken].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the payload behind a header is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadKind {
    /// Claims: `typ` can only be that of a token of claims, and `cty` has no place.
    Claims,
    /// Anything: `typ` and `cty` are for whoever reads it.
    Bytes,
}

/// A header in which every member that has a meaning is as it must be.
pub(crate) struct Header {
    json: Json,
    /// The algorithm; `None` when it is not one we know, `none` among them.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) token_type: Option<TokenType>,
    key_id: Option<usize>,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`JwtError::Json`] and [`JwtError::Header`].
    pub(crate) fn read(bytes: Vec<u8>, payload: PayloadKind) -> Result<Header, JwtError> {
        let json_error = |error| JwtError::Json { part: Part::Header, error };
        let json = Json::read(bytes).map_err(json_error)?;
        let Some(members) = json.root().members() else {
            return Err(json_error(JsonError::NoObject));
        };
        let mut algorithm = None;
        let mut token_type = None;
        let mut key_id = None;
        for (name, value) in members {
            match name {
                "alg" => algorithm = Some(value.as_str().ok_or(JwtError::Header { member: "alg" })?),
                "kid" => match value.as_str() {
                    Some(kid) if kid.len() <= MAX_KEY_ID_LEN => key_id = Some(value.position()),
                    _ => return Err(JwtError::Header { member: "kid" }),
                },
                "typ" => {
                    let typ = value.as_str().ok_or(JwtError::Header { member: "typ" })?;
                    token_type = TokenType::from_name(typ);
                    if token_type.is_none() && payload == PayloadKind::Claims {
                        return Err(JwtError::Header { member: "typ" });
                    }
                }
                "cty" if payload == PayloadKind::Bytes && value.as_str().is_some() => {}
                _ => admit_other(name, value)?,
            }
        }
        let algorithm = Algorithm::from_name(algorithm.ok_or(JwtError::Header { member: "alg" })?);
        Ok(Header { algorithm, token_type, key_id, json })
    }

    /// The `kid`: data that names a key among those of an issuer, nothing else.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.json.value(self.key_id?).as_str()
    }

    /// The JSON text.
    pub(crate) fn text(&self) -> &str {
        self.json.text()
    }
}

/// Members that change what a token is are refused; those that bring a key are never used, and
/// refused when they are not even well formed; those we do not know are ignored (RFC 7515,
/// section 4).
fn admit_other(name: &str, value: Value<'_>) -> Result<(), JwtError> {
    let (member, well_formed) = match name {
        // We understand no extension, so a critical one cannot be obeyed, and an empty or malformed
        // list is forbidden anyway.
        "crit" => ("crit", false),
        "b64" => ("b64", false),
        "zip" => ("zip", false),
        "enc" => ("enc", false),
        "cty" => ("cty", false),
        "jwk" => ("jwk", is_public_key(value)),
        "jku" => ("jku", value.as_str().is_some_and(is_uri)),
        "x5u" => ("x5u", value.as_str().is_some_and(is_uri)),
        "x5c" => ("x5c", is_certificate_chain(value)),
        "x5t" => ("x5t", value.as_str().is_some()),
        "x5t#S256" => ("x5t#S256", value.as_str().is_some()),
        _ => return Ok(()),
    };
    if well_formed { Ok(()) } else { Err(JwtError::Header { member }) }
}

/// Whether this is a public key in the form of a JWK (RFC 7517, section 4): an object of strings
/// with a key type, and nothing secret in it.
fn is_public_key(value: Value<'_>) -> bool {
    let Some(mut members) = value.members() else { return false };
    let kty = value.member("kty").and_then(Value::as_str);
    kty.is_some_and(|kty| kty != "oct")
        && members.all(|(name, value)| match name {
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => false,
            "key_ops" | "x5c" => value.items().is_some_and(|mut items| items.all(|item| item.as_str().is_some())),
            "kty" | "crv" | "x" | "y" | "n" | "e" | "use" | "alg" | "kid" => value.as_str().is_some(),
            _ => true,
        })
}

/// Whether this has the form of an absolute URI (RFC 3986, section 4.3).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether this is a list of certificates in base64 (RFC 7515, section 4.1.6).
fn is_certificate_chain(value: Value<'_>) -> bool {
    let is_base64 = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    };
    let Some(mut items) = value.items() else { return false };
    items.clone().next().is_some() && items.all(|item| item.as_str().is_some_and(is_base64))
}

const MEDIA_TYPE: &str = "application/";

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn only_the_media_type_of_applications_may_stand_before_a_type() {
        for token_type in [TokenType::Jwt, TokenType::AccessToken] {
            assert_eq!(TokenType::from_name(&token_type.to_string()), Some(token_type));
            assert_eq!(TokenType::from_name(&std::format!("application/{token_type}")), Some(token_type));
            for before in ["a", "multipart/", "xpplication/", "application.", "application/application/"] {
                assert_eq!(TokenType::from_name(&std::format!("{before}{token_type}")), None, "{before}");
            }
        }
        assert_eq!((TokenType::Jwt.to_string(), TokenType::AccessToken.to_string()), ("JWT".into(), "at+jwt".into()));
    }
}
