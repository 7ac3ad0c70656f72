//! Running cargo from inside cargo, without inheriting what belongs to the outer one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::error::BuildError;

/// A cargo that builds packages of the workspace for wasm, with fixed flags.
pub(crate) struct Cargo {
    target_dir: PathBuf,
    rust_flags: OsString,
}

impl Cargo {
    /// Checks that the wasm target is there, so that the user reads one sentence instead of an
    /// error about a missing `core`.
    pub(crate) fn new(target_dir: PathBuf, target_features: Option<&str>) -> Result<Self, BuildError> {
        check_target()?;
        Ok(Self { target_dir, rust_flags: rust_flags(target_features) })
    }

    /// Builds one package and returns the bytes of the wasm file that it leaves.
    pub(crate) fn build(&self, package: &str, file: &str) -> Result<Vec<u8>, BuildError> {
        self.build_with(package, file, &[])
    }

    /// The same, with more arguments for cargo.
    pub(crate) fn build_with(&self, package: &str, file: &str, arguments: &[&str]) -> Result<Vec<u8>, BuildError> {
        let mut command = Command::new(tool("CARGO", "cargo"));
        scrub(&mut command);
        command
            .current_dir(workspace())
            .args(["build", "--locked", "--profile", "wasm", "--lib"])
            .args(["--target", TARGET, "--package", package])
            .arg("--target-dir")
            .arg(&self.target_dir)
            .args(arguments)
            .env("CARGO_ENCODED_RUSTFLAGS", &self.rust_flags);
        let output = command.output().map_err(|source| BuildError::Start { tool: "cargo", source })?;
        if !output.status.success() {
            return Err(BuildError::Cargo {
                package: package.to_owned(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let path = self.target_dir.join(TARGET).join("wasm").join(file);
        fs::read(&path).map_err(|source| BuildError::File { path, source })
    }
}

/// The root folder of the checkout.
fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Asks rustc where the libraries of the target would be, and looks whether they are.
fn check_target() -> Result<(), BuildError> {
    let output = Command::new(tool("RUSTC", "rustc"))
        .current_dir(workspace())
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|source| BuildError::Start { tool: "rustc", source })?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(libraries.trim()).is_dir() {
        Ok(())
    } else {
        Err(BuildError::MissingTarget)
    }
}

/// The program that the outer cargo uses, or the one in `PATH`.
fn tool(variable: &str, name: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| name.into())
}

/// Removes what the outer cargo, its user or a lint run set for their own build.
///
/// `CARGO_MAKEFLAGS` stays: through it the inner cargo takes its jobs from the outer one's budget.
fn scrub(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if is_foreign(&name) {
            command.env_remove(name);
        }
    }
}

fn is_foreign(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    FOREIGN.contains(&name)
        // Settings of the user's build that would change what is in the artifact, or where it is.
        || name.starts_with("CARGO_PROFILE_")
        || (name.starts_with("CARGO_BUILD_") && name != "CARGO_BUILD_JOBS")
}

/// The flags, separated as `CARGO_ENCODED_RUSTFLAGS` wants it, so that paths may hold spaces.
fn rust_flags(target_features: Option<&str>) -> OsString {
    let mut flags = Vec::new();
    if let Some(features) = target_features {
        flags.push(OsString::from(format!("-Ctarget-feature={features}")));
        if features.contains("wide-arithmetic") {
            // By itself curve25519-dalek counts with 32 bits where pointers have 32.
            flags.push(OsString::from("--cfg=curve25519_dalek_bits=\"64\""));
        }
    }
    // Locations of panics are in the module as text; they must not tell who built it, nor differ
    // from one machine to the next. Of several prefixes that match, rustc takes the last.
    if let Some(home) = cargo_home() {
        flags.push(remap(&home, "cargo"));
        // Each registry has a folder with its name and a hash; the crates are one level below.
        let registries = fs::read_dir(home.join("registry").join("src"));
        for registry in registries.into_iter().flatten().flatten() {
            flags.push(remap(&registry.path(), "crates"));
        }
    }
    flags.push(remap(workspace(), "keystile"));
    flags.join(OsStr::new("\u{1f}"))
}

fn remap(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}

const TARGET: &str = "wasm32-unknown-unknown";

/// Variables of the outer build by name.
const FOREIGN: &[&str] = &[
    // The flags of the outer target are not for wasm.
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    // Sharing the outer folder would wait for the outer lock, forever.
    "CARGO_TARGET_DIR",
    // clippy and `cargo fix` stand in front of rustc here.
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    // Only a hindrance for an artifact that is built once, and coverage tools set it.
    "CARGO_INCREMENTAL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_outer_build_is_removed() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            assert!(is_foreign(OsStr::new(name)), "{name}");
        }
        for name in [
            "PATH",
            "CARGO_HOME",
            "CARGO_MAKEFLAGS",
            "CARGO_BUILD_JOBS",
            "CARGO_NET_OFFLINE",
            "RUSTUP_TOOLCHAIN",
            "RUSTC_WRAPPER",
        ] {
            assert!(!is_foreign(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn flags_are_separated_so_that_paths_may_hold_spaces() {
        let flags = rust_flags(Some("+simd128"));
        let flags = flags.to_string_lossy();
        let mut flags = flags.split('\u{1f}');
        assert_eq!(flags.next(), Some("-Ctarget-feature=+simd128"));
        assert!(flags.all(|flag| flag.starts_with("--remap-path-prefix=")));
    }

    #[test]
    fn curves_count_with_64_bits_where_the_engine_multiplies_them() {
        let wide = "--cfg=curve25519_dalek_bits=\"64\"";
        for (features, expected) in [(None, false), (Some("+simd128"), false), (Some("+wide-arithmetic"), true)] {
            let flags = rust_flags(features);
            assert_eq!(flags.to_string_lossy().split('\u{1f}').any(|flag| flag == wide), expected, "{features:?}");
        }
    }

    #[test]
    fn the_workspace_is_the_checkout() {
        assert!(workspace().join("docs/abi.md").is_file());
    }
}
