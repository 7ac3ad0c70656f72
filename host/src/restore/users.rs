//! What becomes of users, sessions and locks when a backup is restored.

use std::collections::BTreeSet;

use keystile_validator::Timestamp;
use serde_json::json;

use super::{RestoreSuspension, Restored, by_restore};
use crate::audit;
use crate::keys::{disowned, suspended};
use crate::session::{EndReason, Session, SessionEnd};
use crate::sessions::outlived;
use crate::store::users::{SessionRow, UserRow};
use crate::store::{ReadTransaction, RevocationKind, RevocationRow, StoreError, THIS_STORE, WriteTransaction};
use crate::tokens::{ACCESS_TOKEN_LIFETIME_BOUNDS, latest_issue};
use crate::user::{Email, User};

/// Keeps users, sessions and locks as the current store has them; says how many users that changed.
pub(super) fn keep(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<u64, StoreError> {
    let mut kept = 0_u64;
    let mut addresses = BTreeSet::new();
    let view = current;
    current.each_user(&mut |current| {
        let id = current.id();
        let old = restored.user(id)?;
        let Some((what, row)) = kept_user(old.clone(), current, now) else { return Ok(()) };
        kept = kept.saturating_add(1);
        restored.carry_user(&row)?;
        if let Some(UserRow::Live { user, .. }) = &old
            && address(&row) != Some(&user.email)
        {
            disown_keys(restored, view, user, now, actor)?;
        }
        addresses.extend([old.as_ref(), Some(&row)].into_iter().flatten().filter_map(address).cloned());
        if matches!(&row, UserRow::Live { user, .. } if user.suspended_at == Some(now)) {
            let latest = latest_issue(view, &id.to_string(), now)?;
            refuse_tokens(restored, now, latest, RevocationKind::Subject, id.to_string())?;
        }
        let detail = json!({ "kept": what });
        audit::append(restored, now, actor, "user.carried_over", Some(id.to_string()), &detail)
    })?;
    // Whoever has lost the address to another, and is not known to the current store.
    restored.delete_users_without_email(now)?;
    suspend_keys(restored, current, &addresses, now, actor, told)?;
    suspend_with_users(restored, now, actor)?;
    keep_sessions(restored, current, now)?;
    keep_locks(restored, current)?;
    keep_security_events(restored, current)?;
    Ok(kept)
}

/// Takes the keys that the current store does not know away from an address that this user no longer has there.
fn disown_keys(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    user: &User,
    now: Timestamp,
    actor: &str,
) -> Result<(), StoreError> {
    for id in restored.keys_of(&user.email)? {
        if let (Some(key), None) = (restored.key(id)?, current.key(id)?) {
            restored.update_key(&disowned(key, now, user))?;
            let detail = json!({ "kept": "suspended, its owner is another in the replaced store" });
            audit::append(restored, now, actor, "key.carried_over", Some(id.to_string()), &detail)?;
        }
    }
    Ok(())
}

/// Suspends the keys that act for whoever has one of these addresses and that the current store does not
/// know: it has not decided whether they are those of whoever has the address now. Of the keys that it
/// knows it has, when the address changed hands.
fn suspend_keys(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    addresses: &BTreeSet<Email>,
    now: Timestamp,
    actor: &str,
    told: &mut Restored,
) -> Result<(), StoreError> {
    for address in addresses {
        for id in restored.active_keys_of(address)? {
            if let (Some(key), None) = (restored.key(id)?, current.key(id)?) {
                let key = by_restore(key, now);
                restored.update_key(&key)?;
                told.suspend(&key, RestoreSuspension::OwnerChanged);
                let detail = json!({ "kept": "suspended, its owner is another in the replaced store" });
                audit::append(restored, now, actor, "key.carried_over", Some(id.to_string()), &detail)?;
            }
        }
    }
    Ok(())
}

/// Suspends the active keys that act for users who are suspended in the restored store.
fn suspend_with_users(restored: &mut dyn WriteTransaction, now: Timestamp, actor: &str) -> Result<(), StoreError> {
    let mut suspended_users = Vec::new();
    restored.each_user(&mut |row| {
        if let UserRow::Live { user, .. } = row
            && user.suspended_at.is_some()
        {
            suspended_users.push(user);
        }
        Ok(())
    })?;
    for user in suspended_users {
        for id in restored.active_keys_of(&user.email)? {
            let Some(key) = restored.key(id)? else { continue };
            restored.update_key(&suspended(key, now, Some(user.id)))?;
            let detail = json!({ "kept": "suspended with its owner" });
            audit::append(restored, now, actor, "key.carried_over", Some(id.to_string()), &detail)?;
        }
    }
    Ok(())
}

fn address(row: &UserRow) -> Option<&Email> {
    match row {
        UserRow::Live { user, .. } => Some(&user.email),
        UserRow::Deleted { .. } => None,
    }
}

/// What a user of the current store is in the restored one; `None`: what it is there already.
fn kept_user(restored: Option<UserRow>, current: UserRow, now: Timestamp) -> Option<(&'static str, UserRow)> {
    let (restored, user, password) = match (restored, current) {
        (Some(UserRow::Deleted { .. }), UserRow::Deleted { .. }) => return None,
        (_, deleted @ UserRow::Deleted { .. }) => return Some(("deleted", deleted)),
        (restored, UserRow::Live { user, password }) => (restored, user, password),
    };
    match restored {
        Some(UserRow::Live { user: old, password: old_password }) => {
            // The name is what the backup has; all else decides about what somebody may do.
            let kept = User { name: old.name.clone(), ..user };
            let same = User { updated_at: old.updated_at, last_login_at: old.last_login_at, ..kept.clone() } == old;
            if same && password == old_password {
                return None;
            }
            let user = User { updated_at: now, ..kept };
            Some(("address, rights, state and password", UserRow::Live { user, password }))
        }
        // Deleted there and alive here is a user that was never deleted here: that is another store.
        Some(UserRow::Deleted { .. }) => None,
        None => {
            let what = if user.suspended_at.is_none() { "suspended, unknown to the backup" } else { "suspended" };
            let user = User { suspended_at: user.suspended_at.or(Some(now)), updated_at: now, ..user };
            Some((what, UserRow::Live { user, password }))
        }
    }
}

/// Sessions are what the current store says, all of them and no others: one that it does not know has
/// ended, and the counter of one that it knows must not go back, or used tokens would be fresh again.
fn keep_sessions(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
) -> Result<(), StoreError> {
    restored.delete_sessions()?;
    current.each_session(&mut |mut row| {
        match restored.user(row.session.user)? {
            Some(UserRow::Live { user, .. }) => {
                row.session.secret = kept_secret(restored, current, &row.session)?;
                let reason = match row.session.key {
                    _ if user.suspended_at.is_some() => Some(EndReason::Suspended),
                    None => None,
                    // The key may be suspended in the restored store, or act for somebody else.
                    Some(key) => restored
                        .key(key)?
                        .is_none_or(|key| outlived(&key, &user, &row.session, now))
                        .then_some(EndReason::Key),
                };
                if let (Some(reason), None) = (reason, row.session.end) {
                    row.session.end = Some(SessionEnd { at: now, reason });
                    refuse_tokens(
                        restored,
                        now,
                        row.session.last_used_at,
                        RevocationKind::Session,
                        row.session.id.to_string(),
                    )?;
                }
                restored.insert_session(&row)
            }
            // Its refresh tokens are those of no session, which are refused; so are its access tokens.
            Some(UserRow::Deleted { .. }) | None => refuse_tokens(
                restored,
                now,
                row.session.last_used_at,
                RevocationKind::Session,
                row.session.id.to_string(),
            ),
        }
    })
}

/// The number that the secret which began a session has in the restored store.
fn kept_secret(
    restored: &dyn WriteTransaction,
    current: &dyn ReadTransaction,
    session: &Session,
) -> Result<Option<u32>, StoreError> {
    let (Some(key), Some(number)) = (session.key, session.secret) else { return Ok(None) };
    let (Some(current), Some(restored)) = (current.key(key)?, restored.key(key)?) else { return Ok(None) };
    let digest = current.secrets.iter().find(|secret| secret.number == number).map(|secret| secret.digest);
    let kept = restored.secrets.iter().find(|secret| Some(secret.digest) == digest);
    Ok(kept.map(|secret| secret.number))
}

/// Refuses the access tokens of a subject, or of a session, for as long as one of them can be valid. The
/// last one was made now, or at `latest` while the clock was ahead.
fn refuse_tokens(
    restored: &mut dyn WriteTransaction,
    now: Timestamp,
    latest: Timestamp,
    kind: RevocationKind,
    value: String,
) -> Result<(), StoreError> {
    let latest = latest.max(now);
    let issued_before = (kind == RevocationKind::Subject).then(|| latest.saturating_add(1));
    let expires_at = latest.saturating_add(*ACCESS_TOKEN_LIFETIME_BOUNDS.end());
    let issuer = THIS_STORE.to_owned();
    restored.put_revocation(&RevocationRow { issuer, kind, value, revoked_at: now, issued_before, expires_at })
}

/// A restore is no way around a lock.
fn keep_locks(restored: &mut dyn WriteTransaction, current: &dyn ReadTransaction) -> Result<(), StoreError> {
    restored.delete_buckets()?;
    if let Some(key) = current.bucket_key()? {
        restored.set_bucket_key(&key)?;
    }
    current.each_bucket(&mut |id, bucket| restored.set_bucket(&id, &bucket))
}

/// A restore makes nobody forget who has tried to log in.
fn keep_security_events(restored: &mut dyn WriteTransaction, current: &dyn ReadTransaction) -> Result<(), StoreError> {
    let mut events = Vec::new();
    current.each_security_event(&mut |event| {
        events.push(event);
        Ok(())
    })?;
    restored.replace_security_events(&events)
}

/// Ends all sessions of a backup that is restored where nothing is known of what came after it; says how
/// many.
pub(super) fn end_sessions(restored: &mut dyn WriteTransaction, now: Timestamp) -> Result<u64, StoreError> {
    let mut ended = 0_u64;
    for id in restored.open_sessions(None, now)? {
        let row = restored.session(id)?;
        let expired = row.as_ref().is_some_and(|row: &SessionRow| now >= row.session.expires_at);
        let reason = if expired { EndReason::Expired } else { EndReason::Restored };
        restored.end_session(id, now, reason)?;
        let latest = row.map_or(now, |row| row.session.last_used_at);
        refuse_tokens(restored, now, latest, RevocationKind::Session, id.to_string())?;
        ended = ended.saturating_add(u64::from(!expired));
    }
    Ok(ended)
}
