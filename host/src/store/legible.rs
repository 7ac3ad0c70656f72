//! What can be read of rows that cannot be read whole: a restore must not forget what they have refused.

use keystile_validator::{Digest, KeyId, Timestamp};

use super::users::{Bucket, BucketId, SessionRow, UserRow};
use super::{KeyOrdinal, RevocationKind, RevocationRow, RotationRow, StoreError, UnreadableRow};
use crate::ids::{SessionId, UserId};
use crate::key::Key;
use crate::security_events::SecurityEvent;
use crate::user::Email;

/// A row: all of it, or what can be read of it and what cannot.
pub(crate) enum Found<T, D> {
    /// All of it.
    Whole(T),
    /// What can be read, and a value that cannot.
    Damaged(D, UnreadableRow),
}

impl<T, D> Found<T, D> {
    /// All of the row.
    pub(crate) fn whole(self) -> Result<T, StoreError> {
        match self {
            Found::Whole(row) => Ok(row),
            Found::Damaged(_, UnreadableRow { row, column }) => Err(StoreError::InvalidRow { row, column }),
        }
    }
}

/// Where a key lies, and whether it is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyPlace {
    /// Where it lies.
    pub(crate) ordinal: KeyOrdinal,
    /// Its id; `None`: unreadable.
    pub(crate) id: Option<KeyId>,
    /// Whether it is no staged key.
    pub(crate) is_in_force: bool,
}

/// What can be read of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedUser {
    /// Its id.
    pub(crate) id: Option<UserId>,
    /// Its address.
    pub(crate) email: Option<Email>,
    /// The organization that it belongs to.
    pub(crate) organization: Option<String>,
    /// Whether it was deleted.
    pub(crate) is_deleted: bool,
}

/// What can be read of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedRevocation {
    /// Who signed the tokens.
    pub(crate) issuer: Option<String>,
    /// What `value` is.
    pub(crate) kind: Option<RevocationKind>,
    /// The `jti`, `sid` or `sub`.
    pub(crate) value: Option<String>,
}

/// What takes a row.
pub(crate) type EachFound<'a, T, D> = dyn FnMut(Found<T, D>) -> Result<(), StoreError> + 'a;

/// What a restore reads of the store that it replaces.
pub(crate) trait ReadLegible {
    /// The keys beyond this ordinal, in the order in which they were added, at most `limit`: also those that cannot be
    /// read, and those that are not in force.
    fn key_places(&self, beyond: KeyOrdinal, limit: usize) -> Result<Vec<KeyPlace>, StoreError>;

    /// A key with its secrets, as far as they can be read; what cannot be is taken from `missing`. Its id is that of
    /// `missing`. Whatever says that it was revoked counts, and a state that cannot be read is that of a suspended key.
    /// A secret whose times cannot be read has ended now.
    fn legible_key(&self, ordinal: KeyOrdinal, missing: Key, now: Timestamp) -> Result<Key, StoreError>;

    /// The rotations of a key that can be read, with their request ids.
    fn rotations(&self, key: KeyId) -> Result<Vec<(String, RotationRow)>, StoreError>;

    /// The secrets of a key whose number and digest can be read.
    fn secret_digests(&self, key: KeyId) -> Result<Vec<(u32, Digest)>, StoreError>;

    /// All users, also those that were deleted.
    fn each_user(&self, each: &mut EachFound<'_, UserRow, DamagedUser>) -> Result<(), StoreError>;

    /// All sessions; of a damaged one, its id.
    fn each_session(&self, each: &mut EachFound<'_, SessionRow, Option<SessionId>>) -> Result<(), StoreError>;

    /// All buckets.
    fn each_bucket(&self, each: &mut EachFound<'_, (BucketId, Bucket), Option<BucketId>>) -> Result<(), StoreError>;

    /// All revocations.
    fn each_revocation(&self, each: &mut EachFound<'_, RevocationRow, DamagedRevocation>) -> Result<(), StoreError>;

    /// All security events, oldest first.
    fn each_security_event(&self, each: &mut EachFound<'_, SecurityEvent, ()>) -> Result<(), StoreError>;
}
