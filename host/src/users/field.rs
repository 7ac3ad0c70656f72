//! The fields of a user, and what they may hold.

use std::fmt;

use crate::key::MAX_NAME_LEN;
use crate::secret_forms::SecretForms;
use crate::store::WriteTransaction;
use crate::text::is_line;

/// Which field of a user does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserFieldError {
    /// The name is empty, too long, or holds control characters.
    Name,
    /// The organization is empty, too long, or holds control characters.
    Organization,
    /// There is an API key or a token in the name or the organization.
    Secret,
}

impl fmt::Display for UserFieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            UserFieldError::Name => "a name",
            UserFieldError::Organization => "an organization",
            UserFieldError::Secret => {
                return f.write_str("there is an API key or a token in the name or organization · give another one");
            }
        };
        write!(
            f,
            "not {what} · give 1 to {MAX_NAME_LEN} bytes without control characters and without spaces at the ends"
        )
    }
}

impl std::error::Error for UserFieldError {}

/// Refuses secrets in what people write.
pub(super) fn check_no_secret(
    view: &dyn WriteTransaction,
    name: Option<&str>,
    organization: Option<&str>,
) -> Result<(), UserFieldError> {
    let forms = SecretForms::of(view);
    match [name, organization].into_iter().flatten().any(|text| forms.is_in(text)) {
        true => Err(UserFieldError::Secret),
        false => Ok(()),
    }
}

/// Checks the fields that people write.
pub(super) fn check_fields(name: Option<&str>, organization: Option<&str>) -> Result<(), UserFieldError> {
    let fits = |text: Option<&str>| text.is_none_or(|text| is_line(text, MAX_NAME_LEN));
    if !fits(name) {
        return Err(UserFieldError::Name);
    }
    if !fits(organization) {
        return Err(UserFieldError::Organization);
    }
    Ok(())
}
