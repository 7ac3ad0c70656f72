//! Which environment the tokens of an external issuer belong to.

/// An issuer that was added before says nothing: its tokens are refused where a request asks for an
/// environment.
pub(super) const ISSUER_ENVIRONMENTS: &str = "
ALTER TABLE issuers ADD COLUMN environment_claim TEXT;
ALTER TABLE issuers ADD COLUMN any_environment INTEGER NOT NULL DEFAULT 0 CHECK (any_environment IN (0, 1));
";
