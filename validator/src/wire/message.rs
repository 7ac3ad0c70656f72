//! Messages: one or many credentials against one request.

use core::fmt;

use super::bytes::{Buffer, Reader, Sink};
use super::formats::FormatsView;
use super::request::{RequestView, put_request};
use super::verdict::put_verdict;
use super::{ABI_VERSION, LayoutError};
use crate::check::{MAX_CREDENTIAL_LEN, judge};
use crate::jwt::TokenState;
use crate::request::Request;

/// Most credentials in one message.
pub const MAX_BATCH: usize = 1_024;
/// Longest message, in bytes: the size of the module's buffers.
pub const MAX_MESSAGE_LEN: usize = 262_144;

const HEADER_LEN: usize = 32;
const ITEM_LEN: usize = 16;

/// A message as a host writes it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What the callers ask for.
    pub request: &'a Request,
    /// The key formats in force, as [`encode_formats`](super::encode_formats) wrote them.
    pub formats: &'a [u8],
    /// The credentials with their records; 1 to [`MAX_BATCH`].
    pub items: &'a [Item<'a>],
}

/// A credential and the record that was found for it.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// The credential as presented.
    pub credential: &'a [u8],
    /// Its record, as [`encode_record`](super::encode_record) or
    /// [`encode_token_record`](super::encode_token_record) wrote it.
    pub record: Option<&'a [u8]>,
}

/// Says how long the credential is, never what it is.
impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("credential_len", &self.credential.len())
            .field("has_record", &self.record.is_some())
            .finish()
    }
}

impl<'a> Item<'a> {
    /// What goes into the message: one byte more than is looked at is enough to say `malformed`.
    fn sent(&self) -> (&'a [u8], &'a [u8]) {
        let longest = MAX_CREDENTIAL_LEN.saturating_add(1);
        let credential = self.credential.get(..longest).unwrap_or(self.credential);
        (credential, self.record.unwrap_or_default())
    }
}

impl Message<'_> {
    /// Writes the message into a buffer and says how long it is.
    ///
    /// # Errors
    /// [`LayoutError`] when it does not fit, or breaks a bound.
    pub fn write_to(&self, buffer: &mut [u8]) -> Result<usize, LayoutError> {
        let count = u16::try_from(self.items.len()).map_err(|_| LayoutError)?;
        if self.items.is_empty() || self.items.len() > MAX_BATCH {
            return Err(LayoutError);
        }
        let (header, body) = buffer.split_at_mut_checked(HEADER_LEN).ok_or(LayoutError)?;
        let mut body = Buffer::new(body);
        put_request(self.request, &mut body)?;
        let request_len = body.len();
        body.put(self.formats)?;
        let table = body.len();
        let mut next = offset(table)?.saturating_add(u32::from(count).saturating_mul(ITEM_LEN as u32));
        for item in self.items {
            let (credential, record) = item.sent();
            for part in [credential, record] {
                let len = u32::try_from(part.len()).map_err(|_| LayoutError)?;
                body.put_u32(next)?;
                body.put_u32(len)?;
                next = next.saturating_add(len);
            }
        }
        for item in self.items {
            let (credential, record) = item.sent();
            body.put(credential)?;
            body.put(record)?;
        }
        let mut header = Buffer::new(header);
        header.put_u16(ABI_VERSION)?;
        header.put_u16(count)?;
        header.put_u32(next)?;
        header.put_u32(HEADER_LEN as u32)?;
        header.put_u32(u32::try_from(request_len).map_err(|_| LayoutError)?)?;
        header.put_u32(offset(request_len)?)?;
        header.put_u32(u32::try_from(self.formats.len()).map_err(|_| LayoutError)?)?;
        header.put_u32(offset(table)?)?;
        header.put_u32(0)?;
        HEADER_LEN.checked_add(body.len()).ok_or(LayoutError)
    }
}

/// The offset in the message of a position behind its header.
fn offset(position: usize) -> Result<u32, LayoutError> {
    position.checked_add(HEADER_LEN).and_then(|sum| u32::try_from(sum).ok()).ok_or(LayoutError)
}

/// Judges a whole message and writes the verdicts; says how long the answer is. This is what the
/// core module runs. Tokens are judged by the issuers of `state`.
///
/// # Errors
/// [`MessageError`] when the message itself is malformed. Every credential in it must then be
/// treated as denied.
pub fn check_message(message: &[u8], state: &mut TokenState, answer: &mut [u8]) -> Result<usize, MessageError> {
    let mut header = Reader::new(message);
    let mut field = || header.u32().map_err(|_| MessageError::Length);
    let version_and_count = field()?;
    let [version_low, version_high, count_low, count_high] = version_and_count.to_le_bytes();
    if u16::from_le_bytes([version_low, version_high]) != ABI_VERSION {
        return Err(MessageError::Version);
    }
    let count = usize::from(u16::from_le_bytes([count_low, count_high]));
    if count == 0 || count > MAX_BATCH {
        return Err(MessageError::Count);
    }
    if usize::try_from(field()?) != Ok(message.len()) || message.len() > MAX_MESSAGE_LEN {
        return Err(MessageError::Length);
    }
    let request = section(message, field()?, field()?)?;
    let formats = section(message, field()?, field()?)?;
    let table_len = u32::try_from(count.saturating_mul(ITEM_LEN)).map_err(|_| MessageError::Length)?;
    let table = section(message, field()?, table_len)?;
    if field()? != 0 {
        return Err(MessageError::Length);
    }
    let request = RequestView::read(request).map_err(|_| MessageError::Request)?;
    let formats = FormatsView::read(formats).map_err(|_| MessageError::Formats)?;

    let mut answer = Buffer::new(answer);
    let mut table = Reader::new(table);
    for _ in 0..count {
        let mut part = || {
            let (start, len) = (table.u32(), table.u32());
            section(message, start.map_err(|_| MessageError::Length)?, len.map_err(|_| MessageError::Length)?)
        };
        let (credential, record) = (part()?, part()?);
        let record = Some(record).filter(|record| !record.is_empty());
        let judgement = judge(credential, record, &request, &formats, state);
        put_verdict(&judgement, &mut answer).map_err(|_| MessageError::Answer)?;
    }
    Ok(answer.len())
}

/// The bytes of a section; an empty one may point anywhere.
fn section(message: &[u8], start: u32, len: u32) -> Result<&[u8], MessageError> {
    if len == 0 {
        return Ok(&[]);
    }
    let start = usize::try_from(start).map_err(|_| MessageError::Length)?;
    let len = usize::try_from(len).map_err(|_| MessageError::Length)?;
    if start < HEADER_LEN {
        return Err(MessageError::Length);
    }
    let end = start.checked_add(len).ok_or(MessageError::Length)?;
    message.get(start..end).ok_or(MessageError::Length)
}

/// Why a message was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// Another version of the ABI.
    Version,
    /// A length or offset that does not fit.
    Length,
    /// No item, or too many.
    Count,
    /// A request that cannot be read.
    Request,
    /// Key formats that cannot be read.
    Formats,
    /// The answer does not fit into its buffer.
    Answer,
}

impl MessageError {
    /// The negative number that the core module returns for it.
    pub const fn code(self) -> i32 {
        match self {
            MessageError::Version => -1,
            MessageError::Length => -2,
            MessageError::Count => -3,
            MessageError::Request => -4,
            MessageError::Formats => -5,
            MessageError::Answer => -6,
        }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MessageError::Version => {
                "the message is of another version of the ABI · build host and validator from the same version"
            }
            MessageError::Length => "a length or offset in the message does not fit · see docs/abi.md",
            MessageError::Count => "the message has no item or too many · send 1 to 1,024",
            MessageError::Request => "the request in the message cannot be read · see docs/abi.md",
            MessageError::Formats => "the key formats in the message cannot be read · see docs/abi.md",
            MessageError::Answer => "the answer does not fit into its buffer · send fewer items",
        })
    }
}

impl core::error::Error for MessageError {}
