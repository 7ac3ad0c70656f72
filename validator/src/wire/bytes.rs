//! Reading and writing little-endian bytes, every length checked.

use alloc::vec::Vec;

use super::LayoutError;
use crate::time::Timestamp;

/// Where bytes go: a vector that grows, or a buffer that does not.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), LayoutError>;

    fn put_u8(&mut self, value: u8) -> Result<(), LayoutError> {
        self.put(&[value])
    }

    fn put_u16(&mut self, value: u16) -> Result<(), LayoutError> {
        self.put(&value.to_le_bytes())
    }

    fn put_u32(&mut self, value: u32) -> Result<(), LayoutError> {
        self.put(&value.to_le_bytes())
    }

    fn put_u64(&mut self, value: u64) -> Result<(), LayoutError> {
        self.put(&value.to_le_bytes())
    }

    /// A count or length that fits into one byte.
    fn put_len(&mut self, len: usize) -> Result<(), LayoutError> {
        self.put_u8(u8::try_from(len).map_err(|_| LayoutError)?)
    }

    /// One byte of length, and the text.
    fn put_text(&mut self, text: &str) -> Result<(), LayoutError> {
        self.put_len(text.len())?;
        self.put(text.as_bytes())
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), LayoutError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// A byte of flags: those that are set, each a bit of its own.
pub(crate) fn flags<const N: usize>(flags: [(bool, u8); N]) -> u8 {
    flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag)
}

/// A buffer of fixed size and how much of it is written.
pub(crate) struct Buffer<'a> {
    rest: &'a mut [u8],
    len: usize,
}

impl<'a> Buffer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Buffer<'a> {
        Buffer { rest: buffer, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Sink for Buffer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), LayoutError> {
        let rest = core::mem::take(&mut self.rest);
        let (head, tail) = rest.split_at_mut_checked(bytes.len()).ok_or(LayoutError)?;
        head.copy_from_slice(bytes);
        self.rest = tail;
        self.len = self.len.saturating_add(bytes.len());
        Ok(())
    }
}

/// Bytes that are still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], LayoutError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(LayoutError)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], LayoutError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(LayoutError)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LayoutError> {
        self.array::<1>().map(|[byte]| *byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LayoutError> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LayoutError> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LayoutError> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, LayoutError> {
        Timestamp::from_unix(self.u64()?).map_err(|_| LayoutError)
    }

    /// A field that is there only when its flag is set.
    pub(crate) fn when<T>(
        &mut self,
        present: bool,
        read: impl FnOnce(&mut Self) -> Result<T, LayoutError>,
    ) -> Result<Option<T>, LayoutError> {
        if present { read(self).map(Some) } else { Ok(None) }
    }

    pub(crate) fn text(&mut self, len: usize) -> Result<&'a str, LayoutError> {
        core::str::from_utf8(self.take(len)?).map_err(|_| LayoutError)
    }

    /// One byte of length, and so many bytes.
    pub(crate) fn short_bytes(&mut self) -> Result<&'a [u8], LayoutError> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// One byte of length, and the text.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, LayoutError> {
        core::str::from_utf8(self.short_bytes()?).map_err(|_| LayoutError)
    }

    pub(crate) fn end(self) -> Result<(), LayoutError> {
        if self.0.is_empty() { Ok(()) } else { Err(LayoutError) }
    }
}

/// A run of short texts that was checked when it was cut out.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    /// Cuts `count` short texts off the reader; each must pass `is_valid`.
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        count: usize,
        is_valid: impl Fn(&[u8]) -> bool,
    ) -> Result<Texts<'a>, LayoutError> {
        let start = reader.rest();
        for _ in 0..count {
            if !is_valid(reader.short_bytes()?) {
                return Err(LayoutError);
            }
        }
        let len = start.len().saturating_sub(reader.rest().len());
        start.get(..len).map(Texts).ok_or(LayoutError)
    }

    /// The texts with their length bytes, as they stand.
    pub(crate) fn raw(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut reader = Reader(self.0);
        core::iter::from_fn(move || reader.short_bytes().ok())
    }
}
