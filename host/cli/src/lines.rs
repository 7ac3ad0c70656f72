//! Lines of standard input: any bytes, of any length, in a bounded amount of memory that is wiped.

use std::io::{self, Read};

use zeroize::{Zeroize as _, Zeroizing};

/// Reads lines. What it has held of them is wiped when it is dropped.
pub(super) struct Lines<'a> {
    source: &'a mut dyn Read,
    /// What was read and not yet handed out is `chunk[start..end]`. It is as large as the buffer of
    /// standard input, which then stays empty.
    chunk: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    /// Of its final size from the start: growing would leave copies behind.
    line: Zeroizing<Vec<u8>>,
    longest: usize,
    number: u64,
}

/// A line without its ending.
pub(super) struct Line<'a> {
    /// Its bytes; of a line that is too long, one more than are allowed.
    pub(super) bytes: &'a [u8],
    /// Whether it is longer than it may be.
    pub(super) too_long: bool,
    /// 1 for the first line.
    pub(super) number: u64,
}

impl<'a> Lines<'a> {
    /// Reads lines of at most so many bytes.
    pub(super) fn new(source: &'a mut dyn Read, longest: usize) -> Lines<'a> {
        // One byte to see that a line is too long, and one for a carriage return.
        let line = Zeroizing::new(Vec::with_capacity(longest.saturating_add(2)));
        Lines { source, chunk: Zeroizing::new(vec![0; CHUNK]), start: 0, end: 0, line, longest, number: 0 }
    }

    /// The next line; a last line needs no ending. It does not wait for more than that line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.forget();
        let mut ended = false;
        while !ended {
            if self.start == self.end {
                self.start = 0;
                self.end = read(self.source, &mut self.chunk)?;
                if self.end == 0 {
                    if self.line.is_empty() {
                        return Ok(None);
                    }
                    break;
                }
            }
            let unread = self.chunk.get(self.start..self.end).unwrap_or_default();
            let newline = unread.iter().position(|byte| *byte == b'\n');
            let part = unread.get(..newline.unwrap_or(unread.len())).unwrap_or_default();
            let room = self.line.capacity().saturating_sub(self.line.len());
            self.line.extend(part.iter().take(room));
            self.start = self.start.saturating_add(part.len()).saturating_add(usize::from(newline.is_some()));
            ended = newline.is_some();
        }
        self.number = self.number.saturating_add(1);
        let full = self.line.len() == self.line.capacity();
        let bytes = match self.line.strip_suffix(b"\r") {
            Some(bytes) if !full => bytes,
            _ => &self.line,
        };
        Ok(Some(self.cut(bytes)))
    }

    /// Everything that is left, as one line but for a last line ending; what is too long is read and
    /// forgotten.
    pub(super) fn rest(&mut self) -> io::Result<Line<'_>> {
        self.forget();
        let mut length = 0_usize;
        loop {
            let count = read(self.source, &mut self.chunk)?;
            let part = self.chunk.get(..count).unwrap_or_default();
            let room = self.line.capacity().saturating_sub(self.line.len());
            self.line.extend(part.iter().take(room));
            length = length.saturating_add(count);
            if count == 0 {
                break;
            }
        }
        self.number = 1;
        let whole = length == self.line.len();
        let bytes = match self.line.strip_suffix(b"\n") {
            Some(bytes) if whole => bytes.strip_suffix(b"\r").unwrap_or(bytes),
            _ => &self.line,
        };
        Ok(self.cut(bytes))
    }

    fn cut<'l>(&'l self, bytes: &'l [u8]) -> Line<'l> {
        let too_long = bytes.len() > self.longest;
        Line { bytes: bytes.get(..=self.longest).unwrap_or(bytes), too_long, number: self.number }
    }

    /// Wipes the line before the next one. Wiping all that there is room for would take longer than a
    /// verdict; what is behind the line was wiped with the line that was there.
    fn forget(&mut self) {
        self.line.as_mut_slice().zeroize();
        self.line.clear();
    }
}

fn read(source: &mut dyn Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Bytes read at once: more than the standard library's buffer, which such a read goes around.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one part per read, as a pipe does.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let part = self.0.remove(0);
            buffer[..part.len()].copy_from_slice(&part);
            Ok(part.len())
        }
    }

    fn lines(parts: &[&[u8]], longest: usize) -> Vec<(Vec<u8>, bool)> {
        let mut source = Parts(parts.iter().map(|part| part.to_vec()).collect());
        let mut lines = Lines::new(&mut source, longest);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.bytes.to_vec(), line.too_long));
        }
        all
    }

    fn whole(parts: &[&[u8]], longest: usize) -> (Vec<u8>, bool) {
        let mut source = Parts(parts.iter().map(|part| part.to_vec()).collect());
        let mut lines = Lines::new(&mut source, longest);
        let line = lines.rest().unwrap();
        (line.bytes.to_vec(), line.too_long)
    }

    #[test]
    fn lines_end_in_every_way() {
        let ok = |text: &str| (text.as_bytes().to_vec(), false);
        assert_eq!(lines(&[], 9), []);
        assert_eq!(lines(&[b"\n"], 9), [ok("")]);
        assert_eq!(lines(&[b"a\n\nb"], 9), [ok("a"), ok(""), ok("b")]);
        assert_eq!(lines(&[b"a\r\n\r\nb\r"], 9), [ok("a"), ok(""), ok("b")]);
        assert_eq!(lines(&[b"a", b"b\nc", b"\n"], 9), [ok("ab"), ok("c")]);
        assert_eq!(lines(&[b"\xff\x00\n"], 9), [(vec![0xff, 0], false)]);
    }

    #[test]
    fn long_lines_are_cut_and_the_next_line_is_whole() {
        assert_eq!(lines(&[b"abc\nab\n"], 2), [(b"abc".to_vec(), true), (b"ab".to_vec(), false)]);
        assert_eq!(
            lines(&[b"ab\r\nabcdefgh\r\nx"], 2),
            [(b"ab".to_vec(), false), (b"abc".to_vec(), true), (b"x".to_vec(), false)]
        );
        assert_eq!(lines(&[b"abc\r\n"], 2), [(b"abc".to_vec(), true)]);
        assert_eq!(lines(&[b"abcd\r", b"efg\n", b"y"], 2), [(b"abc".to_vec(), true), (b"y".to_vec(), false)]);
    }

    #[test]
    fn the_whole_input_is_one_credential() {
        assert_eq!(whole(&[], 4), (b"".to_vec(), false));
        assert_eq!(whole(&[b"ab", b"cd\n"], 4), (b"abcd".to_vec(), false));
        assert_eq!(whole(&[b"abcd\r\n"], 4), (b"abcd".to_vec(), false));
        assert_eq!(whole(&[b"a\nb\n\n"], 4), (b"a\nb\n".to_vec(), false));
        assert_eq!(whole(&[b"abcde"], 4), (b"abcde".to_vec(), true));
        assert_eq!(whole(&[b"abcde", b"fghij\n"], 4), (b"abcde".to_vec(), true));
    }
}
