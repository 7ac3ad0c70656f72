//! Copies of a whole store.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::checked::{Checked as _, opening};
use super::connection::{BUSY_LIMIT, Purpose, connect};
use super::erasure::copy_rows;
use super::file::{TemporaryFile, absolute};
use super::inspection::problems;
use crate::store::StoreError;

/// Writes a consistent copy into a new file: a single one, without a journal beside it.
///
/// The rows are copied, not the pages: what lies unused between rows may be left over from deleted ones.
///
/// # Errors
/// Also what `check` says of the copy.
pub(super) fn back_up(
    path: &Path,
    purpose: Purpose,
    to: &Path,
    check: impl Fn(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let to = absolute(to)?;
    if to.symlink_metadata().is_ok() {
        return Err(StoreError::AlreadyExists { path: to });
    }
    let temporary = TemporaryFile::beside(&to)?;
    let source = connect(path, purpose)?;
    // It writes the copy through this connection.
    source.execute_batch("PRAGMA query_only = OFF").checked()?;
    copy_rows(&source, temporary.path())?;
    let copy = connect(temporary.path(), Purpose::Write)?;
    check(&copy)?;
    // A copy is as damaged as what it was made of, and now is the time to learn of it.
    if !problems(&copy)?.is_empty() {
        return Err(StoreError::Corrupt);
    }
    copy.close().map_err(|(_, error)| error).checked()?;
    temporary.publish(&to)
}

/// Copies a database in one step: one consistent moment of it, while others go on.
pub(super) fn copy_all(from: &Connection, to: &mut Connection) -> Result<(), StoreError> {
    finish(&Backup::new(from, to).checked()?)
}

/// Copies what is left.
pub(super) fn finish(backup: &Backup<'_, '_>) -> Result<(), StoreError> {
    while step(backup, -1)? != StepResult::Done {}
    Ok(())
}

/// Copies some pages; -1: all. The first step waits for the lock on the target.
pub(super) fn step(backup: &Backup<'_, '_>, pages: i32) -> Result<StepResult, StoreError> {
    match backup.step(pages).checked()? {
        StepResult::Busy | StepResult::Locked => Err(StoreError::Busy { waited: BUSY_LIMIT }),
        progress => Ok(progress),
    }
}

/// Makes a database one plain file, whatever journal its original has.
pub(super) fn without_journal(connection: &Connection) -> Result<(), StoreError> {
    let path = connection.path().map(Path::new).unwrap_or(Path::new(""));
    let mode = connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0));
    opening(path, mode).map(|_| ())
}
