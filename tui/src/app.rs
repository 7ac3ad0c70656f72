//! The program: threads that send messages, and the loop that takes them.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use clap::Parser as _;
use crossterm::event;
use keystile::{Clock as _, SystemClock};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use crate::args::Args;
use crate::message::{Effect, Message};
use crate::model::Model;
use crate::osc52;
use crate::terminal::Screen;
use crate::theme::Theme;
use crate::update::update;
use crate::worker::{self, Kek, Settings};
use crate::{text, view};

/// Runs the terminal UI until its operator leaves it.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("keystile-tui: {error} · run it in a terminal, or use the keystile command\n");
            // The last thing the program does: there is nowhere else to say it.
            let _ = io::Write::write_all(&mut io::stderr(), message.as_bytes());
            ExitCode::from(4)
        }
    }
}

fn run(args: Args) -> io::Result<()> {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let theme = if no_colour { Theme::Mono } else { args.theme.unwrap_or_default() };
    let db = text::printable(&args.db.to_string_lossy());
    let mut model = Model::new(db, theme, args.plain, args.read_only, SystemClock.now());
    let (messages, inbox) = mpsc::channel();
    let (effects, orders) = mpsc::channel();
    // Before the terminal is ours, so that no signal finds it taken and nobody to give it back.
    watch_signals(messages.clone())?;
    let mut screen = Screen::take()?;
    let size = screen.terminal.size()?;
    model.size = (size.width, size.height);
    screen.terminal.draw(|frame| view::draw(&model, frame))?;
    spawn("keystile-tui-input", {
        let messages = messages.clone();
        move || read_terminal(&messages)
    })?;
    let worker = spawn("keystile-tui-worker", move || {
        let _end = EndsWithIt(messages.clone());
        worker::work(&settings(args), &orders, &messages);
    })?;
    let ended = take_messages(&mut model, &mut screen, &inbox, &effects);
    // The worker ends with what it is doing when nobody asks any more: a change is done or not begun.
    drop(effects);
    drop(screen);
    // A worker that has panicked has said so, once the terminal was given back.
    let _ = worker.join();
    ended
}

fn take_messages(
    model: &mut Model,
    screen: &mut Screen,
    inbox: &Receiver<Message>,
    effects: &Sender<Effect>,
) -> io::Result<()> {
    while !model.quit {
        // The senders live as long as their threads; without any there is nothing left to show.
        let Ok(first) = inbox.recv() else { break };
        for message in std::iter::once(first).chain(inbox.try_iter()) {
            for effect in update(model, message) {
                carry_out(effect, screen, effects)?;
            }
            if model.quit {
                break;
            }
            // Whatever is done with a secret is seen before the next key counts.
            if model.secret().is_some() {
                screen.terminal.draw(|frame| view::draw(model, frame))?;
            }
        }
        if !model.quit {
            screen.terminal.draw(|frame| view::draw(model, frame))?;
        }
    }
    Ok(())
}

fn carry_out(effect: Effect, screen: &mut Screen, effects: &Sender<Effect>) -> io::Result<()> {
    match effect {
        Effect::Copy(secret) => screen.write(&osc52::copy(secret.expose_secret())),
        Effect::ClearClipboard => screen.write(osc52::CLEAR),
        effect => effects.send(effect).map_err(|_| io::Error::other("the thread that calls the store has ended")),
    }
}

/// However a thread ends, the program does not go on without it.
struct EndsWithIt(Sender<Message>);

impl Drop for EndsWithIt {
    fn drop(&mut self) {
        // Nobody listens when the program ends already.
        let _ = self.0.send(Message::Terminate);
    }
}

fn read_terminal(messages: &Sender<Message>) {
    // A terminal that is gone sends nothing more; the program then ends as if it were told to.
    while let Ok(event) = event::read() {
        if messages.send(Message::Terminal(event)).is_err() {
            return;
        }
    }
    let _ = messages.send(Message::Terminate);
}

fn watch_signals(messages: Sender<Message>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    spawn("keystile-tui-signals", move || {
        for _ in signals.forever() {
            if messages.send(Message::Terminate).is_err() {
                return;
            }
        }
    })
    .map(drop)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn settings(args: Args) -> Settings {
    let kek = match (args.kek, std::env::var_os("KEYSTILE_KEK").filter(|kek| !kek.is_empty())) {
        (Some(file), _) => Kek::File(file),
        // What is no text is no key either, and must not be passed over in silence.
        (None, Some(kek)) => Kek::Text(Zeroizing::new(kek.to_string_lossy().into_owned())),
        (None, None) => {
            let mut path = args.db.as_os_str().to_owned();
            path.push(".kek");
            Kek::File(path.into())
        }
    };
    Settings { db: args.db, actor: actor(), kek, read_only: args.read_only }
}

/// The name in the audit trail: `tui:` and what is printable of the user's name; the person, not the root
/// they have become.
fn actor() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let fits = |c: &char| !text::is_treacherous(*c) && !c.is_whitespace();
    let name: String = user.unwrap_or_default().chars().filter(fits).take(32).collect();
    format!("tui:{}", if name.is_empty() { "unknown" } else { &name })
}
