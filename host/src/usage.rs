//! Usage: who was allowed and when, gathered in memory and written behind, never on the hot path.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use keystile_validator::{Digest, Timestamp};

use crate::store::{Store, StoreError, UsageDelta};

const SHARDS: usize = 64;
/// Calls of one shard that are noted before they are added up.
const NOTES: usize = 256;

/// Uses that are not yet in the store.
///
/// A call is first noted, which costs a write to memory that is at hand; adding up, which looks for the
/// key in a large table, is done for many notes in a row.
pub(crate) struct UsageBuffer {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Default)]
struct Shard {
    notes: Vec<(Digest, Timestamp)>,
    sums: HashTable<UsageDelta>,
}

impl UsageBuffer {
    pub(crate) fn new() -> UsageBuffer {
        UsageBuffer { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Counts one allowed call.
    pub(crate) fn record(&self, digest: &Digest, now: Timestamp) {
        let mut shard = self.shard(digest);
        shard.notes.push((*digest, now));
        if shard.notes.len() >= NOTES {
            shard.add_up();
        }
    }

    /// Writes everything that was counted. What cannot be written is kept for the next time.
    pub(crate) fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        let deltas: Vec<UsageDelta> = self
            .shards
            .iter()
            .flat_map(|shard| {
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.add_up();
                std::mem::take(&mut shard.sums)
            })
            .collect();
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
                deltas.iter().for_each(|delta| self.shard(&delta.digest).add(delta));
                Err(error)
            }
        }
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, Shard> {
        let number = usize::from(digest.as_bytes()[1]) % SHARDS;
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn add_up(&mut self) {
        let mut notes = std::mem::take(&mut self.notes);
        for (digest, now) in notes.drain(..) {
            self.add(&UsageDelta { digest, uses: 1, first: now, last: now });
        }
        // Its memory is kept for the next ones.
        self.notes = notes;
    }

    fn add(&mut self, delta: &UsageDelta) {
        let digest = delta.digest.as_bytes();
        // Digests are uniform and public to this process: equality needs no constant time here.
        let entry = self.sums.find_mut(hash_of(digest), |known| known.digest.as_bytes() == digest);
        match entry {
            Some(known) => {
                known.uses = known.uses.saturating_add(delta.uses);
                known.first = known.first.min(delta.first);
                known.last = known.last.max(delta.last);
            }
            None => {
                self.sums.insert_unique(hash_of(digest), *delta, |known| hash_of(known.digest.as_bytes()));
            }
        }
    }
}

fn hash_of(digest: &[u8; 32]) -> u64 {
    let [_, _, hash @ ..] = digest;
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
