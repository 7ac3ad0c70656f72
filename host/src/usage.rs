//! Usage: who was allowed and when, gathered in memory and written behind, never on the hot path.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use keystile_validator::{Digest, Timestamp};

use crate::store::{Store, StoreError, UsageDelta};

/// Lists of notes, so that threads do not wait for each other.
const LISTS: usize = 16;
/// Calls that a list notes before somebody is asked to add them up.
const NOTES: usize = 1_024;
/// Calls that a list notes at most; then the caller adds them up itself. 1.3 MB.
const MAX_NOTES: usize = 32 * NOTES;

/// Uses that are not yet in the store.
///
/// A call is first noted at the end of its thread's list, which costs a write to memory that is at
/// hand. Adding up, which looks for the key in a large table, is left to the thread that writes.
pub(crate) struct UsageBuffer {
    lists: Box<[Mutex<Vec<Note>>]>,
    sums: Mutex<Sums>,
}

/// One allowed call.
#[derive(Clone, Copy)]
struct Note {
    digest: Digest,
    now: Timestamp,
}

#[derive(Default)]
struct Sums(HashTable<UsageDelta>);

impl UsageBuffer {
    pub(crate) fn new() -> UsageBuffer {
        UsageBuffer { lists: (0..LISTS).map(|_| Mutex::default()).collect(), sums: Mutex::default() }
    }

    /// Notes one allowed call. Whether there is enough to be worth an [`UsageBuffer::add_up`].
    pub(crate) fn record(&self, digest: &Digest, now: Timestamp) -> bool {
        let mut list = lock(&self.lists[list_of_thread()]);
        list.push(Note { digest: *digest, now });
        if list.len() >= MAX_NOTES {
            let notes = std::mem::take(&mut *list);
            drop(list);
            lock(&self.sums).add_all(&notes);
            return false;
        }
        list.len().is_multiple_of(NOTES)
    }

    /// Adds up what was noted, so that the notes take no more memory.
    pub(crate) fn add_up(&self) {
        for list in &self.lists {
            let notes = std::mem::take(&mut *lock(list));
            if !notes.is_empty() {
                lock(&self.sums).add_all(&notes);
            }
        }
    }

    /// Writes everything that was counted. What cannot be written is kept for the next time.
    pub(crate) fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.add_up();
        let deltas: Vec<UsageDelta> = std::mem::take(&mut lock(&self.sums).0).into_iter().collect();
        if deltas.is_empty() {
            return Ok(());
        }
        let written = store.write().and_then(|mut transaction| {
            transaction.add_usage(&deltas)?;
            transaction.commit()
        });
        match written {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut sums = lock(&self.sums);
                deltas.iter().for_each(|delta| sums.add(delta));
                Err(error)
            }
        }
    }
}

/// Threads take the lists in turn, each for good.
fn list_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LIST: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % LISTS);
    }
    LIST.get()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters: one that a panic left out is no reason to stop counting.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sums {
    fn add_all(&mut self, notes: &[Note]) {
        for Note { digest, now } in notes {
            self.add(&UsageDelta { digest: *digest, uses: 1, first: *now, last: *now });
        }
    }

    fn add(&mut self, delta: &UsageDelta) {
        let digest = delta.digest.as_bytes();
        // Digests are uniform and public to this process: equality needs no constant time here.
        let entry = self.0.find_mut(hash_of(digest), |known| known.digest.as_bytes() == digest);
        match entry {
            Some(known) => {
                known.uses = known.uses.saturating_add(delta.uses);
                known.first = known.first.min(delta.first);
                known.last = known.last.max(delta.last);
            }
            None => {
                self.0.insert_unique(hash_of(digest), *delta, |known| hash_of(known.digest.as_bytes()));
            }
        }
    }
}

fn hash_of(digest: &[u8; 32]) -> u64 {
    let [_, _, hash @ ..] = digest;
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
