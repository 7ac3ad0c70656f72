//! Colours: the terminal's own sixteen, or none at all.

use clap::ValueEnum;
use keystile::{Key, KeyStatus, Timestamp};
use ratatui::style::{Color, Modifier, Style};

/// Which colours are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Theme {
    /// Green, yellow, red.
    #[default]
    Default,
    /// No colour at all, as NO_COLOR asks.
    Mono,
    /// Blue and yellow, which red-green blindness keeps apart.
    Deuteranopia,
    /// Bright colours and bold text.
    HighContrast,
}

/// What a part of the screen is, whatever it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Plain text.
    Text,
    /// What is there for orientation only.
    Faint,
    /// Titles and names of columns.
    Title,
    /// The selected row or the focused field.
    Selected,
    /// What is as it should be.
    Good,
    /// What wants attention.
    Warning,
    /// What is refused or wrong.
    Bad,
    /// What waits for its time.
    Waiting,
}

impl Theme {
    /// The style of a role. A mono theme has modifiers only: a reset colour would still be asked for.
    pub(crate) fn style(self, role: Role) -> Style {
        let plain = Style::new();
        let colour = |colour: Color| match self {
            Theme::Mono => plain,
            _ => plain.fg(colour),
        };
        let (good, warning, bad, waiting) = match self {
            Theme::Default | Theme::Mono => (Color::Green, Color::Yellow, Color::Red, Color::Cyan),
            Theme::Deuteranopia => (Color::Blue, Color::Yellow, Color::LightYellow, Color::Cyan),
            Theme::HighContrast => (Color::LightGreen, Color::LightYellow, Color::LightRed, Color::LightCyan),
        };
        match role {
            Role::Text if self == Theme::HighContrast => plain.add_modifier(Modifier::BOLD),
            Role::Text => plain,
            Role::Faint if self == Theme::HighContrast => plain,
            Role::Faint => plain.add_modifier(Modifier::DIM),
            Role::Title => plain.add_modifier(Modifier::BOLD),
            Role::Selected => plain.add_modifier(Modifier::REVERSED),
            Role::Good => colour(good),
            Role::Warning => colour(warning),
            Role::Bad => colour(bad).add_modifier(Modifier::BOLD),
            Role::Waiting => colour(waiting),
        }
    }
}

/// The state of a key for people: a symbol, a word and a role, never a colour alone.
pub(crate) fn state(key: &Key, now: Timestamp) -> (&'static str, &'static str, Role) {
    match key.status(now) {
        KeyStatus::Active if key.is_rotating(now) => ("◐", "rotating", Role::Warning),
        KeyStatus::Active => ("●", "active", Role::Good),
        KeyStatus::Suspended => ("○", "suspended", Role::Warning),
        KeyStatus::Revoked => ("✕", "revoked", Role::Bad),
        KeyStatus::Expired => ("◇", "expired", Role::Bad),
        KeyStatus::NotYetValid => ("◌", "not yet valid", Role::Waiting),
        // A state that a newer library knows.
        status => ("?", status.as_str(), Role::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 8] =
        [Role::Text, Role::Faint, Role::Title, Role::Selected, Role::Good, Role::Warning, Role::Bad, Role::Waiting];

    #[test]
    fn the_mono_theme_asks_for_no_colour() {
        for role in ROLES {
            let style = Theme::Mono.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn all_colours_are_of_the_sixteen() {
        for theme in Theme::value_variants() {
            for role in ROLES {
                let style = theme.style(role);
                assert!(!matches!(style.fg, Some(Color::Rgb(..) | Color::Indexed(_))), "{theme:?} {role:?}");
                assert_eq!(style.bg, None, "{theme:?} {role:?}");
            }
        }
    }
}
