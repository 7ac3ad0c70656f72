//! What a host looks up in a record on the way to the validator.

use super::LayoutError;
use super::record::RecordView;
use crate::id::KeyId;
use crate::record::Rate;

/// Positions in a record (`docs/abi.md`).
const FLAGS_AT: usize = 4;
const KEY_ID_AT: usize = 12;

/// What a host must do besides asking for a verdict: count calls, start a grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHints {
    /// The key.
    pub key_id: KeyId,
    /// Its rate, when calls are to be counted.
    pub rate: Option<Rate>,
    /// Whether the first use of the secret starts the grace of its predecessor.
    pub starts_grace: bool,
}

/// Reads the hints of a record; most records have no rate, which costs a look at a few bytes.
///
/// # Errors
/// [`LayoutError`] when the record cannot be read.
pub fn record_hints(record: &[u8]) -> Result<RecordHints, LayoutError> {
    let flags = record.get(FLAGS_AT).ok_or(LayoutError)?;
    let key_id = record.get(KEY_ID_AT..).and_then(<[u8]>::first_chunk).ok_or(LayoutError)?;
    let rate = if flags & super::record::RATE != 0 { RecordView::read(record)?.rate } else { None };
    Ok(RecordHints { key_id: KeyId::from_bytes(*key_id), rate, starts_grace: flags & super::record::STARTS_GRACE != 0 })
}
