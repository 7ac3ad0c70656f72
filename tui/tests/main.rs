//! The real program in a real pseudo-terminal.

mod end_to_end;
mod pty;
