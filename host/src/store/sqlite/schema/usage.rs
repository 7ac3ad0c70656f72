//! How often keys were used, day by day.

/// A day is 86,400 seconds of Unix time. Days that are too old to be shown go when a newer one is written.
pub(super) const VERSION_5: &str = "
CREATE TABLE usage_days (
    key_pk INTEGER NOT NULL REFERENCES keys (pk),
    day INTEGER NOT NULL CHECK (day >= 0),
    uses INTEGER NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (key_pk, day)
) STRICT, WITHOUT ROWID;
";
