//! Listing and showing users.

use keystile_validator::Timestamp;

use super::{ListUsersError, ShowUserError, Users, find_user_in, live_user_in};
use crate::ids::UserId;
use crate::login::attempts;
use crate::query::{MAX_PAGE, MAX_SEARCH_LEN};
use crate::user::{User, UserPage, UserQuery, UserRef};

impl Users<'_> {
    /// A page of users, newest first.
    ///
    /// # Errors
    /// [`ListUsersError`] when the query breaks a bound, or the store refuses.
    pub fn list(&self, query: &UserQuery) -> Result<UserPage, ListUsersError> {
        if query.limit == 0 || query.limit > MAX_PAGE {
            return Err(ListUsersError::Limit { given: query.limit });
        }
        if query.search.as_ref().is_some_and(|search| search.len() > MAX_SEARCH_LEN) {
            return Err(ListUsersError::Search);
        }
        Ok(self.inner.store().read()?.users(query)?)
    }

    /// A user.
    ///
    /// # Errors
    /// [`ShowUserError`] when there is no such user, or the store refuses.
    pub fn show(&self, id: UserId) -> Result<User, ShowUserError> {
        let found = live_user_in(&*self.inner.store().read()?, id)?;
        found.map(|(user, _)| user).ok_or(ShowUserError::NotFound { user: id.into() })
    }

    /// The user that a person means.
    ///
    /// # Errors
    /// [`ShowUserError`] when there is no such user, or the store refuses.
    pub fn find(&self, user: &UserRef) -> Result<User, ShowUserError> {
        let found = find_user_in(&*self.inner.store().read()?, user)?;
        found.ok_or_else(|| ShowUserError::NotFound { user: user.clone() })
    }

    /// The id of the user that a person means, without reading the rest of its row. An id is taken as it is: whether
    /// there is such a user is seen by what is done to it.
    ///
    /// # Errors
    /// [`ShowUserError`] when nobody has the address.
    pub fn id_of(&self, user: &UserRef) -> Result<UserId, ShowUserError> {
        match user {
            UserRef::Id(id) => Ok(*id),
            UserRef::Email(email) => {
                let found = self.inner.store().read()?.user_id_by_email(email)?;
                found.ok_or_else(|| ShowUserError::NotFound { user: user.clone() })
            }
        }
    }

    /// Until when nobody may try to log in as this user after too many wrong passwords, but from where the
    /// user has logged in lately; `None`: it is not locked.
    ///
    /// # Errors
    /// [`ShowUserError`] when there is no such user, or the store refuses.
    pub fn locked_until(&self, id: UserId) -> Result<Option<Timestamp>, ShowUserError> {
        let view = self.inner.store().read()?;
        let (user, _) = live_user_in(&*view, id)?.ok_or(ShowUserError::NotFound { user: id.into() })?;
        Ok(attempts::locked_until(&*view, user.email.as_str(), self.inner.now())?)
    }
}
