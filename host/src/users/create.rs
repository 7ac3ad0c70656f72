//! Creating users.

use serde_json::json;

use super::field::{check_fields, check_no_secret};
use super::{CreateUserError, Users};
use crate::ids::UserId;
use crate::password::Password;
use crate::store::StoreError;
use crate::store::users::PasswordHash;
use crate::user::{Email, User};

/// What a new user should be.
#[derive(Debug)]
pub struct NewUser {
    /// What it logs in with.
    pub email: Email,
    /// What people call it.
    pub name: Option<String>,
    /// The organization it belongs to.
    pub organization: Option<String>,
    /// Whether it may manage others.
    pub admin: bool,
    /// Its password; `None`: it cannot log in with one until it gets one.
    pub password: Option<Password>,
}

impl NewUser {
    /// A user with this address, and nothing else.
    pub fn new(email: Email) -> NewUser {
        NewUser { email, name: None, organization: None, admin: false, password: None }
    }
}

impl Users<'_> {
    /// Makes a user.
    ///
    /// # Errors
    /// [`CreateUserError`]; nothing was made then.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Keystile, NewStore, NewUser, Password};
    /// Keystile::create(&path, NewStore::default())?;
    /// let keystile = Keystile::open(&path)?;
    /// let password = || Password::new("correct horse battery staple".to_owned());
    /// let new = NewUser { password: Some(password()?), ..NewUser::new("Ada@Example.com".parse()?) };
    /// let user = keystile.users().create(new)?;
    /// assert_eq!(user.email.as_str(), "ada@example.com");
    /// assert!(user.id.to_string().starts_with("usr_"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(&self, new: NewUser) -> Result<User, CreateUserError> {
        check_fields(new.name.as_deref(), new.organization.as_deref())?;
        let hash = match &new.password {
            None => None,
            Some(password) => {
                let min_len = self.inner.store().read()?.settings()?.logins.min_password_len;
                password.check_new(min_len, new.email.as_str())?;
                Some(PasswordHash(self.inner.hasher.enter()?.hash(password)?))
            }
        };
        self.inner.change(|transaction, now| {
            check_no_secret(&*transaction, new.name.as_deref(), new.organization.as_deref())?;
            let user = User {
                id: UserId::generate(now).map_err(|_| StoreError::NoRandomBytes)?,
                email: new.email,
                name: new.name,
                organization: new.organization,
                admin: new.admin,
                created_at: now,
                created_by: self.inner.actor().to_owned(),
                updated_at: now,
                suspended_at: None,
                password_set_at: hash.is_some().then_some(now),
                last_login_at: None,
            };
            if !transaction.insert_user(&user, hash.as_ref())? {
                return Err(CreateUserError::EmailTaken { email: user.email });
            }
            let detail = json!({
                "organization": user.organization,
                "admin": user.admin,
                "password": hash.is_some(),
            });
            self.inner.audit(transaction, now, "user.created", Some(user.id.to_string()), &detail)?;
            Ok(user)
        })
    }
}
