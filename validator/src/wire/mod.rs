//! The binary forms of the ABI (`docs/abi.md`): what a host writes and what the validator answers.
//!
//! Views borrow from the bytes and check every length once, when they are read.

mod bytes;
mod formats;
mod hints;
mod issuer;
mod jws;
mod message;
mod record;
mod request;
mod token_record;
mod verdict;

#[cfg(test)]
mod tests;

use core::fmt;

pub(crate) use formats::FormatsView;
pub use formats::{NO_FORMATS, encode_formats};
pub use hints::{RecordHints, record_hints};
pub use issuer::{PutIssuerError, put_issuer};
pub use jws::{JwsMessage, check_jws};
pub use message::{Item, MAX_BATCH, MAX_MESSAGE_LEN, Message, MessageError, check_message};
pub(crate) use record::RecordView;
pub use record::encode_record;
pub(crate) use request::RequestView;
pub use request::encode_request;
pub use token_record::encode_token_record;
pub(crate) use token_record::{is_token_record, read_token_record};
pub use verdict::decode_verdict;
pub(crate) use verdict::fits_verdict;

/// Version of the ABI that these forms belong to.
pub const ABI_VERSION: u16 = 2;

/// Bytes that do not follow the layout, or a value that does not fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayoutError;

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes do not follow the layout of the ABI · build host and validator from the same version")
    }
}

impl core::error::Error for LayoutError {}
