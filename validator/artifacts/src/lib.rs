//! Builds the wasm artifacts of the Keystile validator from this checkout.
//!
//! [`Builder`] runs cargo for `wasm32-unknown-unknown` and returns the finished files: the
//! [core module](Builder::core_module) (see `docs/abi.md`), with feature `component` the WIT
//! component, and with feature `javascript` the JavaScript package. The build script of the host
//! and the tests call it; the `artifacts` command writes the files into a folder for users.
//!
//! ```no_run
//! use keystile_artifacts::{Build, Builder};
//!
//! let module = Builder::new("target/artifacts").core_module(Build::Baseline)?;
//! assert!(module.starts_with(b"\0asm"));
//! # Ok::<(), keystile_artifacts::BuildError>(())
//! ```

// Building
pub use builder::{Build, Builder};

// When it fails
pub use error::BuildError;

mod builder;
mod cargo;
#[cfg(feature = "component")]
mod component;
mod error;
#[cfg(feature = "javascript")]
mod javascript;
mod wasm;
