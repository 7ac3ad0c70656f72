//! External issuers, and the cache of the keys they publish.

/// A list of audiences is JSON: an audience can hold spaces. The generation of an issuer is that of the
/// last change of it or of its keys.
pub(super) const VERSION_4: &str = "
CREATE TABLE issuers (
    name TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL CHECK (generation > 0),
    issuer TEXT NOT NULL UNIQUE,
    jwks_url TEXT,
    algorithms TEXT NOT NULL,
    audiences TEXT NOT NULL,
    token_type TEXT,
    leeway INTEGER NOT NULL CHECK (leeway BETWEEN 0 AND 60),
    scope_claims TEXT NOT NULL,
    organization_claim TEXT,
    roles_claim TEXT,
    environment TEXT,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL CHECK (updated_at >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE jwks_cache (
    name TEXT NOT NULL PRIMARY KEY REFERENCES issuers (name) ON DELETE CASCADE,
    jwks TEXT,
    fetched_at INTEGER CHECK (fetched_at >= 0),
    max_age INTEGER NOT NULL CHECK (max_age >= 0),
    etag TEXT,
    attempted_at INTEGER CHECK (attempted_at >= 0),
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    problem TEXT,
    CHECK ((jwks IS NULL) = (fetched_at IS NULL))
) STRICT, WITHOUT ROWID;
";
