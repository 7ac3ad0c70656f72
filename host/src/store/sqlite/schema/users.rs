//! The step that brings users, sessions and attempts to log in.

// A deleted user keeps its row and its id, and nothing else: a backup must not bring it back.
pub(super) const USERS: &str = "
CREATE TABLE users (
    pk INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    email TEXT UNIQUE,
    name TEXT,
    organization TEXT,
    admin INTEGER NOT NULL CHECK (admin IN (0, 1)),
    password TEXT,
    password_set_at INTEGER CHECK (password_set_at >= 0),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL CHECK (updated_at >= 0),
    suspended_at INTEGER CHECK (suspended_at >= 0),
    last_login_at INTEGER CHECK (last_login_at >= 0),
    deleted_at INTEGER CHECK (deleted_at >= 0),
    CHECK ((password IS NULL) = (password_set_at IS NULL)),
    CHECK (deleted_at IS NULL OR (email IS NULL AND name IS NULL AND organization IS NULL AND password IS NULL))
) STRICT;
CREATE INDEX users_by_organization ON users (organization) WHERE organization IS NOT NULL;

CREATE TRIGGER users_are_not_deleted BEFORE DELETE ON users
BEGIN SELECT RAISE(ABORT, 'a deleted user keeps its id'); END;
CREATE TRIGGER users_keep_their_id BEFORE UPDATE OF pk, id ON users
BEGIN SELECT RAISE(ABORT, 'a user keeps its id'); END;
CREATE TRIGGER users_stay_deleted BEFORE UPDATE OF deleted_at ON users
WHEN OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL
BEGIN SELECT RAISE(ABORT, 'a deleted user does not come back'); END;

CREATE TABLE sessions (
    pk INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    user_pk INTEGER NOT NULL REFERENCES users (pk),
    refresh_key BLOB NOT NULL CHECK (length(refresh_key) = 32),
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
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_pk);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TRIGGER sessions_stay_ended BEFORE UPDATE OF ended_at, end_reason ON sessions
WHEN OLD.ended_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an ended session stays as it is'); END;
CREATE TRIGGER sessions_only_go_forwards BEFORE UPDATE OF counter, expires_at ON sessions
WHEN NEW.counter < OLD.counter OR NEW.expires_at IS NOT OLD.expires_at
BEGIN SELECT RAISE(ABORT, 'a session goes forwards, and ends when it was to end'); END;

CREATE TABLE attempts_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;

CREATE TABLE attempts (
    kind TEXT NOT NULL CHECK (kind IN ('account', 'address', 'device')),
    subject BLOB NOT NULL CHECK (length(subject) = 32),
    account BLOB CHECK (length(account) = 32),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    last_at INTEGER NOT NULL CHECK (last_at >= 0),
    blocked_until INTEGER NOT NULL CHECK (blocked_until >= 0),
    succeeded_at INTEGER CHECK (succeeded_at >= 0),
    PRIMARY KEY (kind, subject),
    CHECK ((kind = 'device') = (account IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_time ON attempts (last_at);
CREATE INDEX attempts_by_account ON attempts (account) WHERE account IS NOT NULL;
";
