//! Grace periods that begin at a first use, in a process that cannot write that they have begun: because it only
//! reads, or because the store refuses, as on a full disk.
//!
//! Such a process keeps them for itself: an old secret is refused here when its grace, counted from the first use of
//! a newer one that was seen here, is over. It forgets that when it ends. A process that may write goes on trying to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use keystile_validator::{Code, Digest, Timestamp, Verdict};

use crate::keystile::Inner;
use crate::store::StoreError;

/// The grace periods that have begun here.
#[derive(Default)]
pub(crate) struct SeenGraces {
    /// New secrets whose use was seen, with how often the mirror had moved then.
    begun: Mutex<HashMap<[u8; 32], u64>>,
    /// Whether there is any of the next; most processes never have one.
    any: AtomicBool,
    /// When old secrets end.
    ends: RwLock<HashMap<[u8; 32], Timestamp>>,
}

impl SeenGraces {
    fn has_begun(&self, digest: &Digest, moves: u64) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).get(digest.as_bytes()) == Some(&moves)
    }

    fn begin(&self, digest: &Digest, moves: u64, old: impl Iterator<Item = (Digest, Timestamp)>) {
        let mut ends = self.ends.write().unwrap_or_else(PoisonError::into_inner);
        for (digest, end) in old {
            let known = ends.entry(*digest.as_bytes()).or_insert(end);
            // The first use counts.
            *known = end.min(*known);
        }
        drop(ends);
        self.any.store(true, Ordering::Release);
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest.as_bytes(), moves);
    }

    fn is_over(&self, digest: &Digest, now: Timestamp) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let ends = self.ends.read().unwrap_or_else(PoisonError::into_inner);
        ends.get(digest.as_bytes()).is_some_and(|end| now >= *end)
    }
}

impl Inner {
    /// A secret was allowed whose first use begins a grace: it begins in this process, if it has not yet.
    pub(crate) fn see_grace(&self, digest: &Digest, first_use: Timestamp) -> Result<(), StoreError> {
        let moves = self.mirror.moves();
        // On demand the mirror hears of no change, so the store is asked at each use.
        if !self.mirror.is_on_demand() && self.seen_graces.has_begun(digest, moves) {
            return Ok(());
        }
        let waiting = self.store.read()?.waiting_graces(digest)?;
        let old = waiting.iter().map(|grace| (grace.digest, grace.end(first_use)));
        self.seen_graces.begin(digest, moves, old);
        Ok(())
    }

    /// The verdict, unless it allows a secret whose grace is over in this process.
    pub(crate) fn unless_grace_is_over(&self, verdict: Verdict, digest: Option<&Digest>, now: Timestamp) -> Verdict {
        match digest {
            Some(digest) if verdict.is_allow() && self.seen_graces.is_over(digest, now) => Verdict::deny(Code::Rotated),
            _ => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Code, Grace, Keystile, ManualClock, NewKey, NewStore, Rotation, Timestamp};

    const GRACE: u64 = 60;

    #[test]
    fn a_process_that_only_reads_begins_a_grace_for_itself() {
        for on_demand in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("keystile.db");
            let clock = Arc::new(ManualClock::at(Timestamp::from_unix(1_700_000_000).unwrap()));
            let options = || Keystile::options().clock(Arc::clone(&clock)).on_demand(on_demand);
            // By the same clock: a store knows the newest time that it was written at.
            options().create(&path, NewStore::default()).unwrap();
            let writer = options().open(&path).unwrap();
            let created = writer.keys().create(NewKey { name: "k".into(), ..NewKey::default() }).unwrap();
            let grace = Grace::from_first_use(GRACE);
            let rotated = writer.keys().rotate(created.key.id, Rotation { grace, ..Rotation::default() }).unwrap();
            let (old, new) = (created.secret, rotated.secret.unwrap());
            let (old, new) = (old.expose_secret(), new.expose_secret());
            drop(writer);
            let reader = options().read_only(true).open(&path).unwrap();
            let code = |secret: &str| reader.verify(secret, &reader.request()).code();
            // The new secret was not used yet, however long ago the rotation was.
            clock.advance(10 * GRACE);
            assert_eq!(code(old), None);
            assert!(reader.preview(new, &reader.request()).is_allow(), "a trial is no use");
            clock.advance(GRACE);
            assert_eq!(code(old), None);
            assert_eq!(code(new), None);
            clock.advance(GRACE - 1);
            // Later uses do not move it.
            assert_eq!((code(old), code(new)), (None, None));
            clock.advance(1);
            assert_eq!((code(old), code(new)), (Some(Code::Rotated), None), "on demand: {on_demand}");
            assert_eq!(reader.preview(old, &reader.request()).code(), Some(Code::Rotated));
            let batch = reader.verify_batch(&[old, new], &reader.request());
            let codes: Vec<_> = batch.iter().map(crate::Verdict::code).collect();
            assert_eq!(codes, [Some(Code::Rotated), None]);
            let explained = reader.explain(old, &reader.request()).unwrap();
            assert!(explained.steps.contains(&(crate::Check::NotRotated, crate::Outcome::Failed)));
        }
    }
}
