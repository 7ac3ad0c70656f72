//! The background threads: one follows the store, one prepares keys of issuers, one fetches them, one writes uses.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keystile_validator::{Digest, Timestamp};

use crate::bell::Bell;
use crate::issuers::refresh_in_background;
use crate::keys::start_grace;
use crate::keystile::Inner;
use crate::mirror::{Abandon, follow_store};
use crate::store::{Erasure, StoreError};

/// How long a thread waits that has nothing to do by itself.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How often uses are written when nobody says otherwise.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(60);

/// How long a change waits, where there are no background threads, for readers that keep what it has deleted in
/// the journal.
pub(crate) const ERASE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the thread that writes behind waits before it tries again to get out of the file what was deleted.
const ERASE_RETRY: Duration = Duration::from_secs(1);

/// The background threads of a turnstile. Dropping it ends them and writes what was counted.
pub(crate) struct Workers {
    inner: Arc<Inner>,
    stop: Arc<Bell>,
    handles: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the threads that keep a mirror up to date, when there is one, and the one that writes uses.
    pub(crate) fn start(inner: &Arc<Inner>, flush_interval: Duration) -> io::Result<Workers> {
        let mut workers = Workers::none(inner);
        let has_mirror = !inner.mirror.is_on_demand();
        if has_mirror {
            workers.spawn("keystile-follow", follow)?;
            workers.spawn("keystile-prepare", prepare_issuers)?;
        }
        if has_mirror && !inner.read_only {
            workers.spawn("keystile-issuers", refresh_in_background)?;
        }
        // A mirror has something to sweep in a process that only reads, too.
        if has_mirror || !inner.read_only {
            workers.spawn("keystile-write", move |inner, stop| write_behind(inner, stop, flush_interval))?;
        }
        Ok(workers)
    }

    /// No threads.
    pub(crate) fn none(inner: &Arc<Inner>) -> Workers {
        Workers { inner: Arc::clone(inner), stop: Arc::default(), handles: Vec::new() }
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce(&Inner, &Bell) + Send + 'static) -> io::Result<()> {
        let (inner, stop) = (Arc::clone(&self.inner), Arc::clone(&self.stop));
        self.handles.push(thread::Builder::new().name(name.to_owned()).spawn(move || work(&inner, &stop))?);
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if self.inner.opener.check().is_err() {
            // In a child of a fork there are no threads to end, the bells may be locked for ever, and what was
            // counted is the parent's to write. All of it is leaked: to close a connection of the parent here would
            // be to work on its files without its locks.
            self.handles.drain(..).for_each(std::mem::forget);
            std::mem::forget(Arc::clone(&self.inner));
            return;
        }
        self.stop.ring();
        self.inner.writer_bell.ring();
        self.inner.prepare_bell.ring();
        self.inner.issuers.refresher.wake();
        for handle in self.handles.drain(..) {
            // A thread that panicked has said so; there is nothing left to do for it.
            let _ = handle.join();
        }
        // What cannot be written now is lost: counters, never a change.
        let _ = self.inner.flush();
    }
}

/// Keeps the mirror up to date with whatever other processes write.
fn follow(inner: &Inner, stop: &Bell) {
    // However this ends, nobody follows any more.
    let _abandon = Abandon(&inner.mirror);
    follow_store(&inner.mirror, inner.store(), stop, || inner.now(), || inner.follow());
}

/// Has the keys of issuers prepared when there are others. Not where the store is followed: a large key
/// set would keep back what was revoked meanwhile.
fn prepare_issuers(inner: &Inner, stop: &Bell) {
    loop {
        inner.prepare_bell.wait(LONGEST_WAIT);
        inner.prepare_bell.reset();
        if stop.has_rung() {
            return;
        }
        inner.sandbox().prepare_issuers();
    }
}

/// Writes uses now and then, and starts grace periods as soon as they are asked for.
fn write_behind(inner: &Inner, stop: &Bell, interval: Duration) {
    let mut flushed = Instant::now();
    while !stop.has_rung() {
        let erasure_waits = inner.erasure_waits.load(Ordering::Relaxed);
        let until_flush = interval.saturating_sub(flushed.elapsed());
        inner.writer_bell.wait(if erasure_waits { until_flush.min(ERASE_RETRY) } else { until_flush });
        inner.writer_bell.reset();
        if stop.has_rung() {
            return;
        }
        if erasure_waits {
            let is_done = matches!(inner.store().erase(Duration::ZERO), Ok(Erasure::Done));
            inner.erasure_waits.store(!is_done, Ordering::Relaxed);
        }
        // What fails is kept and tried again at the next turn.
        if flushed.elapsed() >= interval {
            let _ = inner.flush();
            flushed = Instant::now();
        } else {
            inner.usage.add_up();
            let _ = inner.graces.start_all(inner);
        }
    }
}

/// Secrets that were used for the first time and whose use starts a grace period.
#[derive(Default)]
pub(crate) struct GraceQueue {
    waiting: Mutex<HashMap<[u8; 32], Timestamp>>,
    /// Held while some are started, so that whoever starts the rest knows that all have begun.
    starting: Mutex<()>,
}

impl GraceQueue {
    /// Takes a first use; the earliest one counts.
    pub(crate) fn push(&self, digest: Digest, first_use: Timestamp) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = waiting.entry(*digest.as_bytes()).or_insert(first_use);
        *known = first_use.min(*known);
    }

    pub(crate) fn start_all(&self, inner: &Inner) -> Result<(), StoreError> {
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut result = Ok(());
        for (digest, first_use) in waiting {
            let digest = Digest::from_bytes(digest);
            if let Err(error) = start_grace(inner, &digest, first_use) {
                // Kept, so that the old secret ends even if the new one is never used again. Until that can be
                // written, the grace runs in this process; where the store cannot be read either, nothing is allowed.
                let _ = inner.see_grace(&digest, first_use);
                self.push(digest, first_use);
                result = Err(error);
            }
        }
        result
    }
}
