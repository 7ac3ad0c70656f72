//! The JavaScript package: the module of `validator/javascript`, its bindings and `package.json`.

use std::fs;
use std::path::Path;

use wasm_bindgen_cli_support::Bindgen;

use crate::cargo::Cargo;
use crate::error::BuildError;

/// Builds the module and generates an ES module around it that runs everywhere: it can fetch its
/// wasm itself, or be given a `WebAssembly.Module` where compiling is forbidden.
pub(crate) fn build(cargo: &Cargo, out_dir: &Path) -> Result<(), BuildError> {
    // wasm-bindgen reads a section that `strip = true` removes, and strips the rest itself.
    let strip = ["--config", "profile.wasm.strip=\"debuginfo\""];
    let module = cargo.build_with("keystile-validator-javascript", "keystile_validator_javascript.wasm", &strip)?;
    let file_error = |source| BuildError::File { path: out_dir.to_owned(), source };
    fs::create_dir_all(out_dir).map_err(file_error)?;
    generate(module, out_dir).map_err(|reason| BuildError::JavaScript { reason })?;
    fs::write(out_dir.join("package.json"), PACKAGE).map_err(file_error)
}

fn generate(module: Vec<u8>, out_dir: &Path) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    // The library's error type is that of a crate which is not worth a dependency.
    let bindgen = bindgen.input_bytes(NAME, module).web(true).map_err(|error| format!("{error:#}"))?;
    bindgen
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out_dir)
        .map_err(|error| format!("{error:#}"))
}

/// The stem of the files.
const NAME: &str = "keystile_validator";

const PACKAGE: &str = concat!(
    r#"{
  "name": "keystile-validator",
  "version": ""#,
    env!("CARGO_PKG_VERSION"),
    r#"",
  "description": "The Keystile validator: the same verdict everywhere, with no network call",
  "license": "MIT OR Apache-2.0",
  "type": "module",
  "main": "./keystile_validator.js",
  "types": "./keystile_validator.d.ts",
  "exports": {
    ".": {
      "types": "./keystile_validator.d.ts",
      "default": "./keystile_validator.js"
    },
    "./keystile_validator_bg.wasm": "./keystile_validator_bg.wasm",
    "./package.json": "./package.json"
  },
  "files": [
    "keystile_validator.js",
    "keystile_validator.d.ts",
    "keystile_validator_bg.wasm",
    "keystile_validator_bg.wasm.d.ts"
  ],
  "sideEffects": false
}
"#
);
