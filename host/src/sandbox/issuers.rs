//! The issuers that the validator judges tokens by: which ones there are, and which an instance has.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// An issuer in the form that the validator reads: JSON as
/// [`Issuer::to_json`](keystile_validator::jwt::Issuer::to_json) writes it. It can hold a shared
/// secret, so it is wiped when it is dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerDocument {
    name: String,
    json: Zeroizing<String>,
}

impl IssuerDocument {
    /// The document of the issuer with this name (`iss`).
    #[must_use]
    pub fn new(name: impl Into<String>, json: impl Into<String>) -> Self {
        Self { name: name.into(), json: Zeroizing::new(json.into()) }
    }

    /// The issuer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.json.as_bytes()
    }
}

impl fmt::Debug for IssuerDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerDocument").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All issuers at one moment. Sets are compared by what they point to, which is one comparison for
/// an issuer that did not change.
#[derive(Clone, Debug, Default)]
pub(super) struct IssuerSet(Arc<[Arc<IssuerDocument>]>);

impl IssuerSet {
    /// The next set; documents that are the same as before stay the same in memory.
    pub(super) fn next(&self, documents: Vec<IssuerDocument>) -> IssuerSet {
        let kept = |document: IssuerDocument| {
            self.0.iter().find(|known| ***known == document).cloned().unwrap_or_else(|| Arc::new(document))
        };
        IssuerSet(documents.into_iter().map(kept).collect())
    }

    /// Whether this is the very same set.
    pub(super) fn is(&self, other: &IssuerSet) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What must be done to an instance that has the issuers of `loaded`.
    pub(super) fn since<'a>(&'a self, loaded: &IssuerSet) -> Steps<'a> {
        let is_known = |document: &Arc<IssuerDocument>| loaded.0.iter().any(|known| Arc::ptr_eq(known, document));
        let is_gone = |known: &Arc<IssuerDocument>| !self.0.iter().any(|document| document.name == known.name);
        if loaded.0.iter().any(is_gone) {
            return Steps { forget: true, put: self.0.iter().map(|document| &**document).collect() };
        }
        let put = self.0.iter().filter(|document| !is_known(document)).map(|document| &**document).collect();
        Steps { forget: false, put }
    }
}

/// How one set of issuers becomes another.
pub(super) struct Steps<'a> {
    /// First forget all.
    pub(super) forget: bool,
    /// Then take these.
    pub(super) put: Vec<&'a IssuerDocument>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[(&str, &str)]) -> Vec<IssuerDocument> {
        names.iter().map(|(name, json)| IssuerDocument::new(*name, *json)).collect()
    }

    fn names<'a>(steps: &Steps<'a>) -> Vec<&'a str> {
        steps.put.iter().map(|document| document.name()).collect()
    }

    #[test]
    fn only_what_changed_is_put_and_what_is_gone_is_forgotten() {
        let none = IssuerSet::default();
        let two = none.next(set(&[("a", "1"), ("b", "1")]));
        assert_eq!(names(&two.since(&none)), ["a", "b"]);
        let changed = two.next(set(&[("a", "1"), ("b", "2")]));
        assert_eq!(names(&changed.since(&two)), ["b"]);
        assert!(!changed.since(&two).forget);
        assert!(names(&changed.since(&changed)).is_empty());
        let gone = changed.next(set(&[("b", "2")]));
        let steps = gone.since(&changed);
        assert!(steps.forget);
        assert_eq!(names(&steps), ["b"]);
    }

    #[test]
    fn a_document_is_never_shown() {
        let document = IssuerDocument::new("https://id.example", r#"{"k": "c2VjcmV0"}"#);
        assert!(!format!("{document:?}").contains("c2Vj"));
    }
}
