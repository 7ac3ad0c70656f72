//! Changing users.

use keystile_validator::KeyId;
use serde_json::json;

use super::field::{check_fields, check_no_secret};
use super::{UpdateUserError, Users, live_user_in};
use crate::audit::CHANGED;
use crate::ids::UserId;
use crate::keys::{disown_keys_of, suspend_with_user};
use crate::user::{Email, User};

/// What to change of a user; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// A new address. Keys that have the old one as their owner are suspended, and lose it.
    pub email: Option<Email>,
    /// A new name.
    pub name: Option<Option<String>>,
    /// A new organization. Access tokens that were given out go on saying the old one until they expire.
    pub organization: Option<Option<String>>,
    /// Whether it may manage others.
    pub admin: Option<bool>,
}

/// What a user is now, or was last, and what became of the keys that act for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedUser {
    /// The user.
    pub user: User,
    /// The keys that were suspended. After a suspension: those that act for the user, until it is resumed. After a
    /// deletion or a new address: those whose owner is the address that the user has no longer, because they would
    /// log in to whoever has that address next.
    pub keys_suspended: Vec<KeyId>,
    /// The keys that were resumed: those that were suspended with the user, after it was resumed.
    pub keys_resumed: Vec<KeyId>,
}

impl Users<'_> {
    /// Changes a user. When its address changes, the keys that have the old one as their owner are suspended, and
    /// have the id of the user as their owner from then on: give them another owner, then resume them.
    ///
    /// # Errors
    /// [`UpdateUserError`]; nothing was changed then.
    pub fn update(&self, id: UserId, change: UserChange) -> Result<ChangedUser, UpdateUserError> {
        if change == UserChange::default() {
            return Err(UpdateUserError::NoChange);
        }
        let new = |field: &Option<Option<String>>| field.clone().flatten();
        check_fields(new(&change.name).as_deref(), new(&change.organization).as_deref())?;
        self.inner.change(|transaction, now| {
            check_no_secret(&*transaction, new(&change.name).as_deref(), new(&change.organization).as_deref())?;
            let (old, _) = live_user_in(&*transaction, id)?.ok_or(UpdateUserError::NotFound { id })?;
            let user = User {
                email: change.email.unwrap_or_else(|| old.email.clone()),
                name: change.name.unwrap_or_else(|| old.name.clone()),
                organization: change.organization.unwrap_or_else(|| old.organization.clone()),
                admin: change.admin.unwrap_or(old.admin),
                updated_at: now,
                ..old.clone()
            };
            if !transaction.update_user(&user)? {
                return Err(UpdateUserError::EmailTaken { email: user.email });
            }
            self.inner.audit(transaction, now, "user.updated", Some(id.to_string()), &differences(&old, &user))?;
            let mut keys_suspended = Vec::new();
            if user.email != old.email {
                let detail = json!({ "owner_renamed": id.to_string() });
                // What cannot be read of them is for the doctor to say.
                let mut damaged = Vec::new();
                let of_old = (id, Some(&old.email));
                keys_suspended = disown_keys_of(self.inner, transaction, now, of_old, &detail, &mut damaged)?;
                if user.suspended_at.is_some() {
                    // From now on they act for a user who is suspended.
                    keys_suspended.extend(suspend_with_user(
                        self.inner,
                        transaction,
                        now,
                        (id, Some(&user.email)),
                        &mut damaged,
                    )?);
                }
            }
            Ok(ChangedUser { user, keys_suspended, keys_resumed: Vec::new() })
        })
    }
}

/// The fields that differ, old and new, for the audit trail; of address and name only that they do, so that
/// deleting the user erases them.
fn differences(old: &User, new: &User) -> serde_json::Value {
    let personal = [("email", old.email != new.email), ("name", old.name != new.name)];
    let personal = personal.into_iter().filter(|(_, differs)| *differs);
    let fields = |user: &User| [("organization", json!(user.organization)), ("admin", json!(user.admin))];
    fields(old)
        .into_iter()
        .zip(fields(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| (name.to_owned(), json!({ "old": old, "new": new })))
        .chain(personal.map(|(name, _)| (name.to_owned(), json!(CHANGED))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
