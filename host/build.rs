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
    let code = compile(&module, &env::var("TARGET")?)?;
    fs::write(out_dir.join("validator.cwasm"), code)?;
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

/// Compiles for any processor of the target: naming the target, even the one of this machine, turns
/// off what Cranelift would otherwise find out about the processor it runs on.
fn compile(module: &[u8], target: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut config = config::engine_config();
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
