//! Records in memory: what verification needs, in the validator's own binary form.
//!
//! Records are spread over shards by their digest, so that a change locks one of 64 and a growing
//! table moves one of 64. They follow the store by generation: a view that is not newer than what
//! is already here is ignored, so a slow look-up can never bring back what a revoke has replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use hashbrown::HashTable;
use keystile_validator::{Digest, KeyRecord, wire};

use crate::store::{Generation, Position, ReadTransaction, Store, StoreError};
use crate::tokens::Revocations;

const SHARDS: usize = 64;
/// Records lie in chunks of this size, so that growing never copies them and never doubles memory.
const CHUNK_LEN: usize = 1 << 16;
/// A shard is rewritten when more than half of it, and at least this much, is no longer used.
const MIN_GARBAGE: usize = CHUNK_LEN;
/// Longest time without an answer from the store after which nothing is allowed, in milliseconds. The
/// store is asked every 20 ms; only a hanging disk or a stopped thread is ever late by so much.
const MAX_SILENCE: u64 = 5_000;
/// Where the digest lies in a record (`docs/abi.md`).
const DIGEST_AT: usize = 28;

/// The records of all secrets, the key formats, and the tokens that are revoked.
pub(crate) struct Records {
    shards: Box<[RwLock<Shard>]>,
    formats: RwLock<Arc<[u8]>>,
    revocations: Revocations,
    /// Held while the records move forwards, so that they move one step at a time.
    position: Mutex<Option<Position>>,
    count: AtomicU64,
    caught_up: AtomicBool,
    abandoned: AtomicBool,
    made: Instant,
    /// The age at which the store was last known to have nothing new, in milliseconds.
    last_seen: AtomicU64,
}

impl Records {
    /// All records of a store.
    pub(crate) fn load(store: &dyn Store) -> Result<Records, StoreError> {
        let records = Records {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            formats: RwLock::new(Arc::from([])),
            revocations: Revocations::default(),
            position: Mutex::new(None),
            count: AtomicU64::new(0),
            caught_up: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            made: Instant::now(),
            last_seen: AtomicU64::new(0),
        };
        records.follow(store)?;
        Ok(records)
    }

    /// Catches up with the store. When that fails the records are not healthy until it works again.
    pub(crate) fn follow(&self, store: &dyn Store) -> Result<(), StoreError> {
        // Held from before the view is taken: whoever waits here then sees a later one.
        let mut position = lock(&self.position);
        let result = store.read().and_then(|view| self.move_to(&mut position, &*view));
        self.caught_up.store(result.is_ok(), Ordering::Release);
        if result.is_ok() {
            self.seen();
        }
        result
    }

    /// Whether the last attempt to catch up worked.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Says that the store was asked just now and had nothing new.
    pub(crate) fn seen(&self) {
        self.last_seen.store(self.age(), Ordering::Release);
    }

    /// Whether the records are known to be those of the store. When not, nothing may be allowed.
    pub(crate) fn is_healthy(&self) -> bool {
        self.has_caught_up()
            && !self.abandoned.load(Ordering::Acquire)
            && self.age().saturating_sub(self.last_seen.load(Ordering::Acquire)) <= MAX_SILENCE
    }

    /// Milliseconds since the records were made.
    fn age(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Says that nobody follows the store any more, for good.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// How many secrets there are.
    pub(crate) fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Moves forwards to what this view shows; a view of an earlier moment changes nothing.
    #[cfg(test)]
    fn apply(&self, view: &dyn ReadTransaction) -> Result<(), StoreError> {
        self.move_to(&mut lock(&self.position), view)
    }

    /// Moves forwards to what this view shows; a view of an earlier moment changes nothing.
    fn move_to(&self, position: &mut Option<Position>, view: &dyn ReadTransaction) -> Result<(), StoreError> {
        let mut unreadable = 0_u64;
        let target = view.position()?;
        match *position {
            Some(here) if here.epoch == target.epoch && here.generation >= target.generation => return Ok(()),
            Some(here) if here.epoch > target.epoch => return Ok(()),
            Some(here) if here.epoch == target.epoch => {
                let mut encoded = Vec::new();
                view.records(here.generation, &mut |record| {
                    if encode(record, &mut encoded) {
                        let shard = self.shard(record.digest.as_bytes());
                        let added = shard.write().unwrap_or_else(PoisonError::into_inner).put(&encoded);
                        self.count.fetch_add(u64::from(added), Ordering::Relaxed);
                    } else {
                        unreadable += 1;
                    }
                })?;
            }
            // At the start and after a restore: everything anew, put in place shard by shard.
            _ => {
                let mut fresh: Vec<Shard> = (0..SHARDS).map(|_| Shard::default()).collect();
                let mut encoded = Vec::new();
                view.records(Generation(0), &mut |record| {
                    if encode(record, &mut encoded) {
                        fresh[shard_of(record.digest.as_bytes())].put(&encoded);
                    } else {
                        unreadable += 1;
                    }
                })?;
                self.count.store(fresh.iter().map(|shard| shard.index.len() as u64).sum(), Ordering::Relaxed);
                for (shard, fresh) in self.shards.iter().zip(fresh) {
                    *shard.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                }
            }
        }
        if unreadable > 0 {
            // The store checks every bound before it writes: somebody else has written, and an older
            // record may still be here.
            return Err(StoreError::InvalidValue { column: "a record that breaks a bound" });
        }
        let formats: Vec<_> = view.formats()?.into_iter().map(|named| named.format).collect();
        let mut bytes = Vec::new();
        // The store never holds more formats than fit.
        if wire::encode_formats(&formats, &mut bytes).is_ok() {
            *self.formats.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(bytes);
        }
        let known = position.filter(|here| here.epoch == target.epoch).map(|here| here.generation);
        self.revocations.follow(view, known)?;
        *position = Some(target);
        Ok(())
    }

    /// The tokens that are revoked.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Lends out the record of a digest. Whatever `with` does holds a lock: it must be short.
    pub(crate) fn with_record<T>(&self, digest: &Digest, with: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let shard = self.shard(digest.as_bytes()).read().unwrap_or_else(PoisonError::into_inner);
        with(shard.find(digest.as_bytes()))
    }

    /// The key formats, in the validator's binary form.
    pub(crate) fn formats(&self) -> Arc<[u8]> {
        self.formats.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn shard(&self, digest: &[u8; 32]) -> &RwLock<Shard> {
        &self.shards[shard_of(digest)]
    }
}

/// The binary form of a record; whether it has one, which a record that breaks a bound has not.
fn encode(record: &KeyRecord, encoded: &mut Vec<u8>) -> bool {
    encoded.clear();
    wire::encode_record(record, encoded).is_ok()
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The data is replaced as a whole, so a panic elsewhere cannot have left it half-made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Other caches let a slow look-up put a revoked record back.
    #[test]
    fn trap_6_a_view_from_before_a_revoke_changes_nothing() {
        use crate::{Code, Keystile, NewKey, NewStore, RevokeReason};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        Keystile::create(&path, NewStore::default()).unwrap();
        let keystile = Keystile::open(&path).unwrap();
        let created = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();

        let slow = keystile.inner.store().read().unwrap();
        let before = slow.position().unwrap();
        keystile.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap();
        assert_eq!(slow.position().unwrap(), before, "the view still shows the moment before the revoke");
        assert_eq!(slow.key(created.key.id).unwrap().unwrap().state, keystile_validator::KeyState::Active);

        let records = keystile.inner.records().unwrap();
        records.apply(&*slow).unwrap();
        let verdict = keystile.verify(created.secret.expose_secret(), &keystile.request());
        assert_eq!(verdict.code(), Some(Code::Revoked));
    }

    /// When nobody follows the store any more, nothing is allowed.
    #[test]
    fn without_a_follower_everything_is_denied() {
        use crate::{Code, Keystile, NewKey, NewStore};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        Keystile::create(&path, NewStore::default()).unwrap();
        let keystile = Keystile::open(&path).unwrap();
        let created = keystile.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
        assert!(keystile.verify(created.secret.expose_secret(), &keystile.request()).is_allow());
        keystile.inner.records().unwrap().abandon();
        let verdict = keystile.verify(created.secret.expose_secret(), &keystile.request());
        assert_eq!(verdict.code(), Some(Code::Unavailable));
    }
}
