//! Options of `keystile issuers …`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use crate::cli::values::{parse_public_algorithm, parse_scope_claim, parse_token_type};
use crate::{Algorithm, Environment, ScopeClaim, TokenType};

/// `keystile issuers …`
#[derive(Subcommand)]
pub(in crate::cli) enum IssuersCommand {
    /// Let tokens of another issuer in, such as Clerk or Auth0
    #[command(after_help = ADD_HELP)]
    Add(Box<AddIssuerArgs>),
    /// List the issuers, with the age of their keys
    List,
    /// Show an issuer and its keys
    Show(IssuerArgs),
    /// Fetch the keys of an issuer now, or give it others in a file
    Refresh(RefreshIssuerArgs),
    /// Refuse all tokens of an issuer; enable lets them in again
    Disable(IssuerArgs),
    /// Let the tokens of a disabled issuer in again
    Enable(IssuerArgs),
    /// Remove an issuer and its keys; its tokens are refused from then on
    Remove(IssuerArgs),
}

const ADD_HELP: &str = "\
A token is let in when its `iss` is that of the issuer, one of its keys has signed it with one of
the algorithms, it is in time, and it names one of the audiences, where any are given.

Live and test stand in for each other nowhere: without --env, --env-claim or --any-env, its tokens
are refused wherever an environment is asked for.

Keys at a URL are fetched at once, and again by whoever serves. It must be https; plain http is
for addresses of this machine. Only this URL is ever asked, none that a token names.

Examples:
  keystile issuers add clerk --issuer https://clerk.example.com --alg RS256 \\
    --jwks-url https://clerk.example.com/.well-known/jwks.json --audience https://api.example.com
  keystile issuers add ci --issuer https://ci.example.com --alg ES256 --jwks keys.json --typ at+jwt";

/// A new issuer.
#[derive(Args)]
#[command(group(ArgGroup::new("keys").required(true).args(["jwks_url", "jwks"])))]
pub(in crate::cli) struct AddIssuerArgs {
    /// What you call it
    pub(in crate::cli) name: String,

    /// The `iss` of its tokens, exactly
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) issuer: String,

    /// Where its keys are fetched from
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) jwks_url: Option<String>,

    /// A file with its keys, in place of a URL: a JWK Set of public keys
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) jwks: Option<PathBuf>,

    /// An algorithm that its tokens are signed with; repeat it for each
    #[arg(long, value_name = "ALG", required = true, value_parser = parse_public_algorithm())]
    pub(in crate::cli) alg: Vec<Algorithm>,

    /// An audience of which a token must name one; repeat it for each [default: any]
    #[arg(long)]
    pub(in crate::cli) audience: Vec<String>,

    /// What the header of a token must say it is [default: either of them, or nothing]
    #[arg(long, value_name = "TYPE", value_parser = parse_token_type())]
    pub(in crate::cli) typ: Option<TokenType>,

    /// Seconds by which its clock may be off, at most 60
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(in crate::cli) leeway: u32,

    /// The environment that all of its tokens belong to
    #[arg(long, value_name = "ENV", conflicts_with_all = ["env_claim", "any_env"])]
    pub(in crate::cli) env: Option<Environment>,

    /// The claim with the environment of a token; a path into nested claims starts with `/`
    #[arg(long, value_name = "CLAIM")]
    pub(in crate::cli) env_claim: Option<String>,

    /// Let its tokens that belong to no environment into every one
    #[arg(long)]
    pub(in crate::cli) any_env: bool,

    /// A claim with scopes; repeat it for each [default: scope]
    #[arg(long, value_name = "CLAIM", value_parser = parse_scope_claim())]
    pub(in crate::cli) scope_claim: Vec<ScopeClaim>,

    /// The claim with the organization; a path into nested claims starts with `/`
    #[arg(long, value_name = "CLAIM", default_value = "org_id")]
    pub(in crate::cli) org_claim: String,

    /// The claim with the roles [default: none]
    #[arg(long, value_name = "CLAIM")]
    pub(in crate::cli) roles_claim: Option<String>,
}

/// Which issuer.
#[derive(Args)]
pub(in crate::cli) struct IssuerArgs {
    /// The name of the issuer
    pub(in crate::cli) name: String,
}

/// Which issuer, and where its keys are.
#[derive(Args)]
pub(in crate::cli) struct RefreshIssuerArgs {
    /// The name of the issuer
    pub(in crate::cli) name: String,

    /// New keys for an issuer that was added with a file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) jwks: Option<PathBuf>,
}
