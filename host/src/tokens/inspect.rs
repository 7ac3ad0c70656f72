//! Looking into a token, without any judgement.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Longest token that is looked into, in bytes.
pub const MAX_INSPECTED_LEN: usize = 64 * 1_024;

/// What is written in a token. Nothing of it was verified: anybody can write anything into one.
#[derive(Clone, PartialEq, Eq)]
pub struct UnverifiedToken {
    /// The header, a JSON object as it is written there.
    pub header: String,
    /// The claims, a JSON object as it is written there.
    pub claims: String,
}

impl UnverifiedToken {
    /// Reads a token in the compact form (RFC 7515, section 3.1): three parts of base64url, of which the
    /// first two are JSON objects.
    ///
    /// ```
    /// use keystile::UnverifiedToken;
    /// let token = UnverifiedToken::read("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ.")?;
    /// assert_eq!(token.claims, r#"{"iss":"joe"}"#);
    /// assert!(UnverifiedToken::read("not.a.token").is_err());
    /// # Ok::<(), keystile::InspectTokenError>(())
    /// ```
    ///
    /// # Errors
    /// [`InspectTokenError`] when it is something else.
    pub fn read(token: &str) -> Result<UnverifiedToken, InspectTokenError> {
        if token.len() > MAX_INSPECTED_LEN {
            return Err(InspectTokenError::TooLong);
        }
        let parts: Vec<&str> = token.split('.').take(4).collect();
        let [header, claims, signature] = parts[..] else { return Err(InspectTokenError::Form) };
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| InspectTokenError::Form)?;
        Ok(UnverifiedToken { header: object(header)?, claims: object(claims)? })
    }
}

/// The JSON object in a part, as it is written there.
fn object(part: &str) -> Result<String, InspectTokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| InspectTokenError::Form)?;
    serde_json::from_slice::<Map<String, Value>>(&bytes).map_err(|_| InspectTokenError::Form)?;
    String::from_utf8(bytes).map_err(|_| InspectTokenError::Form)
}

impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedToken(…)")
    }
}

/// Why a token was not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InspectTokenError {
    /// It is longer than 64 KiB.
    TooLong,
    /// It is not in the compact form of a JWT.
    Form,
}

impl fmt::Display for InspectTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InspectTokenError::TooLong => "the token is longer than 64 KiB · give a token, and nothing else",
            InspectTokenError::Form => {
                "this is not a JWT · give three parts of base64url with dots between them, the first two JSON objects"
            }
        })
    }
}

impl std::error::Error for InspectTokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token("{}", r#"{"a":1}"#);
        assert_eq!(UnverifiedToken::read(&good).unwrap().claims, r#"{"a":1}"#);
        for bad in [
            String::new(),
            "..".to_owned(),
            good.replace('.', ""),
            format!("{good}.x"),
            format!("{good}="),
            format!("{good} "),
            token("[]", "{}"),
            token("{}", "1"),
            token("{}", "{} x"),
            token("{}", &("[".repeat(1_000) + &"]".repeat(1_000))),
            token("{}", &format!(r#"{{"a":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000))),
        ] {
            assert_eq!(UnverifiedToken::read(&bad), Err(InspectTokenError::Form), "{bad}");
        }
        assert_eq!(UnverifiedToken::read(&"x".repeat(MAX_INSPECTED_LEN + 1)), Err(InspectTokenError::TooLong));
    }
}
