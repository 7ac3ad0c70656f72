//! Key operations. Each one is a transaction with its audit entry; when it returns, it is on disk
//! and this process already judges by it.

mod concern;
mod create;
mod damaged;
mod digest_encoding;
mod error;
mod field;
mod import;
mod list;
mod owner;
mod report;
mod rotate;
mod state;
mod update;
mod usage;
mod write;

use keystile_validator::{KeyId, Timestamp};

pub use concern::{Concern, EXPIRING_SECONDS, IDLE_SECONDS, KeyCounts, OLD_SECONDS, UNMISSED_SECONDS};
pub(crate) use create::new_key_id;
pub use create::{CreatedKey, NewKey};
pub(crate) use damaged::{blank, revoked};
pub use digest_encoding::DigestEncoding;
pub use error::{
    ChangeStateError, CreateKeyError, ImportKeysError, ListKeysError, RotateKeyError, ShowKeyError, UpdateKeyError,
};
pub use field::KeyFieldError;
#[cfg(test)]
pub(crate) use import::MAX_STAGED_AT_ONCE;
pub use import::{Import, Imported, ImportedKey, MAX_IMPORT};
pub(crate) use import::{discard_step, is_alive};
pub(crate) use owner::{disown_keys_of, disowned, resume_with_user, suspend_with_user, suspended};
pub use report::{KeyReport, MAX_REPORT_KEYS, ReportSection};
pub use rotate::{DEFAULT_GRACE, Grace, MAX_GRACE, MAX_VALID_SECRETS, RotatedKey, Rotation};
pub(crate) use rotate::{grace_end, start_grace};
pub use update::KeyChange;
pub(crate) use usage::DAY;
pub use usage::USAGE_DAYS;

use crate::key::Key;
use crate::keystile::Inner;
use crate::store::{StoreError, WriteTransaction};

/// The key operations of a [`Keystile`](crate::Keystile).
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    inner: &'a Inner,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Keys<'a> {
        Keys { inner }
    }
}

/// The key of this id inside a write.
fn key_in<E>(transaction: &dyn WriteTransaction, id: KeyId, not_found: E) -> Result<Key, E>
where
    E: From<StoreError>,
{
    transaction.key(id)?.ok_or(not_found)
}

/// The expiry a key gets: what was asked for, or the longest that the operator allows.
fn within_lifetime(
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    max_lifetime: Option<u64>,
) -> Result<Option<Timestamp>, KeyFieldError> {
    let Some(max_lifetime) = max_lifetime else { return Ok(expires_at) };
    let latest = created_at.saturating_add(max_lifetime);
    match expires_at {
        None => Ok(Some(latest)),
        Some(expires_at) if expires_at > latest => Err(KeyFieldError::LifetimeTooLong { max_lifetime, latest }),
        Some(expires_at) => Ok(Some(expires_at)),
    }
}
