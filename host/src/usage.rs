//! Usage: who was allowed and when, gathered in memory and written behind, never on the hot path.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;
use keystile_validator::{Digest, Timestamp};

use crate::store::{Store, StoreError, UsageDelta};

const SHARDS: usize = 64;

/// Uses that are not yet in the store.
pub(crate) struct UsageBuffer {
    shards: Box<[Mutex<HashTable<UsageDelta>>]>,
}

impl UsageBuffer {
    pub(crate) fn new() -> UsageBuffer {
        UsageBuffer { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Counts one allowed call.
    pub(crate) fn record(&self, digest: &Digest, now: Timestamp) {
        let one = UsageDelta { digest: *digest, uses: 1, first: now, last: now };
        self.add(&one);
    }

    /// Writes everything that was counted. What cannot be written is kept for the next time.
    pub(crate) fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        let deltas: Vec<UsageDelta> = self
            .shards
            .iter()
            .flat_map(|shard| std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner)))
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
                deltas.iter().for_each(|delta| self.add(delta));
                Err(error)
            }
        }
    }

    fn add(&self, delta: &UsageDelta) {
        let digest = delta.digest.as_bytes();
        let mut shard = self.shards[usize::from(digest[1]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        // Digests are uniform and public to this process: equality needs no constant time here.
        let entry = shard.find_mut(hash_of(digest), |known| known.digest.as_bytes() == digest);
        match entry {
            Some(known) => {
                known.uses = known.uses.saturating_add(delta.uses);
                known.first = known.first.min(delta.first);
                known.last = known.last.max(delta.last);
            }
            None => {
                shard.insert_unique(hash_of(digest), *delta, |known| hash_of(known.digest.as_bytes()));
            }
        }
    }
}

fn hash_of(digest: &[u8; 32]) -> u64 {
    let [_, _, hash @ ..] = digest;
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
