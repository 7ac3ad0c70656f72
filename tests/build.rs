//! Builds the artifacts that the tests run: the core modules, the component, the JavaScript package.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use keystile_artifacts::{Build, Builder};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        // As text, which says what to do.
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    for path in ["../validator", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let builder = Builder::new(out.join("target"));
    fs::write(out.join("baseline.wasm"), builder.core_module(Build::Baseline)?)?;
    fs::write(out.join("wide.wasm"), builder.core_module(Build::WideArithmetic)?)?;
    fs::write(out.join("primitives.wasm"), builder.primitives_module()?)?;
    fs::write(out.join("component.wasm"), builder.component()?)?;
    builder.javascript_package(out.join("javascript"))?;
    println!("cargo::rustc-env=KEYSTILE_ARTIFACTS={}", out.display());
    Ok(())
}
