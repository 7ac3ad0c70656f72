//! `artifacts OUT_DIR`: writes the artifacts of the validator into a folder.
//!
//! The core module in its two builds, and with the features `component` and `javascript` the
//! component and the JavaScript package.

// A command speaks on its standard streams.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use keystile_artifacts::{Build, Builder};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(out_dir), None) = (arguments.next(), arguments.next()) else {
        eprintln!("artifacts: expected one folder · run: artifacts OUT_DIR");
        return ExitCode::from(2);
    };
    match write_all(&PathBuf::from(out_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("artifacts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(out_dir: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out_dir)?;
    let target_dir = out_dir.join(".build");
    let builder = Builder::new(&target_dir);
    write(&out_dir.join("keystile_validator.wasm"), &builder.core_module(Build::Baseline)?)?;
    write(&out_dir.join("keystile_validator.wide.wasm"), &builder.core_module(Build::WideArithmetic)?)?;
    #[cfg(feature = "component")]
    write(&out_dir.join("keystile_validator.component.wasm"), &builder.component()?)?;
    #[cfg(feature = "javascript")]
    {
        let package = out_dir.join("javascript");
        builder.javascript_package(&package)?;
        println!("{}", package.display());
    }
    // Intermediate files are of no use to whoever takes the folder.
    fs::remove_dir_all(target_dir)?;
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    fs::write(path, bytes)?;
    println!("{} ({} bytes)", path.display(), bytes.len());
    Ok(())
}
