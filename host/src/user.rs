//! Users as operators see them: plain data.

use crate::store::UnreadableRow;
use std::fmt;
use std::str::FromStr;

use keystile_validator::Timestamp;

use crate::ids::{UserId, UserIdError};

/// Longest e-mail address, in bytes: what fits into the path of an SMTP envelope (RFC 5321, section
/// 4.5.3.1.3).
pub const MAX_EMAIL_LEN: usize = 254;
/// Longest part of an e-mail address before the `@`, in bytes (RFC 5321, section 4.5.3.1.1).
pub const MAX_EMAIL_LOCAL_LEN: usize = 64;
/// Longest text that is looked at for an e-mail address, in bytes: with white space around it.
const MAX_TYPED_LEN: usize = 4_096;
/// Longest label of the domain of an e-mail address, in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// A user: a person who logs in. It holds no password, and no hash of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// What it logs in with.
    pub email: Email,
    /// What people call it.
    pub name: Option<String>,
    /// The organization it belongs to, as tokens say in `org_id`.
    pub organization: Option<String>,
    /// Whether it may manage others.
    pub admin: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was suspended, while it is.
    pub suspended_at: Option<Timestamp>,
    /// When its password was set; `None`: it has none, and cannot log in with one.
    pub password_set_at: Option<Timestamp>,
    /// When its newest session began.
    pub last_login_at: Option<Timestamp>,
}

impl User {
    /// The state, as people read it.
    pub fn status(&self) -> UserStatus {
        if self.suspended_at.is_some() { UserStatus::Suspended } else { UserStatus::Active }
    }
}

/// The state of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserStatus {
    /// May log in.
    Active,
    /// Switched off; can be resumed.
    Suspended,
}

impl UserStatus {
    /// The name in commands and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            UserStatus::Active => "active",
            UserStatus::Suspended => "suspended",
        }
    }
}

impl fmt::Display for UserStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An e-mail address in the one form in which it is stored and compared: without spaces at its ends, all
/// letters in lower case.
///
/// It is ASCII: `local@domain`, the local part an RFC 5322 dot-atom of at most [`MAX_EMAIL_LOCAL_LEN`]
/// bytes, the domain a host name (an international one in its `xn--` form), all of it at most
/// [`MAX_EMAIL_LEN`] bytes. Quoted local parts and address literals are refused. Lower case also for
/// the local part: RFC 5321 would tell `Ada@` from `ada@`, people do not, and no provider does. Nothing
/// else is folded: a dot or a `+tag` makes another address.
///
/// ```
/// use keystile::Email;
/// let email: Email = " Ada.Lovelace@Example.COM ".parse()?;
/// assert_eq!(email.as_str(), "ada.lovelace@example.com");
/// assert!("ada@".parse::<Email>().is_err());
/// # Ok::<(), keystile::EmailError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// The normalized text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Email, EmailError> {
        // Measured before anything looks for white space in it.
        if text.len() > MAX_TYPED_LEN || text.trim().len() > MAX_EMAIL_LEN {
            return Err(EmailError::TooLong);
        }
        let text = text.trim();
        match text.rsplit_once('@') {
            Some((local, domain)) if is_local(local) && is_domain(domain) => Ok(Email(text.to_ascii_lowercase())),
            _ => Err(EmailError::Form),
        }
    }
}

fn is_local(local: &str) -> bool {
    let is_atom =
        |atom: &str| !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || ATOM_SYMBOLS.contains(&b));
    local.len() <= MAX_EMAIL_LOCAL_LEN && local.split('.').all(is_atom)
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=MAX_LABEL_LEN).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// The symbols that RFC 5322, section 3.2.3, allows in an atom.
const ATOM_SYMBOLS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";

/// A text that is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmailError {
    /// It is longer than [`MAX_EMAIL_LEN`] bytes.
    TooLong,
    /// It is not of the form `local@domain`, in ASCII.
    Form,
}

impl fmt::Display for EmailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EmailError::TooLong => write!(f, "the e-mail address is too long · give at most {MAX_EMAIL_LEN} bytes"),
            EmailError::Form => f.write_str("not an e-mail address · give one such as ada@example.com, in ASCII"),
        }
    }
}

impl std::error::Error for EmailError {}

/// How a person names a user: by id, or by e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// By id.
    Id(UserId),
    /// By e-mail address.
    Email(Email),
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserRef::Id(id) => id.fmt(f),
            UserRef::Email(email) => email.fmt(f),
        }
    }
}

impl From<UserId> for UserRef {
    fn from(id: UserId) -> UserRef {
        UserRef::Id(id)
    }
}

impl FromStr for UserRef {
    type Err = UserRefError;

    fn from_str(text: &str) -> Result<UserRef, UserRefError> {
        // An address has an `@`, and an id has none.
        if text.contains('@') {
            text.parse().map(UserRef::Email).map_err(UserRefError::Email)
        } else {
            text.parse().map(UserRef::Id).map_err(UserRefError::Id)
        }
    }
}

/// A text that names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserRefError {
    /// It is no id.
    Id(UserIdError),
    /// It is no e-mail address.
    Email(EmailError),
}

impl fmt::Display for UserRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserRefError::Id(_) => {
                f.write_str("not a user · give an e-mail address, or an id as `users list` shows it")
            }
            UserRefError::Email(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UserRefError {}

/// Which users to list. The default lists all of them, newest first.
#[derive(Clone, Debug)]
pub struct UserQuery {
    /// Only users with this text in their e-mail address, name, organization or id; letter case of ASCII
    /// does not matter.
    pub search: Option<String>,
    /// Only users of this organization.
    pub organization: Option<String>,
    /// Only users that are suspended, or only those that are not.
    pub suspended: Option<bool>,
    /// Most users to return: 1 to [`MAX_PAGE`](crate::bounds::MAX_PAGE).
    pub limit: usize,
    /// The last user of the page before.
    pub after: Option<UserId>,
}

impl Default for UserQuery {
    fn default() -> UserQuery {
        UserQuery { search: None, organization: None, suspended: None, limit: crate::query::DEFAULT_PAGE, after: None }
    }
}

/// A page of users.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// Users that cannot be read.
    pub unreadable: Vec<UnreadableRow>,
    /// The users, newest first.
    pub users: Vec<User>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<UserId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (text, expected) in [
            ("ada@example.com", "ada@example.com"),
            (" \tAda@EXAMPLE.Com\n", "ada@example.com"),
            ("a.b+tag@x-y.example", "a.b+tag@x-y.example"),
            ("root@localhost", "root@localhost"),
            ("o'neil_#1@xn--bcher-kva.example", "o'neil_#1@xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), expected);
        }
        for bad in [
            "",
            "ada",
            "@",
            "ada@",
            "@example.com",
            "a@b@c",
            "a b@c.d",
            "a@b c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@.b",
            "a@b.",
            "a@b..c",
            "a@-b",
            "a@b-",
            "\"a\"@b",
            "a@[127.0.0.1]",
            "ä@b.c",
            "a@b\u{fc}cher.de",
            "a\0@b",
            "a@b_c",
            "Kelvin\u{212a}@b.c",
            "a@b,c@d",
        ] {
            assert_eq!(bad.parse::<Email>(), Err(EmailError::Form), "{bad:?}");
        }
    }

    #[test]
    fn addresses_have_a_longest_form() {
        let domain = format!("{0}.{0}.{1}", "d".repeat(63), "e".repeat(61));
        let longest = format!("{}@{domain}", "l".repeat(64));
        assert_eq!(longest.len(), MAX_EMAIL_LEN);
        assert!(longest.parse::<Email>().is_ok());
        assert_eq!(format!("{longest}e").parse::<Email>(), Err(EmailError::TooLong));
        assert_eq!(format!("{}@b", "l".repeat(65)).parse::<Email>(), Err(EmailError::Form));
        assert_eq!(format!("a@{}", "d".repeat(64)).parse::<Email>(), Err(EmailError::Form));
    }

    #[test]
    fn users_are_named_by_id_or_address() {
        let id = UserId::from_bytes([3; 16]);
        assert_eq!(id.to_string().parse(), Ok(UserRef::Id(id)));
        assert_eq!("A@b".parse(), Ok(UserRef::Email("a@b".parse().unwrap())));
        assert!(matches!("ada".parse::<UserRef>(), Err(UserRefError::Id(_))));
        assert!(matches!("ada@".parse::<UserRef>(), Err(UserRefError::Email(EmailError::Form))));
    }
}
