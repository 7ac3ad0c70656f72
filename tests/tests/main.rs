//! One binary for all tests that cross crates. [`every_file_is_a_module`] sees that none is forgotten.

#![allow(clippy::print_stdout, reason = "what a test counted is worth reading")]

mod beyond;
mod cli;
mod conformance;
mod crash;
mod deleted;
mod disk;
mod dumps;
mod files;
mod first_start;
mod fork;
mod freed;
mod kinds;
mod memory;
mod model;
mod modules;
mod own_process;
mod processes;
mod providers;
mod restore;
mod sandbox;
mod systems;
mod traps;
mod unreadable;
mod uses;
mod vectors;
mod withstand;

#[test]
fn every_file_is_a_module() {
    let here = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            assert!(here.contains(&format!("mod {name};")), "tests/{name}.rs is not in main.rs");
        }
    }
}
