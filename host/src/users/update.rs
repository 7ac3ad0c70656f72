//! Changing users.

use serde_json::json;

use super::field::check_fields;
use super::{UpdateUserError, Users, live_user_in};
use crate::ids::UserId;
use crate::user::{Email, User};

/// What to change of a user; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// A new address.
    pub email: Option<Email>,
    /// A new name.
    pub name: Option<Option<String>>,
    /// A new organization. Access tokens that were given out go on saying the old one until they expire.
    pub organization: Option<Option<String>>,
    /// Whether it may manage others.
    pub admin: Option<bool>,
}

impl Users<'_> {
    /// Changes a user.
    ///
    /// # Errors
    /// [`UpdateUserError`]; nothing was changed then.
    pub fn update(&self, id: UserId, change: UserChange) -> Result<User, UpdateUserError> {
        if change == UserChange::default() {
            return Err(UpdateUserError::NoChange);
        }
        let new = |field: &Option<Option<String>>| field.clone().flatten();
        check_fields(new(&change.name).as_deref(), new(&change.organization).as_deref())?;
        self.inner.change(|transaction, now| {
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
            Ok(user)
        })
    }
}

/// The fields that differ, old and new, for the audit trail.
fn differences(old: &User, new: &User) -> serde_json::Value {
    let fields = |user: &User| {
        [
            ("email", json!(user.email.as_str())),
            ("name", json!(user.name)),
            ("organization", json!(user.organization)),
            ("admin", json!(user.admin)),
        ]
    };
    fields(old)
        .into_iter()
        .zip(fields(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| (name.to_owned(), json!({ "old": old, "new": new })))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
