//! Arguments: from JavaScript values to the validator's types.

use js_sys::{Array, JSON, JsString, Object, Reflect, Uint8Array};
use keystile_validator::jwt::{Issuer, TokenRecord};
use keystile_validator::{KeyFormat, KeyRecord};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use crate::type_error;

/// What a validator is made with.
pub(crate) struct Settings {
    pub(crate) formats: Vec<KeyFormat>,
    pub(crate) issuers: Vec<Issuer>,
}

impl Settings {
    /// Reads `{ formats, issuers }`; `null`, `undefined` and absent members are none.
    pub(crate) fn read(settings: &JsValue) -> Result<Settings, JsValue> {
        if is_none(settings) {
            return Ok(Settings { formats: Vec::new(), issuers: Vec::new() });
        }
        if !is_plain_object(settings) {
            return Err(type_error("settings: not a plain object · give `{ formats, issuers }` or nothing"));
        }
        for name in Object::keys(settings.unchecked_ref::<Object>()).iter().filter_map(|name| name.as_string()) {
            if name != "formats" && name != "issuers" {
                return Err(type_error(&format!("settings: there is no `{name}` · give `formats` and `issuers`")));
            }
        }
        let member = |name: &str| {
            let unreadable = |_| type_error(&format!("settings: `{name}` cannot be read · give a plain object"));
            Reflect::get(settings, &name.into()).map_err(unreadable)
        };
        let formats = object(&member("formats")?, "formats")?.unwrap_or_default();
        let issuers = member("issuers")?;
        if is_none(&issuers) {
            return Ok(Settings { formats, issuers: Vec::new() });
        }
        let Some(issuers) = issuers.dyn_ref::<Array>() else {
            return Err(type_error("issuers: not an array · give an array of issuers"));
        };
        let issuers =
            issuers.iter().enumerate().map(|(index, document)| issuer(&document, &format!("issuers[{index}]")));
        Ok(Settings { formats, issuers: issuers.collect::<Result<_, _>>()? })
    }
}

/// What a store says of a credential.
pub(crate) enum CredentialRecord {
    /// Of a key.
    Key(Box<KeyRecord>),
    /// Of a token.
    Token(TokenRecord),
}

impl CredentialRecord {
    /// Reads a record: one with the member `key_id` is a key's.
    ///
    /// Every member of a token record may be absent, and an empty one says nothing against the token.
    /// So only a plain object is one: a promise that nobody awaited, a map or an empty list of rows
    /// would be read as such.
    pub(crate) fn read(record: &JsValue) -> Result<Option<CredentialRecord>, JsValue> {
        if is_none(record) {
            return Ok(None);
        }
        if Reflect::has(record, &"key_id".into()).unwrap_or(false) {
            return Ok(object(record, "record")?.map(|record| CredentialRecord::Key(Box::new(record))));
        }
        if !is_plain_object(record) {
            return Err(type_error(
                "record: neither a key record nor a plain object · give a record of the documented type, or null, \
                 and await what is a promise",
            ));
        }
        Ok(object(record, "record")?.map(CredentialRecord::Token))
    }
}

/// A string is taken as UTF-8. Half a surrogate pair becomes U+FFFD, which no credential holds. The
/// memory is wiped when it goes back to the allocator.
pub(crate) fn credential(credential: &JsValue) -> Result<Zeroizing<Vec<u8>>, JsValue> {
    if let Some(text) = credential.as_string() {
        return Ok(Zeroizing::new(text.into_bytes()));
    }
    match credential.dyn_ref::<Uint8Array>() {
        Some(bytes) => Ok(Zeroizing::new(bytes.to_vec())),
        None => Err(type_error("credential: neither a string nor a Uint8Array · give the presented key or token")),
    }
}

/// Reads the document of an issuer, which may hold secrets.
pub(crate) fn issuer(document: &JsValue, name: &str) -> Result<Issuer, JsValue> {
    let json = json(document, name)?.map(Zeroizing::new);
    let json = json.ok_or_else(|| type_error(&format!("{name}: missing · give an object of the documented type")))?;
    Issuer::from_json(json.as_bytes()).map_err(|error| type_error(&format!("{name}: {error}")))
}

/// Reads an object or an array; `null` and `undefined` are none.
pub(crate) fn object<T: DeserializeOwned>(value: &JsValue, name: &str) -> Result<Option<T>, JsValue> {
    let Some(json) = json(value, name)? else { return Ok(None) };
    serde_json::from_str(&json)
        .map(Some)
        .map_err(|error| type_error(&format!("{name}: {error} · give an object of the documented type")))
}

/// The JSON of a value; `null` and `undefined` are none.
fn json(value: &JsValue, name: &str) -> Result<Option<String>, JsValue> {
    if is_none(value) {
        return Ok(None);
    }
    // JSON would turn NaN and Infinity into null, and so it would a date and a number object that are NaN.
    // An expiry that is none never comes.
    let mut keep_values = |name: JsString, value: JsValue| match value.as_f64() {
        Some(number) if !number.is_finite() => Err(JsError::new(&format!("{}: not a number", String::from(name)))),
        _ if !has_plain_members(&value) => Err(JsError::new(&format!("{}: not plain", String::from(name)))),
        _ => Ok(Some(value)),
    };
    let json = JSON::stringify_with_replacer_func(value, &mut keep_values, None)
        .map_err(|_| type_error(&format!("{name}: not finite or not plain · give an object of the documented type")))?;
    // A function or a symbol has no JSON; the answer is then `undefined`, not a string.
    let json = JsValue::from(json)
        .dyn_into::<JsString>()
        .map_err(|_| type_error(&format!("{name}: not a plain object · give one of the documented type")))?;
    Ok(Some(String::from(json)))
}

fn is_none(value: &JsValue) -> bool {
    value.is_null() || value.is_undefined()
}

/// Whether all objects in this one are arrays or as a literal makes them, and none says itself what its JSON
/// is, as dates do.
fn has_plain_members(value: &JsValue) -> bool {
    let Some(object) = value.dyn_ref::<Object>() else { return true };
    let is_plain = |member: JsValue| {
        let writes_itself = Reflect::get(&member, &"toJSON".into()).map_or(true, |method| method.is_function());
        !writes_itself && (Array::is_array(&member) || is_plain_object(&member))
    };
    Object::keys(object).iter().all(|name| match Reflect::get(object, &name) {
        Ok(member) => !member.is_object() || is_plain(member),
        Err(_) => false,
    })
}

/// Whether this is an object as a literal or `JSON.parse` makes it, of this realm or another one.
fn is_plain_object(value: &JsValue) -> bool {
    let prototype = |value: &JsValue| Reflect::get_prototype_of(value).map(JsValue::from);
    match prototype(value) {
        Ok(first) => first.is_null() || prototype(&first).is_ok_and(|second| second.is_null()),
        // Not an object.
        Err(_) => false,
    }
}
