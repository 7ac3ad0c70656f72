//! The JSON forms, for faces and tests that speak JSON. Times are seconds since the Unix epoch,
//! digests are hexadecimal, and members nobody knows are refused.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::{self, Display};
use core::marker::PhantomData;
use core::net::IpAddr;
use core::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::address::AddressRange;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::id::KeyId;
use crate::jwt::TokenRecord;
use crate::key_format::{Checksum, KeyFormat, Separator};
use crate::record::{KeyRecord, KeyState, Rate};
use crate::request::{Request, Usage};
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::verdict::{Code, Principal, PrincipalKind, Verdict};

/// JSON form of a type with a text form.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse(&Cow::<'de, str>::deserialize(deserializer)?)
            }
        }
    )*};
}

as_text!(KeyId, Environment, Scope, AddressRange);

/// JSON form of a type by way of a plain struct.
macro_rules! as_form {
    ($type:ty, $form:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $form::from(self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(object::<$form, D>(deserializer)?).map_err(D::Error::custom)
            }
        }
    };
}

/// Reads a form from an object only. What serde derives takes arrays too, and `[]` would be a token
/// record with nothing against the token.
fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// [`object`] for a member that may be absent or null.
fn optional_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Member<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            object(deserializer).map(Member)
        }
    }

    Ok(Option::<Member<T>>::deserialize(deserializer)?.map(|Member(value)| value))
}

as_form!(KeyFormat, KeyFormatForm);
as_form!(KeyRecord, KeyRecordForm);
as_form!(Request, RequestForm);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.unix().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::from_unix(u64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFormatForm {
    prefix: String,
    #[serde(default = "default_separator")]
    separator: char,
    environments: Vec<Environment>,
    body: usize,
    checksum: ChecksumForm,
}

fn default_separator() -> char {
    '_'
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChecksumForm {
    None,
    Crc32,
}

impl From<&KeyFormat> for KeyFormatForm {
    fn from(format: &KeyFormat) -> KeyFormatForm {
        KeyFormatForm {
            prefix: format.prefix().to_string(),
            separator: char::from(format.separator().as_byte()),
            environments: format.environments().to_vec(),
            body: format.body_len(),
            checksum: match format.checksum() {
                Checksum::None => ChecksumForm::None,
                Checksum::Crc32 => ChecksumForm::Crc32,
            },
        }
    }
}

impl TryFrom<KeyFormatForm> for KeyFormat {
    type Error = String;

    fn try_from(form: KeyFormatForm) -> Result<KeyFormat, String> {
        let separator = u8::try_from(form.separator)
            .ok()
            .and_then(Separator::from_byte)
            .ok_or_else(|| "not a separator · give `_` or `.`".to_string())?;
        let checksum = match form.checksum {
            ChecksumForm::None => Checksum::None,
            ChecksumForm::Crc32 => Checksum::Crc32,
        };
        KeyFormat::new(form.prefix, separator, form.environments, form.body, checksum)
            .map_err(|error| error.to_string())
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecordForm {
    key_id: KeyId,
    digest: String,
    state: StateForm,
    #[serde(default)]
    owner: Option<String>,
    env: Environment,
    #[serde(default)]
    scopes: Vec<Scope>,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    retires_at: Option<Timestamp>,
    #[serde(default)]
    addresses: Vec<AddressRange>,
    #[serde(default, deserialize_with = "optional_object")]
    rate: Option<RateForm>,
    #[serde(default)]
    starts_grace: bool,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateForm {
    Active,
    Suspended,
    Revoked,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RateForm {
    limit: u32,
    window: u32,
}

impl From<&KeyRecord> for KeyRecordForm {
    fn from(record: &KeyRecord) -> KeyRecordForm {
        KeyRecordForm {
            key_id: record.key_id,
            digest: record.digest.to_hex(),
            state: match record.state {
                KeyState::Active => StateForm::Active,
                KeyState::Suspended => StateForm::Suspended,
                KeyState::Revoked => StateForm::Revoked,
            },
            owner: record.owner.clone(),
            env: record.environment.clone(),
            scopes: record.scopes.clone(),
            not_before: record.not_before,
            expires_at: record.expires_at,
            retires_at: record.retires_at,
            addresses: record.addresses.clone(),
            rate: record.rate.map(|rate| RateForm { limit: rate.limit(), window: rate.window() }),
            starts_grace: record.starts_grace,
        }
    }
}

impl TryFrom<KeyRecordForm> for KeyRecord {
    type Error = String;

    fn try_from(form: KeyRecordForm) -> Result<KeyRecord, String> {
        let rate = form.rate.map(|rate| Rate::new(rate.limit, rate.window)).transpose();
        // Bounds are left to the judgement, which answers `unavailable` on every face alike.
        Ok(KeyRecord {
            key_id: form.key_id,
            digest: Digest::from_hex(&form.digest).map_err(|error| error.to_string())?,
            state: match form.state {
                StateForm::Active => KeyState::Active,
                StateForm::Suspended => KeyState::Suspended,
                StateForm::Revoked => KeyState::Revoked,
            },
            owner: form.owner,
            environment: form.env,
            scopes: form.scopes,
            not_before: form.not_before,
            expires_at: form.expires_at,
            retires_at: form.retires_at,
            addresses: form.addresses,
            rate: rate.map_err(|error| error.to_string())?,
            starts_grace: form.starts_grace,
        })
    }
}

impl Serialize for TokenRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TokenRecord { revoked, suspended, not_before } = *self;
        TokenRecordForm { revoked, suspended, not_before }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TokenRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let TokenRecordForm { revoked, suspended, not_before } = object::<TokenRecordForm, D>(deserializer)?;
        Ok(TokenRecord { revoked, suspended, not_before })
    }
}

/// A member that is absent says nothing against the token.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRecordForm {
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    not_before: Option<Timestamp>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestForm {
    now: Timestamp,
    #[serde(default)]
    all_of: Vec<Scope>,
    #[serde(default)]
    any_of: Vec<Scope>,
    #[serde(default)]
    env: Option<Environment>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default, deserialize_with = "optional_object")]
    usage: Option<UsageForm>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageForm {
    used: u32,
    resets_at: Timestamp,
}

impl From<&Request> for RequestForm {
    fn from(request: &Request) -> RequestForm {
        RequestForm {
            now: request.now,
            all_of: request.all_of.clone(),
            any_of: request.any_of.clone(),
            env: request.environment.clone(),
            address: request.address.map(|address| address.to_string()),
            usage: request.usage.map(|usage| UsageForm { used: usage.used, resets_at: usage.resets_at }),
        }
    }
}

impl TryFrom<RequestForm> for Request {
    type Error = String;

    fn try_from(form: RequestForm) -> Result<Request, String> {
        let address = form.address.map(|address| address.parse::<IpAddr>()).transpose();
        Ok(Request {
            now: form.now,
            all_of: form.all_of,
            any_of: form.any_of,
            environment: form.env,
            address: address.map_err(|_| "not an address · give an IPv4 or IPv6 address".to_string())?,
            usage: form.usage.map(|usage| Usage { used: usage.used, resets_at: usage.resets_at }),
        })
    }
}

impl Serialize for PrincipalKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_str().serialize(serializer)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_str().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        let code = Code::ALL.iter().copied().find(|code| code.as_str() == name);
        code.ok_or_else(|| D::Error::custom(format!("`{name}` is not a verdict code")))
    }
}

#[derive(serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum PrincipalForm<'a> {
    ApiKey {
        key_id: Option<KeyId>,
        owner: Option<&'a str>,
        env: Option<&'a str>,
        scopes: Vec<&'a str>,
        expires_at: Option<Timestamp>,
    },
    Jwt {
        issuer: Option<&'a str>,
        subject: Option<&'a str>,
        org_id: Option<&'a str>,
        env: Option<&'a str>,
        scopes: Vec<&'a str>,
        roles: Vec<&'a str>,
        client_id: Option<&'a str>,
        session_id: Option<&'a str>,
        token_id: Option<&'a str>,
        issued_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
    },
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self.kind() {
            PrincipalKind::ApiKey => PrincipalForm::ApiKey {
                key_id: self.key_id(),
                owner: self.owner(),
                env: self.environment(),
                scopes: self.scopes().collect(),
                expires_at: self.expires_at(),
            },
            PrincipalKind::Jwt => PrincipalForm::Jwt {
                issuer: self.issuer(),
                subject: self.subject(),
                org_id: self.organization(),
                env: self.environment(),
                scopes: self.scopes().collect(),
                roles: self.roles().collect(),
                client_id: self.client_id(),
                session_id: self.session_id(),
                token_id: self.token_id(),
                issued_at: self.issued_at(),
                expires_at: self.expires_at(),
            },
        };
        form.serialize(serializer)
    }
}

#[derive(serde::Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum VerdictForm<'a> {
    Allow {
        principal: &'a Principal,
    },
    Deny {
        code: Code,
        status: u16,
        message: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Verdict::Allow(principal) => VerdictForm::Allow { principal },
            Verdict::Deny(denial) => VerdictForm::Deny {
                code: denial.code,
                status: denial.code.status(),
                message: denial.code.message(),
                retry_after: denial.retry_after.map(|seconds| seconds.get()),
            },
        }
        .serialize(serializer)
    }
}

fn parse<T: FromStr<Err: Display>, E: Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_record_goes_both_ways() {
        let not_before = Timestamp::from_unix(1_700_000_000).ok();
        for (json, record) in [
            ("{}", TokenRecord::default()),
            (r#"{"not_before":null}"#, TokenRecord::default()),
            (r#"{"revoked":true}"#, TokenRecord { revoked: true, ..TokenRecord::default() }),
            (
                r#"{"revoked":false,"suspended":true,"not_before":1700000000}"#,
                TokenRecord { revoked: false, suspended: true, not_before },
            ),
        ] {
            assert_eq!(serde_json::from_str::<TokenRecord>(json).unwrap(), record, "{json}");
            let written = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<TokenRecord>(&written).unwrap(), record, "{written}");
        }
        let all = TokenRecord { revoked: true, suspended: false, not_before };
        let written = serde_json::to_string(&all).unwrap();
        assert_eq!(written, r#"{"revoked":true,"suspended":false,"not_before":1700000000}"#);
    }

    #[test]
    fn a_token_record_has_no_other_members_and_coerces_nothing() {
        for json in [
            r#"{"revokd":true}"#,
            r#"{"revoked":1}"#,
            r#"{"revoked":null}"#,
            r#"{"revoked":true,"revoked":false}"#,
            r#"{"not_before":-1}"#,
            r#"{"not_before":1.5}"#,
            r#"{"not_before":253402300800}"#,
            "null",
            "true",
            "[]",
            "[false,true]",
        ] {
            assert!(serde_json::from_str::<TokenRecord>(json).is_err(), "{json}");
        }
    }

    /// An array in the place of an object is read by position by what serde derives.
    #[test]
    fn an_array_is_no_object() {
        for usage in ["null", r#"{"used":1,"resets_at":200}"#] {
            serde_json::from_str::<Request>(&format!(r#"{{"now":100,"usage":{usage}}}"#)).unwrap();
        }
        let refused = serde_json::from_str::<Request>(r#"{"now":100,"usage":[1,200]}"#).unwrap_err();
        assert!(refused.to_string().contains("expected an object"), "{refused}");
        let record = |rate: &str| {
            let (id, digest) = ("0".repeat(32), "0".repeat(64));
            serde_json::from_str::<KeyRecord>(&format!(
                r#"{{"key_id":"key_{id}","digest":"{digest}","state":"active","env":"live","rate":{rate}}}"#
            ))
        };
        record("null").unwrap();
        record(r#"{"limit":1,"window":60}"#).unwrap();
        let refused = record("[1,60]").unwrap_err();
        assert!(refused.to_string().contains("expected an object"), "{refused}");
    }
}
