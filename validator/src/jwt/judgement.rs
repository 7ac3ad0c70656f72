//! The judgement of a token, as that of a key: verified, and good for this request.

use super::cache::TokenCache;
use super::issuer::Issuers;
use super::token_record::TokenRecord;
use super::verify::VerifiedJwt;
use crate::scope;
use crate::verdict::{Code, Denial};
use crate::wire::RequestView;

/// Judges one token: verified as [`UnverifiedJwt::verify`](super::UnverifiedJwt::verify) does; then environment, then scopes.
pub(crate) fn judge_token(
    token: &[u8],
    issuers: &Issuers,
    cache: &mut TokenCache,
    record: Option<&TokenRecord>,
    request: &RequestView<'_>,
) -> Result<VerifiedJwt, Denial> {
    let verified = cache.verify(token, issuers, request.now, record);
    let token = verified.map_err(|error| denial(error.code()))?;
    if request.environment.is_some_and(|asked| !token.is_for_environment(asked)) {
        return Err(denial(Code::WrongEnvironment));
    }
    let scopes = || token.claims().scopes();
    if !request.is_granted(|required| scopes().any(|granted| scope::grants(granted.as_bytes(), required))) {
        return Err(denial(Code::InsufficientScope));
    }
    Ok(token)
}

const fn denial(code: Code) -> Denial {
    Denial { code, retry_after: None }
}
