//! The commands and their options; their doc comments are the help texts.

mod issuers;
mod jwt;
mod keys;
mod store;
mod tokens;
mod users;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::values::{parse_address, parse_checkpoint, parse_time};
pub(super) use issuers::{AddIssuerArgs, IssuerArgs, IssuersCommand, RefreshIssuerArgs, UpdateIssuerArgs};
pub(super) use jwt::{JwsCheckArgs, JwsCommand, JwtCheckArgs, JwtCommand};
pub(super) use keys::{CreateArgs, IdArgs, ImportArgs, KeysCommand, ListArgs, RevokeArgs, RotateArgs, UpdateArgs};
use keystile::{Checkpoint, Environment, KeyId, Scope, Timestamp};
pub(super) use store::{
    BackupArgs, ClockCommand, CompletionsArgs, FormatsAddArgs, FormatsCommand, InitArgs, RestoreArgs, SetSettingsArgs,
    SettingsCommand,
};
pub(super) use tokens::{
    InspectArgs, IssueArgs, RevokeTokenArgs, RotateSigningKeyArgs, SigningKeysCommand, TokensCommand,
};
pub(super) use users::{
    ResetPasswordArgs, SecurityEventListArgs, SecurityEventsCommand, SessionEndArgs, SessionListArgs, SessionsCommand,
    UserArgs, UserCreateArgs, UserListArgs, UserUpdateArgs, UsersCommand,
};

/// A self-hosted turnstile for API keys and JWTs
///
/// Keys, users and sessions live in one file; a validator in a sandbox judges what callers present. New here? `keystile
/// demo` shows the main job in a temporary store, and changes nothing of yours.
#[derive(Parser)]
#[command(name = "keystile", version, max_term_width = 100, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(super) struct Cli {
    /// The store [default: ./keystile.db]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "KEYSTILE_DB",
        hide_env_values = true,
        default_value = "./keystile.db",
        hide_default_value = true,
        help_heading = GLOBAL
    )]
    pub(super) db: PathBuf,

    /// A file with the key that seals signing keys; or it is in KEYSTILE_KEK [default: the store's path
    /// and .kek]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KEYSTILE_KEK_FILE",
        hide_env_values = true,
        help_heading = GLOBAL
    )]
    pub(super) kek: Option<PathBuf>,

    /// Answer in JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

const GLOBAL: &str = "Global options";

const AFTER_HELP: &str = "\
Exit codes:
  0  allowed, or done
  1  denied; or the audit trail is broken, or the doctor found an error
  2  the command does not fit
  3  not found, or in conflict with what is there
  4  cannot say: the store or the validator could not be asked

First steps:
  keystile init
  KEY=$(keystile keys create --name billing)
  printf %s \"$KEY\" | keystile verify";

/// The commands.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a new store
    Init(InitArgs),
    /// Create, list, change, rotate and end keys
    #[command(arg_required_else_help = true)]
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Create, list, change and suspend users, and reset their passwords
    #[command(arg_required_else_help = true)]
    Users {
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// List and end the sessions of users
    #[command(arg_required_else_help = true)]
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Judge a credential
    #[command(after_help = VERIFY_HELP, override_usage = "keystile verify [OPTIONS] [CREDENTIAL|-]")]
    Verify(VerifyArgs),
    /// Issue, revoke and look into access tokens
    #[command(arg_required_else_help = true)]
    Tokens {
        #[command(subcommand)]
        command: TokensCommand,
    },
    /// List and rotate the keys that sign tokens
    #[command(arg_required_else_help = true)]
    SigningKeys {
        #[command(subcommand)]
        command: SigningKeysCommand,
    },
    /// Print the public keys that tokens of this store verify with
    Jwks,
    /// Let tokens of other issuers in, known by their keys
    #[command(arg_required_else_help = true)]
    Issuers {
        #[command(subcommand)]
        command: IssuersCommand,
    },
    /// Check tokens without a store
    #[command(arg_required_else_help = true)]
    Jwt {
        #[command(subcommand)]
        command: JwtCommand,
    },
    /// Check signatures without a store
    #[command(arg_required_else_help = true)]
    Jws {
        #[command(subcommand)]
        command: JwsCommand,
    },
    /// List and add key formats
    #[command(arg_required_else_help = true)]
    Formats {
        #[command(subcommand)]
        command: FormatsCommand,
    },
    /// Show and change settings
    #[command(arg_required_else_help = true)]
    Settings {
        #[command(subcommand)]
        command: SettingsCommand,
    },
    /// Read and check the audit trail
    #[command(arg_required_else_help = true)]
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// List failed logins, locks, and refresh tokens that were used again
    #[command(arg_required_else_help = true)]
    SecurityEvents {
        #[command(subcommand)]
        command: SecurityEventsCommand,
    },
    /// Show the newest time that the store has seen, and accept a clock that is behind it
    #[command(arg_required_else_help = true)]
    Clock {
        #[command(subcommand)]
        command: ClockCommand,
    },
    /// Copy the store into a new file, while it goes on being used
    Backup(BackupArgs),
    /// Put a backup in the place of the store
    ///
    /// What was revoked, suspended or rotated after the backup was made stays refused, as long as
    /// the store that is replaced can still be read. A backup of another store is refused: of what the
    /// replaced store refuses, nothing would be carried over.
    Restore(RestoreArgs),
    /// Look for trouble: the file, the audit trail, the validator
    Doctor,
    /// See the main job, told step by step in a temporary store
    Demo,
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

const VERIFY_HELP: &str = "\
The credential is all of standard input, but for a line ending:
  printf %s \"$KEY\" | keystile verify --scope invoices:read

It can be an argument, but arguments are visible to the other users of a machine.

With `-`, standard input has one credential a line; each is answered by a line of JSON at once:
  keystile verify - < credentials.txt";

/// What to judge, and for what.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// A scope the key must have; repeat it for all of several
    #[arg(long, value_name = "SCOPE")]
    pub(super) scope: Vec<Scope>,

    /// A scope of which the key must have any one; repeat it for each
    #[arg(long, value_name = "SCOPE")]
    pub(super) any_scope: Vec<Scope>,

    /// The environment that is called
    #[arg(long, value_name = "ENV")]
    pub(super) env: Option<Environment>,

    /// The address of the client
    #[arg(long, value_name = "IP", value_parser = parse_address)]
    pub(super) address: Option<IpAddr>,

    /// Judge as if it were this time (RFC 3339), and leave no trace
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) now: Option<Timestamp>,

    /// Say at which check the verdict was made, and count no use
    #[arg(long)]
    pub(super) explain: bool,

    /// The credential, or `-` for one a line from standard input; nothing: all of standard input is one
    // Several are taken, so that a second one is refused without being repeated; the help says so of
    // one only.
    #[arg(value_name = "CREDENTIAL|-", hide = true)]
    pub(super) credential: Vec<OsString>,
}

/// `keystile audit …`
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// List entries, the newest first; with --after, the oldest first
    List(AuditListArgs),
    /// Check that no entry was changed, removed or put in between
    ///
    /// Note the head it prints somewhere else: whoever can write the whole store can also write a
    /// new trail, and only a noted entry shows that.
    Verify(AuditVerifyArgs),
}

/// Which entries to list.
#[derive(Args)]
pub(super) struct AuditListArgs {
    /// Only entries of this key
    #[arg(long, value_name = "ID")]
    pub(super) key: Option<KeyId>,

    /// Only entries of this user, session, token, issuer or whatever else has a name in the trail
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(super) subject: Option<String>,

    /// At most so many entries, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) limit: u32,

    /// Only entries with this text in actor, action, subject or detail
    #[arg(long, value_name = "TEXT", conflicts_with = "after")]
    pub(super) search: Option<String>,

    /// Only entries before this one, newest first
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "after")]
    pub(super) before: Option<u64>,

    /// Only entries after this one, oldest first
    #[arg(long, value_name = "SEQUENCE")]
    pub(super) after: Option<u64>,
}

/// What the trail must hold.
#[derive(Args)]
pub(super) struct AuditVerifyArgs {
    /// An entry that was noted before, and must still be there
    #[arg(long, value_name = "SEQUENCE:HASH", value_parser = parse_checkpoint)]
    pub(super) checkpoint: Option<Checkpoint>,
}
