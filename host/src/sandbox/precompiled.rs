//! The machine code of the validator: the one that is in the program, and loading it.
//!
//! This is, beside the watch for forks, the only `unsafe` code of the host: machine code is run as it is.

#![allow(unsafe_code)]

use wasmtime::{Engine, Module};

use super::SandboxError;

/// What is known of the validator that was compiled into this program.
///
/// ```
/// let module = keystile::sandbox::EMBEDDED;
/// assert!(module.size > 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidatorModule {
    /// SHA-256 of the wasm module that the machine code was compiled from.
    pub sha256: [u8; 32],
    /// The size of that module in bytes.
    pub size: usize,
    /// The version of wasmtime whose machine code it is. Within a major version all are compatible.
    pub wasmtime: &'static str,
}

/// The validator in this program.
pub const EMBEDDED: ValidatorModule = include!(concat!(env!("OUT_DIR"), "/validator.rs"));

/// Loads the validator that is in this program: its faster machine code where the processor allows
/// it, which wasmtime checks, and else the one for every processor.
pub(super) fn load_embedded(engine: &Engine) -> Result<Module, SandboxError> {
    // SAFETY: the build script of this crate wrote these bytes with `Engine::precompile_module`,
    // and they are part of the program itself: whoever can change them can change any code.
    unsafe { load(engine, CODE_V3).or_else(|_| load(engine, CODE)) }
}

/// Loads machine code. Wasmtime checks that its own version, the engine's settings and the
/// processor's features fit.
///
/// # Safety
///
/// `code` must be what `Engine::precompile_module` of wasmtime wrote, unchanged: other bytes can
/// make the process do anything.
pub(super) unsafe fn load(engine: &Engine, code: &[u8]) -> Result<Module, SandboxError> {
    // SAFETY: the caller promises what `Module::deserialize` demands.
    let module = unsafe { Module::deserialize(engine, code) };
    module.map_err(|error| SandboxError::Incompatible { reason: format!("{error:#}") })
}

/// What the build script made of `validator/module`, for every processor of the target.
pub(super) const CODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/validator.cwasm"));
/// The same for processors of level x86-64-v3; empty on other targets.
const CODE_V3: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/validator-v3.cwasm"));
