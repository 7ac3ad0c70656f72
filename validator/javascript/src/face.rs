//! One validator over JSON.

use keystile_validator::jwt::{Issuer, TokenRecord, TokenState};
use keystile_validator::{Code, KeyFormat, KeyRecord, Record, Request, Verdict, check_batch};
use serde::de::DeserializeOwned;

/// Formats, issuers and the tokens that were verified.
#[derive(Default)]
pub(crate) struct Face {
    formats: Vec<KeyFormat>,
    tokens: TokenState,
}

/// Why an argument was refused: what is wrong, and what to do.
pub(crate) struct Refusal(pub(crate) String);

/// The JSON of a record, and what it is a record of.
pub(crate) enum RecordKind<'a> {
    None,
    Key(&'a [u8]),
    Token(&'a [u8]),
}

impl<'a> RecordKind<'a> {
    pub(crate) fn of(kind: u32, json: &'a [u8]) -> Result<RecordKind<'a>, Refusal> {
        match kind {
            0 => Ok(RecordKind::None),
            1 => Ok(RecordKind::Key(json)),
            2 => Ok(RecordKind::Token(json)),
            _ => Err(Refusal("there is no such kind of record · use the scripts of the same version".to_owned())),
        }
    }
}

impl Face {
    pub(crate) fn set_formats(&mut self, json: &[u8]) -> Result<(), Refusal> {
        self.formats = read(json, "formats")?;
        Ok(())
    }

    /// How many keys of the issuer can be used.
    pub(crate) fn put_issuer(&mut self, document: &[u8]) -> Result<i32, Refusal> {
        let issuer = Issuer::from_json(document).map_err(|error| Refusal(error.to_string()))?;
        let keys = i32::try_from(issuer.keys().len()).unwrap_or(i32::MAX);
        self.tokens.issuers.put(issuer).map_err(|error| Refusal(error.to_string()))?;
        Ok(keys)
    }

    /// Whether there was one.
    pub(crate) fn remove_issuer(&mut self, name: &[u8]) -> Result<bool, Refusal> {
        let name = str::from_utf8(name).map_err(|_| Refusal("name: not UTF-8 · give a string".to_owned()))?;
        Ok(self.tokens.issuers.remove(name).is_some())
    }

    /// The verdict as JSON.
    pub(crate) fn check(
        &mut self,
        credential: &[u8],
        record: RecordKind<'_>,
        request: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let (key, token): (KeyRecord, TokenRecord);
        let record = match record {
            RecordKind::None => None,
            RecordKind::Key(json) => {
                key = read(json, "record")?;
                Some(Record::Key(&key))
            }
            RecordKind::Token(json) => {
                token = read(json, "record")?;
                Some(Record::Token(&token))
            }
        };
        let request: Request = read(request, "request")?;
        let verdict = check_batch(&[(credential, record)], &request, &self.formats, &mut self.tokens).pop();
        let verdict = verdict.unwrap_or(Verdict::deny(Code::Unavailable));
        serde_json::to_vec(&verdict).map_err(|error| Refusal(error.to_string()))
    }
}

/// Reads an argument, and names the member that is not of its type.
fn read<T: DeserializeOwned>(json: &[u8], argument: &str) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." | "?" => argument.to_owned(),
            path if path.starts_with('[') => format!("{argument}{path}"),
            path => format!("{argument}.{path}"),
        };
        Refusal(format!("{path}: {}", what_to_do(&error.inner().to_string())))
    })?;
    json.end().map_err(|error| Refusal(format!("{argument}: {error} · give one value")))?;
    Ok(value)
}

/// Without the position in a JSON that the caller has never seen, and with advice where there is none.
fn what_to_do(reason: &str) -> String {
    let reason = reason.rsplit_once(" at line ").map_or(reason, |(reason, _)| reason);
    if reason.contains(" · ") { reason.to_owned() } else { format!("{reason} · give a value of the documented type") }
}
