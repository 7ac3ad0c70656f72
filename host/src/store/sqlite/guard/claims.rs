//! The files that this process has open, and how many claims there are on each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

use super::OpenFile;
use crate::fork::forks;
use crate::store::StoreError;
use crate::store::sqlite::file::FileKey;

static CLAIMS: Mutex<Option<Claims>> = Mutex::new(None);

/// The files that this process has open, and how many claims there are on each.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) held: HashMap<FileKey, (usize, Arc<OpenFile>)>,
    /// How many forks lay before this process when this was last looked at.
    forks: u32,
    /// The files that a process had open from which this one was forked. For the engine they are open, and locked,
    /// here too; for the system they are not.
    pub(super) of_parents: HashSet<FileKey>,
}

impl Claims {
    /// Takes the lock on the list of claims.
    pub(super) fn lock() -> Result<MutexGuard<'static, Option<Claims>>, StoreError> {
        let mut tries = 0;
        let mut claims = loop {
            match CLAIMS.try_lock() {
                Ok(claims) => break claims,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                // A thread that was not forked along may hold it for ever.
                Err(TryLockError::WouldBlock) if forks() > 0 && tries >= LOCK_TRIES => return Err(StoreError::Forked),
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
            }
            tries += 1;
        };
        let known = claims.get_or_insert_default();
        if known.forks != forks() {
            known.forks = forks();
            // Closing the descriptors drops no lock: this process has none on these files.
            let held = std::mem::take(&mut known.held);
            known.of_parents.extend(held.into_keys());
        }
        Ok(claims)
    }
}

/// How often the lock on the list of claims is tried in a child of a fork, for some seconds: it is held for as long
/// as it takes to read the header of a file.
const LOCK_TRIES: u32 = 5_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);
