//! Issuers and their keys.

use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use keystile_validator::jwt::{Issuer, Issuers, KeyReason, KeyRules, KeySet, KeySetError, SmallExponent, thumbprint};
use serde_json::Value;

/// A key set, by all rules and by those of a set that was fetched. Every key is used or has a
/// problem; a looser rule takes no key away; a key of a set can be used alone, and one that cannot
/// be used alone cannot be used in a set; and a thumbprint is what `jsonwebtoken` computes.
///
/// # Panics
/// When that does not hold.
pub fn key_set(data: &[u8]) {
    let loose = KeyRules { secrets: true, small_exponent: SmallExponent::AllowThree, ..KeyRules::default() };
    let (strictly, loosely) = (KeySet::from_jwks(data, KeyRules::default()), KeySet::from_jwks(data, loose));
    let (strictly, loosely) = match (strictly, loosely) {
        (Ok(strictly), Ok(loosely)) => (strictly, loosely),
        (Err(strictly), Err(loosely)) => {
            assert_eq!(strictly, loosely, "the rules are about keys, not about sets");
            return;
        }
        other => panic!("{other:?}"),
    };
    let json: Value = serde_json::from_slice(data).expect("what we read is JSON");
    let keys = json["keys"].as_array().expect("a set has keys");
    assert!(strictly.len() <= loosely.len());
    for (set, rules) in [(&strictly, KeyRules::default()), (&loosely, loose)] {
        assert_eq!(set.len() + set.problems().len(), keys.len());
        for (index, key) in keys.iter().enumerate() {
            let alone = KeySet::from_jwk(key.to_string().as_bytes(), rules);
            match (set.problems().iter().find(|problem| problem.index == index), alone) {
                (None, alone) => assert_eq!(alone.expect("a key of a set can be used alone").len(), 1),
                (Some(problem), Err(KeySetError::Key { reason })) => {
                    assert!(reason == problem.reason || is_about_the_set(problem.reason));
                }
                (Some(problem), Err(_)) => assert!(!key.is_object() && problem.reason == KeyReason::NoObject),
                (Some(problem), Ok(_)) => assert!(is_about_the_set(problem.reason), "{problem}"),
            }
        }
    }
    for key in keys {
        let text = key.to_string();
        if KeySet::from_jwk(text.as_bytes(), KeyRules::default()).is_err() {
            continue;
        }
        let ours = thumbprint(text.as_bytes()).expect("a public key has a thumbprint");
        if let Ok(theirs) = serde_json::from_value::<Jwk>(key.clone()) {
            assert_eq!(ours, theirs.thumbprint(ThumbprintHash::SHA256).unwrap());
        }
    }
}

fn is_about_the_set(reason: KeyReason) -> bool {
    matches!(reason, KeyReason::DuplicateKeyId | KeyReason::SecretAmongPublicKeys)
}

/// The JSON document of an issuer. What is read is written in a form that reads as the same issuer,
/// and is written the same again; no secret of it is in what a log could show.
///
/// # Panics
/// When that does not hold.
pub fn issuer(data: &[u8]) {
    let issuer = match Issuer::from_json(data) {
        Ok(issuer) => issuer,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let json: Value = serde_json::from_slice(data).expect("what we read is JSON");
    assert_eq!(json["issuer"].as_str(), Some(issuer.name()));
    let written = issuer.to_json();
    let reread = Issuer::from_json(written.as_bytes()).expect("what we write we read");
    assert_eq!(reread.settings(), issuer.settings());
    assert_eq!(reread.keys().len(), issuer.keys().len());
    assert_eq!(reread.problems(), issuer.problems());
    assert_eq!(reread.to_json(), written);
    let rewritten: Value = serde_json::from_str(&written).expect("what we write is JSON");
    assert_eq!(rewritten["jwks"], json["jwks"]);

    let shown = format!("{issuer:?}");
    for secret in json["jwks"]["keys"].as_array().into_iter().flatten().filter_map(|key| key["k"].as_str()) {
        let is_elsewhere = written.matches(secret).count() > 1;
        assert!(secret.len() < SECRET_LEN || is_elsewhere || !shown.contains(secret), "a secret is shown");
    }
    let name = issuer.name().to_owned();
    let mut issuers = Issuers::with_table_limit(0);
    assert!(issuers.put(issuer).is_ok_and(|replaced| replaced.is_none()));
    assert!(issuers.get(&name).is_some());
}

/// What is shorter stands in a text by chance.
const SECRET_LEN: usize = 16;
