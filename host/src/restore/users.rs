//! What becomes of users, sessions and locks when a backup is restored.

use std::collections::BTreeSet;

use keystile_validator::Timestamp;
use serde_json::json;

use super::{RestoreSuspension, Restored, by_restore};
use crate::audit;
use crate::ids::UserId;
use crate::in_force::readable;
use crate::keys::{disowned, suspended};
use crate::login::attempts::{LOCK_ACCOUNT_AFTER, LOCK_SECONDS};
use crate::session::{EndReason, Session, SessionEnd};
use crate::sessions::outlived;
use crate::store::legible::{DamagedUser, Found};
use crate::store::users::{Bucket, SessionRow, UserRow};
use crate::store::{
    ReadTransaction, RevocationKind, RevocationRow, StoreError, THIS_STORE, WriteTransaction, undecided,
};
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
    current.each_user(&mut |found| {
        let current = match found {
            Found::Whole(row) => row,
            Found::Damaged(user, row) => {
                told.cannot_read(row.clone());
                let Some(id) = user.id else { return Err(row.undecided()) };
                damaged_user(restored, view, id, user, now)?
            }
        };
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
    keep_sessions(restored, current, now, told)?;
    keep_locks(restored, current, now, told)?;
    keep_security_events(restored, current, told)?;
    Ok(kept)
}

/// A user that cannot be read: it is suspended, without a password and without rights, so that nothing comes back that
/// was taken from it. Where nobody can say which address it has, it is deleted.
fn damaged_user(
    restored: &dyn WriteTransaction,
    current: &dyn ReadTransaction,
    id: UserId,
    damaged: DamagedUser,
    now: Timestamp,
) -> Result<UserRow, StoreError> {
    let DamagedUser { email, organization, is_deleted, .. } = damaged;
    let old = match restored.user(id)? {
        Some(UserRow::Live { user, .. }) => Some(user),
        Some(UserRow::Deleted { .. }) | None => None,
    };
    let email = match (email, &old) {
        (Some(email), _) => Some(email),
        // Unless it is somebody else's by now.
        (None, Some(old)) if current.user_id_by_email(&old.email)?.is_none() => Some(old.email.clone()),
        (None, _) => None,
    };
    let Some(email) = email.filter(|_| !is_deleted) else { return Ok(UserRow::Deleted { id, at: now }) };
    let user = User {
        id,
        email,
        name: old.as_ref().and_then(|old| old.name.clone()),
        organization,
        admin: false,
        password_set_at: None,
        created_at: old.as_ref().map_or(now, |old| old.created_at),
        created_by: old.map(|old| old.created_by).unwrap_or_default(),
        updated_at: now,
        suspended_at: Some(now),
        last_login_at: None,
    };
    Ok(UserRow::Live { user, password: None })
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
        if let (Some(key), None) = (restored.key(id)?, current.bare_key(id)?) {
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
            if let (Some(key), None) = (restored.key(id)?, current.bare_key(id)?) {
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
        if let UserRow::Live { user, .. } = row.whole()?
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
    told: &mut Restored,
) -> Result<(), StoreError> {
    restored.delete_sessions()?;
    let latest = undecided(current.clock())?.newest;
    current.each_session(&mut |found| {
        let mut row = match found {
            Found::Whole(row) => row,
            Found::Damaged(id, row) => {
                // Its refresh tokens are those of no session, too.
                told.cannot_read(row);
                let Some(id) = id else { return Ok(()) };
                return refuse_tokens(restored, now, latest, RevocationKind::Session, id.to_string());
            }
        };
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
    // Of a key that cannot be read, which is suspended now, the sessions end.
    let current = readable(current.key(key), key, &mut Vec::new())?;
    let (Some(current), Some(restored)) = (current, restored.key(key)?) else { return Ok(None) };
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

/// A restore is no way around a lock. Nobody can say of a bucket that cannot be read whether it is locked: it is.
fn keep_locks(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    now: Timestamp,
    told: &mut Restored,
) -> Result<(), StoreError> {
    restored.delete_buckets()?;
    let mut unreadable = Vec::new();
    if let Some(key) = readable(current.bucket_key(), "of attempts_key", &mut unreadable)? {
        restored.set_bucket_key(&key)?;
    }
    unreadable.into_iter().for_each(|row| told.cannot_read(row));
    current.each_bucket(&mut |found| match found {
        Found::Whole((id, bucket)) => restored.set_bucket(&id, &bucket),
        Found::Damaged(id, row) => {
            told.cannot_read(row);
            let Some(id) = id else { return Ok(()) };
            let blocked_until = now.saturating_add(LOCK_SECONDS);
            let locked = Bucket { failures: LOCK_ACCOUNT_AFTER, last_at: now, blocked_until, succeeded_at: None };
            restored.set_bucket(&id, &locked)
        }
    })
}

/// A restore makes nobody forget who has tried to log in.
fn keep_security_events(
    restored: &mut dyn WriteTransaction,
    current: &dyn ReadTransaction,
    told: &mut Restored,
) -> Result<(), StoreError> {
    let mut events = Vec::new();
    current.each_security_event(&mut |found| {
        match found {
            Found::Whole(event) => events.push(event),
            Found::Damaged((), row) => told.cannot_read(row),
        }
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
