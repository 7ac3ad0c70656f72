//! The options of the command.

use std::path::PathBuf;

use clap::Parser;

use crate::theme::Theme;

/// The terminal UI of Keystile: create, rotate, suspend and revoke API keys
///
/// Everything it does is a command of `keystile` too. Press ? in it for help.
#[derive(Debug, Parser)]
#[command(name = "keystile-tui", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The store [default: ./keystile.db]
    #[arg(
        long,
        value_name = "PATH",
        env = "KEYSTILE_DB",
        hide_env_values = true,
        default_value = "./keystile.db",
        hide_default_value = true
    )]
    pub(crate) db: PathBuf,

    /// A file with the key that seals signing keys; or it is in KEYSTILE_KEK [default: the store's path
    /// and .kek]
    #[arg(long, value_name = "FILE", env = "KEYSTILE_KEK_FILE", hide_env_values = true)]
    pub(crate) kek: Option<PathBuf>,

    /// Refuse every change
    #[arg(long)]
    pub(crate) read_only: bool,

    /// ASCII only, no borders
    #[arg(long)]
    pub(crate) plain: bool,

    /// The colours; NO_COLOR chooses mono
    #[arg(long, value_enum)]
    pub(crate) theme: Option<Theme>,

    /// Other keys, as docs/keys.md describes [default: keystile/keymap.toml in the user's configuration, if
    /// there]
    #[arg(long, value_name = "FILE")]
    pub(crate) keymap: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_hold_together() {
        Args::command().debug_assert();
    }
}
