//! From the engine's errors to the store's.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use super::connection::BUSY_LIMIT;
use super::file::is_full;
use crate::store::StoreError;

/// Turns the engine's errors into the store's: the only way out of this module for them.
pub(super) trait Checked<T> {
    /// The value, or the store's error.
    fn checked(self) -> Result<T, StoreError>;
}

impl<T> Checked<T> for rusqlite::Result<T> {
    fn checked(self) -> Result<T, StoreError> {
        self.map_err(|error| translate(&error))
    }
}

/// Names the file that could not be opened, where the engine only says that one could not.
pub(super) fn opening<T>(path: &Path, result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => StoreError::Unreadable { path: path.to_owned() },
        _ => translate(&error),
    })
}

#[cold]
fn translate(error: &rusqlite::Error) -> StoreError {
    // First of all, before anything else can fail and overwrite it.
    let system = io::Error::last_os_error();
    let Some(engine) = error.sqlite_error() else {
        return StoreError::Engine { code: 0 };
    };
    match engine.code {
        ErrorCode::DiskFull => StoreError::DiskFull,
        // SQLite calls only ENOSPC of a write `full`; a quota, a limit on the size of files, or a
        // full disk while the shared-memory file grows, are an I/O error with the cause in errno.
        ErrorCode::SystemIoFailure if is_full(&system) => StoreError::DiskFull,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { waited: BUSY_LIMIT },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt,
        ErrorCode::ReadOnly => StoreError::ReadOnly,
        _ => StoreError::Engine { code: engine.extended_code },
    }
}
