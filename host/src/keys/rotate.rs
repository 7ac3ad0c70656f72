//! Rotating keys: a new secret, and a grace period for the old one.

use keystile_validator::{Digest, KeyId, Timestamp};
use serde_json::json;

use super::create::{find_format, secret_info};
use super::error::RotateKeyError;
use super::write::{KeyEntry, write_key};
use super::{Keys, key_in};
use crate::audit::GRACE_STARTED;
use crate::in_force::readable;
use crate::key::{Key, KeyStatus, MAX_REQUEST_ID_LEN, SecretInfo};
use crate::keystile::Inner;
use crate::secret::Secret;
use crate::secret_forms::SecretForms;
use crate::session::EndReason;
use crate::sessions::end_each;
use crate::store::{RotationRow, StoreError, WriteTransaction};
use crate::text::{is_line, rfc3339};

/// The grace period when nobody says otherwise: 24 hours, in seconds.
pub const DEFAULT_GRACE: u64 = 86_400;
/// The longest grace period: 90 days, in seconds.
pub const MAX_GRACE: u64 = 90 * 86_400;
/// Most secrets of a key that are valid at once.
pub const MAX_VALID_SECRETS: usize = 16;

/// How long the old secret stays valid beside the new one. It never outlives the key's own expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    seconds: u64,
    from_first_use: bool,
}

impl Grace {
    /// The old secret is refused at once, and so is every older one.
    pub const NONE: Grace = Grace { seconds: 0, from_first_use: false };

    /// So many seconds from now.
    pub const fn from_now(seconds: u64) -> Grace {
        Grace { seconds, from_first_use: false }
    }

    /// So many seconds from the first use of the new secret; until then the old one stays valid.
    pub const fn from_first_use(seconds: u64) -> Grace {
        Grace { seconds, from_first_use: true }
    }
}

impl Default for Grace {
    fn default() -> Grace {
        Grace::from_now(DEFAULT_GRACE)
    }
}

/// How to rotate a key.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// The grace of the old secret.
    pub grace: Grace,
    /// A name for this rotation: the same one again does not rotate again.
    pub request_id: Option<String>,
    /// The name of the format of the new secret; `None`: the key's own, or for an imported key the
    /// first one that has its environment.
    pub format: Option<String>,
}

/// A key that was rotated.
#[derive(Debug)]
pub struct RotatedKey {
    /// The key.
    pub key: Key,
    /// The new secret, this once; `None` when this request id was answered before.
    pub secret: Option<Secret>,
}

impl Keys<'_> {
    /// Gives a key a new secret. The key keeps its id, and all else; the old secret stays valid for
    /// the grace period and is refused as `rotated` after it. So are sessions that were begun with the old secret:
    /// they end with it, and at once when their access tokens would outlive it.
    ///
    /// # Errors
    /// [`RotateKeyError`]; the old secret is then what it was.
    pub fn rotate(&self, id: KeyId, rotation: Rotation) -> Result<RotatedKey, RotateKeyError> {
        let Grace { seconds: grace, from_first_use } = rotation.grace;
        if grace > MAX_GRACE {
            return Err(RotateKeyError::Grace);
        }
        let request_id = rotation.request_id.as_deref();
        if !request_id.is_none_or(|request_id| is_line(request_id, MAX_REQUEST_ID_LEN)) {
            return Err(RotateKeyError::RequestId);
        }
        self.inner.change(|transaction, now| {
            if request_id.is_some_and(|request_id| SecretForms::of(&*transaction).is_in(request_id)) {
                return Err(RotateKeyError::SecretAsRequestId);
            }
            let old = key_in(transaction, id, RotateKeyError::NotFound { id })?;
            let mut key = old.clone();
            if let Some(request_id) = request_id
                && let Some(done) = transaction.rotation(id, request_id)?
            {
                if done.grace != grace || done.from_first_use != from_first_use {
                    return Err(RotateKeyError::RequestIdReused);
                }
                return Ok(RotatedKey { key, secret: None });
            }
            let status = key.status(now);
            if matches!(status, KeyStatus::Revoked) || key.expires_at.is_some_and(|at| now >= at) {
                let status = if status == KeyStatus::Revoked { status } else { KeyStatus::Expired };
                return Err(RotateKeyError::Conflict { id, status });
            }
            let formats = transaction.formats()?;
            let named = match (&rotation.format, &key.format) {
                (None, None) => formats.iter().find(|named| named.format.environments().contains(&key.environment)),
                (Some(_), _) | (None, Some(_)) => None,
            };
            let named = match named {
                Some(named) => named,
                None => find_format(&formats, rotation.format.as_deref().or(key.format.as_deref()))
                    .map_err(|(name, known)| RotateKeyError::UnknownFormat { name, known })?,
            };
            let secret = Secret::generate(&named.format, &key.environment)?;
            let number = key.secrets.last().map_or(1, |last| last.number.saturating_add(1));
            let row = RotationRow { number, grace, from_first_use };
            for secret in &mut key.secrets {
                retire(secret, row, now, key.expires_at);
            }
            let still_valid = key.secrets.iter().filter(|secret| !secret.has_ended(now)).count();
            if still_valid >= MAX_VALID_SECRETS {
                return Err(RotateKeyError::TooManySecrets);
            }
            let info = secret_info(number, &secret, named, now);
            // 178 random bits do not meet again; if they did, the generator is broken.
            if !transaction.insert_secret(id, &info)? {
                return Err(RotateKeyError::Generator);
            }
            if let Some(request_id) = request_id {
                transaction.insert_rotation(id, request_id, &row)?;
            }
            let detail = json!({
                "prefix": info.display,
                "secret": number,
                "grace_seconds": grace,
                "grace_from_first_use": from_first_use,
                "old_retires_at": key.secrets.last().and_then(|old| old.retires_at).map(rfc3339),
                "request_id": request_id,
            });
            key.secrets.push(info);
            key.format = Some(named.name.clone());
            key.updated_at = now;
            let entry = KeyEntry { action: "key.rotated", detail: &detail };
            write_key(self.inner, transaction, now, &old, &key, entry)?;
            Ok(RotatedKey { key, secret: Some(secret) })
        })
    }
}

/// Sets when an old secret retires; never later than it was to retire already.
fn retire(old: &mut SecretInfo, rotation: RotationRow, now: Timestamp, expires_at: Option<Timestamp>) {
    if old.has_ended(now) {
        return;
    }
    if rotation.from_first_use {
        old.pending_grace = Some(old.pending_grace.unwrap_or(rotation.grace).min(rotation.grace));
    } else {
        // A grace that waits for the first use goes on waiting: whichever ends first counts.
        let end = grace_end(now, rotation.grace, expires_at);
        retire_at(old, end, now);
    }
}

/// Sets when an old secret retires, never later than it was to. One that has no time left has ended, whatever the
/// clock says later.
fn retire_at(old: &mut SecretInfo, end: Timestamp, now: Timestamp) {
    let end = old.retires_at.map_or(end, |before| before.min(end));
    old.retires_at = Some(end);
    if end <= now {
        old.ended_at = Some(now);
    }
}

/// The end of a grace period: never past the expiry of the key.
pub(crate) fn grace_end(start: Timestamp, grace: u64, expires_at: Option<Timestamp>) -> Timestamp {
    let end = start.saturating_add(grace);
    expires_at.map_or(end, |expires_at| end.min(expires_at))
}

/// The secret with this digest was used for the first time: the grace periods that wait for that
/// start now.
pub(crate) fn start_grace(inner: &Inner, digest: &Digest, first_use: Timestamp) -> Result<(), StoreError> {
    // It can only take away: the old secret ends.
    inner.contain(|transaction, now| {
        let mut unreadable = Vec::new();
        let key = readable(transaction.key_by_digest(digest), "of a key", &mut unreadable)?;
        let Some(mut key) = key else {
            return if unreadable.is_empty() { Ok(()) } else { start_bare(inner, transaction, now, digest, first_use) };
        };
        let Some(number) = key.secrets.iter().find(|secret| secret.digest == *digest).map(|secret| secret.number)
        else {
            return Ok(());
        };
        for index in 0..key.secrets.len() {
            let old = key.clone();
            let Some(secret) = key.secrets.get_mut(index).filter(|secret| secret.number < number) else { continue };
            let Some(grace) = secret.pending_grace.take() else { continue };
            let end = grace_end(first_use, grace, old.expires_at);
            retire_at(secret, end, now);
            let end = secret.retires_at.unwrap_or(end);
            let detail = json!({ "prefix": secret.display, "secret": secret.number, "retires_at": rfc3339(end) });
            let entry = KeyEntry { action: GRACE_STARTED, detail: &detail };
            write_key(inner, transaction, now, &old, &key, entry)?;
        }
        Ok(())
    })
}

/// The same of a key whose row cannot be read. No refresh can read it either, so the sessions that were begun with it
/// end.
fn start_bare(
    inner: &Inner,
    transaction: &mut dyn WriteTransaction,
    now: Timestamp,
    digest: &Digest,
    first_use: Timestamp,
) -> Result<(), StoreError> {
    let waiting = transaction.waiting_graces(digest)?;
    for grace in &waiting {
        let end = grace.end(first_use);
        transaction.start_grace(grace, end, (end <= now).then_some(now))?;
        let detail = json!({ "secret": grace.number, "retires_at": rfc3339(end) });
        inner.audit(transaction, now, GRACE_STARTED, Some(grace.key.to_string()), &detail)?;
    }
    let Some(key) = waiting.first().map(|grace| grace.key) else { return Ok(()) };
    let sessions = transaction.open_sessions_of_key(key, now)?;
    end_each(inner, transaction, now, &sessions, EndReason::Key, &mut Vec::new()).map(drop)
}
