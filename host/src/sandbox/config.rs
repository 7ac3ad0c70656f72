//! The configuration of the engine, shared by everything that compiles or runs the validator.
//!
//! The build script includes this file by its path, so it may use nothing but wasmtime. Machine
//! code only loads into an engine that is configured like the one that compiled it; therefore
//! nothing here is left to a default that depends on wasmtime's cargo features, which are other
//! ones in the build script, in the host, and in the tests.

use wasmtime::wasmparser::WasmFeatures;
use wasmtime::{Config, WasmBacktraceDetails};

/// The configuration with which a validator must be compiled to machine code.
///
/// Whoever precompiles an own build of the validator for
/// [`Sandbox::from_precompiled`](crate::sandbox::Sandbox::from_precompiled) starts from this, adds
/// `target(..)`, and changes nothing else.
#[must_use]
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config
        // First everything off, then what a module of Rust for `wasm32-unknown-unknown` uses. No
        // threads, no 64-bit memory, no garbage collection, no exceptions.
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES, true)
        // A guest that does not end is stopped by the ticker.
        .epoch_interruption(true)
        .consume_fuel(false)
        // An access outside the memory is caught by the processor, not by a comparison.
        .signals_based_traps(true)
        .memory_init_cow(true)
        // The validator recurses into JSON only, 16 levels at most; large values are on a stack of its own, in
        // its memory.
        .max_wasm_stack(256 * 1024)
        .concurrency_support(false)
        .shared_memory(false)
        // A trap is answered with a deny and a new instance; nobody reads the frames.
        .wasm_backtrace_max_frames(None)
        // Otherwise an environment variable decides, and the machine code does not load.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .debug_info(false)
        .debug_symbols(false)
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}

const FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::WIDE_ARITHMETIC);
