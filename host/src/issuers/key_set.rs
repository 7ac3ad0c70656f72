//! Key sets (RFC 7517) as they come in: what is kept of them, and whether that is of any use.
//!
//! The validator says which keys of a set can verify at all; what is added here is whether one of them
//! fits an algorithm of the issuer, so that a set may take the place of another one.

use std::collections::HashSet;

use keystile_validator::jwt::{self, Algorithm, KeyRules, KeySetError};
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::issuer::KeySetKey;
use super::problem::KeySetProblem;

/// Most keys of a set.
pub const MAX_JWKS_KEYS: usize = jwt::MAX_KEYS;

/// A set that may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySet {
    /// The set without private and secret keys, as JSON.
    pub(crate) text: String,
    /// The keys that fit an algorithm of the issuer; at least one.
    pub(crate) keys: Vec<KeySetKey>,
}

impl KeySet {
    /// A set that an issuer has published. A private or secret key in it is left out, so that it is not
    /// kept: whoever publishes one has lost it.
    pub(crate) fn published(text: &str, algorithms: &[Algorithm]) -> Result<KeySet, KeySetProblem> {
        let set = ReadSet::read(text)?;
        if !set.keys.iter().any(is_secret) {
            return KeySet::of(text.to_owned(), &set, algorithms);
        }
        let public: Vec<_> = set.keys.iter().filter(|key| !is_secret(key)).collect();
        let text = serde_json::json!({ "keys": public }).to_string();
        let set = ReadSet::read(&text)?;
        KeySet::of(text, &set, algorithms)
    }

    /// A set out of a file of the operator. One with private or secret keys is refused: they would lie
    /// in the store as they are.
    pub(crate) fn given(text: &str, algorithms: &[Algorithm]) -> Result<KeySet, KeySetProblem> {
        let set = ReadSet::read(text)?;
        if set.keys.iter().any(is_secret) {
            return Err(KeySetProblem::SecretKeys);
        }
        KeySet::of(text.to_owned(), &set, algorithms)
    }

    fn of(text: String, set: &ReadSet, algorithms: &[Algorithm]) -> Result<KeySet, KeySetProblem> {
        let keys = set.usable(algorithms);
        if keys.is_empty() { Err(KeySetProblem::NoUsableKey) } else { Ok(KeySet { text, keys }) }
    }

    /// Whether another text has the same keys, in whatever order and spelling.
    pub(crate) fn has_same_keys(&self, other: &str) -> bool {
        let sorted = |text: &str| {
            let set = ReadSet::read(text).ok()?;
            let mut keys: Vec<String> = set.keys.iter().map(|key| Value::Object(key.clone()).to_string()).collect();
            keys.sort_unstable();
            Some(keys)
        };
        self.text == other || sorted(&self.text).is_some_and(|keys| sorted(other) == Some(keys))
    }
}

/// The keys of a set that is kept already, as far as they fit.
pub(crate) fn usable_keys(text: &str, algorithms: &[Algorithm]) -> Vec<KeySetKey> {
    ReadSet::read(text).map(|set| set.usable(algorithms)).unwrap_or_default()
}

/// A set that the validator takes.
struct ReadSet {
    keys: Vec<Map<String, Value>>,
    /// The places of keys that cannot be used.
    unusable: HashSet<usize>,
}

impl ReadSet {
    fn read(text: &str) -> Result<ReadSet, KeySetProblem> {
        // The strict reader first: what it takes has no member twice, so nothing is lost below.
        let strict = jwt::KeySet::from_jwks(text.as_bytes(), KeyRules::default()).map_err(|error| match error {
            KeySetError::TooLong { .. } => KeySetProblem::TooLarge,
            KeySetError::TooManyKeys { .. } => KeySetProblem::TooManyKeys,
            _ => KeySetProblem::Malformed,
        })?;
        let Ok(Value::Object(mut set)) = serde_json::from_str(text) else { return Err(KeySetProblem::Malformed) };
        let Some(Value::Array(keys)) = set.remove("keys") else { return Err(KeySetProblem::Malformed) };
        let keys = keys.into_iter().map(|key| match key {
            Value::Object(key) => Ok(key),
            _ => Err(KeySetProblem::Malformed),
        });
        let unusable = strict.problems().iter().map(|problem| problem.index).collect();
        Ok(ReadSet { keys: keys.collect::<Result<_, _>>()?, unusable })
    }

    fn usable(&self, algorithms: &[Algorithm]) -> Vec<KeySetKey> {
        let keys = self.keys.iter().enumerate().filter(|(index, _)| !self.unusable.contains(index));
        keys.filter_map(|(_, key)| shown(key, algorithms)).collect()
    }
}

/// A set that was given may hold secrets, also one that is refused for that.
impl Drop for ReadSet {
    fn drop(&mut self) {
        self.keys.iter_mut().flat_map(Map::values_mut).for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a key says more than anybody may know: RFC 7518, sections 6.2.2, 6.3.2 and 6.4.
fn is_secret(key: &Map<String, Value>) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].into_iter().any(|member| key.contains_key(member))
        || key.get("kty").and_then(Value::as_str) == Some("oct")
}

/// What lists show of a key that can be used, when it fits an algorithm of the issuer.
fn shown(key: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<KeySetKey> {
    use Algorithm::{Ed25519, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let of_type: &[Algorithm] = match (text("kty")?, text("crv")) {
        ("RSA", _) => &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
        ("EC", Some("P-256")) => &[Es256],
        ("EC", Some("P-384")) => &[Es384],
        ("OKP", Some("Ed25519")) => &[EdDsa, Ed25519],
        _ => &[],
    };
    let own = text("alg").and_then(Algorithm::from_name);
    let fits = |name: &&Algorithm| of_type.contains(name) && own.is_none_or(|own| own == **name);
    algorithms.iter().find(fits)?;
    Some(KeySetKey { kid: text("kid").map(str::to_owned), kty: text("kty")?.to_owned(), algorithm: own })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::issuers::MAX_JWKS_LEN;

    // RFC 7515, appendices A.2.1 and A.3.1.
    const RSA: &str = r#"{"kty":"RSA","kid":"a","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB","use":"sig","alg":"RS256"}"#;
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","key_ops":["verify"]}"#;
    const SECRET: &str = r#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}"#;

    fn set(keys: &[&str]) -> String {
        format!("{{\"keys\": [{}]}}", keys.join(", "))
    }

    fn algorithms(names: &[&str]) -> Vec<Algorithm> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_set_is_kept_as_it_came() {
        let text = set(&[RSA, EC, r#"{"kty":"new","x":1}"#]);
        let kept = KeySet::published(&text, &algorithms(&["RS256", "ES256"])).unwrap();
        assert_eq!(kept.text, text);
        let told: Vec<_> = kept.keys.iter().map(|key| (key.kid.as_deref(), key.kty.as_str())).collect();
        assert_eq!(told, [(Some("a"), "RSA"), (None, "EC")]);
        assert_eq!(KeySet::given(&text, &algorithms(&["RS256", "ES256"])), Ok(kept));
    }

    #[test]
    fn secret_keys_are_never_kept() {
        let private = RSA.replace("\"kid\":\"a\"", "\"d\":\"AA\"");
        for secret in [SECRET, &private, r#"{"kty":"oct"}"#] {
            let text = set(&[RSA, secret]);
            assert_eq!(KeySet::given(&text, &algorithms(&["RS256"])), Err(KeySetProblem::SecretKeys));
            let kept = KeySet::published(&text, &algorithms(&["RS256"])).unwrap();
            assert!(kept.has_same_keys(&set(&[RSA])) && kept.keys.len() == 1, "{}", kept.text);
        }
        assert_eq!(KeySet::published(&set(&[SECRET]), &algorithms(&["RS256"])), Err(KeySetProblem::NoUsableKey));
    }

    #[test]
    fn a_set_of_no_use_is_refused() {
        for (keys, names) in [
            (&[][..], &["RS256"][..]),
            (&[RSA], &["RS384"]),
            (&[RSA], &["ES256"]),
            (&[EC], &["ES384"]),
            (&[&EC.replace("[\"verify\"]", "[\"sign\"]")], &["ES256"]),
            (&[&EC.replace("f83O", "f83P")], &["ES256"]),
            (&[&RSA.replace("\"sig\"", "\"enc\"")], &["RS256"]),
            (&[&RSA.replace("\"sig\"", "1")], &["RS256"]),
            (&[&RSA.replace("\"RS256\"", "7")], &["RS256"]),
            // Nobody could tell which of them is meant.
            (&[RSA, RSA], &["RS256"]),
            (&[r#"{"kty":"OKP","crv":"X25519"}"#], &["EdDSA"]),
            (&[r#"{"crv":"P-256"}"#], &["ES256"]),
        ] {
            assert_eq!(KeySet::published(&set(keys), &algorithms(names)), Err(KeySetProblem::NoUsableKey), "{keys:?}");
        }
        for bad in
            ["", "null", "[]", "{}", "{\"keys\": {}}", "{\"keys\": [1]}", "{\"keys\": []} x", "<html>", "\u{feff}{}"]
        {
            assert_eq!(KeySet::published(bad, &algorithms(&["RS256"])), Err(KeySetProblem::Malformed), "{bad}");
        }
    }

    #[test]
    fn bounds_are_met() {
        let names = algorithms(&["RS256"]);
        let with = |count: usize| set(&[&[RSA][..], &vec![EC; count - 1]].concat());
        assert_eq!(KeySet::published(&with(MAX_JWKS_KEYS), &names).unwrap().keys.len(), 1);
        assert_eq!(KeySet::published(&with(MAX_JWKS_KEYS + 1), &names), Err(KeySetProblem::TooManyKeys));
        for count in [MAX_JWKS_KEYS + 1, 10_000] {
            // Small keys, so that it is the count and not the size.
            let text = set(&vec![r#"{"kty":"RSA"}"#; count]);
            assert!(text.len() <= MAX_JWKS_LEN);
            assert_eq!(KeySet::published(&text, &names), Err(KeySetProblem::TooManyKeys));
        }
        let text = set(&[RSA]);
        let padded = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
        assert!(KeySet::published(&padded(MAX_JWKS_LEN), &names).is_ok());
        assert_eq!(KeySet::published(&padded(MAX_JWKS_LEN + 1), &names), Err(KeySetProblem::TooLarge));
    }

    #[test]
    fn order_and_spelling_are_no_difference() {
        let kept = KeySet::published(&set(&[RSA, EC]), &algorithms(&["RS256"])).unwrap();
        assert!(kept.has_same_keys(&set(&[RSA, EC])) && kept.has_same_keys(&set(&[EC, RSA]).replace(", ", ",\n")));
        for other in [set(&[RSA]), set(&[RSA, EC, EC]), set(&[RSA, &EC.replace("f83O", "f83P")]), String::new()] {
            assert!(!kept.has_same_keys(&other), "{other}");
        }
    }
}
