//! Nothing about a token can be changed.

use std::prelude::rust_2024::*;

use proptest::prelude::*;

use super::support::*;
use crate::jwt::*;

/// Every character of a token of each family, replaced by one that base64url has as well, and by
/// one it has not.
#[test]
fn any_character_flipped_is_refused() {
    let issuers = issuers();
    for algorithm in FAMILIES.iter().copied() {
        let good = token(algorithm);
        assert!(verify(&good, &issuers).is_ok());
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            for replacement in [if bytes[at] == b'A' { b'B' } else { b'A' }, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                if replacement == good.as_bytes()[at] {
                    continue;
                }
                bytes[at] = replacement;
                assert!(verify(&bytes, &issuers).is_err(), "{algorithm}, character {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_other_character_anywhere_is_refused(
        family in 0..FAMILIES.len(),
        at: prop::sample::Index,
        character in prop_oneof!["[A-Za-z0-9_.-]", "."],
    ) {
        let good = token(FAMILIES[family]);
        let at = at.index(good.len());
        let mut bad = String::from(&good[..at]);
        bad.push_str(&character);
        bad.push_str(&good[at + 1..]);
        prop_assume!(bad != good);
        prop_assert!(verify(&bad, &issuers()).is_err());
    }

    #[test]
    fn any_character_more_or_less_is_refused(at: prop::sample::Index, character in "[A-Za-z0-9_.=-]") {
        let good = token(Algorithm::Hs256);
        let at = at.index(good.len());
        let mut longer = good.clone();
        longer.insert_str(at, &character);
        prop_assert!(verify(&longer, &issuers()).is_err());
        let mut shorter = good;
        shorter.remove(at);
        prop_assert!(verify(&shorter, &issuers()).is_err());
    }

    /// Reading anything ends, and in an answer.
    #[test]
    fn anything_at_all_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[A-Za-z0-9_.-]{0,80}") {
        let issuers = issuers();
        prop_assert!(verify(&bytes, &issuers).is_err());
        prop_assert!(verify(&text, &issuers).is_err());
        let _ = (Issuer::from_json(&bytes).is_err(), KeySet::from_jwks(&bytes, KeyRules::default()).is_err());
    }

    /// The same, one level further in.
    #[test]
    fn any_json_at_all_is_answered(header in json_text(), claims in json_text()) {
        let issuers = issuers();
        let token = sign_segments(
            Algorithm::Hs256, &private_key(Algorithm::Hs256), &b64(header.as_bytes()), &b64(claims.as_bytes()),
        );
        prop_assert!(verify(&token, &issuers).is_err(), "{header} {claims}");
        prop_assert!(Issuer::from_json(claims.as_bytes()).is_err());
    }
}

/// Something near JSON.
fn json_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"alg\""),
        Just("\"HS256\""),
        Just("\"iss\""),
        Just("\"exp\""),
        Just("\"keys\""),
        Just("\"kid\""),
        Just("1"),
        Just("-1.5e3"),
        Just("null"),
        Just("\"\\u00e9\""),
        Just("\"\\ud800\""),
        Just("true"),
        Just("\"crit\""),
        Just(" "),
        Just("\"x\""),
    ];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}
