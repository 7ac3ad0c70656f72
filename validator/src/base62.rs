//! Base 62: digits, upper case, lower case.

/// The 62 characters, in the order of their values.
pub(crate) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A 32-bit number as six base-62 characters, most significant first, with leading zeros.
pub(crate) fn encode_u32(number: u32) -> [u8; 6] {
    let mut text = [b'0'; 6];
    let mut rest = number;
    for character in text.iter_mut().rev() {
        // The remainder is below 62, so the alphabet always has it.
        *character = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    text
}

/// Whether every byte is a base-62 character.
pub(crate) fn is_base62(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_leading_zeros() {
        assert_eq!(&encode_u32(0), b"000000");
        assert_eq!(&encode_u32(61), b"00000z");
        assert_eq!(&encode_u32(62), b"000010");
        // 4 · 62⁵ + 42 · 62⁴ + 41 · 62³ + 15 · 62² + 12 · 62 + 3 is 2³² − 1.
        assert_eq!(&encode_u32(u32::MAX), b"4gfFC3");
    }
}
