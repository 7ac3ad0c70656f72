//! The step that ties the suspension of a key to that of the user it acts for.

// `suspended_for` is the id of the user whose suspension the key shares, NULL when an operator suspended the key
// itself. Keys of users that were suspended before this step are suspended now. The second index finds the keys of
// an address, in whatever letter case it was written.
pub(super) const SUSPENDED_FOR: &str = "
ALTER TABLE keys ADD COLUMN suspended_for BLOB CHECK (suspended_for IS NULL OR length(suspended_for) = 16);
CREATE INDEX keys_by_suspended_user ON keys (suspended_for) WHERE suspended_for IS NOT NULL;
CREATE INDEX keys_by_owner_address ON keys (lower(owner)) WHERE owner IS NOT NULL AND state = 'active';
UPDATE position SET generation = generation + 1;
UPDATE keys SET state = 'suspended', suspended_at = u.suspended_at, suspended_for = u.id,
    generation = (SELECT generation FROM position)
FROM users AS u
WHERE keys.state = 'active' AND lower(keys.owner) = u.email AND u.suspended_at IS NOT NULL;
";
