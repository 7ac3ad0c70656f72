//! Keys as operators see them: plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use keystile_validator::{
    AddressRange, Digest, Environment, KeyFormat, KeyId, KeyRecord, KeyState, Rate, Scope, Timestamp,
};

use crate::ids::UserId;
use crate::login::LoginSettings;
use crate::tokens::TokenSettings;

/// Longest name of a key or format, in bytes.
pub const MAX_NAME_LEN: usize = 128;
/// Longest display form of an imported secret, in bytes: a hint, never the secret.
pub const MAX_DISPLAY_LEN: usize = 24;
/// Longest note on a revocation, in bytes.
pub const MAX_NOTE_LEN: usize = 512;
/// Most metadata entries of a key.
pub const MAX_METADATA: usize = 32;
/// Longest name of a metadata entry, in bytes.
pub const MAX_METADATA_NAME_LEN: usize = 64;
/// Longest value of a metadata entry, in bytes.
pub const MAX_METADATA_VALUE_LEN: usize = 512;
/// Longest request id, in bytes.
pub const MAX_REQUEST_ID_LEN: usize = 128;

/// A key: the lasting thing an operator manages. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// Who it acts for.
    pub owner: Option<String>,
    /// The name of its key format; `None` for an imported key.
    pub format: Option<String>,
    /// Its environment.
    pub environment: Environment,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where it may be used from; empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// How often it may be used.
    pub rate: Option<Rate>,
    /// What the operator wants to remember with it.
    pub metadata: BTreeMap<String, String>,
    /// When it was made or imported.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When an operator last changed it.
    pub updated_at: Timestamp,
    /// From when on it is valid.
    pub not_before: Option<Timestamp>,
    /// From when on it is expired.
    pub expires_at: Option<Timestamp>,
    /// The state an operator has given it.
    pub state: KeyState,
    /// When it was suspended, while it is.
    pub suspended_at: Option<Timestamp>,
    /// The user whose suspension it shares: it acts for that user, and is resumed with the user. `None` while it is
    /// suspended: an operator has suspended the key itself.
    pub suspended_for: Option<UserId>,
    /// Whether a restore has suspended it: one of the two stores did not know it. An operator decides when it is
    /// resumed.
    pub suspended_by_restore: bool,
    /// When and why it was revoked.
    pub revocation: Option<Revocation>,
    /// Its secrets, oldest first; the last one is the active one.
    pub secrets: Vec<SecretInfo>,
}

/// What is known of one secret of a key, but for the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// 1 for the first secret of the key, 2 for the one that replaced it, and so on.
    pub number: u32,
    /// The digest.
    pub digest: Digest,
    /// What lists may show of it, such as `hx_live_abc1…`.
    pub display: String,
    /// Where it came from.
    pub origin: Origin,
    /// When it was made or imported.
    pub created_at: Timestamp,
    /// From when on it is refused as `rotated`.
    pub retires_at: Option<Timestamp>,
    /// Replaced by a rotation whose grace starts when a newer secret is first used: so many seconds
    /// from then.
    pub pending_grace: Option<u64>,
    /// When it was noted that it has ended: from then on it is refused as `rotated` whatever the clock says.
    pub ended_at: Option<Timestamp>,
    /// How often it was allowed.
    pub uses: u64,
    /// When it was first allowed.
    pub first_used_at: Option<Timestamp>,
    /// When it was last allowed.
    pub last_used_at: Option<Timestamp>,
}

impl SecretInfo {
    /// Whether it is refused at this time because a newer secret has replaced it.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        refused_from(self.retires_at, self.ended_at).is_some_and(|at| now >= at)
    }
}

/// From when on a secret is refused as `rotated`: one that was noted as ended, always.
pub(crate) fn refused_from(retires_at: Option<Timestamp>, ended_at: Option<Timestamp>) -> Option<Timestamp> {
    if ended_at.is_some() { Some(EPOCH) } else { retires_at }
}

/// The beginning of time.
const EPOCH: Timestamp = match Timestamp::from_unix(0) {
    Ok(epoch) => epoch,
    Err(_) => Timestamp::MAX,
};

/// Where a secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made by this host.
    Generated,
    /// Its digest was imported.
    Imported,
}

/// When and why a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: RevokeReason,
    /// What the operator wrote.
    pub note: Option<String>,
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// Every value, in the order people see them.
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            /// The name in commands, JSON and the store.
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<$type, UnknownName> {
                let found = $type::ALL.iter().copied().find(|value| value.as_str() == name);
                found.ok_or_else(|| UnknownName { known: &[$($name),*] })
            }
        }
    };
}

pub(crate) use names;

names! {
    /// Why a key is revoked: a fixed list, so that reports can count. The names follow the reason
    /// codes of RFC 5280, section 5.3.1, where there is one.
    RevokeReason {
        /// No reason is given.
        Unspecified = "unspecified",
        /// The secret is known, or may be known, to somebody who should not have it.
        KeyCompromise = "key_compromise",
        /// Another key has taken its place.
        Superseded = "superseded",
        /// What it was for has ended.
        CessationOfOperation = "cessation_of_operation",
        /// Its owner has left or changed.
        AffiliationChanged = "affiliation_changed",
        /// Its owner may no longer do what it allows.
        PrivilegeWithdrawn = "privilege_withdrawn",
    }
}

names! {
    /// The state of a key at a point in time.
    KeyStatus {
        /// In use.
        Active = "active",
        /// Switched off; can be resumed.
        Suspended = "suspended",
        /// Ended for good.
        Revoked = "revoked",
        /// Past its expiry.
        Expired = "expired",
        /// Before its start.
        NotYetValid = "not_yet_valid",
    }
}

names! {
    /// A column that a list can be sorted by.
    SortColumn {
        /// When the key was made.
        CreatedAt = "created_at",
        /// When an operator last changed it.
        UpdatedAt = "updated_at",
        /// When it expires; never comes last.
        ExpiresAt = "expires_at",
        /// When it was last used; never comes first.
        LastUsedAt = "last_used_at",
        /// How often it was used.
        Uses = "uses",
        /// The name.
        Name = "name",
        /// The owner; none comes first.
        Owner = "owner",
        /// The environment.
        Environment = "env",
        /// The format; none comes first.
        Format = "format",
        /// The state.
        State = "state",
        /// The id.
        Id = "id",
    }
}

/// A name that is not on a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownName {
    /// The names that are.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown name · give one of {}", self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}

impl Key {
    /// The state at this time, in the order in which a verdict looks.
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        match self.state {
            KeyState::Revoked => KeyStatus::Revoked,
            KeyState::Suspended => KeyStatus::Suspended,
            KeyState::Active if self.expires_at.is_some_and(|at| now >= at) => KeyStatus::Expired,
            KeyState::Active if self.not_before.is_some_and(|at| now < at) => KeyStatus::NotYetValid,
            KeyState::Active => KeyStatus::Active,
        }
    }

    /// Whether an older secret is still valid beside the active one.
    pub fn is_rotating(&self, now: Timestamp) -> bool {
        self.status(now) == KeyStatus::Active && self.retiring().any(|secret| !secret.has_ended(now))
    }

    /// The secret that was made last.
    pub fn active_secret(&self) -> Option<&SecretInfo> {
        self.secrets.last()
    }

    /// The secrets that a rotation has replaced.
    pub fn retiring(&self) -> impl Iterator<Item = &SecretInfo> {
        self.secrets.split_last().into_iter().flat_map(|(_, older)| older)
    }

    /// What lists show of it, such as `hx_live_abc1…`.
    pub fn display(&self) -> &str {
        self.active_secret().map_or("", |secret| &secret.display)
    }

    /// How often the key was used.
    pub fn uses(&self) -> u64 {
        self.secrets.iter().map(|secret| secret.uses).sum()
    }

    /// When the key was last used.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.secrets.iter().filter_map(|secret| secret.last_used_at).max()
    }

    /// What a validator needs to know of one of its secrets.
    pub(crate) fn record(&self, secret: &SecretInfo) -> KeyRecord {
        KeyRecord {
            key_id: self.id,
            digest: secret.digest,
            state: self.state,
            owner: self.owner.clone(),
            environment: self.environment.clone(),
            scopes: self.scopes.clone(),
            not_before: self.not_before,
            expires_at: self.expires_at,
            retires_at: refused_from(secret.retires_at, secret.ended_at),
            addresses: self.addresses.clone(),
            rate: self.rate,
            starts_grace: self
                .secrets
                .iter()
                .any(|older| older.number < secret.number && older.pending_grace.is_some()),
        }
    }
}

/// A key format with the name that operators use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFormat {
    /// The name.
    pub name: String,
    /// The format.
    pub format: KeyFormat,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Settings of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The longest time a key may be valid, in seconds from its creation; `None`: no limit.
    pub max_lifetime: Option<u64>,
    /// What tokens are like.
    pub tokens: TokenSettings,
    /// How users log in, and how long they stay so.
    pub logins: LoginSettings,
}
