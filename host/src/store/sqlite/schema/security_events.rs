//! The step that brings security events.

// Events that tell the same within an hour are one row with a count: the unique index finds it. `user_id` and
// `session_id` are no references, because an event outlives what it tells of.
pub(super) const SECURITY_EVENTS: &str = "
CREATE TABLE security_events (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('login_failed', 'unknown_account', 'login_locked', 'token_reused')),
    user_id BLOB CHECK (length(user_id) = 16),
    account BLOB CHECK (length(account) = 32),
    session_id BLOB CHECK (length(session_id) = 16),
    address TEXT,
    hour INTEGER NOT NULL CHECK (hour >= 0),
    first_at INTEGER NOT NULL CHECK (first_at >= 0),
    last_at INTEGER NOT NULL CHECK (last_at >= 0),
    count INTEGER NOT NULL CHECK (count > 0)
) STRICT;
CREATE UNIQUE INDEX security_events_alike ON security_events
    (hour, kind, coalesce(user_id, account, x''), coalesce(session_id, x''), coalesce(address, ''));
CREATE INDEX security_events_by_kind ON security_events (kind, id);
";
