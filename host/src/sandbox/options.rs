//! What a sandbox may use.

use std::fmt;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use super::SandboxFailure;

/// What a [`Sandbox`](super::Sandbox) may use, and whom it tells when something goes wrong.
///
/// ```
/// use std::time::Duration;
/// use keystile::sandbox::{Sandbox, SandboxOptions};
///
/// let options = SandboxOptions::default()
///     .deadline(Duration::from_millis(200))
///     .on_failure(|failure| eprintln!("validator: {failure}"));
/// let sandbox = Sandbox::new(options)?;
/// assert_eq!(sandbox.counters().failures(), 0);
/// # Ok::<(), keystile::sandbox::SandboxError>(())
/// ```
#[derive(Clone)]
pub struct SandboxOptions {
    pub(super) max_memory_bytes: usize,
    pub(super) deadline: Duration,
    pub(super) max_instances: usize,
    pub(super) on_failure: Option<FailureHook>,
}

/// Called with each failure, on the thread whose check failed.
pub(super) type FailureHook = Arc<dyn Fn(&SandboxFailure) + Send + Sync>;

impl SandboxOptions {
    /// What an instance may have, and how many there may be, in one line for people.
    pub(crate) fn describe(&self) -> String {
        let (memory, deadline) = (self.max_memory_bytes / (1024 * 1024), self.deadline.as_millis());
        format!("{memory} MiB and {deadline} ms for an instance of the validator, {} instances", self.max_instances)
    }

    /// The most linear memory that one instance may have, in bytes. Default: 64 MiB, of which a
    /// validator without issuers takes 1, and each signing key with tables about half a one more.
    ///
    /// Wasmtime's own structures for an instance are not counted; they take some tens of KiB.
    #[must_use]
    pub fn max_memory_bytes(mut self, bytes: usize) -> Self {
        self.max_memory_bytes = bytes;
        self
    }

    /// The longest that one call into the guest may take, and the longest that a check waits for a
    /// free instance. Default: 1 s; at least 1 ms, at most an hour.
    ///
    /// It is there for a guest that does not end; a check takes microseconds. The time is that of
    /// the wall, not of the processor: with 50 ms, checks were stopped on a machine with twice as
    /// many busy threads as processors, because their threads had to wait that long.
    ///
    /// A guest is stopped after this time and before a fifth more of it (at most 50 ms more), when
    /// the machine has a processor to spare for the clock.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE);
        self
    }

    /// The most instances that live at once, and so the most checks that run at once. Default: one
    /// for each processor, and at least two; at least 1.
    #[must_use]
    pub fn max_instances(mut self, instances: usize) -> Self {
        self.max_instances = instances.max(1);
        self
    }

    /// Calls `hook` with each failure, on the thread whose check failed and before that check
    /// answers. A failure holds no secret.
    #[must_use]
    pub fn on_failure(mut self, hook: impl Fn(&SandboxFailure) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(hook));
        self
    }
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            max_memory_bytes: 64 * 1024 * 1024,
            deadline: Duration::from_secs(1),
            max_instances: available_parallelism().map_or(2, |count| count.get().max(2)),
            on_failure: None,
        }
    }
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("max_memory_bytes", &self.max_memory_bytes)
            .field("deadline", &self.deadline)
            .field("max_instances", &self.max_instances)
            .field("on_failure", &self.on_failure.is_some())
            .finish()
    }
}

const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);
const LONGEST_DEADLINE: Duration = Duration::from_secs(3_600);
