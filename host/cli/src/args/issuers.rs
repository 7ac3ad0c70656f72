//! Options of `keystile issuers …`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use crate::values::{parse_forbidden_claim, parse_public_algorithm, parse_scope_claim, parse_token_type};
use keystile::{Algorithm, Environment, ScopeClaim, TokenType};

/// `keystile issuers …`
#[derive(Subcommand)]
pub(crate) enum IssuersCommand {
    /// Let tokens of another issuer in, such as Clerk or Auth0
    #[command(after_help = ADD_HELP)]
    Add(Box<AddIssuerArgs>),
    /// List the issuers, with the age of their keys
    List,
    /// Show an issuer and its keys
    Show(IssuerArgs),
    /// Fetch the keys of an issuer now, or give it others in a file
    Refresh(RefreshIssuerArgs),
    /// Change what is asked of the tokens of an issuer; what is not given stays
    #[command(after_help = UPDATE_HELP)]
    Update(Box<UpdateIssuerArgs>),
    /// Refuse all tokens of an issuer; enable lets them in again
    Disable(IssuerArgs),
    /// Let the tokens of a disabled issuer in again
    Enable(IssuerArgs),
    /// Remove an issuer and its keys; its tokens are refused from then on
    Remove(IssuerArgs),
}

const ADD_HELP: &str = "\
A token is let in when its `iss` is that of the issuer, one of its keys has signed it with one of
the algorithms, it is in time, and it names one of the audiences. Without an audience, say --any-audience: then its
tokens for other services are let in, too.

An ID token is for a client, not for an API: a token with one of the claims nonce, at_hash, c_hash is
refused. Some issuers (Keycloak before 25) put nonce into access tokens: --allow-claim nonce.

Live and test stand in for each other nowhere: without --env, --env-claim or --any-env, its tokens
are refused wherever an environment is asked for.

Keys at a URL are fetched at once, and again by whoever serves. It must be https; plain http is
for addresses of this machine. Only this URL is ever asked, none that a token names.

Examples:
  keystile issuers add clerk --issuer https://clerk.example.com --alg RS256 \\
    --jwks-url https://clerk.example.com/.well-known/jwks.json --audience https://api.example.com
  keystile issuers add ci --issuer https://ci.example.com --alg ES256 --jwks keys.json --audience shop \
    --typ at+jwt --env live";

const UPDATE_HELP: &str = "\
All of its tokens are judged by the new settings at once, also those that were let in before.

Examples:
  keystile issuers update clerk --audience https://api.example.com
  keystile issuers update ci --env-claim env --allow-claim nonce";

/// A new issuer.
#[derive(Args)]
#[command(group(ArgGroup::new("keys").required(true).args(["jwks_url", "jwks"])))]
pub(crate) struct AddIssuerArgs {
    /// What you call it
    pub(crate) name: String,

    /// The `iss` of its tokens, exactly
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,

    /// Where its keys are fetched from
    #[arg(long, value_name = "URL")]
    pub(crate) jwks_url: Option<String>,

    /// A file with its keys, in place of a URL: a JWK Set of public keys
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,

    /// An algorithm that its tokens are signed with; repeat it for each
    #[arg(long, value_name = "ALG", required = true, value_parser = parse_public_algorithm())]
    pub(crate) alg: Vec<Algorithm>,

    /// An audience of which a token must name one; repeat it for each
    #[arg(long, required_unless_present = "any_audience", conflicts_with = "any_audience")]
    pub(crate) audience: Vec<String>,

    /// Let tokens for anybody in, also those that were issued for other services
    #[arg(long)]
    pub(crate) any_audience: bool,

    /// Take tokens with this claim, one of nonce, at_hash, c_hash; repeat it for each
    #[arg(long, value_name = "CLAIM", value_parser = parse_forbidden_claim())]
    pub(crate) allow_claim: Vec<String>,

    /// Let a scope such as invoices:* in its tokens grant all of invoices:
    #[arg(long)]
    pub(crate) wildcard_scopes: bool,

    /// What the header of a token must say it is [default: either of them, or nothing]
    #[arg(long, value_name = "TYPE", value_parser = parse_token_type())]
    pub(crate) typ: Option<TokenType>,

    /// Seconds by which its clock may be off, at most 60
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) leeway: u32,

    /// The environment that all of its tokens belong to
    #[arg(long, value_name = "ENV", conflicts_with_all = ["env_claim", "any_env"])]
    pub(crate) env: Option<Environment>,

    /// The claim with the environment of a token; a path into nested claims starts with `/`
    #[arg(long, value_name = "CLAIM")]
    pub(crate) env_claim: Option<String>,

    /// Let its tokens that belong to no environment into every one
    #[arg(long)]
    pub(crate) any_env: bool,

    /// A claim with scopes; repeat it for each [default: scope]
    #[arg(long, value_name = "CLAIM", value_parser = parse_scope_claim())]
    pub(crate) scope_claim: Vec<ScopeClaim>,

    /// The claim with the organization; a path into nested claims starts with `/`
    #[arg(long, value_name = "CLAIM", default_value = "org_id")]
    pub(crate) org_claim: String,

    /// The claim with the roles [default: none]
    #[arg(long, value_name = "CLAIM")]
    pub(crate) roles_claim: Option<String>,
}

/// What should change of an issuer.
#[derive(Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args([
    "audience", "any_audience", "allow_claim", "forbid_id_tokens", "wildcard_scopes", "no_wildcard_scopes", "alg",
    "typ", "any_typ", "leeway", "env", "env_claim", "any_env",
])))]
pub(crate) struct UpdateIssuerArgs {
    /// The name of the issuer
    pub(crate) name: String,

    /// An audience of which a token must name one; repeat it for each
    #[arg(long, conflicts_with = "any_audience")]
    pub(crate) audience: Vec<String>,

    /// Let tokens for anybody in, also those that were issued for other services
    #[arg(long)]
    pub(crate) any_audience: bool,

    /// Take tokens with this claim, one of nonce, at_hash, c_hash; repeat it for each
    #[arg(long, value_name = "CLAIM", value_parser = parse_forbidden_claim())]
    pub(crate) allow_claim: Vec<String>,

    /// Refuse tokens with nonce, at_hash or c_hash again
    #[arg(long, conflicts_with = "allow_claim")]
    pub(crate) forbid_id_tokens: bool,

    /// Let a scope such as invoices:* in its tokens grant all of invoices:
    #[arg(long)]
    pub(crate) wildcard_scopes: bool,

    /// Take a scope such as invoices:* in its tokens for a name like any other
    #[arg(long, conflicts_with = "wildcard_scopes")]
    pub(crate) no_wildcard_scopes: bool,

    /// An algorithm that its tokens are signed with; repeat it for each
    #[arg(long, value_name = "ALG", value_parser = parse_public_algorithm())]
    pub(crate) alg: Vec<Algorithm>,

    /// What the header of a token must say it is
    #[arg(long, value_name = "TYPE", value_parser = parse_token_type())]
    pub(crate) typ: Option<TokenType>,

    /// Take tokens of either type, or that say nothing
    #[arg(long, conflicts_with = "typ")]
    pub(crate) any_typ: bool,

    /// Seconds by which its clock may be off, at most 60
    #[arg(long, value_name = "SECONDS")]
    pub(crate) leeway: Option<u32>,

    /// The environment that all of its tokens belong to
    #[arg(long, value_name = "ENV", conflicts_with_all = ["env_claim", "any_env"])]
    pub(crate) env: Option<Environment>,

    /// The claim with the environment of a token; a path into nested claims starts with `/`
    #[arg(long, value_name = "CLAIM")]
    pub(crate) env_claim: Option<String>,

    /// Let its tokens that belong to no environment into every one
    #[arg(long)]
    pub(crate) any_env: bool,
}

/// Which issuer.
#[derive(Args)]
pub(crate) struct IssuerArgs {
    /// The name of the issuer
    pub(crate) name: String,
}

/// Which issuer, and where its keys are.
#[derive(Args)]
pub(crate) struct RefreshIssuerArgs {
    /// The name of the issuer
    pub(crate) name: String,

    /// New keys for an issuer that was added with a file
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
}
