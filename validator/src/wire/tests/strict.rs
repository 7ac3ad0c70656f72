//! What is refused: each field of the binary forms with a value that it must not have, all others as they
//! should be, so that no check stands in for another.

use std::format;
use std::prelude::rust_2024::*;
use std::vec;

use super::super::record::RecordView;
use super::super::{MessageError, read_token_record};
use super::formats;
use crate::jwt::{MAX_ISSUERS, MAX_TOKEN_LEN, TokenRecord, TokenState};
use crate::wire::*;
use crate::*;

/// The bytes with other values at some places.
fn with(bytes: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, value) in changes {
        bytes[*at] = *value;
    }
    bytes
}

/// The bytes with their length written before them, as 16 bits.
fn measured(bytes: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap().to_le_bytes();
    with(&bytes, &[(0, len[0]), (1, len[1])])
}

fn record() -> KeyRecord {
    let mut record = KeyRecord::new(KeyId::from_bytes([1; 16]), Digest::of(b"x"), Environment::new("live").unwrap());
    record.owner = Some("usr".into());
    record
}

fn encoded(record: &KeyRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, &mut bytes).unwrap();
    bytes
}

#[test]
fn each_field_of_a_record_is_checked() {
    let good = encoded(&record());
    assert!(RecordView::read(&good).is_ok());
    for (at, bad) in [
        (0, good[0] + 1),
        (0, good[0] - 1),
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 0x20),
        (4, 0x80),
        (9, 1),
        (10, 1),
        (11, 1),
        // The environment, and the owner.
        (60, b'L'),
        (64, 7),
    ] {
        assert!(RecordView::read(&with(&good, &[(at, bad)])).is_err(), "{bad} at {at}");
    }
    assert!(RecordView::read(&measured([&good[..], &[0]].concat())).is_err(), "something follows");
}

#[test]
fn a_record_has_no_more_scopes_and_addresses_than_it_may() {
    let mut record = record();
    record.scopes = vec![Scope::new("a").unwrap(); bounds::MAX_SCOPES];
    let most = encoded(&record);
    assert!(RecordView::read(&most).is_ok());
    let more = with(&[&most[..], &[1, b'a']].concat(), &[(7, bounds::MAX_SCOPES as u8 + 1)]);
    assert!(RecordView::read(&measured(more)).is_err());

    record.scopes.clear();
    record.addresses = vec!["10.0.0.0/8".parse().unwrap(); bounds::MAX_ADDRESSES];
    let most = encoded(&record);
    assert!(RecordView::read(&most).is_ok());
    let more = with(&[&most[..], &[4, 8, 10, 0, 0, 0]].concat(), &[(8, bounds::MAX_ADDRESSES as u8 + 1)]);
    assert!(RecordView::read(&measured(more)).is_err());
}

#[test]
fn each_field_of_a_token_record_is_checked() {
    for bits in 0..8_u8 {
        let not_before = (bits & 4 != 0).then(|| Timestamp::from_unix(5).unwrap());
        let record = TokenRecord { revoked: bits & 1 != 0, suspended: bits & 2 != 0, not_before };
        let mut bytes = Vec::new();
        encode_token_record(&record, &mut bytes).unwrap();
        assert_eq!(read_token_record(&bytes), Ok(record));
        for (at, bad) in [(0, 15), (0, 17), (1, 1), (2, 1), (3, bits | 8), (3, bits | 0x80)] {
            assert!(read_token_record(&with(&bytes, &[(at, bad)])).is_err(), "{bad} at {at}");
        }
        for reserved in 4..8 {
            assert!(read_token_record(&with(&bytes, &[(reserved, 1)])).is_err(), "{reserved}");
        }
        let timed = read_token_record(&with(&bytes, &[(8, 9)]));
        assert_eq!(timed.is_ok(), not_before.is_some(), "a time without its flag: {bits}");
        assert!(read_token_record(&bytes[..15]).is_err() && read_token_record(&[&bytes[..], &[0]].concat()).is_err());
    }
}

/// An allow of a key: `live`, `usr`, one scope, expires in second 7.
fn key_verdict() -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 4, 3, 1, 0, 0, 0];
    bytes.extend_from_slice(&[9; 16]);
    bytes.extend_from_slice(&7_u64.to_le_bytes());
    bytes.extend_from_slice(b"liveusr\x04read");
    measured(bytes)
}

/// An allow of a token with every field: expires in second 7, issued in second 5.
fn token_verdict() -> Vec<u8> {
    let texts = ["iss", "sub", "org", "jti", "sid", "app"];
    let mut bytes = vec![0, 0, 1, 0, 0, 0, 0, 0, 2, 7, 4, 0, 1, 0, 2, 0];
    bytes.extend_from_slice(&7_u64.to_le_bytes());
    bytes.extend_from_slice(&5_u64.to_le_bytes());
    for text in texts {
        bytes.extend_from_slice(&[text.len() as u8, 0]);
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(format!("live{}\x04read\x02\0r1\x02\0r2", texts.concat()).as_bytes());
    measured(bytes)
}

fn allowed(bytes: &[u8]) -> Principal {
    match decode_verdict(bytes) {
        Ok((Verdict::Allow(principal), [])) => principal,
        other => std::panic!("{other:?}"),
    }
}

#[test]
fn an_allow_says_what_is_written() {
    let key = allowed(&key_verdict());
    assert_eq!(
        (key.key_id(), key.environment(), key.owner()),
        (Some(KeyId::from_bytes([9; 16])), Some("live"), Some("usr"))
    );
    assert_eq!(key.expires_at().map(Timestamp::unix), Some(7));
    assert_eq!(key.scopes().collect::<Vec<_>>(), ["read"]);
    let endless = allowed(&with(&key_verdict(), &[(9, 0), (32, 0)]));
    assert_eq!(endless.expires_at(), None);

    let token = allowed(&token_verdict());
    assert_eq!((token.issuer(), token.subject(), token.organization()), (Some("iss"), Some("sub"), Some("org")));
    assert_eq!((token.token_id(), token.session_id(), token.client_id()), (Some("jti"), Some("sid"), Some("app")));
    assert_eq!(token.environment(), Some("live"));
    assert_eq!(
        (token.scopes().collect::<Vec<_>>(), token.roles().collect::<Vec<_>>()),
        (vec!["read"], vec!["r1", "r2"])
    );
    assert_eq!(token.expires_at().map(Timestamp::unix), Some(7));
    assert_eq!((token.issued_at().map(Timestamp::unix), token.has_wildcard_scopes()), (Some(5), true));
    let plain = allowed(&with(&token_verdict(), &[(9, 1), (24, 0)]));
    assert_eq!((plain.issued_at(), plain.has_wildcard_scopes()), (None, false));
}

/// A validator that is not what it should be gets no allow past its host by a field that nobody reads.
#[test]
fn each_field_of_a_verdict_is_checked() {
    let (key, token) = (key_verdict(), token_verdict());
    for good in [&key, &token] {
        let len = good[0];
        for (at, bad) in [(0, len + 1), (0, len - 1), (1, 1), (2, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 3)] {
            assert!(decode_verdict(&with(good, &[(at, bad)])).is_err(), "{bad} at {at}");
        }
        let longer = measured([&good[..], &[0]].concat());
        assert!(decode_verdict(&longer).is_err(), "something follows in it");
        let followed = [&good[..], &[5]].concat();
        assert!(decode_verdict(&followed).is_ok_and(|(_, rest)| rest == [5]), "something follows behind it");
    }
    // Flags: none that nobody knows, and no time without its flag.
    for (at, bad) in [(9, 0), (9, 3), (9, 0x81), (13, 1), (14, 1), (15, 1), (40, b'L'), (44, 7), (48, b' ')] {
        assert!(decode_verdict(&with(&key, &[(at, bad)])).is_err(), "{bad} at {at}");
    }
    for (at, bad) in [(9, 6), (9, 5), (9, 15), (9, 0x87), (11, 1), (44, 1), (45, 1), (46, 1), (47, 1), (48, b'L')] {
        assert!(decode_verdict(&with(&token, &[(at, bad)])).is_err(), "{bad} at {at}");
    }
    for at in [52, 71, token.len() - 1] {
        assert!(decode_verdict(&with(&token, &[(at, 0xff)])).is_err(), "no text, or no scope, at {at}");
    }
    let deny = [8, 0, 0, Code::Expired.number(), 3, 0, 0, 0];
    assert_eq!(decode_verdict(&deny).unwrap().0.code(), Some(Code::Expired));
    assert!(decode_verdict(&with(&deny, &[(3, 0)])).is_err() && decode_verdict(&with(&deny, &[(3, 255)])).is_err());
}

#[test]
fn a_message_is_as_long_and_has_as_many_items_as_it_may() {
    let request = Request::at(Timestamp::from_unix(0).unwrap());
    let formats = formats();
    let items = vec![Item { credential: b"x", record: None }; MAX_BATCH];
    let mut message = vec![0; MAX_MESSAGE_LEN + 2];
    let len = Message { request: &request, formats: &formats, items: &items }.write_to(&mut message).unwrap();
    let mut answer = vec![0; MAX_MESSAGE_LEN];
    let mut judged = |message: &[u8]| check_message(message, &mut TokenState::empty(), &mut answer);
    assert_eq!(judged(&message[..len]), Ok(MAX_BATCH * 8));
    for (len, expected) in [
        (MAX_MESSAGE_LEN, Ok(MAX_BATCH * 8)),
        (MAX_MESSAGE_LEN + 1, Err(MessageError::Length)),
        (MAX_MESSAGE_LEN + 2, Err(MessageError::Length)),
    ] {
        message[4..8].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
        assert_eq!(judged(&message[..len]), expected, "{len}");
    }
}

/// `docs/abi.md`
#[test]
fn errors_have_the_numbers_of_the_abi() {
    let messages = [
        MessageError::Version,
        MessageError::Length,
        MessageError::Count,
        MessageError::Request,
        MessageError::Formats,
        MessageError::Answer,
    ];
    assert_eq!(messages.map(MessageError::code), [-1, -2, -3, -4, -5, -6]);
    assert_eq!([PutIssuerError::Document, PutIssuerError::TooMany].map(PutIssuerError::code), [-7, -8]);
}

/// RFC 8037, appendix A.
const ED25519: &str = r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const JWS: &[u8] = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
    hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

#[test]
fn an_issuer_is_put_and_counted() {
    let document = |name: &str| format!(r#"{{"issuer": "{name}", "algorithms": ["EdDSA"], "jwk": {ED25519}}}"#);
    let mut state = TokenState::empty();
    assert_eq!(put_issuer(b"{}", &mut state), Err(PutIssuerError::Document));
    for at in 0..MAX_ISSUERS {
        assert_eq!(put_issuer(document(&at.to_string()).as_bytes(), &mut state), Ok(1));
    }
    assert_eq!(put_issuer(document("more").as_bytes(), &mut state), Err(PutIssuerError::TooMany));
    assert_eq!(put_issuer(document("0").as_bytes(), &mut state), Ok(1), "in place of another");
    assert_eq!(state.issuers.len(), MAX_ISSUERS);
}

#[test]
fn a_jws_is_verified_by_the_keys_of_the_issuer_that_is_named() {
    let mut state = TokenState::empty();
    for (name, algorithm) in [("me", "EdDSA"), ("other", "ES256")] {
        let document = format!(r#"{{"issuer": "{name}", "algorithms": ["{algorithm}"], "jwk": {ED25519}}}"#);
        put_issuer(document.as_bytes(), &mut state).unwrap();
    }
    let mut message = vec![0; MAX_MESSAGE_LEN];
    let mut check = |issuer: &str, jws: &[u8]| {
        let len = JwsMessage { issuer, jws }.write_to(&mut message).unwrap();
        check_jws(&message[..len], &state).unwrap()
    };
    assert_eq!(check("me", JWS), None);
    assert_eq!(check("other", JWS), Some(Code::AlgorithmNotAllowed));
    assert_eq!(check("m", JWS), Some(Code::UnknownIssuer));
    assert_eq!(check("me", &with(JWS, &[(30, b'A')])), Some(Code::BadSignature));
    assert_eq!(check("me", &JWS[..40]), Some(Code::Malformed));

    assert_eq!(check_jws(b"\x02\0\xff\xffa.b.c", &state), Ok(Some(Code::UnknownIssuer)), "no text");
    for cut in [&b""[..], b"\x02", b"\x02\0m"] {
        assert_eq!(check_jws(cut, &state), Err(MessageError::Length));
    }
}

#[test]
fn a_jws_too_long_to_be_looked_at_is_cut_and_none_is_shown() {
    let mut buffer = vec![0; MAX_MESSAGE_LEN];
    for (len, sent) in [(3, 3), (MAX_TOKEN_LEN, MAX_TOKEN_LEN), (MAX_TOKEN_LEN + 100, MAX_TOKEN_LEN + 1)] {
        let jws = vec![b'.'; len];
        assert_eq!(JwsMessage { issuer: "me", jws: &jws }.write_to(&mut buffer), Ok(4 + sent));
    }
    assert_eq!(JwsMessage { issuer: "me", jws: b"a.b.c" }.write_to(&mut [0; 8]), Err(LayoutError));
    let shown = format!("{:?}", JwsMessage { issuer: "me", jws: JWS });
    assert_eq!(shown, format!("JwsMessage {{ issuer: \"me\", jws_len: {} }}", JWS.len()));
}
