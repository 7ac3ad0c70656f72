//! The steps by which a store knows the newest time it has seen, and secrets end by state.

// `newest_at` is the newest time that a writer has seen, `clock_at` what the clock of the last one said, `steady_since` the time since which it has not jumped
// ahead, and `clock_accepted` counts how often an operator has accepted an earlier time.
pub(super) const NEWEST_TIME: &str = "
ALTER TABLE position ADD COLUMN newest_at INTEGER NOT NULL DEFAULT 0 CHECK (newest_at >= 0);
ALTER TABLE position ADD COLUMN clock_at INTEGER NOT NULL DEFAULT 0 CHECK (clock_at >= 0);
ALTER TABLE position ADD COLUMN steady_since INTEGER NOT NULL DEFAULT 0 CHECK (steady_since >= 0);
ALTER TABLE position ADD COLUMN clock_accepted INTEGER NOT NULL DEFAULT 0 CHECK (clock_accepted >= 0);
UPDATE position SET newest_at = (SELECT coalesce(max(at), 0) FROM audit),
    clock_at = coalesce((SELECT at FROM audit ORDER BY sequence DESC LIMIT 1), 0);

ALTER TABLE secrets ADD COLUMN ended_at INTEGER CHECK (ended_at >= 0);
CREATE INDEX secrets_by_end ON secrets (retires_at) WHERE retires_at IS NOT NULL AND ended_at IS NULL;
CREATE TRIGGER secrets_stay_ended BEFORE UPDATE OF ended_at ON secrets
WHEN OLD.ended_at IS NOT NULL AND NEW.ended_at IS NOT OLD.ended_at
BEGIN SELECT RAISE(ABORT, 'a secret that has ended stays so'); END;
";

// A step of its own: the columns that the audit trail binds are those that are there when a step begins.
pub(super) const ENDED_SECRETS: &str = "
UPDATE secrets SET ended_at = retires_at WHERE retires_at <= (SELECT newest_at FROM position);
";
