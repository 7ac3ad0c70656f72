//! Tests of the whole: what keys lead to, what the screen shows.

mod damaged;
mod flows;
mod gate;
mod moved;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "the end-to-end tests use the rest of it")]
#[path = "../../tests/pty/mod.rs"]
mod pty;
#[cfg(target_os = "linux")]
mod restores;
mod screens;
mod secrets;
mod sections;
mod support;

pub(crate) use support::{NOW, at, model_with_a_secret};
