//! Settings of logins and sessions.

use std::fmt;
use std::ops::RangeInclusive;

use crate::password::MIN_PASSWORD_LEN;

/// What the shortest password can be set to, in characters.
pub const MIN_PASSWORD_LEN_BOUNDS: RangeInclusive<usize> = MIN_PASSWORD_LEN..=64;
/// What the lifetime of sessions can be set to: five minutes to 90 days, in seconds.
pub const SESSION_LIFETIME_BOUNDS: RangeInclusive<u64> = 300..=90 * 86_400;
/// What the window of a refresh can be set to, in seconds.
pub const REFRESH_WINDOW_BOUNDS: RangeInclusive<u64> = 0..=60;

/// How users log in, and how long they stay so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// Characters that a new password has at least.
    pub min_password_len: usize,
    /// How long a session lives, in seconds from its login, however often it is refreshed.
    pub session_lifetime: u64,
    /// For how long a refresh token that was used gives the same successor again, in seconds from its
    /// first use. For clients that did not get the answer, or that refresh twice at once.
    pub refresh_window: u64,
}

impl Default for LoginSettings {
    fn default() -> LoginSettings {
        LoginSettings { min_password_len: MIN_PASSWORD_LEN, session_lifetime: 7 * 86_400, refresh_window: 10 }
    }
}

impl LoginSettings {
    /// Whether every setting is within its bounds.
    ///
    /// # Errors
    /// [`LoginSettingsError`] names the first that is not.
    pub fn check(&self) -> Result<(), LoginSettingsError> {
        if !MIN_PASSWORD_LEN_BOUNDS.contains(&self.min_password_len) {
            return Err(LoginSettingsError::MinPasswordLen { given: self.min_password_len });
        }
        if !SESSION_LIFETIME_BOUNDS.contains(&self.session_lifetime) {
            return Err(LoginSettingsError::SessionLifetime { seconds: self.session_lifetime });
        }
        if !REFRESH_WINDOW_BOUNDS.contains(&self.refresh_window) {
            return Err(LoginSettingsError::RefreshWindow { seconds: self.refresh_window });
        }
        Ok(())
    }
}

/// Which setting is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginSettingsError {
    /// The shortest password.
    MinPasswordLen {
        /// The characters that were given.
        given: usize,
    },
    /// The lifetime of sessions.
    SessionLifetime {
        /// The seconds that were given.
        seconds: u64,
    },
    /// The window of a refresh.
    RefreshWindow {
        /// The seconds that were given.
        seconds: u64,
    },
}

impl fmt::Display for LoginSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoginSettingsError::MinPasswordLen { given } => {
                write!(f, "a shortest password of {given} characters does not fit · give 8 to 64, such as 15")
            }
            LoginSettingsError::SessionLifetime { seconds } => {
                write!(f, "a session of {seconds} seconds does not fit · give 5m to 90d, such as 7d")
            }
            LoginSettingsError::RefreshWindow { seconds } => {
                write!(f, "a refresh window of {seconds} seconds does not fit · give 0 to 60s, such as 10s")
            }
        }
    }
}

impl std::error::Error for LoginSettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_bounds() {
        let default = LoginSettings::default();
        assert_eq!(default.check(), Ok(()));
        for min_password_len in [7, 65] {
            let refused = LoginSettings { min_password_len, ..default.clone() }.check();
            assert_eq!(refused, Err(LoginSettingsError::MinPasswordLen { given: min_password_len }));
        }
        for seconds in [299, 90 * 86_400 + 1] {
            let refused = LoginSettings { session_lifetime: seconds, ..default.clone() }.check();
            assert_eq!(refused, Err(LoginSettingsError::SessionLifetime { seconds }));
        }
        let refused = LoginSettings { refresh_window: 61, ..default.clone() }.check();
        assert_eq!(refused, Err(LoginSettingsError::RefreshWindow { seconds: 61 }));
        for refresh_window in [0, 60] {
            assert_eq!(LoginSettings { refresh_window, ..default.clone() }.check(), Ok(()));
        }
    }
}
