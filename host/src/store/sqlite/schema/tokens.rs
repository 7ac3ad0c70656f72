//! Version 2: signing keys, and the tokens that are refused before they expire.

// `sealing` holds something sealed under the key-encryption key, so that a wrong one is told at once.
// The index lets two processes that make the first signing key at the same moment end with one.
pub(super) const VERSION_2: &str = "
CREATE TABLE sealing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    check_value BLOB NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    pk INTEGER PRIMARY KEY,
    kid TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL CHECK (generation > 0),
    algorithm TEXT NOT NULL CHECK (algorithm IN ('EdDSA', 'ES256', 'RS256', 'HS256')),
    state TEXT NOT NULL CHECK (state IN ('published', 'active', 'retiring', 'gone')),
    public_key TEXT,
    sealed_key BLOB,
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    signs_from INTEGER NOT NULL CHECK (signs_from >= 0),
    activated_at INTEGER CHECK (activated_at >= 0),
    retired_at INTEGER CHECK (retired_at >= 0),
    last_expiry INTEGER CHECK (last_expiry >= 0),
    CHECK ((algorithm = 'HS256') = (public_key IS NULL)),
    CHECK (state NOT IN ('published', 'active') OR sealed_key IS NOT NULL),
    CHECK (state <> 'gone' OR sealed_key IS NULL)
) STRICT;
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active';
CREATE UNIQUE INDEX signing_keys_one_published ON signing_keys (state) WHERE state = 'published';

CREATE TABLE revocations (
    issuer TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'subject')),
    value TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    revoked_at INTEGER NOT NULL CHECK (revoked_at >= 0),
    issued_before INTEGER CHECK (issued_before >= 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0),
    PRIMARY KEY (issuer, kind, value),
    CHECK ((kind = 'subject') = (issued_before IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_by_generation ON revocations (generation);
CREATE INDEX revocations_by_expiry ON revocations (expires_at);
";
