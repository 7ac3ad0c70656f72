//! The step by which a key says that a restore has suspended it.

pub(super) const SUSPENDED_BY_RESTORE: &str = "
ALTER TABLE keys ADD COLUMN suspended_by_restore INTEGER NOT NULL DEFAULT 0 CHECK (suspended_by_restore IN (0, 1));
";
