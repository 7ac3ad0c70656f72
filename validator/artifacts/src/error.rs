//! Why an artifact could not be built.

use std::path::PathBuf;
use std::{error, fmt, io};

/// Why an artifact could not be built. Each message says what happened and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The Rust target `wasm32-unknown-unknown` is not installed.
    MissingTarget,
    /// A tool could not be started.
    Start {
        /// `cargo` or `rustc`.
        tool: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Cargo ended with an error.
    Cargo {
        /// The package it was to build.
        package: String,
        /// What cargo printed to its standard error.
        output: String,
    },
    /// A file could not be read or written.
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What cargo built cannot be read as a WebAssembly module.
    NotAModule,
    /// The module imports something; one without imports can only compute.
    HasImports,
    /// An export that the artifact must have is absent.
    MissingExport {
        /// Its name.
        name: &'static str,
    },
    /// The module could not be made a component.
    #[cfg(feature = "component")]
    Component {
        /// What `wit-component` said.
        reason: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTarget => f.write_str(
                "the Rust target wasm32-unknown-unknown is not installed · run: rustup target add \
                 wasm32-unknown-unknown",
            ),
            Self::Start { tool, source } => write!(
                f,
                "{tool} could not be started: {source} · install Rust and put its bin folder into \
                 PATH"
            ),
            Self::Cargo { package, output } => write!(
                f,
                "cargo could not build {package} for wasm32-unknown-unknown · mend what it \
                 says:\n{output}"
            ),
            Self::File { path, source } => write!(
                f,
                "{} cannot be read or written: {source} · check the folder and its permissions",
                path.display()
            ),
            Self::NotAModule => f.write_str(
                "cargo left something that is no WebAssembly module · remove the target folder of \
                 the artifacts and build again",
            ),
            Self::HasImports => f.write_str(
                "the module imports something · remove the dependency that brought the import: \
                 the validator may only compute",
            ),
            Self::MissingExport { name } => {
                write!(f, "the module does not export {name} · compare the crate with docs/abi.md")
            }
            #[cfg(feature = "component")]
            Self::Component { reason } => write!(
                f,
                "the module could not be made a component: {reason} · compare the crate with \
                 validator/component/wit"
            ),
        }
    }
}

impl error::Error for BuildError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_target_says_exactly_what_to_run() {
        assert_eq!(
            BuildError::MissingTarget.to_string(),
            "the Rust target wasm32-unknown-unknown is not installed · run: rustup target add \
             wasm32-unknown-unknown"
        );
    }
}
