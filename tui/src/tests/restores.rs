//! A panic and an error give the terminal back. Each happens in a process of its own, in a pseudo-terminal.

use std::process::ExitCode;
use std::sync::mpsc::Receiver;
use std::thread;

use keystile::Secret;

use super::pty::Pty;
use super::support::{FAKE, model_with_a_secret};
use crate::app::{self, Display as _};
use crate::message::Effect;
use crate::osc52;
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
fn a_panic_takes_a_secret_off_the_clipboard() {
    let mut pty = run("panics_with_a_secret_on_the_clipboard");
    assert!(!pty.wait().success());
    pty.assert_restored();
    pty.wait_until("the message", |pty| String::from_utf8_lossy(&pty.raw()).contains("a reason to panic"));
    let raw = pty.raw();
    let at = |bytes: &[u8]| raw.windows(bytes.len()).position(|window| window == bytes);
    let copied = at(&osc52::copy(FAKE));
    assert!(copied.is_some() && at(osc52::CLEAR) > copied && at(osc52::CLEAR) < at(b"a reason to panic"));
}

#[test]
fn a_panic_of_any_thread_ends_the_program_with_the_terminal_restored() {
    for test in ["panics_in_the_worker", "panics_at_the_keyboard"] {
        let mut pty = run(test);
        assert!(!pty.wait().success(), "{test}");
        pty.assert_restored();
        pty.wait_until("the end", |pty| {
            String::from_utf8_lossy(&pty.raw()).contains("a part of it has failed, as said above · start it again")
        });
        let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
        let left = raw.find("\x1b[?1049l").unwrap();
        assert!(raw[left..].contains("a reason to panic"), "{test}: the message is on the main screen");
        assert!(!raw[left..].contains("keystile  "), "{test}: nothing is drawn there");
    }
}

#[test]
#[ignore = "panics: run by the test above, in a terminal of its own"]
fn panics_with_a_secret_on_the_clipboard() {
    let mut screen = Screen::take().unwrap();
    screen.copy(&Secret::from(FAKE.to_owned())).unwrap();
    panic!("a reason to panic");
}

#[test]
#[ignore = "panics: run by the test above, in a terminal of its own"]
fn panics_in_the_worker() -> ExitCode {
    let wait = |_: &_| loop {
        thread::park();
    };
    app::end(app::run(model_with_a_secret(), wait, |_, _| panic!("a reason to panic")))
}

#[test]
#[ignore = "panics: run by the test above, in a terminal of its own"]
fn panics_at_the_keyboard() -> ExitCode {
    let work = |orders: &Receiver<Effect>, _: &_| while orders.recv().is_ok() {};
    app::end(app::run(model_with_a_secret(), |_| panic!("a reason to panic"), work))
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
