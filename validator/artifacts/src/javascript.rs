//! The JavaScript package: the scripts of `validator/javascript/package` and the module they run.

use std::fs;
use std::path::Path;

use crate::cargo::Cargo;
use crate::error::BuildError;
use crate::wasm;

/// Writes the package: an ES module that runs everywhere. It can fetch its wasm itself, or be given a
/// `WebAssembly.Module` where compiling is forbidden.
pub(crate) fn build(cargo: &Cargo, out_dir: &Path) -> Result<(), BuildError> {
    let linked = cargo.build("keystile-validator-javascript", "keystile_validator_javascript.wasm")?;
    // Without imports nothing of JavaScript can run while the validator works.
    let module = wasm::with_exports_only(&linked, EXPORTS)?;
    fs::create_dir_all(out_dir.join("internal"))
        .map_err(|source| BuildError::File { path: out_dir.to_owned(), source })?;
    let files = SCRIPTS.iter().map(|(name, text)| (*name, text.as_bytes()));
    for (name, bytes) in files.chain([("keystile_validator_bg.wasm", &*module), ("package.json", PACKAGE.as_bytes())]) {
        let path = out_dir.join(name);
        fs::write(&path, bytes).map_err(|source| BuildError::File { path, source })?;
    }
    Ok(())
}

/// The exports of `validator/javascript/src/lib.rs`.
const EXPORTS: &[&str] = &[
    "memory",
    "keystile_input",
    "keystile_output",
    "keystile_output_length",
    "keystile_set_formats",
    "keystile_put_issuer",
    "keystile_remove_issuer",
    "keystile_check",
];

const SCRIPTS: &[(&str, &str)] = &[
    ("keystile_validator.js", include_str!("../../javascript/package/keystile_validator.js")),
    ("keystile_validator.d.ts", include_str!("../../javascript/package/keystile_validator.d.ts")),
    ("internal/guest.js", include_str!("../../javascript/package/internal/guest.js")),
    ("internal/intrinsics.js", include_str!("../../javascript/package/internal/intrinsics.js")),
    ("internal/values.js", include_str!("../../javascript/package/internal/values.js")),
];

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
    "internal/"
  ],
  "sideEffects": false
}
"#
);
