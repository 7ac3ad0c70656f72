//! Logging in: by e-mail and password, or by a key that acts for a user.
//!
//! Of an account that does not exist, one without a password, one that is suspended, and of a wrong
//! password, a caller learns the same, after the same work: one attempt counted, one password hashed.

pub(crate) mod attempts;
mod error;
mod settings;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::net::IpAddr;

use keystile_validator::{Code, Digest, Environment, KeyId, Request, Scope};

pub use error::LoginError;
pub use settings::{
    LoginSettings, LoginSettingsError, MIN_PASSWORD_LEN_BOUNDS, REFRESH_WINDOW_BOUNDS, SESSION_LIFETIME_BOUNDS,
};

use crate::ids::SessionId;
use crate::key::KeyStatus;
use crate::keystile::{Inner, Keystile};
use crate::password::{Checked, Password};
use crate::session::{MAX_CLIENT_ID_LEN, MAX_CLIENT_LEN, MAX_SESSION_SCOPES};
use crate::sessions::{LoggedIn, LogoutError, NewSession, Refresh, RefreshError, Sessions, start};
use crate::store::users::{PasswordHash, UserRow};
use crate::text::start_of;
use crate::user::{Email, UserRef};
use crate::users::{Users, live_user_in};
use crate::verify::{Counting, bounded};
use attempts::Attempt;

/// An attempt to log in.
pub struct Login<'a> {
    /// The e-mail address, as it was typed.
    pub email: &'a str,
    /// The password.
    pub password: &'a Password,
    /// Who asks, from where.
    pub client: Client,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Who logs in, from where, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its client id; the session is then bound to it.
    pub id: Option<String>,
    /// How it describes itself, such as by its `User-Agent`. What does not fit on a line is left out, what
    /// is too long is cut.
    pub description: Option<String>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The scopes of its access tokens. Those of the key, when a key logs in.
    pub scopes: Vec<Scope>,
    /// The environment that the session and its tokens are for. A key logs in to its own environment only; without one
    /// asked for, its session belongs to that.
    pub environment: Option<Environment>,
}

impl Keystile {
    /// The user operations.
    pub fn users(&self) -> Users<'_> {
        Users::new(&self.inner)
    }

    /// The session operations.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions::new(&self.inner)
    }

    /// Begins a session with an e-mail address and a password.
    ///
    /// # Errors
    /// [`LoginError`]; which account there is, it does not tell.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("keystile.db");
    /// use keystile::{Client, KeyEncryptionKey, Keystile, Login, LoginError, NewStore, NewUser, Password, Refresh};
    /// # Keystile::create(&path, NewStore::default())?;
    /// // Tokens are signed with keys that lie sealed in the store.
    /// let keystile = Keystile::options().key_encryption_key(KeyEncryptionKey::generate()?).open(&path)?;
    /// let password = Password::new("correct horse battery staple".to_owned())?;
    /// let email = "ada@example.com";
    /// let user = keystile.users().create(NewUser::new(email.parse()?))?;
    /// keystile.users().reset_password(user.id, &password)?;
    ///
    /// let first = keystile.login(&Login { email, password: &password, client: Client::default() })?;
    /// let second = keystile.refresh(first.refresh_token.expose_secret(), &Refresh::default())?;
    /// keystile.logout(second.refresh_token.expose_secret())?;
    /// assert!(keystile.refresh(second.refresh_token.expose_secret(), &Refresh::default()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn login(&self, login: &Login<'_>) -> Result<LoggedIn, LoginError> {
        self.inner.login(login)
    }

    /// How many passwords this turnstile has hashed: what attempts to log in cost.
    pub fn passwords_hashed(&self) -> u64 {
        self.inner.hasher.hashes()
    }

    /// Begins a session with a secret of a key that acts for a user: one whose owner is the user's e-mail address. The
    /// secret is judged here, which counts as a use of the key. The session has the scopes and the environment of the
    /// key. It ends as soon as the key allows less than that, and with the secret.
    ///
    /// # Errors
    /// [`LoginError::InvalidCredentials`] when the secret is refused, or the key acts for no user;
    /// [`LoginError::WrongEnvironment`]; [`LoginError::LimitedKey`]; [`LoginError::Unavailable`].
    pub fn login_with_key(&self, secret: impl AsRef<[u8]>, client: Client) -> Result<LoggedIn, LoginError> {
        self.inner.login_with_key(secret.as_ref(), client)
    }

    /// Gives the next refresh token for this one, and a new access token. Within the refresh window of the
    /// store a token that was used gives the same successor again; after that its use ends the session.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub fn refresh(&self, refresh_token: &str, refresh: &Refresh<'_>) -> Result<LoggedIn, RefreshError> {
        self.sessions().refresh(refresh_token, refresh)
    }

    /// Ends the session that a refresh token belongs to, with its access tokens. Repeated, it does nothing.
    ///
    /// # Errors
    /// [`LogoutError`] when it is no refresh token of this store, or the store refuses.
    pub fn logout(&self, refresh_token: &str) -> Result<SessionId, LogoutError> {
        self.sessions().logout(refresh_token)
    }
}

impl Inner {
    fn login(&self, login: &Login<'_>) -> Result<LoggedIn, LoginError> {
        let client = checked(login.client.clone())?;
        let email: Option<Email> = login.email.parse().ok();
        // What is no address is counted as it was typed: there is no such account either.
        let account = email.as_ref().map_or(start_of(login.email, MAX_TYPED_LEN), Email::as_str);
        let place = self.hasher.enter()?;
        let attempt = Attempt { account, address: client.address };
        let counted = attempts::count(self, &attempt)??;
        // After the attempt was counted: what it is held against is of no earlier moment.
        let found = match &email {
            None => None,
            Some(email) => self.store().read()?.user_by_email(email)?,
        };
        let (user, stored) = match found {
            // Held against its password all the same: what is refused costs the same.
            Some(UserRow::Live { user, password }) => (Some(user).filter(|user| user.suspended_at.is_none()), password),
            Some(UserRow::Deleted { .. }) | None => (None, None),
        };
        let checked = place.check(login.password, stored.as_ref().map(|hash| hash.0.as_str()))?;
        drop(place);
        let (Some(user), Checked::Right { upgraded }) = (user, checked) else {
            attempts::fail(self, &attempt, &counted)?;
            return Err(LoginError::InvalidCredentials);
        };
        self.change(|transaction, now| {
            let (mut user, current) = live_user_in(&*transaction, user.id)?.ok_or(LoginError::InvalidCredentials)?;
            // Somebody else was faster: what was right is no longer the password of that address.
            if current != stored || Some(&user.email) != email.as_ref() || user.suspended_at.is_some() {
                return Err(LoginError::InvalidCredentials);
            }
            if let (Some(upgraded), Some(set_at)) = (upgraded, user.password_set_at) {
                transaction.set_password(user.id, Some(&PasswordHash(upgraded)), set_at)?;
            }
            attempts::succeed(transaction, &counted, now)?;
            Ok(start(self, transaction, now, &mut user, session(client, None, counted.failures_before))?)
        })
    }

    fn login_with_key(&self, secret: &[u8], client: Client) -> Result<LoggedIn, LoginError> {
        let secret = bounded(secret);
        let client = checked(client)?;
        let request = Request { environment: client.environment.clone(), ..Request::at(self.now()) };
        match self.verify(secret, &request, Counting::Counted).code() {
            None => {}
            Some(Code::WrongEnvironment) => return Err(LoginError::WrongEnvironment),
            // No such address was given, and no call is to be made: this key cannot log in from anywhere.
            Some(Code::AddressNotAllowed | Code::RateLimited) => return Err(LoginError::LimitedKey),
            Some(Code::Unavailable) => return Err(LoginError::Unavailable),
            Some(_) => return Err(LoginError::InvalidCredentials),
        }
        let digest = Digest::of(secret);
        self.change(|transaction, now| {
            // Read again: it may have been changed since the verdict. What was allowed and is no key is a token.
            let key = transaction.key_by_digest(&digest)?.filter(|key| key.status(now) == KeyStatus::Active);
            let key = key.ok_or(LoginError::InvalidCredentials)?;
            let secret = key.secrets.iter().find(|secret| secret.digest == digest && !secret.has_ended(now));
            let secret = secret.ok_or(LoginError::InvalidCredentials)?.number;
            let email = key.owner.as_deref().and_then(|owner| owner.parse::<Email>().ok());
            let email = email.ok_or(LoginError::InvalidCredentials)?;
            let mut user = match transaction.user_by_email(&email)? {
                Some(UserRow::Live { user, .. }) if user.suspended_at.is_none() => user,
                _ => return Err(LoginError::InvalidCredentials),
            };
            if !key.addresses.is_empty() || key.rate.is_some() {
                return Err(LoginError::LimitedKey);
            }
            let client = Client { scopes: key.scopes, environment: Some(key.environment), ..client };
            Ok(start(self, transaction, now, &mut user, session(client, Some((key.id, secret)), 0))?)
        })
    }
}

fn session(client: Client, key: Option<(KeyId, u32)>, failures_before: u32) -> NewSession {
    let Client { id, description, address, scopes, environment } = client;
    NewSession { client_id: id, client: description, address, key, environment, scopes, failures_before }
}

/// What a client says of itself, in bounds.
fn checked(mut client: Client) -> Result<Client, LoginError> {
    let is_id =
        |id: &str| (1..=MAX_CLIENT_ID_LEN).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if !client.id.as_deref().is_none_or(is_id) {
        return Err(LoginError::ClientId);
    }
    if client.scopes.len() > MAX_SESSION_SCOPES {
        return Err(LoginError::Scopes { given: client.scopes.len() });
    }
    client.address = client.address.map(|address| address.to_canonical());
    client.description = client.description.map(|text| described(&text)).filter(|text| !text.is_empty());
    Ok(client)
}

/// A description as it can be kept: no control characters, no more than so many bytes.
fn described(text: &str) -> String {
    let mut kept = String::new();
    for c in start_of(text, MAX_TYPED_LEN).trim().chars().filter(|c| !crate::text::is_treacherous(*c)) {
        if kept.len() + c.len_utf8() > MAX_CLIENT_LEN {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept
}

/// What a client may say of itself, and a name that it logs in with, in bytes: the rest is not looked at.
const MAX_TYPED_LEN: usize = 4_096;

impl From<Email> for UserRef {
    fn from(email: Email) -> UserRef {
        UserRef::Email(email)
    }
}
