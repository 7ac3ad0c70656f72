//! Laws of the binary forms: what is written is read, and what is not exactly so is refused.

use std::prelude::rust_2024::*;
use std::vec;

use proptest::collection::vec as many;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::jwt::TokenState;
use crate::*;

mod strict;

fn times() -> impl Strategy<Value = Timestamp> {
    (0..=bounds::MAX_TIMESTAMP).prop_map(|seconds| Timestamp::from_unix(seconds).unwrap())
}

fn scopes(most: usize) -> impl Strategy<Value = Vec<Scope>> {
    many("[a-z]{1,8}(:([a-z]{1,8}|\\*))?".prop_map(|name| Scope::new(name).unwrap()), 0..=most)
}

fn addresses() -> impl Strategy<Value = core::net::IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map_into(), any::<[u8; 16]>().prop_map_into()]
}

prop_compose! {
    fn records()(
        id: [u8; 16],
        digest: [u8; 32],
        state in prop_oneof![Just(KeyState::Active), Just(KeyState::Suspended), Just(KeyState::Revoked)],
        owner in of("[a-zé]{1,20}"),
        environment in "[a-z]{1,8}",
        scopes in scopes(bounds::MAX_SCOPES),
        times in (of(times()), of(times()), of(times())),
        addresses in many(addresses(), 0..=bounds::MAX_ADDRESSES),
        rate in of((1_u32.., 1..=Rate::MAX_WINDOW)),
        starts_grace: bool,
    ) -> KeyRecord {
        KeyRecord {
            key_id: KeyId::from_bytes(id),
            digest: Digest::from_bytes(digest),
            state,
            owner,
            environment: Environment::new(environment).unwrap(),
            scopes,
            not_before: times.0,
            expires_at: times.1,
            retires_at: times.2,
            addresses: addresses.into_iter().map(|a| a.to_string().parse().unwrap()).collect(),
            rate: rate.map(|(limit, window)| Rate::new(limit, window).unwrap()),
            starts_grace,
        }
    }
}

prop_compose! {
    fn requests()(
        now in times(),
        all_of in scopes(bounds::MAX_REQUEST_SCOPES),
        any_of in scopes(bounds::MAX_REQUEST_SCOPES),
        environment in of("[a-z]{1,8}"),
        address in of(addresses()),
        usage in of((any::<u32>(), times())),
    ) -> Request {
        Request {
            now,
            all_of,
            any_of,
            environment: environment.map(|name| Environment::new(name).unwrap()),
            address,
            usage: usage.map(|(used, resets_at)| Usage { used, resets_at }),
        }
    }
}

fn formats() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_formats(&[KeyFormat::with_defaults("hx").unwrap()], &mut bytes).unwrap();
    bytes
}

/// Runs a message through the binary forms.
fn through_message(credential: &[u8], record: Option<&KeyRecord>, request: &Request) -> Verdict {
    let formats = formats();
    let record = record.map(|record| {
        let mut bytes = Vec::new();
        encode_record(record, &mut bytes).unwrap();
        bytes
    });
    let items = [Item { credential, record: record.as_deref() }];
    let mut message = vec![0; MAX_MESSAGE_LEN];
    let len = Message { request, formats: &formats, items: &items }.write_to(&mut message).unwrap();
    let mut answer = vec![0; MAX_MESSAGE_LEN];
    let len = check_message(&message[..len], &mut TokenState::default(), &mut answer).unwrap();
    let (verdict, rest) = decode_verdict(&answer[..len]).unwrap();
    assert!(rest.is_empty());
    verdict
}

proptest! {
    #[test]
    fn a_record_reads_as_it_was_written(record in records()) {
        let mut bytes = Vec::new();
        encode_record(&record, &mut bytes).unwrap();
        prop_assert!(bytes.len() <= bounds::MAX_RECORD_LEN);
        let view = RecordView::read(&bytes).unwrap();
        prop_assert_eq!(view.key_id, record.key_id);
        prop_assert_eq!(view.state, record.state);
        prop_assert_eq!(view.not_before, record.not_before);
        prop_assert_eq!(view.expires_at, record.expires_at);
        prop_assert_eq!(view.retires_at, record.retires_at);
        prop_assert_eq!(view.rate, record.rate);
        let hints = record_hints(&bytes).unwrap();
        prop_assert_eq!(hints.rate, record.rate);
        prop_assert_eq!(hints.key_id, record.key_id);
        prop_assert_eq!(hints.starts_grace, record.starts_grace);
        let principal = view.to_principal().unwrap();
        prop_assert_eq!(principal.key_id(), Some(record.key_id));
        prop_assert_eq!(principal.owner(), record.owner.as_deref());
        prop_assert_eq!(principal.environment(), Some(record.environment.as_str()));
        prop_assert!(principal.scopes().eq(record.scopes.iter().map(|scope| scope.as_str())));
        prop_assert_eq!(principal.expires_at(), record.expires_at);
        for range in &record.addresses {
            prop_assert!(view.allows_address(Some(range.network())));
        }
    }

    /// The message form and the plain function are one judgement.
    #[test]
    fn a_message_gives_the_verdict_of_check(mut record in records(), request in requests(), right: bool) {
        if right {
            record.digest = Digest::of(b"secret");
        }
        let direct = check(b"secret", Some(&record), &request, &[KeyFormat::with_defaults("hx").unwrap()]);
        prop_assert_eq!(through_message(b"secret", Some(&record), &request), direct);
    }

    /// Cut anywhere, a record is refused, and the verdict is `unavailable`.
    #[test]
    fn a_cut_record_is_refused(record in records(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        encode_record(&record, &mut bytes).unwrap();
        prop_assert!(RecordView::read(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn reading_anything_is_safe(bytes: Vec<u8>) {
        let mut answer = [0; 4096];
        let _ = check_message(&bytes, &mut TokenState::default(), &mut answer);
        let _ = decode_verdict(&bytes);
        let _ = RecordView::read(&bytes);
        let _ = RequestView::read(&bytes);
        let _ = FormatsView::read(&bytes).map(|view| view.read_credential(&bytes));
    }

    /// A valid message with any one byte changed is judged or refused, and never read out of bounds.
    #[test]
    fn a_changed_message_is_safe(record in records(), request in requests(), at in any::<prop::sample::Index>(), byte: u8) {
        let formats = formats();
        let mut record_bytes = Vec::new();
        encode_record(&record, &mut record_bytes).unwrap();
        let items = [Item { credential: b"secret", record: Some(&record_bytes) }];
        let mut message = vec![0; MAX_MESSAGE_LEN];
        let len = Message { request: &request, formats: &formats, items: &items }.write_to(&mut message).unwrap();
        message[at.index(len)] = byte;
        let mut answer = vec![0; MAX_MESSAGE_LEN];
        if let Ok(len) = check_message(&message[..len], &mut TokenState::default(), &mut answer) {
            prop_assert!(decode_verdict(&answer[..len]).is_ok());
        }
    }
}

#[test]
fn the_wrong_record_is_a_deny() {
    let record = KeyRecord::new(KeyId::from_bytes([1; 16]), Digest::of(b"another"), Environment::new("live").unwrap());
    let request = Request::at(Timestamp::from_unix(0).unwrap());
    assert_eq!(through_message(b"secret", Some(&record), &request).code(), Some(Code::Malformed));
    let format = KeyFormat::with_defaults("hx").unwrap();
    let secret = format.assemble(&Environment::new("live").unwrap(), &"0".repeat(30)).unwrap();
    assert_eq!(through_message(secret.as_bytes(), Some(&record), &request).code(), Some(Code::UnknownKey));
}

#[test]
fn formats_out_of_bounds_are_refused() {
    let hx = KeyFormat::with_defaults("hx").unwrap();
    let mut bytes = Vec::new();
    assert!(encode_formats(&vec![hx.clone(); bounds::MAX_FORMATS], &mut bytes).is_ok());
    assert!(FormatsView::read(&bytes).is_ok());
    assert!(encode_formats(&vec![hx; bounds::MAX_FORMATS + 1], &mut Vec::new()).is_err());

    // layout, count, prefix, separator, length of the body, checksum, count and names of the environments
    let good = *b"\x01\x01\x02hx_\x1e\x01\x01\x04live";
    assert!(FormatsView::read(&good).is_ok());
    for (at, bad) in [(0, 2), (1, 2), (3, b'_'), (5, b'-'), (6, 0), (6, 255), (7, 2), (8, 0), (8, 2), (10, b'-')] {
        let mut changed = good;
        changed[at] = bad;
        assert!(FormatsView::read(&changed).is_err(), "{bad} at {at}");
    }
    let without_environments = &good[..9];
    let mut changed = without_environments.to_vec();
    changed[8] = 0;
    assert!(FormatsView::read(&changed).is_err(), "a format has an environment");
    let one_more = [&good[2..], &good[2..]].concat();
    let too_many = [&[1, bounds::MAX_FORMATS as u8 + 1][..], &one_more.repeat(bounds::MAX_FORMATS.div_ceil(2) + 1)];
    let too_many = too_many.concat();
    let end = 2 + (bounds::MAX_FORMATS + 1) * (good.len() - 2);
    assert!(FormatsView::read(&too_many[..end]).is_err(), "more formats than there may be");
    assert!(FormatsView::read(&[&good[..], &[0]].concat()).is_err(), "something follows");
}

/// Counting calls must not cost the reading of every record.
#[test]
fn hints_look_at_a_few_bytes_where_there_is_no_rate() {
    let mut record = KeyRecord::new(KeyId::from_bytes([1; 16]), Digest::of(b"x"), Environment::new("live").unwrap());
    let hints = |record: &KeyRecord, len: usize| {
        let mut bytes = Vec::new();
        encode_record(record, &mut bytes).unwrap();
        record_hints(&bytes[..len])
    };
    let without = RecordHints { key_id: record.key_id, rate: None, starts_grace: false };
    assert_eq!(hints(&record, 28), Ok(without));
    assert!(hints(&record, 27).is_err());
    record.rate = Rate::new(1, 1).ok();
    assert!(hints(&record, 28).is_err(), "a rate lies further back");
}

#[test]
fn message_bounds_hold() {
    let request = Request::at(Timestamp::from_unix(0).unwrap());
    let formats = formats();
    let mut message = vec![0; MAX_MESSAGE_LEN];
    let mut write = |items: &[Item<'_>]| Message { request: &request, formats: &formats, items }.write_to(&mut message);
    let item = Item { credential: b"x", record: None };
    assert!(write(&[]).is_err());
    assert!(write(&vec![item; MAX_BATCH]).is_ok());
    assert!(write(&vec![item; MAX_BATCH + 1]).is_err());
    let longest = vec![b'x'; MAX_CREDENTIAL_LEN];
    assert!(write(&[Item { credential: &longest, record: None }; 3]).is_ok());
    assert!(write(&[Item { credential: &longest, record: None }; 4]).is_err(), "more than the buffer holds");

    let len = write(&[item]).unwrap();
    let mut answer = vec![0; 64];
    let mut with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = message[..len].to_vec();
        change(&mut message);
        check_message(&message, &mut TokenState::default(), &mut answer)
    };
    assert_eq!(with(&|_| ()), Ok(8));
    assert_eq!(with(&|m| m[0] = 1), Err(MessageError::Version));
    assert_eq!(with(&|m| m[2] = 0), Err(MessageError::Count));
    assert_eq!(with(&|m| m[2..4].copy_from_slice(&1025_u16.to_le_bytes())), Err(MessageError::Count));
    assert_eq!(with(&|m| m.push(0)), Err(MessageError::Length));
    assert_eq!(with(&|m| m[8] = 0), Err(MessageError::Length), "a section inside the header");
    assert_eq!(with(&|m| m[28] = 1), Err(MessageError::Length), "reserved bytes are 0");
    assert_eq!(with(&|m| m[32] = 9), Err(MessageError::Request));
    let formats_at = usize::from(message[16]);
    assert_eq!(with(&|m| m[formats_at] = 9), Err(MessageError::Formats));
    assert_eq!(check_message(&message[..len], &mut TokenState::default(), &mut [0; 7]), Err(MessageError::Answer));
}

#[test]
fn a_credential_of_any_length_gets_an_answer() {
    let request = Request::at(Timestamp::from_unix(0).unwrap());
    for len in [MAX_CREDENTIAL_LEN, MAX_CREDENTIAL_LEN + 1, 1 << 20] {
        assert_eq!(through_message(&vec![b'x'; len], None, &request).code(), Some(Code::Malformed), "{len}");
    }
    // At the bound the digest is still compared; beyond it nothing is looked at.
    let record_of = |secret: &[u8]| {
        KeyRecord::new(KeyId::from_bytes([1; 16]), Digest::of(secret), Environment::new("live").unwrap())
    };
    let (longest, too_long) = (vec![b'x'; MAX_CREDENTIAL_LEN], vec![b'x'; MAX_CREDENTIAL_LEN + 1]);
    assert!(through_message(&longest, Some(&record_of(&longest)), &request).is_allow());
    assert_eq!(through_message(&too_long, Some(&record_of(&too_long)), &request).code(), Some(Code::Malformed));
}

#[test]
fn debug_shows_no_credential() {
    let shown = std::format!("{:?}", Item { credential: b"hx_live_secret", record: None });
    assert!(!shown.contains("secret") && shown.contains("14"), "{shown}");
}
