//! Passwords: what they may be, and how they are hashed.

mod hasher;
mod phc;

use std::fmt;
use std::sync::OnceLock;

use zeroize::Zeroizing;

pub(crate) use hasher::{Busy, Checked, HashError, Hasher};

use crate::secret::Secret;

/// Longest password, in characters (Unicode scalar values).
pub const MAX_PASSWORD_LEN: usize = 256;
/// Characters that a password has at least, when the store says nothing else.
pub const MIN_PASSWORD_LEN: usize = 8;

/// A password as somebody typed it: its bytes in UTF-8, not trimmed, not normalized, not changed in any
/// way. Whoever types the same letters on two systems that compose them differently types two passwords.
///
/// It exists in memory only: no `Clone`, no `Serialize`, a `Debug` without content, wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes over a password. What is too short for a new one can still be tried: it is wrong.
    ///
    /// # Errors
    /// [`PasswordError::TooLong`] when it has more than [`MAX_PASSWORD_LEN`] characters.
    pub fn new(password: String) -> Result<Password, PasswordError> {
        let password = Password(Zeroizing::new(password));
        // At most four bytes are a character: a text of any length is not counted through.
        if password.0.len() > 4 * MAX_PASSWORD_LEN || password.0.chars().count() > MAX_PASSWORD_LEN {
            return Err(PasswordError::TooLong);
        }
        Ok(password)
    }

    /// Draws a password of 25 letters and digits, 123 bits, in groups that can be read out and typed.
    pub(crate) fn generate() -> Result<Password, PasswordError> {
        // Of its final size from the start: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LEN + 1)));
        let mut random = Zeroizing::new([0_u8; 64]);
        let mut drawn = 0;
        while drawn < GROUPS * GROUP_LEN {
            getrandom::fill(random.as_mut()).map_err(|_| PasswordError::Generator)?;
            for byte in random.iter() {
                // 248 is 8 · 31: the bytes above would make the first characters likelier.
                if *byte < 248 && drawn < GROUPS * GROUP_LEN {
                    if drawn > 0 && drawn % GROUP_LEN == 0 {
                        text.push('-');
                    }
                    text.push(char::from(READABLE[usize::from(*byte) % READABLE.len()]));
                    drawn += 1;
                }
            }
        }
        Ok(Password(text))
    }

    /// The password itself, to be shown once.
    pub(crate) fn into_secret(mut self) -> Secret {
        Secret::from(std::mem::take(&mut *self.0))
    }

    fn expose_password(&self) -> &str {
        &self.0
    }

    /// Whether this may be a new password. No rules of composition: length, and that nobody guesses it
    /// among the first (NIST SP 800-63B, section 3.1.1.2).
    pub(crate) fn check_new(&self, min_len: usize, email: &str) -> Result<(), PasswordError> {
        let password = self.expose_password();
        if password.chars().count() < min_len {
            return Err(PasswordError::TooShort { min_len });
        }
        let folded = Zeroizing::new(password.to_lowercase());
        let local = email.split('@').next().unwrap_or_default();
        if is_common(&folded) || *folded == email || *folded == local {
            return Err(PasswordError::Common);
        }
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A stored hash of a smaller cost, as an older version could have written it.
#[cfg(test)]
pub(crate) fn older_hash(password: &str) -> String {
    phc::with_cost(password, 64, 1)
}

/// Whether a password, in lower case, is on the list of common ones.
fn is_common(folded: &str) -> bool {
    static SORTED: OnceLock<Vec<&str>> = OnceLock::new();
    let sorted = SORTED.get_or_init(|| {
        let mut lines: Vec<_> = COMMON.lines().filter(|line| !line.starts_with('#')).collect();
        lines.sort_unstable();
        lines
    });
    sorted.binary_search(&folded).is_ok()
}

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// It has more than [`MAX_PASSWORD_LEN`] characters.
    TooLong,
    /// A new password has too few characters.
    TooShort {
        /// How many it must have.
        min_len: usize,
    },
    /// A new password is one that many people have, or the e-mail address of the account.
    Common,
    /// The operating system gave no random bytes.
    Generator,
    /// There is no memory to hash in.
    Memory,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordError::TooLong => {
                write!(f, "the password is too long · give at most {MAX_PASSWORD_LEN} characters")
            }
            PasswordError::TooShort { min_len } => {
                write!(f, "the password is too short · give at least {min_len} characters; any will do")
            }
            PasswordError::Common => f.write_str(
                "the password is one that is tried first · give another, such as a few words that do not belong together",
            ),
            PasswordError::Memory => f.write_str("there is no memory to hash in · free 40 MiB and repeat"),
            PasswordError::Generator => {
                f.write_str("the operating system gave no random bytes · repeat, and look into its log if it goes on")
            }
        }
    }
}

impl std::error::Error for PasswordError {}

/// The list of common passwords, one a line in lower case; what is shorter than eight characters is
/// refused anyway.
const COMMON: &str = include_str!("common.txt");
/// Characters that nobody takes for another: no `0`, `1`, `i`, `l`, `o`.
const READABLE: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
const GROUPS: usize = 5;
const GROUP_LEN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    #[test]
    fn a_password_is_never_printed() {
        assert_eq!(format!("{:?}", password("correct horse")), "Password(…)");
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(Password::new("é".repeat(256)).is_ok());
        assert_eq!(Password::new("é".repeat(257)).unwrap_err(), PasswordError::TooLong);
        assert!(Password::new("🔑".repeat(256)).is_ok());
        assert_eq!(Password::new("🔑".repeat(257)).unwrap_err(), PasswordError::TooLong);
        assert_eq!(Password::new("a".repeat(10_000_000)).unwrap_err(), PasswordError::TooLong);
        let short = PasswordError::TooShort { min_len: 8 };
        assert_eq!(password("sieben7").check_new(8, "a@b"), Err(short));
        assert_eq!(password("ééééééé").check_new(8, "a@b"), Err(short));
        assert_eq!(password("éééééééé").check_new(8, "a@b"), Ok(()));
        assert_eq!(password("fourteen chars").check_new(15, "a@b"), Err(PasswordError::TooShort { min_len: 15 }));
        assert_eq!(password("fifteen  chars!").check_new(15, "a@b"), Ok(()));
    }

    #[test]
    fn only_what_is_tried_first_is_refused() {
        for bad in ["password", "PassWord", "12345678", "qwertyuiop", "Ada.Lovelace", "ada.lovelace@example.com"] {
            let refused = password(bad).check_new(8, "ada.lovelace@example.com");
            assert_eq!(refused, Err(PasswordError::Common), "{bad}");
        }
        for good in [
            "aaaaaaab",
            "passwords!",
            " password",
            "correct horse battery staple",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}",
        ] {
            assert_eq!(password(good).check_new(8, "ada@example.com"), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn the_list_holds_what_it_says() {
        let lines: Vec<_> = COMMON.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() >= 200, "{}", lines.len());
        for line in &lines {
            assert!(line.chars().count() >= MIN_PASSWORD_LEN && line.to_lowercase() == **line, "{line}");
            assert_eq!(lines.iter().filter(|other| *other == line).count(), 1, "{line} is there twice");
        }
    }

    #[test]
    fn generated_passwords_differ_and_can_be_typed() {
        let mut seen = std::collections::BTreeSet::new();
        let mut used = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let password = Password::generate().unwrap();
            assert_eq!(password.check_new(15, "a@b"), Ok(()));
            let text = password.into_secret();
            let groups: Vec<_> = text.expose_secret().split('-').collect();
            assert!(groups.len() == GROUPS && groups.iter().all(|group| group.len() == GROUP_LEN));
            used.extend(text.expose_secret().bytes().filter(|byte| *byte != b'-'));
            assert!(seen.insert(text.expose_secret().to_owned()));
        }
        assert_eq!(used.into_iter().collect::<Vec<_>>(), READABLE);
    }
}
