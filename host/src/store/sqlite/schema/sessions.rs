//! The step that ties a session to the environment and the secret it was begun with.

// `secret_number` is that of the key in `key_id`. `tokens_until` is when the last of the session's access tokens
// expires. Both are unknown, and the environment is none, for sessions that were begun before this step.
pub(super) const SESSION_ORIGIN: &str = "
ALTER TABLE sessions ADD COLUMN environment TEXT;
ALTER TABLE sessions ADD COLUMN secret_number INTEGER CHECK (secret_number > 0);
ALTER TABLE sessions ADD COLUMN tokens_until INTEGER CHECK (tokens_until >= 0);
CREATE INDEX sessions_by_key ON sessions (key_id) WHERE key_id IS NOT NULL AND ended_at IS NULL;
";
