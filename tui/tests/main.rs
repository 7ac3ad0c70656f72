//! The real program in a real pseudo-terminal, which Linux and its `setsid` give.
#![cfg(target_os = "linux")]

mod end_to_end;
mod memory;
mod pty;
mod svg;
mod troubles;
mod walk;
