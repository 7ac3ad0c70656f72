//! The builder: which artifact comes from which package, with which flags.

use std::path::PathBuf;

use crate::cargo::Cargo;
use crate::error::BuildError;
use crate::wasm;

/// Builds artifacts from the checkout that this crate was compiled in.
#[derive(Clone, Debug)]
pub struct Builder {
    target_dir: PathBuf,
}

/// For which engines a core module is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Build {
    /// For every engine: no proposal beyond what Rust uses by default.
    Baseline,
    /// For engines with the proposals `wide-arithmetic` and `simd128` that compile for the
    /// processor they run on, such as wasmtime and Bun.
    WideArithmetic,
    /// For compiling ahead of time, for any processor of an architecture: `wide-arithmetic` without
    /// `simd128`. The shuffles of SHA-256 with `simd128` need SSSE3; for the oldest x86-64 they made
    /// a check 1.7 times as slow as without, for a newer one 5 % faster (wasmtime 48).
    AheadOfTime,
}

impl Builder {
    /// A builder that keeps cargo's intermediate files in `target_dir`.
    ///
    /// The folder must not be the target folder of a cargo that is waiting for this builder: a
    /// build script takes a folder under its `OUT_DIR`. It is created when it is absent, and a
    /// second build into the same folder compiles only what changed.
    pub fn new(target_dir: impl Into<PathBuf>) -> Self {
        Self { target_dir: target_dir.into() }
    }

    /// Builds the core module of `docs/abi.md` and returns its bytes.
    ///
    /// The module has no imports and exactly the exports of that page; paths of the machine it was
    /// built on are not in it.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the wasm target is not installed, cargo fails, or what cargo built is
    /// not such a module.
    pub fn core_module(&self, build: Build) -> Result<Vec<u8>, BuildError> {
        let cargo = self.cargo(build)?;
        let linked = cargo.build("keystile-validator-module", "keystile_validator_module.wasm")?;
        // The linker exports two symbols of its own for tools; the ABI page does not know them.
        wasm::with_exports_only(&linked, MODULE_EXPORTS)
    }

    /// Builds a core module with one more export, `keystile_verify_signature`, which verifies bare
    /// signatures: for tests of the primitives where the module runs. It is never shipped.
    ///
    /// # Errors
    ///
    /// As [`Builder::core_module`].
    pub fn primitives_module(&self) -> Result<Vec<u8>, BuildError> {
        let cargo = self.cargo(Build::WideArithmetic)?;
        let arguments = ["--features", "primitives"];
        cargo.build_with("keystile-validator-module", "keystile_validator_module.wasm", &arguments)
    }

    /// Builds the component of the world `keystile:validator/validator` and returns its bytes.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the wasm target is not installed, cargo fails, or the component does
    /// not fit its world.
    #[cfg(feature = "component")]
    pub fn component(&self) -> Result<Vec<u8>, BuildError> {
        crate::component::build(&self.cargo(Build::Baseline)?)
    }

    /// Builds the JavaScript package `keystile-validator` into `out_dir`, which is created when it
    /// is absent: `package.json`, `keystile_validator.js`, `keystile_validator.d.ts` and
    /// `keystile_validator_bg.wasm`.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the wasm target is not installed, cargo or wasm-bindgen fails, or a file
    /// cannot be written.
    #[cfg(feature = "javascript")]
    pub fn javascript_package(&self, out_dir: impl AsRef<std::path::Path>) -> Result<(), BuildError> {
        crate::javascript::build(&self.cargo(Build::Baseline)?, out_dir.as_ref())
    }

    /// Cargo for one set of flags. Each set has its own folder: the final file names are equal.
    fn cargo(&self, build: Build) -> Result<Cargo, BuildError> {
        let (folder, target_features) = match build {
            Build::Baseline => ("baseline", None),
            Build::WideArithmetic => ("wide-arithmetic", Some("+wide-arithmetic,+simd128")),
            Build::AheadOfTime => ("ahead-of-time", Some("+wide-arithmetic")),
        };
        Cargo::new(self.target_dir.join(folder), target_features)
    }
}

/// The exports of `docs/abi.md`.
const MODULE_EXPORTS: &[&str] = &[
    "memory",
    "keystile_abi_version",
    "keystile_input",
    "keystile_input_size",
    "keystile_output",
    "keystile_output_size",
    "keystile_put_issuer",
    "keystile_forget_issuers",
    "keystile_check",
    "keystile_check_jws",
];
