//! Options of `keystile users …`, `keystile sessions …` and `keystile security-events …`.

use clap::{Args, Subcommand};

use crate::cli::values::named;
use crate::{Email, SecurityEventKind, SessionId, UserId, UserRef};

/// `keystile users …`
#[derive(Subcommand)]
pub(in crate::cli) enum UsersCommand {
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
pub(in crate::cli) struct UserArgs {
    /// The user: an e-mail address, or an id
    pub(in crate::cli) user: UserRef,
}

/// What a new user should be.
#[derive(Args)]
pub(in crate::cli) struct UserCreateArgs {
    /// What the user logs in with
    pub(in crate::cli) email: Email,

    /// What people call the user
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,

    /// The organization the user belongs to
    #[arg(long)]
    pub(in crate::cli) org: Option<String>,

    /// The user may manage others
    #[arg(long)]
    pub(in crate::cli) admin: bool,

    /// Take the password from standard input: all of it, but for a line ending
    #[arg(long)]
    pub(in crate::cli) password_stdin: bool,
}

/// Which users to list.
#[derive(Args)]
pub(in crate::cli) struct UserListArgs {
    /// Only users with this text in their address, name, organization or id
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) search: Option<String>,

    /// Only users of this organization
    #[arg(long)]
    pub(in crate::cli) org: Option<String>,

    /// Only users that are suspended
    #[arg(long, conflicts_with = "active")]
    pub(in crate::cli) suspended: bool,

    /// Only users that are not
    #[arg(long)]
    pub(in crate::cli) active: bool,

    /// At most so many users, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = crate::bounds::DEFAULT_PAGE)]
    pub(in crate::cli) limit: usize,

    /// The `next` of the page before
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) after: Option<UserId>,
}

/// What to change of a user.
#[derive(Args)]
pub(in crate::cli) struct UserUpdateArgs {
    /// The user: an e-mail address, or an id
    pub(in crate::cli) user: UserRef,

    /// A new address; keys whose owner is the old one are suspended
    #[arg(long)]
    pub(in crate::cli) email: Option<Email>,

    /// A new name
    #[arg(long, conflicts_with = "no_name")]
    pub(in crate::cli) name: Option<String>,

    /// No name
    #[arg(long)]
    pub(in crate::cli) no_name: bool,

    /// A new organization
    #[arg(long, conflicts_with = "no_org")]
    pub(in crate::cli) org: Option<String>,

    /// No organization
    #[arg(long)]
    pub(in crate::cli) no_org: bool,

    /// The user may manage others
    #[arg(long, conflicts_with = "no_admin")]
    pub(in crate::cli) admin: bool,

    /// The user may not manage others
    #[arg(long)]
    pub(in crate::cli) no_admin: bool,
}

/// Whose password to reset.
#[derive(Args)]
pub(in crate::cli) struct ResetPasswordArgs {
    /// The user: an e-mail address, or an id
    pub(in crate::cli) user: UserRef,

    /// Take the password from standard input: all of it, but for a line ending
    #[arg(long)]
    pub(in crate::cli) password_stdin: bool,
}

/// `keystile sessions …`
#[derive(Subcommand)]
pub(in crate::cli) enum SessionsCommand {
    /// List sessions, the newest first, page by page
    List(SessionListArgs),
    /// End a session, or all of a user: their tokens are refused
    End(SessionEndArgs),
}

/// Which sessions to list.
#[derive(Args)]
pub(in crate::cli) struct SessionListArgs {
    /// Only sessions of this user: an e-mail address, or an id
    #[arg(long, value_name = "USER")]
    pub(in crate::cli) user: Option<UserRef>,

    /// Also those that have ended or expired
    #[arg(long)]
    pub(in crate::cli) all: bool,

    /// At most so many sessions, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = crate::bounds::DEFAULT_PAGE)]
    pub(in crate::cli) limit: usize,

    /// The `next` of the page before
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) after: Option<SessionId>,
}

/// `keystile security-events …`
#[derive(Subcommand)]
pub(in crate::cli) enum SecurityEventsCommand {
    /// List security events, the newest first, page by page
    List(SecurityEventListArgs),
}

/// Which security events to list.
#[derive(Args)]
pub(in crate::cli) struct SecurityEventListArgs {
    /// Only events of this kind
    #[arg(long, value_name = "KIND", value_parser = named::<SecurityEventKind>(SecurityEventKind::ALL.iter().map(|kind| kind.as_str())))]
    pub(in crate::cli) kind: Option<SecurityEventKind>,

    /// Only events of this user: an e-mail address, or an id
    #[arg(long, value_name = "USER")]
    pub(in crate::cli) user: Option<UserRef>,

    /// At most so many events, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = crate::bounds::DEFAULT_PAGE)]
    pub(in crate::cli) limit: usize,

    /// The `next` of the page before
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) before: Option<u64>,
}

/// Which sessions to end.
#[derive(Args)]
#[group(id = "which", required = true, multiple = false)]
pub(in crate::cli) struct SessionEndArgs {
    /// The id of a session
    #[arg(group = "which")]
    pub(in crate::cli) id: Option<SessionId>,

    /// All sessions of this user: an e-mail address, or an id
    #[arg(long, value_name = "USER", group = "which")]
    pub(in crate::cli) user: Option<UserRef>,
}
