//! User operations. Each one is a transaction with its audit entry; when it returns, it is on disk.

mod create;
mod error;
mod field;
mod list;
mod password;
mod state;
#[cfg(test)]
mod tests;
mod update;

pub use create::NewUser;
pub use error::{
    ChangePasswordError, ChangeUserStateError, CreateUserError, ListUsersError, ResetPasswordError, ShowUserError,
    UpdateUserError,
};
pub use field::UserFieldError;
pub use password::PasswordChange;
pub use state::ContainedUser;
pub use update::{ChangedUser, UserChange};

use crate::ids::UserId;
use crate::keystile::Inner;
use crate::store::users::{PasswordHash, UserRow};
use crate::store::{ReadTransaction, StoreError};
use crate::user::{User, UserRef};

/// The user operations of a [`Keystile`](crate::Keystile).
#[derive(Clone, Copy)]
pub struct Users<'a> {
    inner: &'a Inner,
}

impl<'a> Users<'a> {
    pub(crate) fn new(inner: &'a Inner) -> Users<'a> {
        Users { inner }
    }
}

/// The user that a person means, when there is one that was not deleted.
pub(crate) fn find_user_in(view: &dyn ReadTransaction, user: &UserRef) -> Result<Option<User>, StoreError> {
    let row = match user {
        UserRef::Id(id) => view.user(*id)?,
        UserRef::Email(email) => view.user_by_email(email)?,
    };
    Ok(match row {
        Some(UserRow::Live { user, .. }) => Some(user),
        Some(UserRow::Deleted { .. }) | None => None,
    })
}

/// A user that was not deleted, with the hash of its password.
pub(crate) fn live_user_in(
    view: &dyn ReadTransaction,
    id: UserId,
) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
    Ok(match view.user(id)? {
        Some(UserRow::Live { user, password }) => Some((user, password)),
        Some(UserRow::Deleted { .. }) | None => None,
    })
}
