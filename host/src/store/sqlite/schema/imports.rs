//! Imports: keys that are staged in many short writes, and come into force in one.

/// A key of an import that has not ended is *staged*: it is in the tables, and no list, count, look-up by
/// digest or verdict knows it. `generation` is that of the write that put the keys into force; while it is
/// NULL they are staged. Staged keys are the only ones that may be deleted.
pub(super) const IMPORTS: &str = "
CREATE TABLE imports (
    pk INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    generation INTEGER CHECK (generation > 0),
    keys INTEGER NOT NULL CHECK (keys >= 0),
    started_at INTEGER NOT NULL CHECK (started_at >= 0),
    started_by TEXT NOT NULL,
    leased_until INTEGER NOT NULL CHECK (leased_until >= 0),
    completed_at INTEGER CHECK (completed_at >= 0),
    CHECK ((generation IS NULL) = (completed_at IS NULL))
) STRICT;
CREATE INDEX imports_by_generation ON imports (generation);

CREATE TRIGGER imports_stay_completed BEFORE UPDATE ON imports WHEN OLD.generation IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an import that was completed does not change'); END;
CREATE TRIGGER completed_imports_are_not_deleted BEFORE DELETE ON imports WHEN OLD.generation IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an import that was completed is not deleted'); END;

ALTER TABLE keys ADD COLUMN import_pk INTEGER REFERENCES imports (pk);
CREATE INDEX keys_by_import ON keys (import_pk) WHERE import_pk IS NOT NULL;

DROP TRIGGER keys_are_not_deleted;
CREATE TRIGGER keys_are_not_deleted BEFORE DELETE ON keys
WHEN OLD.import_pk IS NULL OR (SELECT generation FROM imports WHERE pk = OLD.import_pk) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'keys are revoked, never deleted'); END;
DROP TRIGGER secrets_are_not_deleted;
CREATE TRIGGER secrets_are_not_deleted BEFORE DELETE ON secrets
WHEN NOT EXISTS (SELECT 1 FROM keys AS k JOIN imports AS i ON i.pk = k.import_pk
                 WHERE k.pk = OLD.key_pk AND i.generation IS NULL)
BEGIN SELECT RAISE(ABORT, 'secrets retire, they are never deleted'); END;
CREATE TRIGGER keys_keep_their_import BEFORE UPDATE OF import_pk ON keys
BEGIN SELECT RAISE(ABORT, 'a key keeps its import'); END;
";
