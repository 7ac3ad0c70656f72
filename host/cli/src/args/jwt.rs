//! Options of `keystile jwt check` and `keystile jws check`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::values::{parse_algorithm, parse_forbidden_claim, parse_token_type, parse_unix};
use keystile::Algorithm;
use keystile::{Environment, Timestamp, TokenType};

/// `keystile jwt …`
#[derive(Subcommand)]
pub(crate) enum JwtCommand {
    /// Judge a token by the issuer and the keys that are given; no store is needed
    #[command(
        after_help = JWT_HELP,
        override_usage = "keystile jwt check [OPTIONS] --issuer <URL> --jwks <FILE> --alg <ALG> \
                          <--audience <AUDIENCE>|--any-audience> [TOKEN|-]"
    )]
    Check(Box<JwtCheckArgs>),
}

/// `keystile jws …`
#[derive(Subcommand)]
pub(crate) enum JwsCommand {
    /// Check the signature of a JWS, and nothing else; no store is needed
    #[command(after_help = JWS_HELP, override_usage = "keystile jws check [OPTIONS] --jwk <FILE> [JWS|-]")]
    Check(JwsCheckArgs),
}

const JWT_HELP: &str = "\
The token is all of standard input, but for a line ending. With `-`, standard input has one token
a line; each is answered by a line of JSON at once. Shared secrets (`oct`) in the key set count
when an HMAC algorithm is given, and no public key stands beside them.

Examples:
  printf %s \"$TOKEN\" | keystile jwt check --issuer https://id.example --jwks keys.json --alg RS256 \\
    --audience https://api.example
  keystile jwt check --issuer https://id.example --jwks keys.json --alg EdDSA --any-audience - \\
    < tokens.txt";

const JWS_HELP: &str = "\
A good signature says that the key has signed, and nothing of whom it is from, whom it is for, or
when: for tokens there is `keystile jwt check`.

The JWS is all of standard input, but for a line ending. With `-`, standard input has one a line;
each is answered by a line of JSON at once.";

/// What to judge, and by what.
#[derive(Args)]
pub(crate) struct JwtCheckArgs {
    /// The `iss` that the token must have, exactly
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,

    /// A file with the keys of the issuer: a JWK Set
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: PathBuf,

    /// An algorithm that the token may be signed with; repeat it for each
    #[arg(long, value_name = "ALG", required = true, value_parser = parse_algorithm())]
    pub(crate) alg: Vec<Algorithm>,

    /// An audience of which the token must name one; repeat it for each
    #[arg(long, required_unless_present = "any_audience", conflicts_with = "any_audience")]
    pub(crate) audience: Vec<String>,

    /// Take a token for anybody
    #[arg(long)]
    pub(crate) any_audience: bool,

    /// Take a token with this claim, one of nonce, at_hash, c_hash; repeat it for each
    #[arg(long, value_name = "CLAIM", value_parser = parse_forbidden_claim())]
    pub(crate) allow_claim: Vec<String>,

    /// What the header must say the token is [default: either of them, or nothing]
    #[arg(long, value_name = "TYPE", value_parser = parse_token_type())]
    pub(crate) typ: Option<TokenType>,

    /// Ask for this environment
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<Environment>,

    /// The claim with the environment of the token; a path into nested claims starts with `/`
    #[arg(long, value_name = "CLAIM")]
    pub(crate) env_claim: Option<String>,

    /// Take a token that belongs to no environment for one of any
    #[arg(long)]
    pub(crate) any_env: bool,

    /// Seconds by which the clock of the issuer may be off, at most 60
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) leeway: u64,

    /// Judge as if it were this time, in seconds since 1970
    #[arg(long, value_name = "UNIX", value_parser = parse_unix)]
    pub(crate) now: Option<Timestamp>,

    /// The token, or `-` for one a line from standard input; nothing: all of standard input is one
    #[arg(value_name = "TOKEN|-", hide = true)]
    pub(crate) token: Vec<OsString>,
}

/// What to check, and by which key.
#[derive(Args)]
pub(crate) struct JwsCheckArgs {
    /// A file with the key: a JWK, or a JWK Set
    #[arg(long, value_name = "FILE")]
    pub(crate) jwk: PathBuf,

    /// An algorithm that it may be signed with; repeat it for each [default: any that fits the key]
    #[arg(long, value_name = "ALG", value_parser = parse_algorithm())]
    pub(crate) alg: Vec<Algorithm>,

    /// Print what was signed: as it is, or in JSON as text, or as base64url when it is none
    #[arg(long)]
    pub(crate) payload: bool,

    /// The JWS, or `-` for one a line from standard input; nothing: all of standard input is one
    #[arg(value_name = "JWS|-", hide = true)]
    pub(crate) jws: Vec<OsString>,
}
