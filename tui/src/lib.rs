//! The terminal UI of Keystile, in the Elm style: `update` is pure and makes a new model and effects,
//! `view` is pure and draws the model, a `worker` calls the host library.
//!
//! What can be done is one table, in `action`: the keys, the help, the palette, the bottom bar and
//! `docs/keys.md` come from it, and one gate refuses what changes the store in read-only mode.

mod action;
mod app;
mod args;
#[doc(hidden)]
pub mod bench;
mod dialog;
mod input;
mod keymap;
mod message;
mod model;
mod osc52;
mod plain;
mod section;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod update;
mod view;
mod worker;

pub use app::main;
