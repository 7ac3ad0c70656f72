//! Builds the validator's wasm module and compiles it to machine code for the target.
//!
//! What the program carries is the output of Cranelift, not wasm: starting takes under a
//! millisecond instead of the half second that compiling takes, and the compiler itself is not in
//! the program.

// A build script speaks to cargo on its standard output.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use keystile_artifacts::{Build, Builder};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, ModuleVersionStrategy};

// The host re-exports its function; here nothing could.
#[allow(unreachable_pub)]
#[path = "src/sandbox/config.rs"]
mod config;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    watch(&here);

    // Its own target folder: the outer cargo holds the lock of the usual one.
    let module = Builder::new(out_dir.join("validator")).core_module(Build::AheadOfTime)?;
    let target = env::var("TARGET")?;
    fs::write(out_dir.join("validator.cwasm"), compile(&module, &target, &[])?)?;
    // Empty where there is no such level of processors: loading it is refused, as on an older one.
    let newer = if target.starts_with("x86_64") { compile(&module, &target, X86_64_V3)? } else { Vec::new() };
    fs::write(out_dir.join("validator-v3.cwasm"), newer)?;
    fs::write(out_dir.join("validator.rs"), describe(&module))?;
    Ok(())
}

/// Tells cargo which files the output comes from.
fn watch(here: &Path) {
    for path in [
        "build.rs",
        "src/sandbox/config.rs",
        "../validator/Cargo.toml",
        "../validator/src",
        "../validator/module/Cargo.toml",
        "../validator/module/src",
        // The dependencies' versions, and the profile the module is built with.
        "../Cargo.toml",
        "../Cargo.lock",
        "../rust-toolchain.toml",
    ] {
        println!("cargo::rerun-if-changed={}", here.join(path).display());
    }
}

/// Compiles for any processor of the target that has these features: naming the target, even the one
/// of this machine, turns off what Cranelift would otherwise find out about the processor it runs on.
#[allow(unsafe_code, reason = "wasmtime asks for a promise on code that is run right away")]
fn compile(module: &[u8], target: &str, features: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut config = config::engine_config();
    for feature in features {
        // SAFETY: nothing is run here, and whoever loads the code checks that the processor has them.
        unsafe { config.cranelift_flag_enable(feature) };
    }
    let compiled = config
        .target(target)
        .and_then(|config| Engine::new(config))
        .and_then(|engine| engine.precompile_module(module));
    compiled.map_err(|error| {
        format!(
            "the validator cannot be compiled for {target}: {error:#} · build on a machine of that \
             architecture"
        )
        .into()
    })
}

/// What the processors of level x86-64-v3 have, which is nearly all since 2013 (Intel) and 2015 (AMD).
const X86_64_V3: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
    "has_avx",
    "has_avx2",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
    "has_lzcnt",
];

/// The constants that `src/sandbox/precompiled.rs` includes.
fn describe(module: &[u8]) -> String {
    let engine = ModuleVersionStrategy::WasmtimeVersion;
    format!(
        "ValidatorModule {{\n    sha256: {:?},\n    size: {},\n    wasmtime: {:?},\n}}\n",
        <[u8; 32]>::from(Sha256::digest(module)),
        module.len(),
        engine.as_str(),
    )
}
