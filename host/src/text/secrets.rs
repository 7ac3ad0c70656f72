//! Secrets in texts where a name or an id belongs.

use std::borrow::Cow;

use keystile_validator::jwt::looks_like_jws;

use crate::bounds::MIN_BODY_LEN;

/// What every refresh token begins with.
pub(crate) const REFRESH_TOKEN_PREFIX: &str = "ksr_";

/// Whether this is a token: a refresh token or a JWT, or a part of one that begins as it does.
pub(crate) fn is_token(word: &str) -> bool {
    // The header of a JWT is a JSON object, and this is how one begins in base64url.
    word.starts_with(REFRESH_TOKEN_PREFIX) || (word.starts_with("eyJ") && looks_like_jws(word.as_bytes()))
}

/// The words of a text that could be secrets, each with where it begins: runs of the characters that secrets have.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let of_secrets = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text.get(rest..)?.find(of_secrets)?;
        let tail = text.get(start..)?;
        let end = start + tail.find(|c| !of_secrets(c)).unwrap_or(tail.len());
        rest = end;
        // A sentence may end after one.
        Some((start, text.get(start..end)?.trim_end_matches(['.', '-'])))
    })
}

/// A text for a message, with what looks like an API key, a refresh token or a JWT cut to how it begins. Somebody may
/// have given a secret in the place of a name or an id.
///
/// ```
/// use keystile::text::hide_secrets;
/// assert_eq!(
///     hide_secrets("no issuer ks_live_2PqBnMhHq0vXkRz5yT8cWd1eUf3gJa4b9Lmn · see `keystile issuers list`"),
///     "no issuer ks_live_… · see `keystile issuers list`"
/// );
/// assert_eq!(hide_secrets("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1In0.AAAA"), "eyJ…");
/// let id = "key_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f";
/// assert_eq!(hide_secrets(id), id);
/// ```
pub fn hide_secrets(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut copied = 0;
    for (start, word) in words(text) {
        let kept = match public_len(word) {
            Some(kept) => kept,
            None if word.starts_with(REFRESH_TOKEN_PREFIX) => REFRESH_TOKEN_PREFIX.len(),
            None if is_token(word) => "eyJ".len(),
            None => continue,
        };
        let (Some(before), Some(kept)) = (text.get(copied..start), word.get(..kept)) else { continue };
        shown.push_str(before);
        shown.push_str(kept);
        shown.push('…');
        copied = start + word.len();
    }
    match copied {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(shown + text.get(copied..).unwrap_or_default()),
    }
}

/// How long the start of what is written as API keys are is: prefix, environment and separator.
fn public_len(word: &str) -> Option<usize> {
    let (head, body) = word.rsplit_once(['_', '.'])?;
    let is_head = head.contains('_') && head.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_body = body.len() >= MIN_BODY_LEN && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_head && is_body).then_some(head.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ks_live_2PqBnMhHq0vXkRz5yT8cWd1eUf3gJa4b9Lmn";

    #[test]
    fn secrets_are_cut_and_all_else_stays() {
        for (text, shown) in [
            (KEY.to_owned(), "ks_live_…"),
            (format!("a '{KEY}', \"{KEY}\" and {KEY}."), "a 'ks_live_…', \"ks_live_…\" and ks_live_…."),
            (KEY.replace("live_", "live."), "ks_live.…"),
            ("https://x/?k=ksr_AbC-_9".to_owned(), "https://x/?k=ksr_…"),
            ("é eyJh.eyJz.A-_A é".to_owned(), "é eyJ… é"),
        ] {
            assert_eq!(hide_secrets(&text), shown);
        }
        for plain in ["", "ses_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f", "a.b.c", "ks_live_short", "ä_ö", "eyJ", "v1.2.3."] {
            assert_eq!(hide_secrets(plain), plain);
        }
    }

    #[test]
    fn words_are_where_they_are_said_to_be() {
        for text in ["", "a", " a,b-c_d.  .é-x..", "…ks_live_x…"] {
            for (start, word) in words(text) {
                assert!(text[start..].starts_with(word), "{text}");
            }
        }
        assert_eq!(words(" a,b-c_d.é.").map(|(_, word)| word).collect::<Vec<_>>(), ["a", "b-c_d", ""]);
    }
}
