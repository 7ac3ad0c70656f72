//! Rows that cannot be read.

use std::fmt;

use super::StoreError;

/// A row of the store that holds what no Keystile writes, so that it cannot be shown. It keeps nothing else from
/// being shown; but while verification needs it, every verdict is `unavailable`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct UnreadableRow {
    /// What the row is known by: the id of a key, a user or a session, the number of an entry, a name. Foreign text
    /// in it is not escaped.
    pub row: String,
    /// The table and the column of the value that cannot be read, such as `keys.revoke_reason`.
    pub column: &'static str,
}

impl UnreadableRow {
    /// The table of the value.
    pub fn table(&self) -> &'static str {
        self.column.split_once('.').map_or(self.column, |(table, _)| table)
    }

    /// The error of a restore that cannot go on without this row.
    pub(crate) fn undecided(self) -> StoreError {
        StoreError::Undecided { row: self.row, column: self.column }
    }

    /// Takes an error that says that a row cannot be read; any other one goes on.
    pub(crate) fn from_error(error: StoreError, row: impl FnOnce() -> String) -> Result<UnreadableRow, StoreError> {
        match error {
            StoreError::InvalidValue { column } => Ok(UnreadableRow { row: row(), column }),
            StoreError::InvalidRow { column, row } => Ok(UnreadableRow { row, column }),
            other => Err(other),
        }
    }
}

/// What a restore reads of the store that it replaces and cannot do without.
pub(crate) fn undecided<T>(read: Result<T, StoreError>) -> Result<T, StoreError> {
    read.map_err(|error| match UnreadableRow::from_error(error, || "without a name".to_owned()) {
        Ok(row) => row.undecided(),
        Err(error) => error,
    })
}

impl fmt::Display for UnreadableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the row {} cannot be read: {} holds what no Keystile writes", self.row, self.column)
    }
}
