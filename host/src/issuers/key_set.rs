//! Key sets (RFC 7517) as they come in: what is kept of them, and whether that is of any use.
//!
//! The validator judges every key again when it loads an issuer. What is decided here is only whether a
//! set may take the place of another one.

use serde_json::{Map, Value};

use super::fetch::MAX_JWKS_LEN;
use super::issuer::KeySetKey;
use super::problem::KeySetProblem;

/// Most keys of a set.
pub const MAX_JWKS_KEYS: usize = 128;

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
    pub(crate) fn published(text: &str, algorithms: &[String]) -> Result<KeySet, KeySetProblem> {
        let mut set = read(text)?;
        let before = set.len();
        set.retain(|key| !is_secret(key));
        let text = if set.len() == before {
            text.to_owned()
        } else {
            Value::from_iter([("keys", Value::from_iter(set.iter().cloned()))]).to_string()
        };
        KeySet::of(text, &set, algorithms)
    }

    /// A set out of a file of the operator. One with private or secret keys is refused: they would lie
    /// in the store as they are.
    pub(crate) fn given(text: &str, algorithms: &[String]) -> Result<KeySet, KeySetProblem> {
        let set = read(text)?;
        if set.iter().any(is_secret) {
            return Err(KeySetProblem::SecretKeys);
        }
        KeySet::of(text.to_owned(), &set, algorithms)
    }

    fn of(text: String, set: &[Map<String, Value>], algorithms: &[String]) -> Result<KeySet, KeySetProblem> {
        let keys: Vec<KeySetKey> = set.iter().filter_map(|key| usable(key, algorithms)).collect();
        if keys.is_empty() { Err(KeySetProblem::NoUsableKey) } else { Ok(KeySet { text, keys }) }
    }

    /// Whether another text has the same keys, in whatever order and spelling.
    pub(crate) fn has_same_keys(&self, other: &str) -> bool {
        let sorted = |text: &str| {
            let mut keys: Vec<String> =
                read(text).ok()?.into_iter().map(|key| Value::Object(key).to_string()).collect();
            keys.sort_unstable();
            Some(keys)
        };
        self.text == other || sorted(&self.text).is_some_and(|keys| sorted(other) == Some(keys))
    }
}

/// The keys of a set that is kept already, as far as they fit.
pub(crate) fn usable_keys(text: &str, algorithms: &[String]) -> Vec<KeySetKey> {
    read(text).unwrap_or_default().iter().filter_map(|key| usable(key, algorithms)).collect()
}

fn read(text: &str) -> Result<Vec<Map<String, Value>>, KeySetProblem> {
    if text.len() > MAX_JWKS_LEN {
        return Err(KeySetProblem::TooLarge);
    }
    let Ok(Value::Object(mut set)) = serde_json::from_str(text) else { return Err(KeySetProblem::Malformed) };
    let Some(Value::Array(keys)) = set.remove("keys") else { return Err(KeySetProblem::Malformed) };
    if keys.len() > MAX_JWKS_KEYS {
        return Err(KeySetProblem::TooManyKeys);
    }
    let keys = keys.into_iter().map(|key| match key {
        Value::Object(key) => Ok(key),
        _ => Err(KeySetProblem::Malformed),
    });
    keys.collect()
}

/// Whether a key says more than anybody may know: RFC 7518, sections 6.2.2, 6.3.2 and 6.4.
fn is_secret(key: &Map<String, Value>) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].into_iter().any(|member| key.contains_key(member))
        || key.get("kty").and_then(Value::as_str) == Some("oct")
}

/// What lists show of a key, when it fits an algorithm of the issuer.
fn usable(key: &Map<String, Value>, algorithms: &[String]) -> Option<KeySetKey> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let (kty, curve) = (text("kty")?, text("crv"));
    if key.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    if let Some(operations) = key.get("key_ops") {
        operations.as_array()?.iter().find(|operation| operation.as_str() == Some("verify"))?;
    }
    let algorithm = match key.get("alg") {
        Some(algorithm) => Some(algorithm.as_str()?),
        None => None,
    };
    let fits = |name: &&String| {
        let of_type = match (kty, curve) {
            ("RSA", _) => name.starts_with("RS") || name.starts_with("PS"),
            ("EC", Some("P-256")) => *name == "ES256",
            ("EC", Some("P-384")) => *name == "ES384",
            ("OKP", Some("Ed25519")) => *name == "EdDSA" || *name == "Ed25519",
            _ => false,
        };
        of_type && algorithm.is_none_or(|algorithm| algorithm == name.as_str())
    };
    algorithms.iter().find(fits)?;
    Some(KeySetKey {
        kid: text("kid").map(str::to_owned),
        kty: kty.to_owned(),
        algorithm: algorithm.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = r#"{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB","use":"sig","alg":"RS256"}"#;
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","key_ops":["verify"]}"#;
    const SECRET: &str = r#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}"#;

    fn set(keys: &[&str]) -> String {
        format!("{{\"keys\": [{}]}}", keys.join(", "))
    }

    fn algorithms(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
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
        for secret in [SECRET, r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AA"}"#, r#"{"kty":"oct"}"#] {
            let text = set(&[RSA, secret]);
            assert_eq!(KeySet::given(&text, &algorithms(&["RS256"])), Err(KeySetProblem::SecretKeys));
            let kept = KeySet::published(&text, &algorithms(&["RS256"])).unwrap();
            assert_eq!(read(&kept.text).unwrap(), read(&set(&[RSA])).unwrap());
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
            (&[r#"{"kty":"RSA","use":"enc"}"#], &["RS256"]),
            (&[r#"{"kty":"RSA","use":1}"#], &["RS256"]),
            (&[r#"{"kty":"RSA","alg":7}"#], &["RS256"]),
            (&[r#"{"kty":"RSA","key_ops":["sign"]}"#], &["RS256"]),
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
        assert!(KeySet::published(&set(&vec![RSA; MAX_JWKS_KEYS]), &names).is_ok());
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
        for other in [set(&[RSA]), set(&[RSA, EC, EC]), set(&[RSA, &EC.replace("AA", "AB")]), String::new()] {
            assert!(!kept.has_same_keys(&other), "{other}");
        }
    }
}
