//! base64url without padding (RFC 7515, section 2), read strictly: one text for each value.

use alloc::string::String;
use alloc::vec::Vec;

/// The bytes of a base64url text.
///
/// No padding, no white space, no character of another alphabet, and the bits left over at the end
/// are zero: whoever changes a character changes the value, or is refused.
///
/// # Errors
/// [`NotBase64Url`].
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, NotBase64Url> {
    let (quads, tail) = text.as_chunks::<4>();
    let mut bytes = Vec::with_capacity(text.len().div_ceil(4).saturating_mul(3));
    bytes.resize(quads.len().saturating_mul(3), 0);
    let (triples, _) = bytes.as_chunks_mut::<3>();
    // One bit above the six of a value is set when any character was none.
    let mut seen = 0;
    for ([a, b, c, d], triple) in quads.iter().zip(triples) {
        let values = [value(*a), value(*b), value(*c), value(*d)];
        seen |= union(values);
        *triple = join(values);
    }
    match tail {
        [] => {}
        [a, b] => {
            let (a, b) = (value(*a), value(*b));
            seen |= union([a, b, leftover(b & 0b1111), 0]);
            let [first, ..] = join([a, b, 0, 0]);
            bytes.push(first);
        }
        [a, b, c] => {
            let (a, b, c) = (value(*a), value(*b), value(*c));
            seen |= union([a, b, c, leftover(c & 0b11)]);
            let [first, second, _] = join([a, b, c, 0]);
            bytes.extend_from_slice(&[first, second]);
        }
        _ => return Err(NotBase64Url),
    }
    if seen & INVALID == 0 { Ok(bytes) } else { Err(NotBase64Url) }
}

/// The base64url text of these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(4).div_ceil(3));
    for chunk in bytes.chunks(3) {
        let [a, b, c] = match *chunk {
            [a, b, c] => [a, b, c],
            [a, b] => [a, b, 0],
            [a] => [a, 0, 0],
            _ => return text,
        };
        // One byte needs two characters, two bytes three, three bytes four.
        for value in split([a, b, c]).into_iter().take(chunk.len().saturating_add(1)) {
            text.push(ALPHABET.get(usize::from(value & 0b11_1111)).copied().map_or('A', char::from));
        }
    }
    text
}

/// Three bytes from four values of six bits.
fn join([a, b, c, d]: [u8; 4]) -> [u8; 3] {
    [(a << 2) | (b >> 4), (b << 4) | (c >> 2), (c << 6) | d]
}

/// Four values from three bytes. Only the lowest six bits of each count.
fn split([a, b, c]: [u8; 3]) -> [u8; 4] {
    [a >> 2, (a << 4) | (b >> 4), (b << 2) | (c >> 6), c]
}

/// All bits that any of the values has: two values must never hide each other.
fn union([a, b, c, d]: [u8; 4]) -> u8 {
    a | b | c | d
}

/// The six bits of a character, or [`INVALID`].
fn value(character: u8) -> u8 {
    VALUES.get(usize::from(character)).copied().unwrap_or(INVALID)
}

/// [`INVALID`] when bits are left over that no byte takes up.
fn leftover(bits: u8) -> u8 {
    if bits == 0 { 0 } else { INVALID }
}

/// A text that is not base64url, or not the one that its bytes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotBase64Url;

const INVALID: u8 = 0b0100_0000;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES: [u8; 256] = values();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated when compiled")]
const fn values() -> [u8; 256] {
    let mut values = [INVALID; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4648, section 10, without the padding.
    #[test]
    fn the_vectors_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")]
        {
            assert_eq!(decode(text.as_bytes()).as_deref(), Ok(bytes.as_bytes()));
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(decode(b"-_-_").as_deref(), Ok(&[0xfb, 0xff, 0xbf][..]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["A", "AAAAA", "Zg==", "Zm8=", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm v", "Zm9v\n", "Zm.v", "Zmév", "Z\0"]
        {
            assert_eq!(decode(text.as_bytes()), Err(NotBase64Url), "{text:?}");
        }
    }

    /// Each sets the same bit: together they must not clear it.
    #[test]
    fn one_bad_character_does_not_hide_another() {
        for length in [2, 3, 4, 6, 7, 8] {
            for (one, other) in (0..length).flat_map(|one| (0..length).map(move |other| (one, other))) {
                let mut text = std::vec![b'A'; length];
                (text[one], text[other]) = (b'!', b'!');
                assert_eq!(decode(&text), Err(NotBase64Url), "{one} and {other} of {length}");
            }
            // Nor does it hide the bits that are left over behind a `B`.
            for one in 0..length - 1 {
                let mut text = std::vec![b'A'; length];
                (text[one], text[length - 1]) = (b'!', b'B');
                assert_eq!(decode(&text), Err(NotBase64Url), "{one} of {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_value_has_one_text(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Ok(bytes));
        }

        #[test]
        fn every_text_that_is_read_is_the_one_of_its_value(text in "[A-Za-z0-9_=+/-]{0,24}") {
            if let Ok(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
