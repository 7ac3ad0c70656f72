//! Gives the module's memory a maximum, which is in the module itself: no engine lets it grow further.

use std::env;

/// The most memory of an instance, in bytes. It is the host's limit for an instance: a validator
/// without issuers takes about 1 MiB, its cache at most 4, tables of signing keys at most 32.
const MAX_MEMORY: usize = 64 * 1024 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        println!("cargo::rustc-link-arg-cdylib=--max-memory={MAX_MEMORY}");
    }
}
