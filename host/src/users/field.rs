//! The fields of a user, and what they may hold.

use std::fmt;

use crate::key::MAX_NAME_LEN;
use crate::text::is_line;

/// Which field of a user does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserFieldError {
    /// The name is empty, too long, or holds control characters.
    Name,
    /// The organization is empty, too long, or holds control characters.
    Organization,
}

impl fmt::Display for UserFieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            UserFieldError::Name => "a name",
            UserFieldError::Organization => "an organization",
        };
        write!(
            f,
            "not {what} · give 1 to {MAX_NAME_LEN} bytes without control characters and without spaces at the ends"
        )
    }
}

impl std::error::Error for UserFieldError {}

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
