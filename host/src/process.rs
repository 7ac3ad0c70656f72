//! What a process that holds secrets does with its memory.

use std::io;

/// Keeps the memory of this process to itself: no core dump of it is written, and on Linux no other process of the
/// same user can read it or attach to it (`PR_SET_DUMPABLE`, see prctl(2)). The superuser still can. A process that
/// is started from this one is not concerned.
///
/// For programs: the library never does it by itself, because the process is its embedder's. Call it first of all, before
/// any secret is read.
///
/// # Errors
/// [`io::Error`] of the system, which refuses this nowhere that we know of.
pub fn protect_memory() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};

        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
