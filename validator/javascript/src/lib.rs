//! The Keystile validator for JavaScript: one function over plain objects.
//!
//! Objects cross the border as JSON, so that the same types that read JSON elsewhere read them here,
//! and refuse members that nobody knows.

// `wasm_bindgen` generates the code that crosses the border.
#![allow(unsafe_code)]

use js_sys::{JSON, JsString, Uint8Array};
use keystile_validator::{KeyFormat, KeyRecord, Request};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use zeroize::Zeroize;

/// Judges one credential; the types are in `types.d.ts`.
///
/// # Errors
/// A JavaScript `TypeError` when an argument is not of its type.
#[wasm_bindgen(skip_typescript)]
pub fn check(credential: &JsValue, record: &JsValue, request: &JsValue, formats: &JsValue) -> Result<JsValue, JsValue> {
    let record: Option<KeyRecord> = read(record, "record")?;
    let request: Option<Request> = read(request, "request")?;
    let request = request.ok_or_else(|| type_error("request: missing · give an object with at least `now`"))?;
    let formats: Vec<KeyFormat> = read(formats, "formats")?.unwrap_or_default();
    let mut credential = read_credential(credential)?;
    let verdict = keystile_validator::check(&credential, record.as_ref(), &request, &formats);
    // The memory goes back to the allocator as it is.
    credential.zeroize();
    let json = serde_json::to_string(&verdict).map_err(|error| type_error(&error.to_string()))?;
    JSON::parse(&json)
}

/// A string is taken as UTF-8. Half a surrogate pair becomes U+FFFD, which no secret holds.
fn read_credential(credential: &JsValue) -> Result<Vec<u8>, JsValue> {
    if let Some(text) = credential.as_string() {
        return Ok(text.into_bytes());
    }
    match credential.dyn_ref::<Uint8Array>() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(type_error("credential: neither a string nor a Uint8Array · give the presented key")),
    }
}

/// Reads an argument; `null` and `undefined` are none.
fn read<T: DeserializeOwned>(value: &JsValue, name: &str) -> Result<Option<T>, JsValue> {
    if value.is_null() || value.is_undefined() {
        return Ok(None);
    }
    // A function or a symbol has no JSON; the answer is then `undefined`, not a string.
    // JSON would turn NaN and Infinity into null, and an expiry that is none never comes.
    let mut keep_numbers = |name: JsString, value: JsValue| match value.as_f64() {
        Some(number) if !number.is_finite() => Err(JsError::new(&format!("{}: not a number", String::from(name)))),
        _ => Ok(Some(value)),
    };
    let json = JSON::stringify_with_replacer_func(value, &mut keep_numbers, None)
        .map_err(|_| type_error(&format!("{name}: not finite or not plain · give an object of the documented type")))?;
    let json = JsValue::from(json)
        .dyn_into::<JsString>()
        .map_err(|_| type_error(&format!("{name}: not a plain object · give one of the documented type")))?;
    serde_json::from_str(&String::from(json))
        .map(Some)
        .map_err(|error| type_error(&format!("{name}: {error} · give an object of the documented type")))
}

fn type_error(message: &str) -> JsValue {
    js_sys::TypeError::new(message).into()
}

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &'static str = include_str!("types.d.ts");
