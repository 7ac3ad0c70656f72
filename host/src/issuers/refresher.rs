//! The background thread that keeps the keys of issuers fresh.
//!
//! It hands each fetch to a thread of its own, which knows a URL and nothing else: an issuer that never
//! answers delays neither the others nor the end of this process.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use keystile_validator::Timestamp;

use super::fetch::{FetchLimits, Fetched};
use super::problem::FetchProblem;
use super::refresh::{FETCH_COOLDOWN, Lease, Reason};
use crate::bell::Bell;
use crate::keystile::Inner;

/// How often it looks whether a set is due.
const INTERVAL: Duration = Duration::from_secs(2);
/// Most fetches at once.
const MAX_FETCHES: usize = 8;

/// What the thread is told.
enum Event {
    /// Something may have changed, or the process ends.
    Look,
    /// A token of this issuer names a key that nobody knows.
    UnknownKey(String),
    /// A fetch has ended.
    Answered(Lease, Result<Fetched, FetchProblem>),
}

/// The way to the background thread.
pub(crate) struct Refresher {
    sender: Sender<Event>,
    receiver: Mutex<Option<Receiver<Event>>>,
    /// When unknown keys of an issuer were last told of.
    told: Mutex<HashMap<String, Timestamp>>,
}

impl Default for Refresher {
    fn default() -> Refresher {
        let (sender, receiver) = channel();
        Refresher { sender, receiver: Mutex::new(Some(receiver)), told: Mutex::default() }
    }
}

impl Refresher {
    /// Has it look now.
    pub(crate) fn wake(&self) {
        // Without a thread there is nobody to wake.
        let _ = self.sender.send(Event::Look);
    }

    /// Tells of an unknown key, at most once in a cooldown: a flood of them costs a look-up each.
    pub(super) fn tell_unknown_key(&self, name: &str, now: Timestamp) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = told.get(name).is_some_and(|at| *at <= now && now.seconds_since(*at) < FETCH_COOLDOWN);
        if !quiet {
            told.insert(name.to_owned(), now);
            let _ = self.sender.send(Event::UnknownKey(name.to_owned()));
        }
    }
}

/// Fetches what is due, until the bell rings.
pub(crate) fn refresh_in_background(inner: &Inner, stop: &Bell) {
    let refresher = &inner.issuers.refresher;
    let receiver = refresher.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(receiver) = receiver else { return };
    let mut unknown: HashSet<String> = HashSet::new();
    let mut running: HashSet<String> = HashSet::new();
    while !stop.has_rung() {
        start_due(inner, &mut unknown, &mut running);
        let mut next = receiver.recv_timeout(INTERVAL).ok();
        while let Some(event) = next {
            match event {
                Event::Look => {}
                Event::UnknownKey(name) => drop(unknown.insert(name)),
                Event::Answered(lease, answer) => {
                    running.remove(&lease.name);
                    if stop.has_rung() {
                        return;
                    }
                    // What cannot be written is fetched again after the cooldown.
                    let _ = inner.keep_answer(&lease, answer);
                }
            }
            next = receiver.try_recv().ok();
        }
    }
}

/// Starts the fetches that are due; first those that somebody waits for.
fn start_due(inner: &Inner, unknown: &mut HashSet<String>, running: &mut HashSet<String>) {
    // A store that cannot be read now is read at the next turn.
    let Ok(issuers) = inner.store().read().and_then(|view| view.issuers()) else { return };
    let mut fetched: Vec<_> =
        issuers.into_iter().filter(|issuer| issuer.enabled && issuer.is_fetched()).map(|issuer| issuer.name).collect();
    unknown.retain(|name| fetched.contains(name));
    fetched.sort_by_key(|name| !unknown.contains(name));
    for name in fetched {
        if running.len() >= MAX_FETCHES {
            return;
        }
        if running.contains(&name) {
            continue;
        }
        let reason = if unknown.contains(&name) { Reason::UnknownKey } else { Reason::Schedule };
        // What cannot be written cannot be kept either: it is tried again at the next turn.
        let Ok(Some(lease)) = inner.lease_fetch(&name, reason) else { continue };
        unknown.remove(&name);
        if start(inner, lease) {
            running.insert(name);
        }
    }
}

/// What a fetch tells when it ends, in whatever way: the issuer would else count as being asked for ever.
struct Reply {
    sender: Sender<Event>,
    lease: Lease,
    answer: Result<Fetched, FetchProblem>,
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Nobody listens any more when the process ends.
        let _ = self.sender.send(Event::Answered(self.lease.clone(), self.answer.clone()));
    }
}

/// Whether a thread was there to fetch.
fn start(inner: &Inner, lease: Lease) -> bool {
    let (fetcher, sender) = (inner.issuers.fetcher.clone(), inner.issuers.refresher.sender.clone());
    let reply = Reply { sender, lease, answer: Err(FetchProblem::BadAnswer) };
    let work = move || {
        let mut reply = reply;
        let Lease { url, etag, .. } = &reply.lease;
        reply.answer = fetcher.fetch(url, etag.as_deref(), FetchLimits::PATIENT);
    };
    thread::Builder::new().name("keystile-fetch".to_owned()).spawn(work).is_ok()
}
