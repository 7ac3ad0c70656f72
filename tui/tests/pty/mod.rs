//! A real pseudo-terminal, with a terminal in it that understands what programs write.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A program in a terminal of its own.
pub(crate) struct Pty {
    child: Child,
    keyboard: File,
    /// Kept open, so that the settings of the terminal can be looked at when the program has ended.
    line: File,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Pty {
    /// Starts a program as the leader of a session whose terminal this is.
    pub(crate) fn start(program: &str, arguments: &[&str], size: (u16, u16)) -> Pty {
        Pty::start_in(Path::new("."), program, arguments, size)
    }

    /// The same, in this folder.
    pub(crate) fn start_in(folder: &Path, program: &str, arguments: &[&str], (columns, rows): (u16, u16)) -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let line = OpenOptions::new().read(true).write(true).open(&name).unwrap();
        let end = || Stdio::from(OwnedFd::from(line.try_clone().unwrap()));
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env_remove("NO_COLOR")
            .env_remove("KEYSTILE_DB")
            .env_remove("KEYSTILE_KEK")
            .env_remove("KEYSTILE_KEK_FILE")
            .env("TERM", "xterm-256color")
            // No keymap of whoever runs the tests.
            .env("XDG_CONFIG_HOME", folder.join("no-configuration"))
            .env("USER", "ada")
            .env_remove("SUDO_USER")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid (util-linux) starts the program");
        let seen = Arc::new(Mutex::new(Seen { parser: vt100::Parser::new(rows, columns, 0), raw: Vec::new() }));
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().unwrap();
        let watched = Arc::clone(&seen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let mut seen = watched.lock().unwrap();
                seen.parser.process(&bytes[..count]);
                seen.raw.extend_from_slice(&bytes[..count]);
            }
        });
        Pty { child, keyboard, line, seen }
    }

    /// What the screen shows.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// What the screen shows, with its styles.
    pub(crate) fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen.lock().unwrap().parser.screen())
    }

    /// What the screen shows that the program draws on, also after it has left it.
    pub(crate) fn alternate_screen(&self) -> String {
        let mut seen = self.seen.lock().unwrap();
        // Without the mode of xterm that clears it on the way.
        seen.parser.process(b"\x1b[?47h");
        let shown = seen.parser.screen().contents();
        seen.parser.process(b"\x1b[?47l");
        shown
    }

    /// All bytes that were written to the terminal.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.seen.lock().unwrap().raw.clone()
    }

    /// Waits until the screen shows a text.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |pty| pty.screen().contains(text));
    }

    /// Waits until something is so. The bound is no assertion on speed: it ends a test that hangs.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Pty) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}:\n{}", self.screen());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types bytes, as a keyboard sends them.
    pub(crate) fn send(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size, and tells the program.
    pub(crate) fn resize(&mut self, (columns, rows): (u16, u16)) {
        let mut seen = self.seen.lock().unwrap();
        // It is a new one: what the old one showed must not be taken for an answer.
        seen.parser.screen_mut().set_size(rows, columns);
        seen.parser.process(b"\x1b[2J");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// The program, for signals.
    pub(crate) fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits until the program ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it does not end:\n{}", self.screen());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asserts that the terminal is as it was: lines and echo, main screen, cursor, plain paste.
    pub(crate) fn assert_restored(&self) {
        let settings = tcgetattr(&self.line).unwrap();
        assert!(settings.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO), "still in raw mode");
        for (what, on, off) in [
            ("the alternate screen", "\x1b[?1049h", "\x1b[?1049l"),
            ("bracketed paste", "\x1b[?2004h", "\x1b[?2004l"),
            ("the hidden cursor", "\x1b[?25l", "\x1b[?25h"),
        ] {
            self.wait_until(&format!("the end of {what}"), |pty| {
                let raw = pty.raw();
                let last = |bytes: &str| raw.windows(bytes.len()).rposition(|window| window == bytes.as_bytes());
                last(on).is_some() && last(off) > last(on)
            });
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Only when a test has failed is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
