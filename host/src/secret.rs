//! Secrets: shown once, to whoever created or rotated the key.

use std::fmt;

use keystile_validator::{Digest, Environment, KeyFormat, KeyFormatError};
use zeroize::{Zeroize as _, Zeroizing};

/// A secret: the one string that proves a key.
///
/// It exists in memory only, from its creation until it was shown: no `Clone`, no `Serialize`, a
/// `Debug` without content, wiped when dropped. The store keeps only its digest.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Draws a new secret of this format from the generator of the operating system.
    pub(crate) fn generate(format: &KeyFormat, environment: &Environment) -> Result<Secret, GenerateError> {
        let mut body = Zeroizing::new(String::with_capacity(format.body_len()));
        let mut random = Zeroizing::new([0_u8; 64]);
        while body.len() < format.body_len() {
            getrandom::fill(random.as_mut()).map_err(|_| GenerateError::Generator)?;
            for byte in random.iter() {
                // 248 is 4 · 62: the bytes above would make the first characters likelier.
                if *byte < 248 && body.len() < format.body_len() {
                    body.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
                }
            }
        }
        format.assemble(environment, &body).map(Secret::from).map_err(GenerateError::Format)
    }

    /// The secret itself. Whatever receives it must show it once and forget it.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// The digest, which is all that is stored.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl From<String> for Secret {
    /// Takes over a secret; its memory is wiped when the `Secret` is dropped.
    fn from(secret: String) -> Secret {
        Secret(Zeroizing::new(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why no secret was made.
#[derive(Debug)]
pub(crate) enum GenerateError {
    /// The operating system gave no random bytes.
    Generator,
    /// The format does not have the environment.
    Format(KeyFormatError),
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::from("hx_live_0123456789".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.expose_secret(), "hx_live_0123456789");
    }

    #[test]
    fn secrets_are_of_their_format_and_differ() {
        let format = KeyFormat::with_defaults("hx").unwrap();
        let live = Environment::new("live").unwrap();
        let mut seen = [0_usize; 62];
        let mut last = String::new();
        for _ in 0..400 {
            let secret = Secret::generate(&format, &live).unwrap();
            assert_eq!(format.read(secret.expose_secret().as_bytes()), keystile_validator::FormatMatch::Match);
            assert_ne!(secret.expose_secret(), last);
            secret.expose_secret().clone_into(&mut last);
            for byte in last["hx_live_".len()..].bytes().take(30) {
                seen[ALPHABET.iter().position(|c| *c == byte).unwrap()] += 1;
            }
        }
        // 12,000 characters over 62 values: about 194 each. A generator that never gives one of them,
        // or gives one twice as often, is broken; chance alone does not come near (20 deviations).
        assert!(seen.iter().all(|count| (60..=390).contains(count)), "{seen:?}");
    }
}
