//! Options of `keystile users …`, `keystile sessions …` and `keystile security-events …`.

use clap::{Args, Subcommand};

use crate::values::named;
use keystile::{Email, SecurityEventKind, SessionId, UserId, UserRef};

/// `keystile users …`
#[derive(Subcommand)]
pub(crate) enum UsersCommand {
    /// Make a user
    #[command(after_help = CREATE_HELP)]
    Create(UserCreateArgs),
    /// List users, the newest first, page by page
    List(UserListArgs),
    /// Show a user
    Show(UserArgs),
    /// Change a user
    Update(UserUpdateArgs),
    /// Switch a user off: sessions end, tokens are refused, no login; resume switches it on again
    Suspend(UserArgs),
    /// Let a suspended user log in again
    Resume(UserArgs),
    /// End the lock that too many wrong passwords have brought
    Unlock(UserArgs),
    /// Give a user a new password; all its sessions end
    #[command(after_help = RESET_HELP)]
    ResetPassword(ResetPasswordArgs),
    /// Forget a user: sessions end, tokens are refused, keys of its address are suspended
    Delete(UserArgs),
}

const CREATE_HELP: &str = "\
Without --password-stdin the user has no password, and cannot log in with one until `users
reset-password` has set it.

Examples:
  keystile users create ada@example.com --name Ada --org org_acme
  printf %s \"$PASSWORD\" | keystile users create ada@example.com --password-stdin";

const RESET_HELP: &str = "\
Without --password-stdin a password is drawn, and is alone on standard output, this once.

Examples:
  PASSWORD=$(keystile users reset-password ada@example.com)
  printf %s \"$PASSWORD\" | keystile users reset-password ada@example.com --password-stdin";

/// Which user.
#[derive(Args)]
pub(crate) struct UserArgs {
    /// The user: an e-mail address, or an id
    pub(crate) user: UserRef,
}

/// What a new user should be.
#[derive(Args)]
pub(crate) struct UserCreateArgs {
    /// What the user logs in with
    pub(crate) email: Email,

    /// What people call the user
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// The organization the user belongs to
    #[arg(long)]
    pub(crate) org: Option<String>,

    /// The user may manage others
    #[arg(long)]
    pub(crate) admin: bool,

    /// Take the password from standard input: all of it, but for a line ending
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Which users to list.
#[derive(Args)]
pub(crate) struct UserListArgs {
    /// Only users with this text in their address, name, organization or id
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,

    /// Only users of this organization
    #[arg(long)]
    pub(crate) org: Option<String>,

    /// Only users that are suspended
    #[arg(long, conflicts_with = "active")]
    pub(crate) suspended: bool,

    /// Only users that are not
    #[arg(long)]
    pub(crate) active: bool,

    /// At most so many users, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = keystile::bounds::DEFAULT_PAGE)]
    pub(crate) limit: usize,

    /// The `next` of the page before
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<UserId>,
}

/// What to change of a user.
#[derive(Args)]
pub(crate) struct UserUpdateArgs {
    /// The user: an e-mail address, or an id
    pub(crate) user: UserRef,

    /// A new address; keys whose owner is the old one are suspended
    #[arg(long)]
    pub(crate) email: Option<Email>,

    /// A new name
    #[arg(long, conflicts_with = "no_name")]
    pub(crate) name: Option<String>,

    /// No name
    #[arg(long)]
    pub(crate) no_name: bool,

    /// A new organization
    #[arg(long, conflicts_with = "no_org")]
    pub(crate) org: Option<String>,

    /// No organization
    #[arg(long)]
    pub(crate) no_org: bool,

    /// The user may manage others
    #[arg(long, conflicts_with = "no_admin")]
    pub(crate) admin: bool,

    /// The user may not manage others
    #[arg(long)]
    pub(crate) no_admin: bool,
}

/// Whose password to reset.
#[derive(Args)]
pub(crate) struct ResetPasswordArgs {
    /// The user: an e-mail address, or an id
    pub(crate) user: UserRef,

    /// Take the password from standard input: all of it, but for a line ending
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// `keystile sessions …`
#[derive(Subcommand)]
pub(crate) enum SessionsCommand {
    /// List sessions, the newest first, page by page
    List(SessionListArgs),
    /// End a session, or all of a user: their tokens are refused
    End(SessionEndArgs),
}

/// Which sessions to list.
#[derive(Args)]
pub(crate) struct SessionListArgs {
    /// Only sessions of this user: an e-mail address, or an id
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<UserRef>,

    /// Also those that have ended or expired
    #[arg(long)]
    pub(crate) all: bool,

    /// At most so many sessions, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = keystile::bounds::DEFAULT_PAGE)]
    pub(crate) limit: usize,

    /// The `next` of the page before
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<SessionId>,
}

/// `keystile security-events …`
#[derive(Subcommand)]
pub(crate) enum SecurityEventsCommand {
    /// List security events, the newest first, page by page
    List(SecurityEventListArgs),
}

/// Which security events to list.
#[derive(Args)]
pub(crate) struct SecurityEventListArgs {
    /// Only events of this kind
    #[arg(long, value_name = "KIND", value_parser = named::<SecurityEventKind>(SecurityEventKind::ALL.iter().map(|kind| kind.as_str())))]
    pub(crate) kind: Option<SecurityEventKind>,

    /// Only events of this user: an e-mail address, or an id
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<UserRef>,

    /// At most so many events, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = keystile::bounds::DEFAULT_PAGE)]
    pub(crate) limit: usize,

    /// The `next` of the page before
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<u64>,
}

/// Which sessions to end.
#[derive(Args)]
#[group(id = "which", required = true, multiple = false)]
pub(crate) struct SessionEndArgs {
    /// The id of a session
    #[arg(group = "which")]
    pub(crate) id: Option<SessionId>,

    /// All sessions of this user: an e-mail address, or an id
    #[arg(long, value_name = "USER", group = "which")]
    pub(crate) user: Option<UserRef>,
}
