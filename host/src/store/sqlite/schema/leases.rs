//! The step by which a fetch of an issuer's keys has a name of its own.

/// A lease that began before has no name, so its answer is not kept.
pub(super) const FETCH_LEASES: &str = "
ALTER TABLE jwks_cache ADD COLUMN lease BLOB CHECK (length(lease) = 16);
";
