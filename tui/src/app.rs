//! The program: threads that send messages, and the loop that takes them.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser as _;
use crossterm::event;
use keystile::{Clock, KekPlace, Secret, SystemClock};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use crate::args::Args;
use crate::dialog::SecretDialog;
use crate::keymap;
use crate::message::{Effect, Message};
use crate::model::Model;
use crate::terminal::Screen;
use crate::text;
use crate::theme::Theme;
use crate::update::update;
use crate::worker::{self, Settings};

/// Runs the terminal UI until its operator leaves it.
pub fn main() -> ExitCode {
    // Before the environment is read, which may hold a key.
    if let Err(error) = keystile::protect_memory() {
        return end(Err(Failure::Memory(error)));
    }
    let args = Args::parse();
    if let Err(problems) = keymap::install(args.keymap.as_deref()) {
        let told: String = problems.iter().map(|problem| format!("keystile-tui: {problem}\n")).collect();
        let _ = io::Write::write_all(&mut io::stderr(), told.as_bytes());
        return ExitCode::from(2);
    }
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let theme = if no_colour { Theme::Mono } else { args.theme.unwrap_or_default() };
    let db = text::printable(&args.db.to_string_lossy());
    let model = Model::new(db, theme, args.plain, args.read_only, SystemClock.now());
    let settings = settings(args);
    end(run(model, read_terminal, move |orders, messages| worker::work(&settings, orders, messages)))
}

/// Tells how it ended: the last thing the program does.
pub(crate) fn end(ended: Result<(), Failure>) -> ExitCode {
    let Err(failure) = ended else { return ExitCode::SUCCESS };
    // There is nowhere else to say it.
    let _ = io::Write::write_all(&mut io::stderr(), format!("keystile-tui: {failure}\n").as_bytes());
    ExitCode::from(4)
}

/// Why the program has ended.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// The terminal cannot be used.
    Terminal(io::Error),
    /// A thread has panicked, which was told when it did.
    Panicked,
    /// Core dumps cannot be turned off.
    Memory(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Terminal(error) => write!(f, "{error} · run it in a terminal, or use the keystile command"),
            Failure::Memory(error) => {
                write!(f, "core dumps cannot be turned off: {error} · look into the limits of this process")
            }
            Failure::Panicked => f.write_str(
                "a part of it has failed, as said above · start it again: what it confirmed is in the store; \
                 and please report the message",
            ),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Terminal(error) | Failure::Memory(error) => Some(error),
            Failure::Panicked => None,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Terminal(error)
    }
}

/// Runs the program, with what reads the keyboard and what calls the store on threads of their own.
///
/// # Errors
/// [`Failure`]; the terminal is then as it was.
pub(crate) fn run(
    mut model: Model,
    read_keyboard: impl FnOnce(&Sender<Message>) + Send + 'static,
    work: impl FnOnce(&Receiver<Effect>, &Sender<Message>) + Send + 'static,
) -> Result<(), Failure> {
    let (messages, inbox) = mpsc::channel();
    let (effects, orders) = mpsc::channel();
    // Before the terminal is ours, so that no signal finds it taken and nobody to give it back.
    watch_signals(messages.clone())?;
    let mut screen = Screen::take()?;
    model.size = screen.size()?;
    screen.draw(&model)?;
    let panicked = Arc::new(AtomicBool::new(false));
    let guard = || EndsWithIt { messages: messages.clone(), panicked: Arc::clone(&panicked) };
    spawn("keystile-tui-input", {
        let guard = guard();
        // A terminal that is gone sends nothing more; the program then ends as if it were told to.
        move || read_keyboard(&guard.messages)
    })?;
    let worker = spawn("keystile-tui-worker", {
        let guard = guard();
        move || work(&orders, &guard.messages)
    })?;
    let ended = take_messages(&mut model, &mut screen, &SystemClock, &inbox, &effects);
    drop(effects);
    drop(screen);
    // The worker ends with what it is doing when nobody asks any more: a change that was begun is done, also
    // one to many keys. What only reads is not waited for: a locked store keeps it for a minute.
    let failed = (model.busy && worker.join().is_err()) || panicked.load(Ordering::SeqCst);
    ended?;
    if failed { Err(Failure::Panicked) } else { Ok(()) }
}

/// Where the loop shows things.
pub(crate) trait Display {
    /// Draws the model.
    fn draw(&mut self, model: &Model) -> io::Result<()>;
    /// Puts a secret on the clipboard.
    fn copy(&mut self, secret: &Secret) -> io::Result<()>;
    /// Takes it off again.
    fn clear_clipboard(&mut self) -> io::Result<()>;
}

/// Takes messages until the program is left. The time is told here, not by the worker: a store that keeps it
/// waiting must not keep a secret on the clipboard.
fn take_messages(
    model: &mut Model,
    display: &mut impl Display,
    clock: &impl Clock,
    inbox: &Receiver<Message>,
    effects: &Sender<Effect>,
) -> io::Result<()> {
    // Since when the screen has shown that the secret was taken.
    let mut taken: Option<Instant> = None;
    while !model.quit {
        let until_seen = taken.map_or(TICK, |since| SEEN_AFTER.saturating_sub(since.elapsed()));
        let first = match inbox.recv_timeout(TICK.min(until_seen)) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            // The senders live as long as their threads; without any there is nothing left to show.
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let now = clock.now();
        let time = (now != model.now).then_some(Message::Now(now));
        // Only keys that come after it may close the secret, so it is told last.
        let seen = taken.take_if(|since| since.elapsed() >= SEEN_AFTER).map(|_| Message::SecretSeen);
        let mut drawn = true;
        for message in time.into_iter().chain(first).chain(inbox.try_iter()).chain(seen) {
            drawn = false;
            for effect in update(model, message) {
                carry_out(effect, display, effects)?;
            }
            if model.quit {
                return Ok(());
            }
        }
        if !drawn {
            display.draw(model)?;
        }
        if !model.secret().is_some_and(SecretDialog::waits_to_be_seen) {
            taken = None;
        } else if taken.is_none() {
            taken = Some(Instant::now());
        }
    }
    Ok(())
}

fn carry_out(effect: Effect, display: &mut impl Display, effects: &Sender<Effect>) -> io::Result<()> {
    match effect {
        Effect::Copy(secret) => display.copy(&secret),
        Effect::ClearClipboard => display.clear_clipboard(),
        effect => {
            // A worker that has ended has told the loop to end too.
            let _ = effects.send(effect);
            Ok(())
        }
    }
}

/// However a thread ends, the program does not go on without it.
struct EndsWithIt {
    messages: Sender<Message>,
    panicked: Arc<AtomicBool>,
}

impl Drop for EndsWithIt {
    fn drop(&mut self) {
        if thread::panicking() {
            self.panicked.store(true, Ordering::SeqCst);
        }
        // Nobody listens when the program ends already.
        let _ = self.messages.send(Message::Terminate);
    }
}

fn read_terminal(messages: &Sender<Message>) {
    while let Ok(event) = event::read() {
        if messages.send(Message::Terminal(event)).is_err() {
            return;
        }
    }
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
    let text = std::env::var_os("KEYSTILE_KEK").filter(|kek| !kek.is_empty());
    // What is no text is no key either, and must not be passed over in silence.
    let text = text.map(|kek| Zeroizing::new(kek.to_string_lossy().into_owned()));
    let kek = KekPlace::new(args.kek, text, &args.db);
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

/// How long nothing may happen before the clock is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long the screen shows that a secret was taken before anything may close it: keys that came with one
/// that took it, in a paste that the terminal did not mark as one, are over by then.
const SEEN_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
    use keystile::ManualClock;

    use super::*;
    use crate::osc52::CLEAR_AFTER;
    use crate::tests::{NOW, at, model_with_a_secret};

    /// What the loop does to the terminal.
    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        Frame { secret: bool, closes: bool },
        Copied,
        Cleared,
    }

    struct Recorder(Sender<Seen>);

    impl Recorder {
        fn note(&self, seen: Seen) -> io::Result<()> {
            self.0.send(seen).map_err(io::Error::other)
        }
    }

    impl Display for Recorder {
        fn draw(&mut self, model: &Model) -> io::Result<()> {
            let secret = model.secret();
            let closes = secret.is_some_and(|secret| secret.was_taken() && !secret.waits_to_be_seen());
            self.note(Seen::Frame { secret: secret.is_some(), closes })
        }

        fn copy(&mut self, _: &Secret) -> io::Result<()> {
            self.note(Seen::Copied)
        }

        fn clear_clipboard(&mut self) -> io::Result<()> {
            self.note(Seen::Cleared)
        }
    }

    /// The loop on a thread of its own, with a secret that waits and a worker that never answers.
    struct Loop {
        messages: Sender<Message>,
        clock: Arc<ManualClock>,
        seen: Receiver<Seen>,
        _orders: Receiver<Effect>,
        ended: thread::JoinHandle<()>,
    }

    impl Loop {
        fn start() -> Loop {
            let (messages, inbox) = mpsc::channel();
            let (effects, orders) = mpsc::channel();
            let (sender, seen) = mpsc::channel();
            let clock = Arc::new(ManualClock::at(at(NOW)));
            let time = Arc::clone(&clock);
            let ended = thread::spawn(move || {
                let mut model = model_with_a_secret();
                take_messages(&mut model, &mut Recorder(sender), &time, &inbox, &effects).unwrap();
            });
            Loop { messages, clock, seen, _orders: orders, ended }
        }

        fn press(&self, keys: &str) {
            for key in keys.chars() {
                let event = Event::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
                self.messages.send(Message::Terminal(event)).unwrap();
            }
        }

        /// Waits for it. The bound ends a test that hangs.
        fn wait_for(&self, wanted: &Seen) {
            while self.seen.recv_timeout(Duration::from_secs(60)).expect("the loop goes on") != *wanted {}
        }

        fn end(self) {
            self.messages.send(Message::Terminate).unwrap();
            self.ended.join().unwrap();
        }
    }

    #[test]
    fn the_clipboard_is_cleared_in_time_whatever_the_worker_does() {
        let running = Loop::start();
        running.press("c");
        running.wait_for(&Seen::Copied);
        running.clock.advance(CLEAR_AFTER);
        running.wait_for(&Seen::Cleared);
        // A clock that is set back does not keep it there either.
        running.press("c");
        running.wait_for(&Seen::Copied);
        running.clock.set(at(NOW - 3_600));
        running.wait_for(&Seen::Cleared);
        running.end();
    }

    #[test]
    fn keys_that_come_with_the_one_that_shows_a_secret_do_not_close_it() {
        let running = Loop::start();
        // As one paste without its marks, and once more while the secret is on the screen.
        running.press("syyy");
        running.wait_for(&Seen::Frame { secret: true, closes: false });
        running.press("y");
        running.wait_for(&Seen::Frame { secret: true, closes: true });
        running.press("y");
        running.wait_for(&Seen::Frame { secret: false, closes: false });
        running.end();
    }

    #[test]
    fn failures_say_what_to_do() {
        let other = || io::Error::other("no");
        for failure in [Failure::Panicked, Failure::Terminal(other()), Failure::Memory(other())] {
            assert!(failure.to_string().contains(" · "), "{failure}");
        }
    }
}
