//! Taking away by id, without reading what that does not need.
//!
//! A row can hold a value that no Keystile writes, in a column that no verdict looks at. Such a row must not keep
//! anybody from taking something away: what is here reads single columns, where a value that cannot be read is
//! `None`, and writes the columns that take away and no other.

use keystile_validator::{Digest, KeyId, KeyState, Timestamp};

use super::{StoreError, UnreadableRow};
use crate::ids::{SessionId, UserId};
use crate::key::RevokeReason;
use crate::keys::grace_end;
use crate::session::Session;
use crate::user::Email;

/// What taking a key away needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BareKey {
    /// Its state; `None`: unreadable, so that no verdict allows it.
    pub(crate) state: Option<KeyState>,
    /// Whether it shares the suspension of a user.
    pub(crate) suspended_for_user: bool,
}

/// How a key is taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyContainment<'a> {
    /// Suspended: by itself, or with a user.
    Suspend {
        /// The user whose suspension it shares.
        with: Option<UserId>,
    },
    /// Revoked.
    Revoke {
        /// Why.
        reason: RevokeReason,
        /// In the words of whoever revokes it.
        note: Option<&'a str>,
    },
    /// Suspended, unless it is revoked, and taken away from a user who no longer acts by it.
    Disown {
        /// The user, whose id is the owner from then on.
        user: UserId,
        /// The owner that it has until then. Keys with another one keep it; `None`: all of them do.
        email: Option<&'a Email>,
    },
}

/// What ending a session needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BareSession {
    /// Its id.
    pub(crate) id: SessionId,
    /// Whose it is.
    pub(crate) user: Option<UserId>,
    /// When it was last used.
    pub(crate) last_used_at: Option<Timestamp>,
    /// When it expires.
    pub(crate) expires_at: Option<Timestamp>,
}

impl BareSession {
    /// Whether it has expired, as far as that can be read.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| self.last_used_at.map_or(now, |used| used.max(now)) >= expires_at)
    }
}

impl From<&Session> for BareSession {
    fn from(session: &Session) -> BareSession {
        BareSession {
            id: session.id,
            user: Some(session.user),
            last_used_at: Some(session.last_used_at),
            expires_at: Some(session.expires_at),
        }
    }
}

/// What taking a user away needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BareUser {
    /// Its address; `None`: unreadable, so that nobody can say which keys act for it.
    pub(crate) email: Option<Email>,
    /// Whether it is suspended.
    pub(crate) is_suspended: bool,
}

/// What taking an external issuer away needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BareIssuer {
    /// The `iss` of its tokens.
    pub(crate) issuer: Option<String>,
    /// Whether its tokens are let in.
    pub(crate) is_enabled: bool,
}

/// What an external issuer is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssuerRef<'a> {
    /// Its name.
    Name(&'a str),
    /// Its name, or the `iss` of its tokens.
    NameOrIss(&'a str),
}

/// A signing key that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadableSigningKey {
    /// Where it lies.
    pub(crate) ordinal: i64,
    /// What tokens name it by; `None`: unreadable.
    pub(crate) kid: Option<String>,
    /// What cannot be read of it.
    pub(crate) row: UnreadableRow,
}

/// A grace that waits for the first use of a newer secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitingGrace {
    /// The key.
    pub(crate) key: KeyId,
    /// When the key expires.
    pub(crate) expires_at: Option<Timestamp>,
    /// The number of the secret that ends with the grace.
    pub(crate) number: u32,
    /// Its digest.
    pub(crate) digest: Digest,
    /// How long the grace lasts, in seconds.
    pub(crate) grace: u64,
    /// When the secret ends in any case.
    pub(crate) retires_at: Option<Timestamp>,
}

impl WaitingGrace {
    /// When the secret ends, if the grace begins at this time.
    pub(crate) fn end(&self, first_use: Timestamp) -> Timestamp {
        let end = grace_end(first_use, self.grace, self.expires_at);
        self.retires_at.map_or(end, |at| at.min(end))
    }
}

/// What is read to take something away.
pub(crate) trait ReadBare {
    /// A key.
    fn bare_key(&self, id: KeyId) -> Result<Option<BareKey>, StoreError>;

    /// The keys with this owner whose id is none, so that nobody can name them.
    fn nameless_keys_of(&self, owner: &Email) -> Result<Vec<UnreadableRow>, StoreError>;

    /// The graces that wait for the first use of the secret with this digest.
    fn waiting_graces(&self, digest: &Digest) -> Result<Vec<WaitingGrace>, StoreError>;

    /// A session.
    fn bare_session(&self, id: SessionId) -> Result<Option<BareSession>, StoreError>;

    /// A user that was not deleted; or whose row says so although it has sessions, which no Keystile leaves behind.
    fn bare_user(&self, id: UserId) -> Result<Option<BareUser>, StoreError>;

    /// The id of the user with this address, when it was not deleted.
    fn user_id_by_email(&self, email: &Email) -> Result<Option<UserId>, StoreError>;

    /// An external issuer.
    fn bare_issuer(&self, issuer: IssuerRef<'_>) -> Result<Option<BareIssuer>, StoreError>;
}

/// What is written to take something away.
pub(crate) trait Contain: ReadBare {
    /// Takes a key away; the secrets stay as they are. A revoked one is not suspended.
    fn contain_key(&mut self, id: KeyId, at: Timestamp, how: KeyContainment<'_>) -> Result<(), StoreError>;

    /// Begins a grace: the secret ends at this time, and has ended when that is over.
    fn start_grace(
        &mut self,
        grace: &WaitingGrace,
        retires_at: Timestamp,
        ended_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Suspends a user.
    fn suspend_user(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError>;

    /// Disables the external issuer of this name.
    fn disable_issuer(&mut self, name: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Gives up a signing key that cannot be read: nothing that it has signed is accepted from then on.
    fn give_up_signing_key(&mut self, ordinal: i64, at: Timestamp) -> Result<(), StoreError>;
}
