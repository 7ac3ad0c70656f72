//! The command `keystile`: a front end over exactly the public API of the library.
//!
//! Standard output carries what was asked for, and nothing else: a table, a secret, JSON. Whatever
//! helps a person goes to standard error. How a command ends is its exit code: 0 allow or done,
//! 1 deny, 2 usage, 3 not found or conflict, 4 cannot say.

mod args;
mod audit;
mod clock;
mod context;
mod demo;
mod failure;
mod formats;
mod import;
mod issuers;
mod json;
mod jwt;
mod key_files;
mod keys;
mod lines;
mod output;
mod people;
mod report;
mod rotate;
mod security_events;
mod sessions;
mod signing_keys;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod update;
mod usage;
mod users;
mod values;
mod verify;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, parser::ValueSource};

use args::{
    AuditCommand, Cli, Command, FormatsCommand, IssuersCommand, JwsCommand, JwtCommand, KeysCommand,
    SecurityEventsCommand, SettingsCommand, SigningKeysCommand, TokensCommand,
};
use context::Context;
use failure::{Exit, Failure};
use output::{Output, Streams};
use zeroize::Zeroizing;

use keystile::KekPlace;

/// Runs the command that the arguments of this process name, on its standard streams.
fn main() -> ExitCode {
    // Before the environment is read, which may hold a key.
    if let Err(error) = keystile::protect_memory() {
        let told =
            format!("error: core dumps cannot be turned off: {error}\n  try: look into the limits of this process\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes());
        return ExitCode::from(Exit::CannotSay as u8);
    }
    let stdin = std::io::stdin();
    let stdout_width = if std::io::stdout().is_terminal() { terminal_size::terminal_size() } else { None };
    let mut streams = Streams {
        stdin_is_terminal: stdin.is_terminal(),
        stdin: &mut stdin.lock(),
        stdout: &mut anstream::stdout().lock(),
        stdout_width: stdout_width.map(|(width, _)| usize::from(width.0)),
        stderr: &mut anstream::stderr().lock(),
    };
    ExitCode::from(run(std::env::args_os().collect(), Environment::of_process(), &mut streams) as u8)
}

/// Runs one command; the first argument is the name of the program.
fn run(arguments: Vec<OsString>, environment: Environment, streams: &mut Streams<'_>) -> Exit {
    // Usage errors answer in JSON too, and then there is nothing that was parsed yet.
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let mut output = Output::new(&mut *streams.stdout, &mut *streams.stderr, json, streams.stdout_width);
    let meant = usage::command_meant(&arguments);
    let parsed = Cli::command().try_get_matches_from(arguments).and_then(|matches| {
        let db_given = matches.value_source("db") == Some(ValueSource::CommandLine);
        Cli::from_arg_matches(&matches).map(|cli| (cli, db_given))
    });
    let (cli, db_given) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage::answer(&error, &meant, &mut output),
    };
    let mut context = Context {
        output,
        stdin: &mut *streams.stdin,
        stdin_is_terminal: streams.stdin_is_terminal,
        kek: KekPlace::new(cli.kek, environment.kek, &cli.db),
        db: cli.db,
        db_given,
        actor: context::actor(environment.user.as_deref()),
    };
    let done = dispatch(cli.command, &mut context);
    // What is still in the buffer of standard output belongs to the answer.
    match done.and_then(|exit| context.output.flush().map(|()| exit)) {
        Ok(exit) => exit,
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit
        }
    }
}

fn dispatch(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => store::init(args, context),
        Command::Formats { command: FormatsCommand::List } => formats::list(context),
        Command::Formats { command: FormatsCommand::Add(args) } => formats::add(args, context),
        Command::Keys { command } => match command {
            KeysCommand::Create(args) => keys::create(args, context),
            KeysCommand::List(args) => keys::list(args, context),
            KeysCommand::Show(args) => keys::show(&args, context),
            KeysCommand::Update(args) => update::update(*args, context),
            KeysCommand::Rotate(args) => rotate::rotate(args, context),
            KeysCommand::Suspend(args) => keys::suspend(&args, context),
            KeysCommand::Resume(args) => keys::resume(&args, context),
            KeysCommand::Revoke(args) => keys::revoke(&args, context),
            KeysCommand::Import(args) => import::import(&args, context),
            KeysCommand::Report => report::report(context),
        },
        Command::Users { command } => users::run(command, context),
        Command::Sessions { command } => sessions::run(command, context),
        Command::Verify(args) => verify::verify(args, context),
        Command::Tokens { command: TokensCommand::Issue(args) } => tokens::issue(args, context),
        Command::Tokens { command: TokensCommand::Revoke(args) } => tokens::revoke(args, context),
        Command::Tokens { command: TokensCommand::Inspect(args) } => tokens::inspect(args, context),
        Command::SigningKeys { command: SigningKeysCommand::List } => signing_keys::list(context),
        Command::SigningKeys { command: SigningKeysCommand::Rotate(args) } => signing_keys::rotate(&args, context),
        Command::Jwks => signing_keys::jwks(context),
        Command::Issuers { command } => match command {
            IssuersCommand::Add(args) => issuers::add(*args, context),
            IssuersCommand::Update(args) => issuers::update(*args, context),
            IssuersCommand::List => issuers::list(context),
            IssuersCommand::Show(args) => issuers::show(&args, context),
            IssuersCommand::Refresh(args) => issuers::refresh(&args, context),
            IssuersCommand::Disable(args) => issuers::disable(&args, context),
            IssuersCommand::Enable(args) => issuers::enable(&args, context),
            IssuersCommand::Remove(args) => issuers::remove(&args, context),
        },
        Command::Jwt { command: JwtCommand::Check(args) } => jwt::check_jwt(*args, context),
        Command::Jws { command: JwsCommand::Check(args) } => jwt::check_jws(args, context),
        Command::Audit { command: AuditCommand::List(args) } => audit::list(&args, context),
        Command::Audit { command: AuditCommand::Verify(args) } => audit::verify(&args, context),
        Command::SecurityEvents { command: SecurityEventsCommand::List(args) } => security_events::list(&args, context),
        Command::Settings { command: SettingsCommand::Show } => store::show_settings(context),
        Command::Settings { command: SettingsCommand::Set(args) } => store::set_settings(args, context),
        Command::Clock { command } => clock::run(command, context),
        Command::Backup(args) => store::backup(&args, context),
        Command::Restore(args) => store::restore(&args, context),
        Command::Doctor => store::doctor(context),
        Command::Demo => demo::demo(context),
        Command::Completions(args) => completions(args.shell, context),
    }
}

fn completions(shell: clap_complete::Shell, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keystile", &mut script);
    context.output.raw(&script)?;
    Ok(Exit::Done)
}

/// What the environment of the process says, beside what the options take from it.
struct Environment {
    /// Who runs this, for the audit trail: the person, not the root they have become.
    user: Option<String>,
    /// The key-encryption key itself.
    kek: Option<Zeroizing<String>>,
}

impl Environment {
    fn of_process() -> Environment {
        let user = ["SUDO_USER", "USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        // What is no text is no key either, and must not be passed over in silence.
        let kek = std::env::var_os("KEYSTILE_KEK").map(|kek| Zeroizing::new(kek.to_string_lossy().into_owned()));
        Environment { user, kek: kek.filter(|kek| !kek.is_empty()) }
    }
}
