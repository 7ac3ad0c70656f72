//! Options of `keystile keys …`.

use clap::{Args, Subcommand};

use crate::values::{When, named, parse_metadata, parse_rate, parse_when};
use keystile::text::parse_duration;
use keystile::{
    AddressRange, Concern, Cursor, Environment, ImportId, KeyId, KeyStatus, Rate, RevokeReason, Scope, SortColumn,
};

/// `keystile keys …`
#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is printed this once
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List keys, page by page
    List(ListArgs),
    /// Show a key with all its secrets, but for the secrets themselves
    Show(IdArgs),
    /// Change a key; it holds at once
    Update(Box<UpdateArgs>),
    /// Give a key a new secret; the old one stays valid for a while
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Switch a key off; resume switches it on again
    Suspend(IdArgs),
    /// Switch a suspended key on again
    Resume(IdArgs),
    /// End a key for good
    Revoke(RevokeArgs),
    /// Import digests of keys of another system: the keys go on working, and nobody learns a secret
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Keys to look at: idle, old, expiring, never used, without expiry or scopes, safe to remove
    Report,
}

const CREATE_HELP: &str = "\
The secret is alone on standard output, this once; only its digest is kept.

Examples:
  keystile keys create --name billing --scope invoices:read --expires 90d
  KEY=$(keystile keys create --name ci --env test --allow-address 10.0.0.0/8)
  keystile keys create --name ada --owner ada@example.com --rate 600/60s --json";

const ROTATE_HELP: &str = "\
The key keeps its id and all else. The old secret is refused as `rotated` after the grace period,
and never outlives the key.

Examples:
  keystile keys rotate ID                                     # both work for 24 hours
  keystile keys rotate ID --grace 0                           # the old secret leaked
  keystile keys rotate ID --grace 1h --grace-from-first-use   # 1h from the first use of the new one
  keystile keys rotate ID --request-id deploy-42              # the same request again does nothing";

const IMPORT_HELP: &str = "\
Each line is a JSON object; only digest and name are needed. All lines are imported, or none.
  {\"digest\": \"ba7816bf…\", \"name\": \"old key\"}
  {\"digest\": \"ungWv48B…\", \"encoding\": \"base64\", \"name\": \"x\", \"owner\": \"ada\", \"env\": \"live\",
   \"scopes\": [\"read\"], \"expires_at\": \"2030-01-31T00:00:00Z\", \"prefix\": \"sk_live_ab…\"}
Also: not_before, addresses, rate, metadata. The digest is the SHA-256 of the whole secret, as hex
(the default), base64 or base64url.";

/// The id of a key.
#[derive(Args)]
pub(crate) struct IdArgs {
    /// The id of the key
    pub(crate) id: KeyId,
}

/// What a new key should be.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// What people call it
    #[arg(long)]
    pub(crate) name: String,

    /// Who it acts for
    #[arg(long)]
    pub(crate) owner: Option<String>,

    /// The name of its format [default: the first one of the store]
    #[arg(long)]
    pub(crate) format: Option<String>,

    /// Its environment [default: the first one of the format]
    #[arg(long)]
    pub(crate) env: Option<Environment>,

    /// What it may do, such as invoices:read or invoices:*; repeat it for each
    #[arg(long)]
    pub(crate) scope: Vec<Scope>,

    /// When it expires: 90d, an RFC 3339 time, or never [default: never]
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) expires: Option<When>,

    /// From when on it is valid: 1h, or an RFC 3339 time [default: at once]
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) not_before: Option<When>,

    /// Where it may be used from; repeat it for each [default: from anywhere]
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow_address: Vec<AddressRange>,

    /// How often it may be used, such as 600/60s
    #[arg(long, value_parser = parse_rate)]
    pub(crate) rate: Option<Rate>,

    /// What to remember with it; repeat it for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_metadata)]
    pub(crate) metadata: Vec<(String, String)>,
}

/// Which keys to list, and in which order.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Only keys in this state
    #[arg(long, value_parser = named::<KeyStatus>(KeyStatus::ALL.iter().map(|state| state.as_str())))]
    pub(crate) state: Option<KeyStatus>,

    /// Only keys of this owner
    #[arg(long)]
    pub(crate) owner: Option<String>,

    /// Only keys of this environment
    #[arg(long)]
    pub(crate) env: Option<Environment>,

    /// Only keys that hold exactly this scope
    #[arg(long)]
    pub(crate) scope: Option<Scope>,

    /// Only keys that want attention for this reason; keys report counts them
    #[arg(long, value_name = "CONCERN", value_parser = named::<Concern>(Concern::ALL.iter().map(|concern| concern.as_str())))]
    pub(crate) concern: Option<Concern>,
    /// Only keys that came with this import
    #[arg(long, value_name = "IMPORT")]
    pub(crate) import: Option<ImportId>,

    /// Only keys with this text in name, owner, id, prefix or metadata
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,

    /// The column to sort by: created_at with the newest first, any other with the smallest first
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "created_at",
        value_parser = named::<SortColumn>(SortColumn::ALL.iter().map(|column| column.as_str()))
    )]
    pub(crate) sort: SortColumn,

    /// The largest, or newest, first
    #[arg(long, conflicts_with = "reverse")]
    pub(crate) desc: bool,

    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,

    /// At most so many keys, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = keystile::bounds::DEFAULT_PAGE)]
    pub(crate) limit: usize,

    /// The `next` of the page before, with the same order
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<Cursor>,
}

/// What to change of a key.
#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// The id of the key
    pub(crate) id: KeyId,

    /// A new name
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// A new owner
    #[arg(long, conflicts_with = "no_owner")]
    pub(crate) owner: Option<String>,

    /// It acts for nobody
    #[arg(long)]
    pub(crate) no_owner: bool,

    /// New scopes, in place of all old ones; repeat it for each
    #[arg(long, conflicts_with = "no_scopes")]
    pub(crate) scope: Vec<Scope>,

    /// It has no scopes
    #[arg(long)]
    pub(crate) no_scopes: bool,

    /// A new expiry: 90d, an RFC 3339 time, or never
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) expires: Option<When>,

    /// A new start: 1h, an RFC 3339 time, or none
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) not_before: Option<When>,

    /// New address ranges, in place of all old ones; repeat it for each
    #[arg(long, value_name = "CIDR", conflicts_with = "no_addresses")]
    pub(crate) allow_address: Vec<AddressRange>,

    /// It may be used from anywhere
    #[arg(long)]
    pub(crate) no_addresses: bool,

    /// A new rate, such as 600/60s
    #[arg(long, value_parser = parse_rate, conflicts_with = "no_rate")]
    pub(crate) rate: Option<Rate>,

    /// It may be used as often as it likes
    #[arg(long)]
    pub(crate) no_rate: bool,

    /// A metadata entry to set; repeat it for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_metadata)]
    pub(crate) metadata: Vec<(String, String)>,

    /// A metadata entry to remove; repeat it for each
    #[arg(long, value_name = "NAME")]
    pub(crate) remove_metadata: Vec<String>,
}

/// How to rotate a key.
#[derive(Args)]
pub(crate) struct RotateArgs {
    /// The id of the key
    pub(crate) id: KeyId,

    /// How long the old secret stays valid; 0: it is refused at once
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub(crate) grace: u64,

    /// The grace starts when the new secret is first used
    #[arg(long)]
    pub(crate) grace_from_first_use: bool,

    /// A name for this rotation: the same one again does not rotate again
    #[arg(long, value_name = "NAME")]
    pub(crate) request_id: Option<String>,

    /// The format of the new secret [default: that of the key]
    #[arg(long)]
    pub(crate) format: Option<String>,
}

/// Which key to end, and why.
#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// The id of the key
    pub(crate) id: KeyId,

    /// Why
    #[arg(
        long,
        default_value = "unspecified",
        value_parser = named::<RevokeReason>(RevokeReason::ALL.iter().map(|reason| reason.as_str()))
    )]
    pub(crate) reason: RevokeReason,

    /// What to remember about it
    #[arg(long)]
    pub(crate) note: Option<String>,
}

/// What to import.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// A file with one JSON object a line, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: std::path::PathBuf,
}
