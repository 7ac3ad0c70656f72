//! Options of the commands for the store itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::values::{MaxLifetime, named, parse_checksum, parse_max_lifetime, parse_separator};
use keystile::text::parse_duration;
use keystile::{Checksum, Environment, Separator, SigningAlgorithm};

/// What a new store starts with.
#[derive(Args)]
#[command(after_help = INIT_HELP)]
pub(crate) struct InitArgs {
    /// A key format: a system (callcov, cerevox, coreplexml, hippocortex), or a prefix such as
    /// `acme`; the first one is the default
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Vec<String>,

    /// The longest time a key may be valid, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = parse_max_lifetime)]
    pub(crate) max_lifetime: Option<MaxLifetime>,
}

const INIT_HELP: &str = "\
Examples:
  keystile init
  keystile init --format acme --max-lifetime 90d
  keystile init --format hippocortex --format coreplexml";

/// `keystile formats …`
#[derive(Subcommand)]
pub(crate) enum FormatsCommand {
    /// List the key formats; the first one is the default
    List,
    /// Add a key format; formats are never changed
    #[command(after_help = FORMATS_ADD_HELP)]
    Add(FormatsAddArgs),
}

const FORMATS_ADD_HELP: &str = "\
A secret is <PREFIX>_<ENV><SEPARATOR><BODY><CHECKSUM>, such as acme_live_…

Examples:
  keystile formats add acme --prefix acme
  keystile formats add shop --prefix shop --separator . --env live --env test --env test_dev";

/// A new key format.
#[derive(Args)]
pub(crate) struct FormatsAddArgs {
    /// Its name, for `keys create --format`
    pub(crate) name: String,

    /// What its secrets start with
    #[arg(long)]
    pub(crate) prefix: String,

    /// What stands between environment and body: `_` or `.`
    #[arg(long, default_value = "_", value_parser = parse_separator)]
    pub(crate) separator: Separator,

    /// An environment; repeat it for each [default: live and test]
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Vec<Environment>,

    /// Random characters in a secret, 22 (130 bits) to 128
    #[arg(long, value_name = "LENGTH", default_value_t = 30)]
    pub(crate) body: usize,

    /// What lets a typo be refused before any look-up: crc32 or none
    #[arg(long, default_value = "crc32", value_parser = parse_checksum)]
    pub(crate) checksum: Checksum,
}

/// `keystile settings …`
#[derive(Subcommand)]
pub(crate) enum SettingsCommand {
    /// Show the settings
    Show,
    /// Change settings; they hold for what is made or changed from then on
    #[command(arg_required_else_help = true)]
    Set(SetSettingsArgs),
}

/// `keystile clock …`
#[derive(Subcommand)]
pub(crate) enum ClockCommand {
    /// Show what the clock says, and the newest time that the store has seen
    Show,
    /// Accept that it is as late as the clock says, although the store has seen a later time
    ///
    /// For when the clock was ahead and is right now. Until then, whatever expires before the later time is
    /// refused. Keys that expire between the two times are allowed again; what was revoked, suspended, rotated or
    /// ended stays so. With a clock that is slow, keys that have expired would be allowed again: check it first.
    Accept,
}

/// What to set.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct SetSettingsArgs {
    /// The longest time a key may be valid, such as 90d, or none
    #[arg(long, value_name = "DURATION|none", value_parser = parse_max_lifetime)]
    pub(crate) max_lifetime: Option<MaxLifetime>,

    /// Who tokens say has signed them: an https:// URL, or none for a name made of the store's id
    #[arg(long, value_name = "URL|none")]
    pub(crate) issuer: Option<String>,

    /// Whom tokens are for, or none for the issuer itself
    #[arg(long, value_name = "AUDIENCE|none")]
    pub(crate) audience: Option<String>,

    /// How long an access token is valid, 1m to 1d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) access_token_lifetime: Option<u64>,

    /// What new signing keys sign with
    #[arg(long, value_name = "ALG", value_parser = named::<SigningAlgorithm>(SigningAlgorithm::ALL.iter().map(|alg| alg.as_str())))]
    pub(crate) signing_alg: Option<SigningAlgorithm>,

    /// How long a new signing key is published before it signs, at most 7d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) publish_lead: Option<u64>,
    /// How long a session lives from its login, however often it is refreshed, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) session_lifetime: Option<u64>,

    /// For how long a refresh token that was used gives the same successor again; 0: never
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) refresh_window: Option<u64>,

    /// Characters that a new password has at least
    #[arg(long, value_name = "N")]
    pub(crate) min_password: Option<usize>,
}

/// Where to copy the store to.
#[derive(Args)]
pub(crate) struct BackupArgs {
    /// A new file; nothing is overwritten
    pub(crate) file: PathBuf,
}

/// Where to restore from.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// A backup
    pub(crate) file: PathBuf,
    /// Replace the store although the backup is one of another store: nothing that is revoked, suspended or deleted in
    /// the replaced store is carried over
    #[arg(long)]
    pub(crate) replace_other_store: bool,
}

/// For which shell.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
