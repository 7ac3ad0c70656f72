//! The terminal: taken over at the start, given back however the program ends, without a secret left in it.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use keystile::Secret;
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use zeroize::Zeroize as _;

use crate::app::Display;
use crate::model::Model;
use crate::{osc52, view};

/// What must be undone. One for the process, as there is one terminal: the panic hook and the guard must not
/// give it back twice, and nothing may be drawn once that is done, whichever thread has panicked.
static STATE: Mutex<State> = Mutex::new(State { taken: false, copied: false });

struct State {
    /// Whether the terminal is ours now.
    taken: bool,
    /// Whether a secret is on its clipboard.
    copied: bool,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal while it is ours. Dropping it gives it back.
pub(crate) struct Screen(Frames<CrosstermBackend<Wiping<Ours>>>);

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
        state().taken = true;
        // From here on a failure gives back what was taken.
        let guard = GiveBack;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        // Not through the standard stream: its buffer would keep what was written.
        let out = Ours(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        let terminal = Terminal::new(CrosstermBackend::new(Wiping::new(out)))?;
        std::mem::forget(guard);
        Ok(Screen(Frames::new(terminal)))
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        self.0.terminal.size().map(|size| (size.width, size.height))
    }

    /// Writes a sequence that is for the terminal alone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let out = self.0.terminal.backend_mut();
        out.write_all(bytes)?;
        Write::flush(out)
    }
}

impl Display for Screen {
    fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.0.draw(model)
    }

    fn copy(&mut self, secret: &Secret) -> io::Result<()> {
        state().copied = true;
        self.write(&osc52::copy(secret.expose_secret()))
    }

    fn clear_clipboard(&mut self) -> io::Result<()> {
        self.write(osc52::CLEAR)?;
        state().copied = false;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.0.wipe();
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
    let mut state = state();
    if !std::mem::take(&mut state.taken) {
        return;
    }
    let mut out = io::stdout();
    // Each for itself: what fails must not keep the rest from being undone.
    if std::mem::take(&mut state.copied) {
        let _ = out.write_all(osc52::CLEAR);
    }
    // A terminal keeps what its other screen showed: that may have been a secret.
    let _ = queue!(out, Clear(ClearType::All), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// Draws frames, and leaves no secret in the memory of those that are over.
pub(crate) struct Frames<B: Backend> {
    pub(crate) terminal: Terminal<B>,
    /// Whether the last frame may have shown a secret.
    secret: bool,
}

impl<B: Backend> Frames<B> {
    pub(crate) fn new(terminal: Terminal<B>) -> Frames<B> {
        Frames { terminal, secret: false }
    }

    /// Draws the model.
    ///
    /// # Errors
    /// What the terminal says.
    pub(crate) fn draw(&mut self, model: &Model) -> Result<(), B::Error> {
        // Another size moves the cells to another place, or cuts some off, and leaves behind what was in
        // them. It also clears the screen, so that nothing needs to be known of what is there.
        if self.secret && self.terminal.size()? != self.terminal.current_buffer_mut().area.as_size() {
            self.wipe();
        }
        self.terminal.draw(|frame| view::draw(model, frame))?;
        if self.secret {
            // The frame before this one, which the next one is drawn into.
            overwrite(self.terminal.current_buffer_mut());
        }
        self.secret = model.secret().is_some();
        Ok(())
    }

    /// Wipes both frames. What is on the screen stays there: this is for when that is cleared anyway.
    pub(crate) fn wipe(&mut self) {
        for _ in 0..2 {
            overwrite(self.terminal.current_buffer_mut());
            self.terminal.swap_buffers();
        }
    }
}

/// Puts spaces in place of all characters. Resetting a cell marks it as empty, which need not overwrite the
/// character in it.
fn overwrite(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        cell.set_symbol(" ");
    }
    // They are read by nobody: without this they need not be written either.
    black_box(&mut buffer.content);
}

/// The terminal as long as it is ours. What comes later is dropped: when another thread has panicked, a frame
/// must not land on the main screen.
pub(crate) struct Ours(File);

impl Write for Ours {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Held while it is written, so that it is given back before or after, not in between.
        let state = state();
        if state.taken { self.0.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
