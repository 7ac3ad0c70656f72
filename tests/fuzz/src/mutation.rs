//! Mutations of an input, the same ones from the same seed.

/// Endless mutations of an input.
///
/// ```
/// let mutations = || keystile_fuzz::Mutations::new(b"{\"a\": 1}", 7).take(100);
/// assert!(mutations().eq(mutations()));
/// ```
#[derive(Debug)]
pub struct Mutations<'a> {
    input: &'a [u8],
    state: u64,
}

impl<'a> Mutations<'a> {
    /// The mutations of an input that a seed stands for.
    #[must_use]
    pub fn new(input: &'a [u8], seed: u64) -> Mutations<'a> {
        Mutations { input, state: seed }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.random() % bound.max(1) as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let len = 1 + self.below(8.min(bytes.len() - at));
        match self.below(9) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.random() as u8,
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => bytes[at] = bytes[at].wrapping_sub(1),
            4 => drop(bytes.drain(at..at + len)),
            5 => {
                let part = bytes[at..at + len].to_vec();
                let to = self.below(bytes.len());
                drop(bytes.splice(to..to, part));
            }
            6 => {
                let other = self.below(bytes.len());
                bytes.swap(at, other);
            }
            7 => {
                let token = DICTIONARY[self.below(DICTIONARY.len())];
                let end = if self.below(2) == 0 { at } else { (at + token.len()).min(bytes.len()) };
                drop(bytes.splice(at..end, token.iter().copied()));
            }
            _ => bytes.truncate(at),
        }
        if bytes.is_empty() {
            bytes.push(self.random() as u8);
        }
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.input.to_vec();
        if bytes.is_empty() {
            bytes.push(self.random() as u8);
        }
        // Mostly one change: what is nearly good goes deepest.
        for _ in 0..=self.below(16).saturating_sub(12) {
            self.mutate(&mut bytes);
        }
        Some(bytes)
    }
}

/// Pieces that mean something to a parser here.
const DICTIONARY: &[&[u8]] = &[
    b"\0\0",
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x01",
    b"\x80",
    b".",
    b"..",
    b"=",
    b"-_",
    b"A",
    b"\"",
    b"\\",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e9",
    b"1.5",
    b"18446744073709551616",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b" ",
    b"\n",
    b"\"kid\":\"\"",
    b"\"alg\":\"none\"",
    b"*",
    b"_",
];
