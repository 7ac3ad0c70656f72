//! The program without its threads and its terminal, for the benchmark.

use std::path::{Path, PathBuf};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use keystile::{Clock as _, Keystile, OpenError, SystemClock};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::message::{Effect, Message};
use crate::model::Model;
use crate::terminal::Frames;
use crate::theme::Theme;
use crate::update::update;
use crate::worker;

/// A model, a screen in memory, and a store that answers when it is told to.
pub struct Session {
    model: Model,
    frames: Frames<TestBackend>,
    keystile: Keystile,
    store: PathBuf,
    waiting: Vec<Effect>,
}

impl Session {
    /// Opens a store, on a screen of so many columns and rows, and shows its first keys.
    ///
    /// # Errors
    /// [`OpenError`], as the library gives it.
    pub fn open(store: &Path, (columns, rows): (u16, u16)) -> Result<Session, OpenError> {
        let keystile = Keystile::options().on_demand(true).open(store)?;
        let mut model =
            Model::new(store.to_string_lossy().into_owned(), Theme::Default, false, true, SystemClock.now());
        model.size = (columns, rows);
        let Ok(terminal) = Terminal::new(TestBackend::new(columns, rows));
        let formats = keystile.formats().map_err(OpenError::Store)?;
        let frames = Frames::new(terminal);
        let mut session = Session { model, frames, keystile, store: store.to_owned(), waiting: Vec::new() };
        session.take(Message::Opened { formats, max_lifetime: None, only_readable: false });
        session.answer();
        Ok(session)
    }

    /// What a key press costs: the new model and the new frame. What it asks the store for is kept.
    pub fn press(&mut self, code: KeyCode) {
        self.take(Message::Terminal(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))));
    }

    /// What the store's answers cost: reading, the new model and the new frame. Whether anything was asked.
    pub fn answer(&mut self) -> bool {
        let mut asked = false;
        while !self.waiting.is_empty() {
            asked = true;
            for effect in std::mem::take(&mut self.waiting) {
                let answer = worker::call(&self.keystile, &self.store, effect);
                self.take(answer);
            }
        }
        asked
    }

    /// Whether the screen shows a text.
    pub fn shows(&self, text: &str) -> bool {
        let cells = &self.frames.terminal.backend().buffer().content;
        cells.iter().map(|cell| cell.symbol()).collect::<String>().contains(text)
    }

    fn take(&mut self, message: Message) {
        self.waiting.extend(update(&mut self.model, message));
        let Ok(()) = self.frames.draw(&self.model);
    }
}
