//! The live instances, who may use one, and the clock that stops a guest.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keystile_validator::Code;
use keystile_validator::wire::JwsMessage;
use wasmtime::{Engine, Module};

use super::instance::{Instance, Limits};
use super::issuers::{IssuerDocument, IssuerSet};
use super::{SandboxError, SandboxFailure, SandboxOptions};
use crate::fork::Opener;

/// What an instance must know for a check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    /// Keys are judged by what the message says.
    Anything,
    /// Tokens are judged by their issuers.
    Issuers,
}

/// What a sandbox has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxCounters {
    /// Checks that the guest answered.
    pub checks: u64,
    /// Instances made.
    pub instances_made: u64,
    /// Instances thrown away, after a failure or a panic of the caller.
    pub instances_discarded: u64,
    /// Messages that did not fit the input buffer.
    pub not_encoded: u64,
    /// Traps of the guest.
    pub traps: u64,
    /// Guests stopped at the deadline.
    pub deadlines: u64,
    /// Guests that wanted more memory than they may have.
    pub memory_limits: u64,
    /// Messages that the guest refused.
    pub rejected: u64,
    /// Answers that were too long or could not be read.
    pub bad_answers: u64,
    /// Checks for which no instance became free in time.
    pub saturated: u64,
    /// Instances that could not be made.
    pub no_instance: u64,
}

impl SandboxCounters {
    /// Checks that failed, for whatever reason.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.not_encoded
            + self.traps
            + self.deadlines
            + self.memory_limits
            + self.rejected
            + self.bad_answers
            + self.saturated
            + self.no_instance
    }

    fn count(&mut self, failure: &SandboxFailure) {
        let counter = match failure {
            SandboxFailure::NotEncoded => &mut self.not_encoded,
            SandboxFailure::Trap { .. } => &mut self.traps,
            SandboxFailure::Deadline { .. } => &mut self.deadlines,
            SandboxFailure::MemoryLimit => &mut self.memory_limits,
            SandboxFailure::Rejected { .. } => &mut self.rejected,
            SandboxFailure::BadLength { .. } | SandboxFailure::BadAnswer { .. } => &mut self.bad_answers,
            SandboxFailure::Issuer { cause, .. } => return self.count(cause),
            SandboxFailure::Saturated { .. } => &mut self.saturated,
            // Nothing is counted in a child.
            SandboxFailure::Forked => return,
            SandboxFailure::NoInstance { .. } => &mut self.no_instance,
        };
        *counter += 1;
    }
}

/// A bounded number of instances, made when they are needed and kept for the next check.
pub(super) struct Pool {
    engine: Engine,
    module: Module,
    limits: Limits,
    max_instances: usize,
    /// What an instance must know before it judges tokens.
    issuers: Mutex<IssuerSet>,
    shared: Arc<Shared>,
    clock: Option<JoinHandle<()>>,
    /// The process that has the clock.
    opener: Opener,
}

/// What the pool and its clock share. No code of a caller or a guest runs while the lock is held.
struct Shared {
    state: Mutex<State>,
    /// An instance became free, or may be made.
    free: Condvar,
    /// There is work for the clock again, or it shall stop.
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// Free instances, the one used last at the end: its memory is still in the caches.
    idle: Vec<Instance>,
    /// Instances that are in use or being made.
    busy: usize,
    /// Checks that wait for an instance.
    waiting: usize,
    /// A check has begun since the last tick.
    active: bool,
    /// The clock sleeps until somebody wakes it.
    asleep: bool,
    stopped: bool,
    counters: SandboxCounters,
}

impl Pool {
    /// Starts the clock and makes the first instance, so that a bad module is refused here.
    pub(super) fn new(engine: Engine, module: Module, options: &SandboxOptions) -> Result<Self, SandboxError> {
        let tick = (options.deadline / 5).min(LONGEST_TICK);
        let ticks = options.deadline.as_nanos().div_ceil(tick.as_nanos());
        let limits = Limits {
            max_memory_bytes: options.max_memory_bytes,
            deadline: options.deadline,
            // One more: the first tick comes at any time after the call began.
            ticks: u64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) + 1,
        };
        let shared = Arc::new(Shared { state: Mutex::default(), free: Condvar::new(), work: Condvar::new() });
        let clock = thread::Builder::new()
            .name("keystile-clock".to_owned())
            .spawn({
                let (engine, shared) = (engine.clone(), Arc::clone(&shared));
                move || shared.run_clock(&engine, tick)
            })
            .map_err(SandboxError::Clock)?;
        let pool = Self {
            engine,
            module,
            limits,
            max_instances: options.max_instances,
            issuers: Mutex::default(),
            shared,
            clock: Some(clock),
            opener: Opener::here(),
        };
        pool.shared.begin(&mut pool.shared.lock());
        let mut lease = Lease { pool: &pool, instance: None };
        lease.instance = Some(pool.make()?);
        lease.give_back(false);
        Ok(pool)
    }

    /// Sets what instances must know before they judge tokens.
    pub(super) fn set_issuers(&self, documents: Vec<IssuerDocument>) {
        if !self.opener.is_here() {
            return;
        }
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        *issuers = issuers.next(documents);
    }

    /// Makes an instance that is free know the issuers.
    pub(super) fn prepare_issuers(&self) {
        if !self.opener.is_here() {
            return;
        }
        let issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // One that waits for its turn would keep the caller waiting: the checks that need it prepare it.
        let mut lease = {
            let mut state = self.shared.lock();
            let Some(instance) = state.idle.pop() else { return };
            self.shared.begin(&mut state);
            Lease { pool: self, instance: Some(instance) }
        };
        let Some(instance) = &mut lease.instance else { return };
        match instance.load(&issuers, &self.limits) {
            Ok(()) => lease.give_back(false),
            // The next check of a token fails in the same way, and says so.
            Err(failure) => self.shared.lock().counters.count(&failure),
        }
    }

    /// Runs one check on a free or new instance.
    pub(super) fn check<T>(
        &self,
        knows: Knows,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, SandboxFailure> {
        self.counted(knows, |instance| instance.check(&self.limits, fill, read))
    }

    /// Runs one check on a free or new instance, with what is looked up once the instance is held; `None`: there was
    /// nothing to ask by.
    pub(super) fn check_held<L, T>(
        &self,
        look: impl FnOnce() -> Option<L>,
        fill: impl FnOnce(&L, &mut [u8]) -> Option<usize>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, SandboxFailure> {
        self.counted(Knows::Anything, |instance| match look() {
            Some(look) => instance.check(&self.limits, |buffer| fill(&look, buffer), read).map(Some),
            None => Ok(None),
        })
    }

    /// Asks a free or new instance for the signature of a JWS.
    pub(super) fn check_jws(&self, message: &JwsMessage<'_>) -> Result<Result<(), Code>, SandboxFailure> {
        self.counted(Knows::Issuers, |instance| instance.check_jws(&self.limits, message))
    }

    fn counted<T>(
        &self,
        knows: Knows,
        ask: impl FnOnce(&mut Instance) -> Result<T, SandboxFailure>,
    ) -> Result<T, SandboxFailure> {
        // Every lock may be held for ever there, by a thread that is not there.
        if !self.opener.is_here() {
            return Err(SandboxFailure::Forked);
        }
        let result = self.asked(knows, ask);
        if let Err(failure) = &result {
            self.shared.lock().counters.count(failure);
        }
        result
    }

    fn asked<T>(
        &self,
        knows: Knows,
        ask: impl FnOnce(&mut Instance) -> Result<T, SandboxFailure>,
    ) -> Result<T, SandboxFailure> {
        let mut lease = self.lease()?;
        let instance = match &mut lease.instance {
            Some(instance) => instance,
            none => none.insert(self.make().map_err(|error| match error {
                SandboxError::Start(failure) => failure,
                other => SandboxFailure::NoInstance { reason: other.to_string() },
            })?),
        };
        if knows == Knows::Issuers {
            let issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // Dropping the lease throws an instance away that knows only some of them.
            instance.load(&issuers, &self.limits)?;
        }
        match ask(instance) {
            Ok(value) => {
                lease.give_back(true);
                Ok(value)
            }
            Err(SandboxFailure::NotEncoded) => {
                lease.give_back(false);
                Err(SandboxFailure::NotEncoded)
            }
            // Dropping the lease throws the instance away.
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn counters(&self) -> SandboxCounters {
        if !self.opener.is_here() {
            return SandboxCounters::default();
        }
        self.shared.lock().counters
    }

    /// Takes a free instance or the right to make one; waits for at most the deadline.
    fn lease(&self) -> Result<Lease<'_>, SandboxFailure> {
        let mut state = self.shared.lock();
        if state.idle.is_empty() && state.busy >= self.max_instances {
            let full = |state: &mut State| state.idle.is_empty() && state.busy >= self.max_instances;
            state.waiting += 1;
            let (waited, timeout) = self
                .shared
                .free
                .wait_timeout_while(state, self.limits.deadline, full)
                .unwrap_or_else(PoisonError::into_inner);
            state = waited;
            state.waiting -= 1;
            if timeout.timed_out() {
                return Err(SandboxFailure::Saturated { instances: self.max_instances });
            }
        }
        let instance = state.idle.pop();
        self.shared.begin(&mut state);
        Ok(Lease { pool: self, instance })
    }

    fn make(&self) -> Result<Instance, SandboxError> {
        let instance = Instance::new(&self.engine, &self.module, &self.limits)?;
        self.shared.lock().counters.instances_made += 1;
        Ok(instance)
    }
}

#[cfg(test)]
impl Pool {
    /// How many checks wait for an instance.
    pub(super) fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    pub(super) fn clock_sleeps(&self) -> bool {
        self.shared.lock().asleep
    }

    /// A question that can still be asked when the pool is gone: the clock owns a share of the state
    /// until its thread ends.
    pub(super) fn clock_is_alive(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.strong_count() > 0
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.opener.check().is_err() {
            // In a child of a fork there is no clock to end, and nobody to give a lock back.
            mem::forget(self.clock.take());
            return;
        }
        self.shared.lock().stopped = true;
        self.shared.work.notify_all();
        if let Some(clock) = self.clock.take() {
            // The clock runs no code that can panic; if it did, there is nothing left to stop.
            let _ = clock.join();
        }
    }
}

/// The right to use one instance. When it is dropped without giving the instance back, because of a
/// failure or a panic of the caller, the instance goes with it.
struct Lease<'p> {
    pool: &'p Pool,
    instance: Option<Instance>,
}

impl Lease<'_> {
    /// Keeps the instance for the next check.
    fn give_back(mut self, answered: bool) {
        let instance = self.instance.take();
        let mut state = self.pool.shared.lock();
        state.counters.checks += u64::from(answered);
        state.idle.extend(instance);
        self.pool.shared.end(state);
        // All that dropping would do is done.
        mem::forget(self);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Outside of the lock: giving memory back to the system takes its time.
        let discarded = self.instance.take().is_some();
        let mut state = self.pool.shared.lock();
        state.counters.instances_discarded += u64::from(discarded);
        self.pool.shared.end(state);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, so a poisoned state is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a check in, and wakes the clock.
    fn begin(&self, state: &mut State) {
        state.busy += 1;
        state.active = true;
        if state.asleep {
            state.asleep = false;
            self.work.notify_one();
        }
    }

    /// Counts a check out, and wakes one that waits.
    fn end(&self, mut state: MutexGuard<'_, State>) {
        state.busy -= 1;
        // Without somebody waiting it would be a system call for nothing.
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.free.notify_one();
        }
    }

    /// Advances the engine's epoch at every tick, until the pool is dropped. After a second without
    /// a check it sleeps, so that an idle program does not wake the processor.
    fn run_clock(&self, engine: &Engine, tick: Duration) {
        let mut quiet = Duration::ZERO;
        let mut state = self.lock();
        while !state.stopped {
            if state.busy > 0 || state.active {
                quiet = Duration::ZERO;
            }
            state.active = false;
            if quiet >= QUIET {
                state.asleep = true;
                state = self
                    .work
                    .wait_while(state, |state| state.asleep && !state.stopped)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (waited, timeout) = self.work.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if timeout.timed_out() {
                quiet = quiet.saturating_add(tick);
                engine.increment_epoch();
            }
        }
    }
}

const LONGEST_TICK: Duration = Duration::from_millis(50);
/// How long the clock goes on ticking without a check.
const QUIET: Duration = Duration::from_secs(1);
