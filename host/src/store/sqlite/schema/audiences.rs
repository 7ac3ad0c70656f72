//! Whom the tokens of an external issuer are for, and what they must not hold.

/// An issuer that was added before without an audience does not say whom its tokens are for: they are
/// refused until it does. A list of claims is JSON; NULL is the usual one.
pub(super) const ISSUER_AUDIENCES: &str = "
ALTER TABLE issuers ADD COLUMN any_audience INTEGER NOT NULL DEFAULT 0 CHECK (any_audience IN (0, 1));
ALTER TABLE issuers ADD COLUMN forbidden_claims TEXT;
ALTER TABLE issuers ADD COLUMN wildcard_scopes INTEGER NOT NULL DEFAULT 0 CHECK (wildcard_scopes IN (0, 1));
";
