//! The binary form of what a store says of a token.

use alloc::vec::Vec;

use super::LayoutError;
use super::bytes::{Reader, Sink as _, flags};
use crate::jwt::TokenRecord;

/// The layout number, where a key record has another.
const LAYOUT: u8 = 2;
const LAYOUT_AT: usize = 2;
const REVOKED: u8 = 1;
const SUSPENDED: u8 = 2;
const NOT_BEFORE: u8 = 4;
const ALL_FLAGS: u8 = REVOKED | SUSPENDED | NOT_BEFORE;
const LEN: u16 = 16;

/// Appends the binary form of what a store says of a token.
///
/// # Errors
/// None as of now: every token record has a binary form.
pub fn encode_token_record(record: &TokenRecord, out: &mut Vec<u8>) -> Result<(), LayoutError> {
    let flags =
        flags([(record.revoked, REVOKED), (record.suspended, SUSPENDED), (record.not_before.is_some(), NOT_BEFORE)]);
    out.put_u16(LEN)?;
    out.put(&[LAYOUT, flags, 0, 0, 0, 0])?;
    out.put_u64(record.not_before.map_or(0, |time| time.unix()))
}

/// Whether this is the record of a token rather than of a key.
pub(crate) fn is_token_record(record: &[u8]) -> bool {
    record.get(LAYOUT_AT) == Some(&LAYOUT)
}

pub(crate) fn read_token_record(bytes: &[u8]) -> Result<TokenRecord, LayoutError> {
    let mut reader = Reader::new(bytes);
    let len = reader.u16()?;
    let [layout, flags, reserved @ ..] = *reader.array::<6>()?;
    let time = reader.time()?;
    reader.end()?;
    let in_bounds = len == LEN
        && layout == LAYOUT
        && flags & !ALL_FLAGS == 0
        && reserved == [0; 4]
        && (flags & NOT_BEFORE != 0 || time.unix() == 0);
    if !in_bounds {
        return Err(LayoutError);
    }
    Ok(TokenRecord {
        revoked: flags & REVOKED != 0,
        suspended: flags & SUSPENDED != 0,
        not_before: (flags & NOT_BEFORE != 0).then_some(time),
    })
}
