//! Noticing a fork: a child has the memory of its parent, but neither its threads nor its file locks.
//!
//! So nothing in a child follows the store, a lock that another thread held stays locked for ever, and SQLite
//! believes in locks on files that only the parent has. Whatever was opened before is of no use there.
//!
//! This is, beside the loader of machine code, the only `unsafe` code of the host: the system's library calls
//! a function of ours in every child, which counts. Asking for the process id at every verdict instead took 0.16 to
//! 0.2 µs of some 2 (measured on one machine), so that is asked only where the store is.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::StoreError;

/// The process that has opened something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opener {
    forks: u32,
    process: u32,
}

impl Opener {
    /// This process.
    pub(crate) fn here() -> Opener {
        watch();
        Opener { forks: forks(), process: process::id() }
    }

    /// Whether this is still that process, and no child of it.
    pub(crate) fn is_here(self) -> bool {
        forks() == self.forks
    }

    /// The same, and asks the system too: a child that was made past the system's library is not counted.
    ///
    /// # Errors
    /// [`StoreError::Forked`] in a child.
    pub(crate) fn check(self) -> Result<(), StoreError> {
        if self.is_here() && process::id() == self.process { Ok(()) } else { Err(StoreError::Forked) }
    }
}

/// How many forks lie between this process and the one that began to watch.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Has forks counted from now on.
#[cfg(unix)]
fn watch() {
    use std::sync::Once;

    static WATCHED: Once = Once::new();

    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    WATCHED.call_once(|| {
        // SAFETY: the function has the type that is asked for, lives as long as the program, cannot unwind, and
        // does nothing but add to an atomic number, which is allowed in a child of a process with threads.
        #[allow(unsafe_code, reason = "there is no safe way to be called in a child")]
        let result = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // It fails for want of memory only; then the process id still tells a child from its parent.
        let _ = result;
    });
}

#[cfg(not(unix))]
fn watch() {}
