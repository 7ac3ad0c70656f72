//! A panic and an error give the terminal back. Each happens in a process of its own, in a pseudo-terminal.

use super::pty::Pty;
use crate::terminal::Screen;

/// Runs an ignored test of this binary in a pseudo-terminal.
fn run(test: &str) -> Pty {
    let program = std::env::current_exe().unwrap();
    let name = format!("tests::restores::{test}");
    Pty::start(program.to_str().unwrap(), &["--exact", &name, "--ignored", "--nocapture"], (80, 24))
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    let mut pty = run("panics_with_the_terminal");
    assert!(!pty.wait().success());
    pty.assert_restored();
    pty.wait_until("the message", |pty| String::from_utf8_lossy(&pty.raw()).contains("a reason to panic"));
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(raw.find("\x1b[?1049l") < raw.find("a reason to panic"), "the message is on the main screen");
}

#[test]
fn an_error_gives_the_terminal_back() {
    let mut pty = run("fails_with_the_terminal");
    assert!(!pty.wait().success());
    pty.assert_restored();
}

#[test]
#[ignore = "panics: run by the test above, in a terminal of its own"]
fn panics_with_the_terminal() {
    let _screen = Screen::take().unwrap();
    panic!("a reason to panic");
}

#[test]
#[ignore = "fails: run by the test above, in a terminal of its own"]
fn fails_with_the_terminal() -> std::io::Result<()> {
    let _screen = Screen::take()?;
    Err(std::io::Error::other("a reason to fail"))
}
