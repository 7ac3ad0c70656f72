//! Scopes: what a key may do.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Longest scope, in bytes.
pub const MAX_SCOPE_LEN: usize = 128;

/// A scope: an exact name such as `invoices:read`, or a wildcard `invoices:*`.
///
/// The characters are those of a scope token in RFC 6749, section 3.3: visible ASCII but `"` and
/// `\`. A `*` stands only as the whole part after the last colon. `invoices:*` grants every scope
/// that is `invoices:` and at least one character more, and nothing else: not `invoices`, not
/// `invoices.read`, not `invoicesx:read`. A lone `*` is not a scope.
///
/// ```
/// use keystile_validator::Scope;
/// let all = Scope::new("invoices:*")?;
/// assert!(all.grants(&Scope::new("invoices:read")?));
/// assert!(!all.grants(&Scope::new("invoicesx:read")?));
/// # Ok::<(), keystile_validator::ScopeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// A scope of this name.
    ///
    /// # Errors
    /// [`ScopeError`] when the name is not one.
    pub fn new(name: impl Into<String>) -> Result<Scope, ScopeError> {
        let name = name.into();
        if is_scope(name.as_bytes()) { Ok(Scope(name)) } else { Err(ScopeError) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a key that holds this scope may do what needs `required`.
    pub fn grants(&self, required: &Scope) -> bool {
        grants(self.0.as_bytes(), required.0.as_bytes())
    }
}

/// Whether this is a scope. On the hot path: one pass over the bytes.
pub(crate) fn is_scope(name: &[u8]) -> bool {
    let is_token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let Some((last, before)) = name.split_last() else { return false };
    if name.len() > MAX_SCOPE_LEN || !before.iter().all(|byte| is_token(*byte) && *byte != b'*') {
        return false;
    }
    match last {
        b'*' => before.len() > 1 && before.ends_with(b":"),
        other => is_token(*other),
    }
}

/// Whether the scope `granted` covers `required`: the one rule for scopes.
pub(crate) fn grants(granted: &[u8], required: &[u8]) -> bool {
    if granted == required {
        return true;
    }
    // `resource:*` without its star is `resource:`, which keeps `resourcex:read` out.
    granted.ends_with(b":*")
        && granted
            .strip_suffix(b"*")
            .and_then(|resource| required.strip_prefix(resource))
            .is_some_and(|rest| !rest.is_empty())
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(name: &str) -> Result<Scope, ScopeError> {
        Scope::new(name)
    }
}

/// A text that is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScopeError;

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a scope · give 1 to {MAX_SCOPE_LEN} visible ASCII characters without spaces, quotes and backslashes, \
             such as invoices:read, or invoices:* for all of a resource"
        )
    }
}

impl core::error::Error for ScopeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    #[test]
    fn names_follow_rfc_6749() {
        let longest = "a".repeat(MAX_SCOPE_LEN);
        for good in ["read", "invoices:read", "a:b:c", "a:b:*", "https://example.com/x", &longest] {
            assert_eq!(Scope::new(good).unwrap().to_string(), good);
        }
        let too_long = "a".repeat(MAX_SCOPE_LEN + 1);
        for bad in ["", "a b", "a\"b", "a\\b", "a\0", "é", "*", ":*", "a*", "*:a", "a:*:b", "a:**", "a*:*", &too_long]
        {
            assert!(Scope::new(bad).is_err(), "{bad}");
        }
    }

    /// A documented wildcard that the evaluator compares literally is a trap others fell into.
    #[test]
    fn trap_4_a_wildcard_really_matches() {
        let all = Scope::new("documents:*").unwrap();
        for yes in ["documents:read", "documents:write", "documents:read:own", "documents:*"] {
            assert!(all.grants(&Scope::new(yes).unwrap()), "{yes}");
        }
        for no in ["documents", "documents:", "documents.read", "documentsx:read", "document:read", "Documents:read"] {
            assert!(!all.grants(&Scope::new(no).unwrap()), "{no}");
        }
        assert!(!Scope::new("documents:read").unwrap().grants(&all), "one scope is not all of them");
    }

    proptest! {
        /// The law: equal, or the same resource with something after the colon.
        #[test]
        fn a_wildcard_grants_its_resource_and_nothing_else(resource in "[a-c:]{1,4}", required in "[a-c:]{1,8}") {
            let Ok(granted) = Scope::new(std::format!("{resource}:*")) else { return Ok(()) };
            let expected = required.len() > resource.len() + 1
                && required.starts_with(&resource)
                && required.as_bytes()[resource.len()] == b':';
            prop_assert_eq!(granted.grants(&Scope::new(required).unwrap()), expected);
        }
    }
}
