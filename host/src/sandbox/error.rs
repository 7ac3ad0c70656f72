//! Why a validator cannot be loaded, and how a check can fail.

use std::time::Duration;
use std::{error, fmt, io};

use keystile_validator::wire;

/// Why a [`Sandbox`](super::Sandbox) could not be made. Each message says what happened and what to
/// do.
#[derive(Debug)]
#[non_exhaustive]
pub enum SandboxError {
    /// The machine code is not for this program: another version of wasmtime, other settings, a
    /// processor that lacks something, or no machine code of wasmtime at all.
    Incompatible {
        /// What wasmtime said.
        reason: String,
    },
    /// The module imports something; a validator can only compute.
    HasImport {
        /// Module and name of the first import.
        import: String,
    },
    /// An export of `docs/abi.md` is absent or has another type.
    BadExport {
        /// Its name.
        name: &'static str,
    },
    /// The module speaks another version of the ABI.
    AbiVersion {
        /// The version it names.
        found: i32,
    },
    /// A buffer of the module is not where or what `docs/abi.md` says.
    BadBuffer {
        /// `input` or `output`.
        name: &'static str,
        /// The address it names.
        address: i32,
        /// The size it names, in bytes.
        size: i32,
    },
    /// The first instance failed before it could be asked.
    Start(SandboxFailure),
    /// The clock that enforces the deadline could not be started.
    Clock(io::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incompatible { reason } => write!(
                f,
                "the validator's machine code does not fit this program or processor: {reason} · \
                 build keystile again for this machine"
            ),
            Self::HasImport { import } => write!(f, "the validator imports {import} · use a module without imports"),
            Self::BadExport { name } => write!(
                f,
                "the validator does not export {name} with the expected type · use a module that \
                 follows docs/abi.md"
            ),
            Self::AbiVersion { found } => write!(
                f,
                "the validator speaks version {found} of the ABI, not {} · build it from the same \
                 release as this program",
                wire::ABI_VERSION
            ),
            Self::BadBuffer { name, address, size } => write!(
                f,
                "the validator's {name} buffer at {address} with {size} bytes is not as agreed · \
                 use a module that follows docs/abi.md"
            ),
            Self::Start(failure) => write!(f, "the validator does not start: {failure}"),
            Self::Clock(source) => write!(
                f,
                "no thread for the validator's deadlines could be started: {source} · raise the \
                 limit on threads"
            ),
        }
    }
}

impl error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Start(failure) => Some(failure),
            Self::Clock(source) => Some(source),
            _ => None,
        }
    }
}

/// How a check failed. Whatever the variant, the credentials of the message are denied as
/// `unavailable`: the validator could not say.
///
/// The instance is thrown away, except with [`NotEncoded`](Self::NotEncoded), for which the guest
/// was not called. The next check works with a fresh one. No variant holds anything of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SandboxFailure {
    /// The caller did not put a message into the input buffer, usually because it is too long.
    NotEncoded,
    /// The guest trapped: it panicked, left its memory, or overflowed its stack.
    Trap {
        /// The kind of trap, in wasmtime's words.
        reason: String,
    },
    /// The guest ran longer than the deadline.
    Deadline {
        /// The deadline.
        after: Duration,
    },
    /// The guest wanted more memory, or larger tables, than it may have.
    MemoryLimit,
    /// The guest refused the message as malformed, with a code of `docs/abi.md`.
    Rejected {
        /// The negative number.
        code: i32,
    },
    /// The guest named an answer longer than its output buffer.
    BadLength {
        /// The length in bytes that it named.
        length: u32,
    },
    /// The caller could not read the guest's answer.
    BadAnswer {
        /// The length of the answer in bytes.
        length: u32,
    },
    /// The guest did not take an issuer, so it judges no tokens.
    Issuer {
        /// The issuer's name.
        name: String,
        /// What went wrong.
        cause: Box<SandboxFailure>,
    },
    /// All instances were busy for the whole deadline.
    Saturated {
        /// How many there are.
        instances: usize,
    },
    /// This process is a child, by `fork`, of the one that made the sandbox.
    Forked,
    /// No new instance could be made, or it is not like the first one.
    NoInstance {
        /// What wasmtime said.
        reason: String,
    },
}

impl fmt::Display for SandboxFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEncoded => f.write_str(
                "the message does not fit the validator's input buffer · check fewer credentials \
                 at once",
            ),
            Self::Trap { reason } => {
                write!(f, "the validator trapped: {reason} · report it; the credentials were denied")
            }
            Self::Deadline { after } => write!(
                f,
                "the validator did not answer within {after:?} · check the machine's load, or \
                 raise the deadline"
            ),
            Self::MemoryLimit => {
                f.write_str("the validator wanted more memory than it may have · raise the limit, or report it")
            }
            Self::Rejected { code } => write!(
                f,
                "the validator refused the message with {code} · build validator and host from \
                 the same release"
            ),
            Self::BadLength { length } => write!(
                f,
                "the validator named an answer of {length} bytes · report it; the credentials were \
                 denied"
            ),
            Self::BadAnswer { length } => write!(
                f,
                "the validator's answer of {length} bytes cannot be read · build validator and \
                 host from the same release"
            ),
            Self::Issuer { name, cause } => match **cause {
                Self::NotEncoded => {
                    write!(f, "the issuer {name} does not fit the validator's input buffer · give it fewer keys")
                }
                Self::Rejected { code } => write!(
                    f,
                    "the validator refused the issuer {name} with {code} · build validator and host \
                     from the same release"
                ),
                ref cause => write!(f, "the validator could not take the issuer {name}: {cause}"),
            },
            Self::Saturated { instances } => write!(
                f,
                "all {instances} instances of the validator stayed busy · check the machine's \
                 load, or allow more instances"
            ),
            Self::Forked => f.write_str(
                "this process was forked from the one that made the sandbox, and has no clock to stop the validator · \
                 make the sandbox after the fork",
            ),
            Self::NoInstance { reason } => write!(
                f,
                "no instance of the validator could be made: {reason} · check the limits on the \
                 process's memory"
            ),
        }
    }
}

impl error::Error for SandboxFailure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Issuer { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
