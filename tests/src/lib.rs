//! Helpers for the tests and benchmarks that cross crates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the artifacts under test are: `baseline.wasm`, `wide.wasm`, `primitives.wasm`, `component.wasm` and
/// the folder `javascript`.
pub fn artifacts() -> &'static Path {
    Path::new(env!("KEYSTILE_ARTIFACTS"))
}

/// The real `keystile` program: the one that `KEYSTILE_BIN` names, else the one cargo builds beside
/// this test.
///
/// # Panics
/// When cargo cannot build it.
pub fn keystile_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(path) = std::env::var_os("KEYSTILE_BIN") {
            return PathBuf::from(path);
        }
        // Tests lie in `<target>/<profile>/deps`, programs one folder up.
        let test = std::env::current_exe().expect("a test knows its own path");
        let folder = test.ancestors().nth(2).expect("a test lies in a target folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "keystile-cli", "--bin", "keystile"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let target = folder.parent().expect("a profile lies in a target folder");
        build.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().expect("cargo runs").success(), "cargo could not build the keystile program");
        folder.join("keystile").with_extension(std::env::consts::EXE_EXTENSION)
    })
}

/// The `keystile` program on this store, with nothing of this environment but the path.
pub fn keystile(store: &Path) -> Command {
    let mut command = Command::new(keystile_bin());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("KEYSTILE_DB", store).env("USER", "tester").env("COLUMNS", "100");
    command
}
