//! The Keystile validator for JavaScript: a function for keys, and a class for keys and tokens, over
//! plain objects.
//!
//! Objects cross the border as JSON, so that the same types that read JSON elsewhere read them here,
//! and refuse members that nobody knows.

// `wasm_bindgen` generates the code that crosses the border.
#![allow(unsafe_code)]

use std::cell::{RefCell, RefMut};

use js_sys::JSON;
use keystile_validator::jwt::{Issuer, TokenState};
use keystile_validator::{Code, KeyFormat, KeyRecord, Record, Request, Verdict, check_batch};
use wasm_bindgen::prelude::*;

use read::{CredentialRecord, Settings};

mod read;

/// Judges one key; the types are in `types.d.ts`.
///
/// # Errors
/// A JavaScript `TypeError` when an argument is not of its type.
#[wasm_bindgen(skip_typescript)]
pub fn check(credential: &JsValue, record: &JsValue, request: &JsValue, formats: &JsValue) -> Result<JsValue, JsValue> {
    let record: Option<KeyRecord> = read::object(record, "record")?;
    let request = read_request(request)?;
    let formats: Vec<KeyFormat> = read::object(formats, "formats")?.unwrap_or_default();
    let credential = read::credential(credential)?;
    write_verdict(&keystile_validator::check(&credential, record.as_ref(), &request, &formats))
}

/// Judges keys and tokens by formats and issuers that are prepared once; the types are in
/// `types.d.ts`.
#[wasm_bindgen(skip_typescript)]
pub struct Validator {
    formats: Vec<KeyFormat>,
    /// Borrowed only after every argument was read: reading runs JavaScript of the caller's, which
    /// may come back here.
    state: RefCell<TokenState>,
}

#[wasm_bindgen]
impl Validator {
    /// A validator with these formats and issuers, none where the settings name none.
    ///
    /// # Errors
    /// A JavaScript `TypeError` when they are not of their types.
    #[wasm_bindgen(constructor, skip_typescript)]
    pub fn new(settings: &JsValue) -> Result<Validator, JsValue> {
        let Settings { formats, issuers } = Settings::read(settings)?;
        let mut state = TokenState::default();
        for issuer in issuers {
            put(issuer, &mut state)?;
        }
        Ok(Validator { formats, state: RefCell::new(state) })
    }

    /// Takes an issuer in place of the one of the same name; says how many of its keys can be used.
    ///
    /// # Errors
    /// A JavaScript `TypeError` when it is no issuer, or there are too many; then nothing has changed.
    #[wasm_bindgen(js_name = putIssuer, skip_typescript)]
    pub fn put_issuer(&self, document: &JsValue) -> Result<u32, JsValue> {
        let issuer = read::issuer(document, "issuer")?;
        put(issuer, &mut *self.state()?)
    }

    /// Forgets the issuer of exactly this name; says whether there was one.
    ///
    /// # Errors
    /// A JavaScript `TypeError` when the name is not a string.
    #[wasm_bindgen(js_name = removeIssuer, skip_typescript)]
    pub fn remove_issuer(&self, name: &JsValue) -> Result<bool, JsValue> {
        let name = name.as_string();
        let name = name.ok_or_else(|| type_error("name: not a string · give what the issuer has as `issuer`"))?;
        Ok(self.state()?.issuers.remove(&name).is_some())
    }

    /// Judges one credential, a key or a token.
    ///
    /// # Errors
    /// A JavaScript `TypeError` when an argument is not of its type.
    #[wasm_bindgen(skip_typescript)]
    pub fn check(&self, credential: &JsValue, record: &JsValue, request: &JsValue) -> Result<JsValue, JsValue> {
        let record = CredentialRecord::read(record)?;
        let record = record.as_ref().map(|record| match record {
            CredentialRecord::Key(record) => Record::Key(record),
            CredentialRecord::Token(record) => Record::Token(record),
        });
        let request = read_request(request)?;
        let credential = read::credential(credential)?;
        let verdict = check_batch(&[(&credential, record)], &request, &self.formats, &mut *self.state()?).pop();
        write_verdict(&verdict.unwrap_or(Verdict::deny(Code::Unavailable)))
    }

    fn state(&self) -> Result<RefMut<'_, TokenState>, JsValue> {
        self.state.try_borrow_mut().map_err(|_| type_error("the validator is in use · call it again afterwards"))
    }
}

fn put(issuer: Issuer, state: &mut TokenState) -> Result<u32, JsValue> {
    let keys = u32::try_from(issuer.keys().len()).unwrap_or(u32::MAX);
    state.issuers.put(issuer).map_err(|error| type_error(&error.to_string()))?;
    Ok(keys)
}

fn read_request(request: &JsValue) -> Result<Request, JsValue> {
    let request = read::object(request, "request")?;
    request.ok_or_else(|| type_error("request: missing · give an object with at least `now`"))
}

fn write_verdict(verdict: &Verdict) -> Result<JsValue, JsValue> {
    let json = serde_json::to_string(verdict).map_err(|error| type_error(&error.to_string()))?;
    JSON::parse(&json)
}

fn type_error(message: &str) -> JsValue {
    js_sys::TypeError::new(message).into()
}

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &'static str = include_str!("types.d.ts");
