//! The terminal's clipboard, by OSC 52: it works over SSH, where no clipboard of the machine does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The sequence that puts a text on the clipboard.
pub(crate) fn copy(text: &str) -> Zeroizing<Vec<u8>> {
    // Of its final size from the start: growing would leave copies behind.
    let payload = text.len().div_ceil(3) * 4;
    let mut sequence = Zeroizing::new(Vec::with_capacity(START.len() + payload + END.len()));
    sequence.extend_from_slice(START);
    let mut encoded = Zeroizing::new(vec![0; payload]);
    // The buffer has the size that the encoding has, so this writes all of it.
    let written = STANDARD.encode_slice(text, &mut encoded).unwrap_or_default();
    sequence.extend_from_slice(encoded.get(..written).unwrap_or_default());
    sequence.extend_from_slice(END);
    sequence
}

/// The sequences that take a secret off the clipboard again: one space in its place, then nothing.
///
/// xterm clears at whatever is not Base64, and most terminals do at an empty payload. But tmux passes over an
/// empty payload and over one of less than four characters, and lets no program delete what was copied
/// (tmux/tmux#3485); kitty stumbles over what is not Base64 (kovidgoyal/kitty#7757). All of them take a
/// space. So the secret is gone wherever it has arrived, and the clipboard is empty where that can be had.
pub(crate) const CLEAR: &[u8] = b"\x1b]52;c;IA==\x07\x1b]52;c;\x07";
/// How long a secret stays on the clipboard, in seconds.
pub(crate) const CLEAR_AFTER: u64 = 30;

const START: &[u8] = b"\x1b]52;c;";
/// BEL: what terminals and multiplexers of every age end a sequence with.
const END: &[u8] = b"\x07";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_exact() {
        for (text, sequence) in
            [("", "\x1b]52;c;\x07"), ("f", "\x1b]52;c;Zg==\x07"), ("hx_live_0123", "\x1b]52;c;aHhfbGl2ZV8wMTIz\x07")]
        {
            assert_eq!(copy(text).as_slice(), sequence.as_bytes());
        }
        assert_eq!(CLEAR, [copy(" ").as_slice(), copy("").as_slice()].concat());
    }
}
