//! Options of `keystile tokens …` and `keystile signing-keys …`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::values::named;
use keystile::text::parse_duration;
use keystile::{Environment, Scope, SigningAlgorithm};

/// `keystile tokens …`
#[derive(Subcommand)]
pub(crate) enum TokensCommand {
    /// Make an access token for a user; it is printed this once
    #[command(after_help = ISSUE_HELP)]
    Issue(IssueArgs),
    /// Refuse a token from now on, although it has not expired
    #[command(after_help = REVOKE_HELP, override_usage = "keystile tokens revoke [OPTIONS] [TOKEN|-]")]
    Revoke(RevokeTokenArgs),
    /// Show what is written in a token; it is not verified
    #[command(after_help = INSPECT_HELP, override_usage = "keystile tokens inspect [OPTIONS] [TOKEN|-]")]
    Inspect(InspectArgs),
}

const ISSUE_HELP: &str = "\
The token is alone on standard output, this once. It is a JWT that other services verify with the
key set that `keystile jwks` prints. The first token of a store also makes its first signing key.

Examples:
  TOKEN=$(keystile tokens issue --user ada@example.com --scope invoices:read)
  keystile tokens issue --user usr_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f --ttl 5m --json";

const REVOKE_HELP: &str = "\
The token is all of standard input, but for a line ending:
  printf %s \"$TOKEN\" | keystile tokens revoke

It can be an argument, but arguments are visible to the other users of a machine. It must be signed
by an issuer that this store knows. A token that is not at hand is revoked by its id:
  keystile tokens revoke --jti 9f86d081884c7d659a2feaa0c55ad015

Those of an external issuer also by their session, or all that one of its subjects has up to now:
  keystile tokens revoke --issuer https://clerk.example.com --sid sess_2f1
  keystile tokens revoke --issuer https://clerk.example.com --sub user_2f1";

const INSPECT_HELP: &str = "\
The token is all of standard input, but for a line ending:
  printf %s \"$TOKEN\" | keystile tokens inspect

It can be an argument, but arguments are visible to the other users of a machine. Anybody can write
anything into a token: what is shown proves nothing. `keystile verify` judges a token.";

/// Which token to make.
#[derive(Args)]
pub(crate) struct IssueArgs {
    /// The user: an id, or an e-mail address
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,

    /// A scope it may be used for; repeat it for each
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<Scope>,

    /// The environment it belongs to; without one it is refused wherever one is asked for
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<Environment>,

    /// How long it is valid [default: as long as the settings say, which is also the longest]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) ttl: Option<u64>,
}

/// Which token to revoke.
#[derive(Args)]
pub(crate) struct RevokeTokenArgs {
    /// The id of the token, instead of the token itself
    #[arg(long, value_name = "ID", conflicts_with = "token", group = "named")]
    pub(crate) jti: Option<String>,

    /// All tokens of this session of an external issuer, also those to come
    #[arg(long, value_name = "ID", conflicts_with = "token", group = "named", requires = "issuer")]
    pub(crate) sid: Option<String>,

    /// All tokens that an external issuer has issued to this subject up to now
    #[arg(long, value_name = "SUBJECT", conflicts_with = "token", group = "named", requires = "issuer")]
    pub(crate) sub: Option<String>,

    /// Whose tokens they are: the name of an issuer of the store, or its `iss` [default: this store]
    #[arg(long, value_name = "ISSUER", requires = "named")]
    pub(crate) issuer: Option<String>,

    /// The token; `-` or nothing: all of standard input is one
    // Several are taken, so that a second one is refused without being repeated.
    #[arg(value_name = "TOKEN|-", hide = true)]
    pub(crate) token: Vec<OsString>,
}

/// Which token to look into.
#[derive(Args)]
pub(crate) struct InspectArgs {
    /// The token; `-` or nothing: all of standard input is one
    #[arg(value_name = "TOKEN|-", hide = true)]
    pub(crate) token: Vec<OsString>,
}

/// `keystile signing-keys …`
#[derive(Subcommand)]
pub(crate) enum SigningKeysCommand {
    /// List the keys that sign tokens, the oldest first
    List,
    /// Make a new key; it is published first, and signs when every verifier knows it
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateSigningKeyArgs),
}

const ROTATE_HELP: &str = "\
Until then the key that signs now goes on. What it has signed stays valid until it expires, and so
long it stays in the key set.

Examples:
  keystile signing-keys rotate
  keystile signing-keys rotate --alg ES256
  keystile signing-keys rotate --now                   # verifiers must fetch the key set anew
  keystile signing-keys rotate --now --refuse-older    # the old private key leaked";

/// How to rotate.
#[derive(Args)]
pub(crate) struct RotateSigningKeyArgs {
    /// What the new key signs with [default: what the settings say]
    #[arg(long, value_name = "ALG", value_parser = named::<SigningAlgorithm>(SigningAlgorithm::ALL.iter().map(|alg| alg.as_str())))]
    pub(crate) alg: Option<SigningAlgorithm>,

    /// Let it sign at once: for emergencies
    #[arg(long)]
    pub(crate) now: bool,

    /// Refuse whatever older keys have signed: for a private key that leaked
    #[arg(long, requires = "now")]
    pub(crate) refuse_older: bool,
}
