//! What a host looks up in a record on the way to the validator.

use super::LayoutError;
use super::record::RecordView;
use crate::id::KeyId;
use crate::record::Rate;

/// Position of the flags in a record, and the flags a host looks at.
const FLAGS_AT: usize = 4;
const HOST_FLAGS: u8 = super::record::RATE | super::record::STARTS_GRACE;

/// What a host must do besides asking for a verdict: count calls, start a grace period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHints {
    /// The key and its rate, when calls are to be counted.
    pub rate: Option<(KeyId, Rate)>,
    /// Whether the first use of the secret starts the grace of its predecessor.
    pub starts_grace: bool,
}

/// Reads the hints of a record; most records have none, which costs a look at one byte.
///
/// # Errors
/// [`LayoutError`] when the record cannot be read.
pub fn record_hints(record: &[u8]) -> Result<RecordHints, LayoutError> {
    let flags = record.get(FLAGS_AT).ok_or(LayoutError)?;
    if flags & HOST_FLAGS == 0 {
        return Ok(RecordHints::default());
    }
    let view = RecordView::read(record)?;
    Ok(RecordHints {
        rate: view.rate.map(|rate| (view.key_id, rate)),
        starts_grace: flags & super::record::STARTS_GRACE != 0,
    })
}
