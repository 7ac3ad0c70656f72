//! The steps that get out of a store what was deleted before, and out of its trail what tells of people.

use rusqlite::Connection;

use super::trail::chain_anew;
use crate::audit::AuditEntry;
use crate::store::StoreError;
use crate::store::sqlite::reader::first;
use crate::store::sqlite::trail::Trail;

/// `erased` counts the writes that have deleted something. They are out of the journal up to the number
/// `truncated`, and out of the file when it was written anew as often as asked. A store that is there already is to
/// be written anew: it was written without `secure_delete`.
///
/// Users who were deleted before keep no sessions and no security events, and give their keys their id: which
/// keys were theirs is what the trail says of their suspension.
pub(super) const ERASURE: &str = "
CREATE TABLE erasure (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    erased INTEGER NOT NULL CHECK (erased >= 0),
    truncated INTEGER NOT NULL CHECK (truncated >= 0),
    rewrite_asked INTEGER NOT NULL CHECK (rewrite_asked >= 0),
    rewritten INTEGER NOT NULL CHECK (rewritten >= 0)
) STRICT;
INSERT INTO erasure SELECT 1, count(*), 0, count(*), 0 FROM position;

DROP INDEX keys_by_owner_address;
CREATE INDEX keys_by_owner_address ON keys (lower(owner)) WHERE owner IS NOT NULL;

DELETE FROM sessions WHERE user_pk IN (SELECT pk FROM users WHERE deleted_at IS NOT NULL);
DELETE FROM security_events WHERE user_id IN (SELECT id FROM users WHERE deleted_at IS NOT NULL);
UPDATE position SET generation = generation + 1;
UPDATE keys SET owner = d.user, generation = (SELECT generation FROM position)
FROM (SELECT subject, json_extract(detail, '$.owner_deleted') AS user, max(sequence) AS sequence FROM audit
      WHERE action = 'key.suspended' AND json_valid(detail) AND json_extract(detail, '$.owner_deleted') IS NOT NULL
      GROUP BY subject) AS d
WHERE keys.id = unhex(substr(d.subject, 5)) AND instr(keys.owner, '@') > 0 AND NOT EXISTS (
    SELECT 1 FROM audit AS u WHERE u.subject = d.subject AND u.sequence > d.sequence AND u.action = 'key.updated'
    AND json_valid(u.detail) AND json_extract(u.detail, '$.owner') IS NOT NULL);
";

/// Chains the entries anew without the devices and addresses of people, when any entry has them.
pub(super) fn leave_people_out(connection: &Connection) -> Result<(), StoreError> {
    if first(connection, NAMES_PEOPLE, [], |_| Ok(()))?.is_none() {
        return Ok(());
    }
    match chain_anew(connection, "rows", AuditEntry::expected_hash)? {
        Some(old) => old.note_end(connection, &mut Trail::default()),
        None => Ok(()),
    }
}

const NAMES_PEOPLE: &str = "SELECT 1 FROM audit WHERE action IN ('session.started', 'login.locked') AND \
     json_valid(detail) AND (json_extract(detail, '$.address') IS NOT NULL OR json_extract(detail, '$.client') IS NOT NULL) \
     LIMIT 1";
