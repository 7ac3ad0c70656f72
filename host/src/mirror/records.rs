//! Key records in memory, in the validator's own binary form.
//!
//! Records are spread over shards by their digest, so that a change locks one of 64 and a growing
//! table moves one of 64. What is read is encoded first and put in force afterwards, so a read that fails
//! changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use hashbrown::HashTable;
use keystile_validator::{Digest, KeyId, KeyRecord, wire};

use super::health::Extent;
use crate::store::imports::ImportOrdinal;
use crate::store::{Generation, KeyOrdinal, ReadTransaction, RecordsStep, StoreError};

const SHARDS: usize = 64;
/// Records lie in chunks of this size, so that growing never copies them and never doubles memory.
const CHUNK_LEN: usize = 1 << 16;
/// A shard is rewritten when more than half of it, and at least this much, is no longer used.
const MIN_GARBAGE: usize = CHUNK_LEN;
/// Where the digest lies in a record (`docs/abi.md`).
const DIGEST_AT: usize = 28;

/// The records of all secrets.
pub(super) struct Records {
    shards: Box<[RwLock<Shard>]>,
    count: AtomicU64,
}

impl Records {
    pub(super) fn new() -> Records {
        Records { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), count: AtomicU64::new(0) }
    }

    /// How many secrets there are.
    pub(super) fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes over what was read, each record in the place of an older one of the same secret.
    pub(super) fn put(&self, changes: &Changes) {
        let mut rest = changes.encoded.as_slice();
        while let Some((record, later)) = split_record(rest) {
            if let Some(digest) = digest_of(record) {
                let mut shard = self.shard(digest).write().unwrap_or_else(PoisonError::into_inner);
                let added = shard.put(record);
                self.count.fetch_add(u64::from(added), Ordering::Relaxed);
            }
            rest = later;
        }
    }

    /// Puts these records in the place of all that are here, and hands the old ones back: freeing them takes
    /// long, and nobody should wait for it.
    pub(super) fn replace(&self, all: AllRecords) -> AllRecords {
        self.count.store(all.0.iter().map(|shard| shard.index.len() as u64).sum(), Ordering::Relaxed);
        let swap = |(place, shard): (&RwLock<Shard>, Shard)| {
            std::mem::replace(&mut *place.write().unwrap_or_else(PoisonError::into_inner), shard)
        };
        AllRecords(self.shards.iter().zip(all.0).map(swap).collect())
    }

    /// Lends out the record of a digest. Whatever `with` does holds a lock: it must be short.
    pub(super) fn with_record<T>(&self, digest: &Digest, with: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let shard = self.shard(digest.as_bytes()).read().unwrap_or_else(PoisonError::into_inner);
        with(shard.find(digest.as_bytes()))
    }

    fn shard(&self, digest: &[u8; 32]) -> &RwLock<Shard> {
        &self.shards[shard_of(digest)]
    }
}

/// Records that were read and are not yet in force, end to end.
#[derive(Default)]
pub(super) struct Changes {
    encoded: Vec<u8>,
}

impl Changes {
    /// Reads the records of keys that changed after this generation, of those up to this ordinal.
    pub(super) fn read(
        view: &dyn ReadTransaction,
        after: Generation,
        up_to: KeyOrdinal,
        extent: &mut Extent<'_>,
    ) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        let mut bad = None;
        view.changed_records(after, up_to, &mut |record| {
            extent.count();
            if let Some(record) = record {
                changes.push(record, &mut bad);
            }
        })?;
        refuse(bad)?;
        Ok(changes)
    }

    /// Reads the records of keys beyond this ordinal, a bounded number of them.
    pub(super) fn read_new(
        view: &dyn ReadTransaction,
        beyond: KeyOrdinal,
        limit: usize,
    ) -> Result<(Changes, RecordsStep), StoreError> {
        let mut changes = Changes::default();
        let mut bad = None;
        let step = view.records_beyond(beyond, limit, &mut |record| changes.push(record, &mut bad))?;
        refuse(bad)?;
        Ok((changes, step))
    }

    /// Reads the records of keys of a completed import beyond this ordinal, a bounded number of them.
    pub(super) fn read_imported(
        view: &dyn ReadTransaction,
        import: ImportOrdinal,
        beyond: KeyOrdinal,
        limit: usize,
    ) -> Result<(Changes, RecordsStep), StoreError> {
        let mut changes = Changes::default();
        let mut bad = None;
        let step = view.records_of_import(import, beyond, limit, &mut |record| changes.push(record, &mut bad))?;
        refuse(bad)?;
        Ok((changes, step))
    }

    fn push(&mut self, record: &KeyRecord, bad: &mut Option<KeyId>) {
        let before = self.encoded.len();
        if wire::encode_record(record, &mut self.encoded).is_err() {
            self.encoded.truncate(before);
            bad.get_or_insert(record.key_id);
        }
    }
}

/// The records of all secrets of a store, not yet in force.
pub(super) struct AllRecords(Vec<Shard>);

impl AllRecords {
    /// Reads all records, and says where the last key lies.
    pub(super) fn read(view: &dyn ReadTransaction) -> Result<(AllRecords, KeyOrdinal), StoreError> {
        let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::default()).collect();
        let mut encoded = Vec::new();
        let mut bad = None;
        let last = view.all_records(&mut |record| {
            encoded.clear();
            match wire::encode_record(record, &mut encoded) {
                Ok(()) => drop(shards[shard_of(record.digest.as_bytes())].put(&encoded)),
                Err(_) => drop(bad.get_or_insert(record.key_id)),
            }
        })?;
        refuse(bad)?;
        Ok((AllRecords(shards), last))
    }
}

/// The store checks every bound before it writes: a record that breaks one was written by somebody else, and
/// an older record of the same secret may be in force.
fn refuse(bad: Option<KeyId>) -> Result<(), StoreError> {
    match bad {
        None => Ok(()),
        Some(id) => Err(StoreError::InvalidRow { column: "keys, a record that breaks a bound", row: id.to_string() }),
    }
}

/// The first of the records that lie end to end, and the others.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(usize::from(u16::from_le_bytes(*bytes.first_chunk()?)))
}

fn digest_of(record: &[u8]) -> Option<&[u8; 32]> {
    record.get(DIGEST_AT..)?.first_chunk()
}

/// Digests are uniform, so any byte of them spreads evenly.
fn shard_of(digest: &[u8; 32]) -> usize {
    usize::from(digest[0]) % SHARDS
}

/// Another part of the digest than the one that chose the shard.
fn hash_of(digest: &[u8; 32]) -> u64 {
    let [_, _, _, _, _, _, _, _, hash @ ..] = digest;
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Records end to end in chunks, and a table of where each one starts.
#[derive(Default)]
struct Shard {
    index: HashTable<Place>,
    chunks: Vec<Vec<u8>>,
    used: usize,
    garbage: usize,
}

/// Where a record starts: the chunk in the upper 16 bits, the offset in the lower.
#[derive(Clone, Copy)]
struct Place(u32);

impl Shard {
    fn find(&self, digest: &[u8; 32]) -> Option<&[u8]> {
        let place = self.index.find(hash_of(digest), |place| self.digest_at(*place) == Some(digest))?;
        self.record_at(*place)
    }

    /// Puts a record in the place of an older one with the same digest. Whether there was none.
    fn put(&mut self, record: &[u8]) -> bool {
        let Some(digest) = record.get(DIGEST_AT..).and_then(<[u8]>::first_chunk::<32>) else { return false };
        let hash = hash_of(digest);
        let chunks = &self.chunks;
        let old = self.index.find(hash, |place| digest_in(chunks, *place) == Some(digest)).copied();
        match old {
            None => {
                let place = self.append(record);
                let chunks = &self.chunks;
                self.index.insert_unique(hash, place, |place| digest_in(chunks, *place).map_or(0, hash_of));
                true
            }
            Some(place) => {
                let old_len = self.record_at(place).map_or(0, <[u8]>::len);
                if old_len == record.len() {
                    self.overwrite(place, record);
                    return false;
                }
                let new = self.append(record);
                let chunks = &self.chunks;
                if let Some(entry) = self.index.find_mut(hash, |place| digest_in(chunks, *place) == Some(digest)) {
                    *entry = new;
                }
                self.garbage += old_len;
                if self.garbage > MIN_GARBAGE && self.garbage * 2 > self.used {
                    self.rewrite();
                }
                false
            }
        }
    }

    fn append(&mut self, record: &[u8]) -> Place {
        let fits = self.chunks.last().is_some_and(|chunk| chunk.len() + record.len() <= CHUNK_LEN);
        if !fits {
            // A small first chunk keeps small stores small; the later ones are filled for sure.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK_LEN };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let place = Place(((number as u32) << 16) | chunk.len() as u32);
        chunk.extend_from_slice(record);
        self.used += record.len();
        place
    }

    fn overwrite(&mut self, place: Place, record: &[u8]) {
        let (chunk, start) = place.split();
        if let Some(old) = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(start..start + record.len())) {
            old.copy_from_slice(record);
        }
    }

    /// Moves the records that are still used into new chunks.
    fn rewrite(&mut self) {
        let old = std::mem::take(self);
        for place in &old.index {
            if let Some(record) = old.record_at(*place) {
                self.put(record);
            }
        }
    }

    fn record_at(&self, place: Place) -> Option<&[u8]> {
        let (chunk, start) = place.split();
        let bytes = self.chunks.get(chunk)?.get(start..)?;
        let len = u16::from_le_bytes(*bytes.first_chunk()?);
        bytes.get(..usize::from(len))
    }

    fn digest_at(&self, place: Place) -> Option<&[u8; 32]> {
        digest_in(&self.chunks, place)
    }
}

impl Place {
    fn split(self) -> (usize, usize) {
        ((self.0 >> 16) as usize, (self.0 & 0xffff) as usize)
    }
}

fn digest_in(chunks: &[Vec<u8>], place: Place) -> Option<&[u8; 32]> {
    let (chunk, start) = place.split();
    chunks.get(chunk)?.get(start + DIGEST_AT..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_validator::{Environment, KeyId, Timestamp};
    use std::collections::HashMap;

    fn record(number: u64, expires: bool) -> (Digest, Vec<u8>) {
        let digest = Digest::of(&number.to_le_bytes());
        let mut record = KeyRecord::new(KeyId::from_bytes([1; 16]), digest, Environment::new("live").unwrap());
        record.expires_at = expires.then_some(Timestamp::MAX);
        let mut bytes = Vec::new();
        wire::encode_record(&record, &mut bytes).unwrap();
        (digest, bytes)
    }

    /// Records of changing length, put over and over: each digest gives its newest record, and what
    /// is no longer used is given back.
    #[test]
    fn a_shard_gives_the_newest_record_and_stays_small() {
        let mut shard = Shard::default();
        let mut model = HashMap::new();
        for round in 0..20_u64 {
            for number in 0..2_000 {
                let (digest, bytes) = record(number, (round + number) % 2 == 0);
                assert_eq!(shard.put(&bytes), round == 0);
                model.insert(*digest.as_bytes(), bytes);
            }
        }
        for (digest, bytes) in &model {
            assert_eq!(shard.find(digest), Some(bytes.as_slice()));
        }
        assert_eq!(shard.find(Digest::of(b"unknown").as_bytes()), None);
        let live: usize = model.values().map(Vec::len).sum();
        let kept: usize = shard.chunks.iter().map(Vec::len).sum();
        assert!(kept <= 2 * live + 2 * CHUNK_LEN, "{kept} bytes for {live}");
    }
}
