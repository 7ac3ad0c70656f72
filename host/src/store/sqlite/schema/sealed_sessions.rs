//! The step that seals what refresh tokens are made with.

// Whoever has a backup from before can make refresh tokens of the sessions in it: they end, with their access tokens,
// and the clear keys go. A sealed key is one version byte, a nonce of 12 bytes, 32 bytes and a tag of 16. The
// file is written anew afterwards.
pub(super) const SEALED_SESSIONS: &str = "
UPDATE position SET generation = generation + 1;
UPDATE erasure SET erased = erased + 1, rewrite_asked = rewrite_asked + 1 WHERE EXISTS (SELECT 1 FROM sessions);
INSERT INTO revocations (issuer, kind, value, generation, revoked_at, issued_before, expires_at)
SELECT 'urn:keystile:this-store', 'session', 'ses_' || lower(hex(id)), (SELECT generation FROM position),
    (SELECT newest_at FROM position), NULL, coalesce(tokens_until, last_used_at + 86400)
FROM sessions WHERE ended_at IS NULL
ON CONFLICT (issuer, kind, value) DO NOTHING;

CREATE TABLE sealed_sessions (
    pk INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    user_pk INTEGER NOT NULL REFERENCES users (pk),
    refresh_key BLOB CHECK (length(refresh_key) = 61),
    counter INTEGER NOT NULL CHECK (counter > 0),
    rotated_at INTEGER CHECK (rotated_at >= 0),
    client_id TEXT,
    client TEXT,
    address TEXT,
    key_id BLOB CHECK (length(key_id) = 16),
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    last_used_at INTEGER NOT NULL CHECK (last_used_at >= 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0),
    ended_at INTEGER CHECK (ended_at >= 0),
    end_reason TEXT,
    environment TEXT,
    secret_number INTEGER CHECK (secret_number > 0),
    tokens_until INTEGER CHECK (tokens_until >= 0),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CHECK (refresh_key IS NOT NULL OR ended_at IS NOT NULL)
) STRICT;
INSERT INTO sealed_sessions SELECT pk, id, user_pk, NULL, counter, rotated_at, client_id, client, address, key_id, scopes,
    created_at, last_used_at, expires_at, coalesce(ended_at, (SELECT newest_at FROM position)),
    coalesce(end_reason, 'unsealed'), environment, secret_number, tokens_until FROM sessions;
DROP TABLE sessions;
ALTER TABLE sealed_sessions RENAME TO sessions;
CREATE INDEX sessions_by_user ON sessions (user_pk);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_key ON sessions (key_id) WHERE key_id IS NOT NULL AND ended_at IS NULL;

CREATE TRIGGER sessions_stay_ended BEFORE UPDATE OF ended_at, end_reason ON sessions
WHEN OLD.ended_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an ended session stays as it is'); END;
CREATE TRIGGER sessions_only_go_forwards BEFORE UPDATE OF counter, expires_at ON sessions
WHEN NEW.counter < OLD.counter OR NEW.expires_at IS NOT OLD.expires_at
BEGIN SELECT RAISE(ABORT, 'a session goes forwards, and ends when it was to end'); END;
";
