//! Runs the validator's wasm module, believing nothing that comes out of it.
//!
//! A [`Sandbox`] holds the validator as machine code and a few instances of it. Each
//! [check](Sandbox::check) writes a message (`docs/abi.md`) straight into the memory of an
//! instance, calls it, and reads the answer where it lies. A guest that traps, runs too long, wants
//! too much memory or answers nonsense costs its own instance and nothing else: the check fails,
//! which its caller must treat as a deny, the event is counted and told to the hook, and the next
//! check works.
//!
//! What is limited: the linear memory and the tables of an instance, the time of a call, the depth
//! of its stack, the number of instances, the length of an answer. What is not: the memory that
//! wasmtime itself takes for an instance.

use std::fmt;

use keystile_validator::wire::{Item, JwsMessage, Message, NO_FORMATS, decode_verdict};
use keystile_validator::{Code, Request, Verdict};
use wasmtime::{Engine, ExternType, Module, ValType};

// The sandbox
pub use options::SandboxOptions;
pub use pool::SandboxCounters;

// When it fails
pub use error::{SandboxError, SandboxFailure};

// The issuers of tokens
pub use issuers::IssuerDocument;

// The validator
pub use config::engine_config;
pub use precompiled::{EMBEDDED, ValidatorModule};

mod config;
mod error;
mod instance;
mod issuers;
mod options;
mod pool;
mod precompiled;

use pool::Knows;

/// The validator, behind walls.
///
/// It is shared by reference between threads; as many checks run at once as there may be instances.
/// Dropping it ends its clock thread. In a child by `fork` every check fails, with [`SandboxFailure::Forked`].
pub struct Sandbox {
    pool: pool::Pool,
    options: SandboxOptions,
}

impl Sandbox {
    /// A sandbox with the validator that is in this program.
    ///
    /// # Errors
    ///
    /// [`SandboxError`] when the machine code does not fit this processor, or the operating system
    /// does not give the memory or the thread.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        let engine = engine()?;
        let module = precompiled::load_embedded(&engine)?;
        Self::with_module(engine, module, options)
    }

    /// A sandbox with another build of the validator, as machine code that
    /// `Engine::precompile_module` of the same version of wasmtime wrote with [`engine_config`].
    ///
    /// # Safety
    ///
    /// `code` must be unchanged output of `Engine::precompile_module`: it is run as it is, outside
    /// of any wall if it was tampered with. Output of another version, or of another configuration,
    /// is refused.
    ///
    /// # Errors
    ///
    /// [`SandboxError`] when the machine code is of another version, configuration or processor,
    /// when the module imports anything or lacks an export of `docs/abi.md`, when its buffers are
    /// not as agreed, or when the first instance fails.
    #[allow(unsafe_code, reason = "the promise is the caller's")]
    pub unsafe fn from_precompiled(code: &[u8], options: SandboxOptions) -> Result<Self, SandboxError> {
        let engine = engine()?;
        // SAFETY: the caller promises what `load` demands.
        let module = unsafe { precompiled::load(&engine, code) }?;
        Self::with_module(engine, module, options)
    }

    fn with_module(engine: Engine, module: Module, options: SandboxOptions) -> Result<Self, SandboxError> {
        check_shape(&module)?;
        let pool = pool::Pool::new(engine, module, &options)?;
        Ok(Self { pool, options })
    }

    /// Judges one message.
    ///
    /// `fill` gets the guest's input buffer (262,144 bytes), writes a message of `docs/abi.md` to
    /// its start, and returns the length; `None` when the message does not fit. What was in the
    /// buffer before is of no meaning. `read` gets the answer, exactly as long as the guest said,
    /// and returns what it makes of it; `None` when it cannot read it. The guest wipes the message
    /// before it answers.
    ///
    /// For messages with keys only: an instance may still know issuers that were set before the last
    /// [`Sandbox::set_issuers`]. Tokens are for [`Sandbox::check_tokens`].
    ///
    /// Waits for a free instance when all are busy, for at most the deadline; then the call itself
    /// may take the deadline once more. `fill` and `read` hold an instance: they must not use the
    /// same sandbox.
    ///
    /// # Errors
    ///
    /// [`SandboxFailure`]; the caller must deny every credential of the message as `unavailable`.
    ///
    /// ```
    /// use keystile::sandbox::{Sandbox, SandboxFailure, SandboxOptions};
    ///
    /// let sandbox = Sandbox::new(SandboxOptions::default())?;
    /// let empty_message = sandbox.check(|_buffer| Some(0), |answer| Some(answer.len()));
    /// assert!(matches!(empty_message, Err(SandboxFailure::Rejected { .. })));
    /// # Ok::<(), keystile::sandbox::SandboxError>(())
    /// ```
    pub fn check<T>(
        &self,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, SandboxFailure> {
        self.told(self.pool.check(Knows::Anything, fill, read))
    }

    /// [`Sandbox::check`], where what the message is made of is looked up once an instance is held: however long the
    /// check had to wait for one, it judges by what is in force then. `None`: there was nothing to ask by.
    pub(crate) fn check_held<L, T>(
        &self,
        look: impl FnOnce() -> Option<L>,
        fill: impl FnOnce(&L, &mut [u8]) -> Option<usize>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, SandboxFailure> {
        self.told(self.pool.check_held(look, fill, read))
    }

    /// Judges one message with tokens in it: [`Sandbox::check`] on an instance that knows the
    /// issuers. The first such check of an instance after [`Sandbox::set_issuers`] prepares their keys,
    /// which takes milliseconds.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::check`]; [`SandboxFailure::Issuer`] when the validator does not take an issuer.
    pub fn check_tokens<T>(
        &self,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, SandboxFailure> {
        self.told(self.pool.check(Knows::Issuers, fill, read))
    }

    /// Judges one token by the issuers, without a record and without key formats: `Verdict` as the validator gives
    /// it. A failure denies it as `unavailable`.
    pub fn judge_jwt(&self, token: &[u8], request: &Request) -> Verdict {
        self.judge_token(Item { credential: token, record: None }, request, NO_FORMATS)
    }

    /// Judges one token by the issuers; a failure denies it as `unavailable`.
    pub(crate) fn judge_token(&self, token: Item<'_>, request: &Request, formats: &[u8]) -> Verdict {
        let result = self.check_tokens(
            |buffer| Message { request, formats, items: &[token] }.write_to(buffer).ok(),
            |answer| match decode_verdict(answer) {
                Ok((verdict, [])) => Some(verdict),
                _ => None,
            },
        );
        result.unwrap_or(Verdict::deny(Code::Unavailable))
    }

    /// Verifies the signature of a JWS by the keys and algorithms of the issuer of this name, and
    /// nothing else of it: neither times nor claims. The code says why it is not good.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::check_tokens`].
    ///
    /// ```
    /// use keystile::Code;
    /// use keystile::sandbox::{Sandbox, SandboxOptions};
    ///
    /// let sandbox = Sandbox::new(SandboxOptions::default())?;
    /// assert_eq!(sandbox.check_jws("me", b"eyJhbGciOiJIUzI1NiJ9.aGk.AAAA")?, Err(Code::UnknownIssuer));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_jws(&self, issuer: &str, jws: &[u8]) -> Result<Result<(), Code>, SandboxFailure> {
        self.told(self.pool.check_jws(&JwsMessage { issuer, jws }))
    }

    /// Sets the issuers that tokens are judged by, in place of those before. Checks that begin after
    /// this returned judge by them. It returns at once: keys are prepared by the first check that needs
    /// them, or by [`Sandbox::prepare_issuers`].
    pub fn set_issuers(&self, documents: Vec<IssuerDocument>) {
        self.pool.set_issuers(documents);
    }

    /// Prepares the keys of the issuers in an instance that is free, so that the next check need not. That
    /// takes milliseconds for each key, and at most the deadline for each issuer. When it fails, the
    /// next check of a token fails in the same way, and says so.
    ///
    /// ```
    /// use keystile::sandbox::{IssuerDocument, Sandbox, SandboxOptions};
    ///
    /// let sandbox = Sandbox::new(SandboxOptions::default())?;
    /// sandbox.set_issuers(vec![IssuerDocument::new("https://id.example", "no issuer")]);
    /// sandbox.prepare_issuers();
    /// assert_eq!(sandbox.counters().rejected, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prepare_issuers(&self) {
        self.pool.prepare_issuers();
    }

    fn told<T>(&self, result: Result<T, SandboxFailure>) -> Result<T, SandboxFailure> {
        if let (Err(failure), Some(hook)) = (&result, &self.options.on_failure) {
            hook(failure);
        }
        result
    }

    /// What an instance may have, and how many there may be, in one line for people.
    pub(crate) fn limits(&self) -> String {
        self.options.describe()
    }

    /// What happened since the sandbox was made; nothing in a process that was forked since.
    #[must_use]
    pub fn counters(&self) -> SandboxCounters {
        self.pool.counters()
    }
}

#[cfg(test)]
impl Sandbox {
    /// How many checks wait for an instance.
    pub(crate) fn waiting(&self) -> usize {
        self.pool.waiting()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("options", &self.options)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

fn engine() -> Result<Engine, SandboxError> {
    Engine::new(&engine_config()).map_err(|error| SandboxError::Incompatible { reason: format!("{error:#}") })
}

/// Refuses a module that wants anything from the host or is not what `docs/abi.md` says, before any
/// of its code runs.
fn check_shape(module: &Module) -> Result<(), SandboxError> {
    if let Some(import) = module.imports().next() {
        return Err(SandboxError::HasImport { import: format!("{}.{}", import.module(), import.name()) });
    }
    let is_memory = |ty| matches!(ty, ExternType::Memory(ty) if !ty.is_64() && !ty.is_shared());
    if !module.get_export("memory").is_some_and(is_memory) {
        return Err(SandboxError::BadExport { name: "memory" });
    }
    for (name, parameters) in FUNCTIONS {
        let is_function = |ty| match ty {
            ExternType::Func(ty) => {
                ty.params().len() == parameters
                    && ty.results().len() == 1
                    && ty.params().chain(ty.results()).all(|ty| matches!(ty, ValType::I32))
            }
            _ => false,
        };
        if !module.get_export(name).is_some_and(is_function) {
            return Err(SandboxError::BadExport { name });
        }
    }
    Ok(())
}

/// The exported functions and how many `i32` each takes; each returns one.
const FUNCTIONS: [(&str, usize); 9] = [
    ("keystile_abi_version", 0),
    ("keystile_input", 0),
    ("keystile_input_size", 0),
    ("keystile_output", 0),
    ("keystile_output_size", 0),
    ("keystile_put_issuer", 1),
    ("keystile_forget_issuers", 0),
    ("keystile_check", 1),
    ("keystile_check_jws", 1),
];

#[cfg(test)]
mod tests;
