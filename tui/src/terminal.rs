//! The terminal: taken over at the start, given back however the program ends.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use zeroize::Zeroize as _;

/// Whether the terminal is ours now. One for the process, as there is one terminal: the panic hook and
/// the guard must not give it back twice.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. Dropping it gives it back.
pub(crate) struct Screen {
    /// Where ratatui draws.
    pub(crate) terminal: Terminal<CrosstermBackend<Wiping<File>>>,
}

impl Screen {
    /// Takes the terminal over: raw mode, alternate screen, bracketed paste. A panic gives it back before
    /// it is told.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn take() -> io::Result<Screen> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other("standard input and output are not a terminal"));
        }
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        // From here on a failure gives back what was taken.
        let guard = GiveBack;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        // Not through the standard stream: its buffer would keep what was written.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let terminal = Terminal::new(CrosstermBackend::new(Wiping::new(out)))?;
        std::mem::forget(guard);
        Ok(Screen { terminal })
    }

    /// Writes a sequence that is for the terminal alone.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(bytes)?;
        Write::flush(out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        give_back();
    }
}

/// Undoes all that was done to the terminal, once.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // Each for itself: what fails must not keep the rest from being undone.
    let _ = queue!(out, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// Collects what is written, hands it on at a flush, and wipes it: frames hold secrets.
pub(crate) struct Wiping<W> {
    inner: W,
    buffer: Vec<u8>,
}

/// Larger than a frame; what does not fit is handed on earlier, as growing would leave copies behind.
const BUFFER: usize = 64 * 1024;

impl<W: Write> Wiping<W> {
    pub(crate) fn new(inner: W) -> Wiping<W> {
        Wiping { inner, buffer: Vec::with_capacity(BUFFER) }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let written = self.inner.write_all(&self.buffer);
        self.buffer.zeroize();
        written
    }
}

impl<W: Write> Write for Wiping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == self.buffer.capacity() {
            self.hand_on()?;
        }
        let taken = bytes.len().min(self.buffer.capacity() - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.inner.flush()
    }
}

impl<W> Drop for Wiping<W> {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_handed_on_and_wiped() {
        let mut out = Wiping::new(Vec::new());
        let long = vec![b'x'; 3 * BUFFER + 7];
        out.write_all(&long).unwrap();
        out.write_all(b"secret").unwrap();
        assert!(out.buffer.capacity() >= BUFFER);
        let place = out.buffer.as_ptr();
        out.flush().unwrap();
        assert_eq!(out.inner.len(), long.len() + 6);
        assert!(out.inner.ends_with(b"secret") && out.buffer.is_empty());
        assert_eq!(out.buffer.as_ptr(), place, "it has not grown, so there is one copy, and that was wiped");
    }
}
