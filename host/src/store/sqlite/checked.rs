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
        #[cfg(test)]
        if faults::next_call_fails() {
            return Err(StoreError::Engine { code: rusqlite::ffi::SQLITE_IOERR });
        }
        self.map_err(|error| translate(&error))
    }
}

/// Names the file that could not be opened, where the engine only says that one could not.
pub(super) fn opening<T>(path: &Path, result: rusqlite::Result<T>) -> Result<T, StoreError> {
    let system = io::Error::last_os_error();
    result.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if is_full(&system) => StoreError::DiskFull,
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

/// Faults of the engine, for tests. Every call of the engine passes [`Checked::checked`], so each of them can be
/// made to fail: also one in the middle of a result.
#[cfg(test)]
pub(crate) mod faults {
    use std::cell::RefCell;

    type Hook = Box<dyn FnMut() -> bool>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Calls `hook` at each call of the engine that `work` makes on this thread; the call fails when it says so.
    pub(crate) fn with_hook<T>(hook: impl FnMut() -> bool + 'static, work: impl FnOnce() -> T) -> T {
        HOOK.set(Some(Box::new(hook)));
        let result = work();
        HOOK.set(None);
        result
    }

    /// Has the call number `at` fail, counted from 0; whether there was such a call.
    pub(crate) fn failing_at<T>(at: usize, work: impl FnOnce() -> T) -> (T, bool) {
        let calls = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = std::rc::Rc::clone(&calls);
        let result = with_hook(move || count.replace(count.get() + 1) == at, work);
        (result, calls.get() > at)
    }

    pub(super) fn next_call_fails() -> bool {
        // Taken out meanwhile: the hook may use the engine itself.
        let Some(mut hook) = HOOK.take() else { return false };
        let fails = hook();
        HOOK.set(Some(hook));
        fails
    }
}
