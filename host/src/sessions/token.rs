//! Refresh tokens: `ksr_` and, in base64url, the id of the session, a counter, and a MAC over both with
//! the key of the session. The store keeps the counter and the key, and no token.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::refresh_key::RefreshKey;
use crate::ids::SessionId;
use crate::secret::Secret;
use crate::text::REFRESH_TOKEN_PREFIX;

/// What a refresh token starts with.
pub(super) const PREFIX: &str = REFRESH_TOKEN_PREFIX;
/// What the MAC is for: no other MAC of ours is over a text that starts like this.
const PURPOSE: &[u8] = b"keystile refresh token 1\0";
const ID_LEN: usize = 16;
const COUNTER_LEN: usize = 8;
const MAC_LEN: usize = 32;
const TOKEN_LEN: usize = ID_LEN + COUNTER_LEN + MAC_LEN;
/// Characters of a token behind [`PREFIX`]: base64url without padding.
const BODY_LEN: usize = (4 * TOKEN_LEN).div_ceil(3);

/// A text in the form of a refresh token: it proves nothing until its MAC was checked.
pub(super) struct UnverifiedRefreshToken {
    /// The session it names.
    pub(super) session: SessionId,
    counter: u64,
    mac: Zeroizing<[u8; MAC_LEN]>,
}

/// A refresh token that this store has made: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenNumber(pub(super) u64);

impl UnverifiedRefreshToken {
    /// Reads a token.
    pub(super) fn parse(text: &str) -> Option<UnverifiedRefreshToken> {
        let body = text.strip_prefix(PREFIX)?;
        let mut bytes = Zeroizing::new([0_u8; TOKEN_LEN]);
        if body.len() != BODY_LEN {
            return None;
        }
        // 56 bytes are 75 characters, and the decoder refuses bits behind the last byte: one text, one token.
        let length = URL_SAFE_NO_PAD.decode_slice(body, bytes.as_mut()).ok()?;
        if length != TOKEN_LEN {
            return None;
        }
        let (id, rest) = bytes.split_first_chunk::<ID_LEN>()?;
        let (counter, mac) = rest.split_first_chunk::<COUNTER_LEN>()?;
        Some(UnverifiedRefreshToken {
            session: SessionId::from_bytes(*id),
            counter: u64::from_be_bytes(*counter),
            mac: Zeroizing::new(mac.try_into().ok()?),
        })
    }

    /// The number of the token, when the key of its session made it. In constant time.
    pub(super) fn verify(&self, key: &RefreshKey) -> Option<TokenNumber> {
        let message = message(self.session, self.counter);
        let valid = hmac::verify(&mac_key(key), &message, self.mac.as_slice()).is_ok();
        valid.then_some(TokenNumber(self.counter))
    }
}

impl fmt::Debug for UnverifiedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnverifiedRefreshToken({}, …)", self.session)
    }
}

/// The token of this number.
pub(super) fn make(session: SessionId, counter: u64, key: &RefreshKey) -> Secret {
    let message = message(session, counter);
    let mac = hmac::sign(&mac_key(key), &message);
    let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_LEN));
    bytes.extend_from_slice(session.as_bytes());
    bytes.extend_from_slice(&counter.to_be_bytes());
    bytes.extend_from_slice(mac.as_ref());
    // Of its final size from the start: growing would leave copies behind.
    let mut text = String::with_capacity(PREFIX.len() + TOKEN_LEN * 2);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    Secret::from(text)
}

fn message(session: SessionId, counter: u64) -> Vec<u8> {
    [PURPOSE, session.as_bytes(), &counter.to_be_bytes()].concat()
}

fn mac_key(key: &RefreshKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.0.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> RefreshKey {
        RefreshKey(Zeroizing::new([byte; 32]))
    }

    const SESSION: SessionId = SessionId::from_bytes([5; 16]);

    #[test]
    fn tokens_read_as_they_were_made() {
        let token = make(SESSION, 7, &key(1));
        let text = token.expose_secret();
        assert!(text.starts_with(PREFIX) && text.len() == 79, "{}", text.len());
        let read = UnverifiedRefreshToken::parse(text).unwrap();
        assert_eq!(read.session, SESSION);
        assert_eq!(read.verify(&key(1)), Some(TokenNumber(7)));
        assert_eq!(read.verify(&key(2)), None);
        assert_eq!(make(SESSION, 7, &key(1)).expose_secret(), text, "the same number is the same token");
        assert_ne!(make(SESSION, 8, &key(1)).expose_secret(), text);
        assert_eq!(format!("{read:?}"), format!("UnverifiedRefreshToken({SESSION}, …)"));
    }

    /// Whatever single character is changed, left out or put in, it is no longer a token of this key.
    #[test]
    fn one_other_character_is_another_token() {
        let token = make(SESSION, 7, &key(1));
        let text = token.expose_secret();
        let is_valid =
            |text: &str| UnverifiedRefreshToken::parse(text).is_some_and(|token| token.verify(&key(1)).is_some());
        assert!(is_valid(text));
        for (index, old) in text.char_indices() {
            for new in "AZaz09-_=+/. é".chars().filter(|new| *new != old) {
                let changed = format!("{}{new}{}", &text[..index], &text[index + 1..]);
                assert!(!is_valid(&changed), "{index} {new}");
            }
            let (before, after) = (&text[..index], &text[index + 1..]);
            assert!(!is_valid(&format!("{before}{after}")) && !is_valid(&format!("{before}A{old}{after}")), "{index}");
        }
        assert!(!is_valid(&format!("{text}A")) && !is_valid(&text[..text.len() - 1]) && !is_valid(""));
        assert!(!is_valid(&format!("{text}=")) && !is_valid(&text.replace(PREFIX, "")));
    }

    #[test]
    fn long_texts_are_no_tokens() {
        assert!(UnverifiedRefreshToken::parse(&format!("{PREFIX}{}", "A".repeat(10_000_000))).is_none());
    }
}
