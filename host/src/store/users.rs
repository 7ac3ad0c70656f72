//! What a store keeps of users: who they are, their sessions, and the attempts to log in.

use std::fmt;

use keystile_validator::{KeyId, Timestamp};

use super::StoreError;
use crate::ids::{SessionId, UserId};
use crate::session::{EndReason, Session, SessionPage, SessionQuery};
use crate::user::{Email, User, UserPage, UserQuery};

/// A user as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub(crate) enum UserRow {
    /// One that can be asked for.
    Live {
        /// The user.
        user: User,
        /// The hash of its password.
        password: Option<PasswordHash>,
    },
    /// One that was deleted: only its id is kept, so that no backup brings it back.
    Deleted {
        /// Its id.
        id: UserId,
        /// When.
        at: Timestamp,
    },
}

impl UserRow {
    /// Its id.
    pub(crate) fn id(&self) -> UserId {
        match self {
            UserRow::Live { user, .. } => user.id,
            UserRow::Deleted { id, .. } => *id,
        }
    }
}

/// The hash of a password, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash(pub(crate) String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A session as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    /// The session.
    pub(crate) session: Session,
    /// What its refresh tokens are made with. `None`: it was begun before keys were sealed, and was ended then.
    pub(crate) key: Option<SealedRefreshKey>,
    /// The number of its newest refresh token.
    pub(crate) counter: u64,
    /// When the token before that was first used.
    pub(crate) rotated_at: Option<Timestamp>,
    /// When the last of its access tokens expires; `None`: unknown.
    pub(crate) tokens_until: Option<Timestamp>,
}

/// The key that the refresh tokens of one session are made with, sealed under the key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealedRefreshKey(pub(crate) Vec<u8>);

impl fmt::Debug for SealedRefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedRefreshKey(…)")
    }
}

/// What attempts to log in are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BucketKind {
    /// The account that was named, whether there is one or not.
    Account,
    /// The address that the attempt came from.
    Address,
    /// An account at an address from which it was logged in to lately.
    Device,
}

/// Which bucket: its kind, and a keyed hash of what it counts, so that the store does not tell which
/// accounts somebody has tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BucketId {
    /// The kind.
    pub(crate) kind: BucketKind,
    /// The hash.
    pub(crate) subject: [u8; 32],
    /// The hash of the account, of a device.
    pub(crate) account: Option<[u8; 32]>,
}

/// The attempts that were counted in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Attempts in a row that were no success.
    pub(crate) failures: u32,
    /// When the last one was.
    pub(crate) last_at: Timestamp,
    /// Until when there may be no other.
    pub(crate) blocked_until: Timestamp,
    /// When one succeeded, of a device.
    pub(crate) succeeded_at: Option<Timestamp>,
}

/// The part of a view of a store that is about users.
pub(crate) trait ReadUsers {
    /// A user, also one that was deleted.
    fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError>;

    /// The user with this address.
    fn user_by_email(&self, email: &Email) -> Result<Option<UserRow>, StoreError>;

    /// A page of users, newest first, without those that were deleted.
    fn users(&self, query: &UserQuery) -> Result<UserPage, StoreError>;

    /// A session.
    fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError>;

    /// What the refresh tokens of a session are made with. `None`: there is no such session, or it was begun before
    /// keys were sealed, and was ended then.
    fn sealed_refresh_key(&self, id: SessionId) -> Result<Option<SealedRefreshKey>, StoreError>;

    /// A page of sessions, newest first. `now` decides what has expired.
    fn sessions(&self, query: &SessionQuery, now: Timestamp) -> Result<SessionPage, StoreError>;

    /// All sessions of a user that may be of use to somebody, or of everybody; the one that was used least lately
    /// first. Those are the sessions that have not ended, and those that say so although their access tokens may be
    /// valid and nothing refuses them, which no Keystile leaves behind.
    fn open_sessions(&self, user: Option<UserId>, now: Timestamp) -> Result<Vec<SessionId>, StoreError>;

    /// Those of [`open_sessions`](ReadUsers::open_sessions) that were begun with this key; and those of its owner that
    /// say of themselves to be begun with a key that is not there.
    fn open_sessions_of_key(&self, key: KeyId, now: Timestamp) -> Result<Vec<SessionId>, StoreError>;

    /// The key that buckets are named with; `None`: nobody has tried to log in yet.
    fn bucket_key(&self) -> Result<Option<[u8; 32]>, StoreError>;

    /// What was counted in a bucket.
    fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, StoreError>;
}

/// The part of a write that is about users.
pub(crate) trait WriteUsers: ReadUsers {
    /// Adds a user. `Ok(false)`: another one has the address or the id, and nothing was added.
    fn insert_user(&mut self, user: &User, password: Option<&PasswordHash>) -> Result<bool, StoreError>;

    /// Writes all fields of a user but its password. `Ok(false)`: another one has the address, and nothing
    /// was changed.
    fn update_user(&mut self, user: &User) -> Result<bool, StoreError>;

    /// Writes the password of a user.
    fn set_password(&mut self, id: UserId, password: Option<&PasswordHash>, at: Timestamp) -> Result<(), StoreError>;

    /// Forgets all about a user but its id.
    fn delete_user(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError>;

    /// Writes a user as another store has it, over what is there. Whoever else has the address loses it.
    fn carry_user(&mut self, row: &UserRow) -> Result<(), StoreError>;

    /// Deletes the users that have lost their address for good.
    fn delete_users_without_email(&mut self, at: Timestamp) -> Result<(), StoreError>;

    /// Adds a session.
    fn insert_session(&mut self, row: &SessionRow) -> Result<(), StoreError>;

    /// Writes counter, `rotated_at`, `last_used_at` and `tokens_until` of a session.
    fn update_session(&mut self, row: &SessionRow) -> Result<(), StoreError>;

    /// Ends a session. `Ok(false)`: there is none, or it was ended already.
    fn end_session(&mut self, id: SessionId, at: Timestamp, reason: EndReason) -> Result<bool, StoreError>;

    /// The clock has gone back since this time, at which or after which no window may be open again and
    /// nothing that had expired may come back: windows are closed, sessions that had expired are ended.
    /// Says how many sessions that has changed.
    fn clock_went_back(&mut self, since: Timestamp, now: Timestamp) -> Result<u64, StoreError>;

    /// Forgets all sessions of a user, also those that have ended.
    fn delete_sessions_of(&mut self, user: UserId) -> Result<(), StoreError>;

    /// Forgets all sessions.
    fn delete_sessions(&mut self) -> Result<(), StoreError>;

    /// Forgets some of the sessions that expired at this time or before.
    fn forget_sessions(&mut self, expired: Timestamp) -> Result<(), StoreError>;

    /// Writes the key that buckets are named with.
    fn set_bucket_key(&mut self, key: &[u8; 32]) -> Result<(), StoreError>;

    /// Writes a bucket.
    fn set_bucket(&mut self, id: &BucketId, bucket: &Bucket) -> Result<(), StoreError>;

    /// Empties the bucket of an account, and those of its devices: they stay known.
    fn empty_buckets(&mut self, account: &BucketId) -> Result<(), StoreError>;

    /// Forgets the bucket of an account, and those of its devices.
    fn delete_buckets_of(&mut self, account: &BucketId) -> Result<(), StoreError>;

    /// Forgets all buckets.
    fn delete_buckets(&mut self) -> Result<(), StoreError>;

    /// Forgets some of the buckets in which nothing was counted since these times: one for devices, and one
    /// for all others.
    fn forget_buckets(&mut self, devices: Timestamp, others: Timestamp) -> Result<(), StoreError>;
}
