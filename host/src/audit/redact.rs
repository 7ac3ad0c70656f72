//! People are named by their ids in the trail, never by an address or a name, so that deleting a user
//! erases the person.

use std::collections::HashMap;

use serde_json::Value;

use crate::store::{ReadTransaction, StoreError};
use crate::user::Email;

/// What the trail says of the owner of a key: the id of the user whose address it is; that it is the
/// address of somebody else; any other text as it is.
pub(crate) fn owner(view: &dyn ReadTransaction, owner: Option<&str>) -> Result<Value, StoreError> {
    let Some(text) = owner else { return Ok(Value::Null) };
    let user = match text.parse::<Email>() {
        Ok(email) => view.user_by_email(&email)?,
        Err(_) => None,
    };
    Ok(match user {
        Some(user) => user.id().to_string().into(),
        None if text.contains('@') => AN_ADDRESS.into(),
        None => text.into(),
    })
}

/// What stands for an e-mail address of nobody who is a user.
pub(crate) const AN_ADDRESS: &str = "an e-mail address";
/// What stands for an address or a name of a user that was changed.
pub(crate) const CHANGED: &str = "changed";

/// The entries that said at which address somebody was, and on which device.
const WITH_ADDRESS: [&str; 2] = ["session.started", "login.locked"];

/// Leaves people out of the details of old entries, which come in order. It learns from them which
/// address was whose, also of users that are deleted by now.
#[derive(Debug, Default)]
pub(crate) struct Redaction {
    users: HashMap<String, String>,
}

impl Redaction {
    /// The detail as it stays; `None`: nothing was to be left out.
    pub(crate) fn redact(&mut self, action: &str, subject: Option<&str>, detail: &str) -> Option<String> {
        let mut value: Value = serde_json::from_str(detail).ok()?;
        let before = value.clone();
        if let (true, Some(fields)) = (action.starts_with("user."), value.as_object_mut()) {
            for name in ["email", "name"] {
                match fields.remove(name) {
                    Some(change @ Value::Object(_)) => {
                        self.learn(name, subject, &change["old"]);
                        self.learn(name, subject, &change["new"]);
                        fields.insert(name.to_owned(), CHANGED.into());
                    }
                    Some(value) => self.learn(name, subject, &value),
                    None => {}
                }
            }
        }
        if let (true, Some(fields)) = (WITH_ADDRESS.contains(&action), value.as_object_mut()) {
            fields.retain(|name, _| name != "address" && name != "client");
        }
        self.walk(&mut value, false);
        (value != before).then(|| value.to_string())
    }

    fn learn(&mut self, field: &str, user: Option<&str>, value: &Value) {
        if let ("email", Some(user), Some(email)) = (field, user, value.as_str()) {
            self.users.insert(email.to_ascii_lowercase(), user.to_owned());
        }
    }

    fn walk(&self, value: &mut Value, is_owner: bool) {
        match value {
            Value::String(text) => {
                if let Some(user) = self.users.get(&text.to_ascii_lowercase()) {
                    user.clone_into(text);
                } else if is_owner && text.contains('@') {
                    AN_ADDRESS.clone_into(text);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.walk(value, is_owner)),
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(name, value)| self.walk(value, is_owner || name == "owner"));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_lose_addresses_and_names() {
        let mut redaction = Redaction::default();
        let mut redact = |action, subject, detail: &str| {
            redaction.redact(action, Some(subject), detail).unwrap_or_else(|| detail.to_owned())
        };
        let created = r#"{"admin":false,"email":"ada@example.com","name":"Ada","password":true}"#;
        assert_eq!(redact("user.created", "usr_1", created), r#"{"admin":false,"password":true}"#);
        let key = r#"{"name":"ci","owner":"ADA@example.com"}"#;
        assert_eq!(redact("key.created", "key_1", key), r#"{"name":"ci","owner":"usr_1"}"#);
        let updated = r#"{"email":{"new":"ada@example.org","old":"ada@example.com"},"name":{"new":null,"old":"Ada"}}"#;
        assert_eq!(redact("user.updated", "usr_1", updated), r#"{"email":"changed","name":"changed"}"#);
        let owners = r#"{"owner":{"new":"ada@example.org","old":"eve@example.com"}}"#;
        assert_eq!(redact("key.updated", "key_1", owners), r#"{"owner":{"new":"usr_1","old":"an e-mail address"}}"#);
        let started = r#"{"address":"192.0.2.1","client":"Firefox","client_id":"web","user":"usr_1"}"#;
        assert_eq!(redact("session.started", "ses_1", started), r#"{"client_id":"web","user":"usr_1"}"#);
        let locked = r#"{"address":"192.0.2.1","what":"account"}"#;
        assert_eq!(redact("login.locked", "usr_1", locked), r#"{"what":"account"}"#);
        for untouched in [r#"{"owner":"billing","name":"ci"}"#, "not json", "{}"] {
            assert_eq!(redact("key.created", "key_2", untouched), untouched);
        }
    }
}
