//! Records of keys and of tokens, against a reader written from `docs/abi.md` that shares no code with
//! the validator's.

use std::net::IpAddr;

use keystile_validator::jwt::{Algorithm, TokenRecord};
use keystile_validator::wire::{RecordHints, encode_record, encode_token_record, record_hints};
use keystile_validator::{
    AddressRange, Code, Digest, Environment, KeyId, KeyRecord, KeyState, Rate, Record, Scope, Timestamp, Verdict,
};

use crate::everywhere::{judge_everywhere, judge_with_record};
use crate::fixtures::{self, with_state};

/// A record in its binary form; the digest in it is replaced by that of the credential, which no
/// fuzzer finds. What one reader takes the other takes, it is written the same again, and the verdict
/// is that on the owned record; what is no record denies as `unavailable`.
///
/// # Panics
/// When that does not hold.
pub fn record(data: &[u8]) {
    let mut bytes = data.to_vec();
    if bytes.get(LAYOUT_AT) == Some(&TOKEN_LAYOUT) {
        return token_record(&bytes);
    }
    if let Some(digest) = bytes.get_mut(DIGEST_AT..DIGEST_AT + Digest::LEN) {
        digest.copy_from_slice(Digest::of(CREDENTIAL).as_bytes());
    }
    let verdict = with_state(|state| judge_with_record(CREDENTIAL, &bytes, state));
    let Some(record) = Reader(&bytes).record() else {
        let expected = if bytes.is_empty() { Code::Malformed } else { Code::Unavailable };
        return assert_eq!(verdict, Verdict::deny(expected));
    };
    let owned = with_state(|state| judge_everywhere(CREDENTIAL, Some(Record::Key(&record)), state));
    assert_eq!(verdict, owned);
    let mut written = Vec::new();
    encode_record(&record, &mut written).expect("what we read we write");
    if !has_mapped_address(&bytes, &record) {
        assert_eq!(written, bytes);
    }
    assert_eq!(Reader(&written).record().as_ref(), Some(&record));
    let hints = RecordHints { key_id: record.key_id, rate: record.rate, starts_grace: record.starts_grace };
    assert_eq!(record_hints(&bytes), Ok(hints));
}

fn token_record(bytes: &[u8]) {
    let algorithm = Algorithm::Hs256;
    let token =
        fixtures::sign(algorithm, fixtures::header(algorithm).as_bytes(), fixtures::claims(algorithm).as_bytes());
    let verdict = with_state(|state| judge_with_record(token.as_bytes(), bytes, state));
    let Some(record) = Reader(bytes).token_record() else {
        return assert_eq!(verdict, Verdict::deny(Code::Unavailable));
    };
    let owned = with_state(|state| judge_everywhere(token.as_bytes(), Some(Record::Token(&record)), state));
    assert_eq!(verdict, owned);
    let mut written = Vec::new();
    encode_token_record(&record, &mut written).expect("what we read we write");
    assert_eq!(written, bytes);
}

/// Whether a range is written as IPv6 that is IPv4 (`::ffff:10.0.0.0/104`), which has a shorter form.
fn has_mapped_address(bytes: &[u8], record: &KeyRecord) -> bool {
    let written = record.addresses.iter().map(|range| if range.network().is_ipv4() { 6 } else { 18 });
    let mut shortest = Vec::new();
    let without = KeyRecord { addresses: Vec::new(), ..record.clone() };
    encode_record(&without, &mut shortest).expect("fewer addresses fit as well");
    bytes.len() != shortest.len() + written.sum::<usize>()
}

/// The bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn record(mut self) -> Option<KeyRecord> {
        let len = self.0.len();
        if usize::from(self.u16()?) != len || self.u8()? != KEY_LAYOUT {
            return None;
        }
        let state = match self.u8()? {
            0 => KeyState::Active,
            1 => KeyState::Suspended,
            2 => KeyState::Revoked,
            _ => return None,
        };
        let flags = self.u8()?;
        let counts = self.take(4)?;
        if flags > 31 || self.take(3)? != [0; 3] {
            return None;
        }
        let [environment_len, owner_len, scope_count, address_count] = [0, 1, 2, 3].map(|at| usize::from(counts[at]));
        let key_id = KeyId::from_bytes(self.take(16)?.try_into().ok()?);
        let digest = Digest::from_bytes(self.take(32)?.try_into().ok()?);
        let not_before = self.optional_time(flags & 1 != 0)?;
        let expires_at = self.optional_time(flags & 2 != 0)?;
        let retires_at = self.optional_time(flags & 4 != 0)?;
        let rate = if flags & 8 == 0 { None } else { Some(Rate::new(self.u32()?, self.u32()?).ok()?) };
        let environment = Environment::new(self.text(environment_len)?).ok()?;
        let owner = Some(self.text(owner_len)?.to_owned()).filter(|owner| !owner.is_empty());
        let mut scopes = Vec::new();
        for _ in 0..scope_count {
            let len = usize::from(self.u8()?);
            scopes.push(Scope::new(self.text(len)?).ok()?);
        }
        let mut addresses = Vec::new();
        for _ in 0..address_count {
            let (family, prefix_len) = (self.u8()?, self.u8()?);
            let network = match family {
                4 => IpAddr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?),
                6 => IpAddr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?),
                _ => return None,
            };
            addresses.push(AddressRange::new(network, prefix_len).ok()?);
        }
        let mut record = KeyRecord::new(key_id, digest, environment);
        record.state = state;
        record.owner = owner;
        record.scopes = scopes;
        (record.not_before, record.expires_at, record.retires_at) = (not_before, expires_at, retires_at);
        record.addresses = addresses;
        record.rate = rate;
        record.starts_grace = flags & 16 != 0;
        (self.0.is_empty() && record.validate().is_ok()).then_some(record)
    }

    fn token_record(mut self) -> Option<TokenRecord> {
        if self.0.len() != 16 || self.u16()? != 16 || self.u8()? != TOKEN_LAYOUT {
            return None;
        }
        let flags = self.u8()?;
        if flags > 7 || self.take(4)? != [0; 4] {
            return None;
        }
        let time = Timestamp::from_unix(self.u64()?).ok()?;
        let not_before = (flags & 4 != 0).then_some(time);
        if not_before.is_none() && time.unix() != 0 {
            return None;
        }
        Some(TokenRecord { revoked: flags & 1 != 0, suspended: flags & 2 != 0, not_before })
    }

    fn optional_time(&mut self, present: bool) -> Option<Option<Timestamp>> {
        if present { Timestamp::from_unix(self.u64()?).ok().map(Some) } else { Some(None) }
    }

    fn text(&mut self, len: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }
}

/// The credential that every record of a key is for.
const CREDENTIAL: &[u8] = b"a secret of no format";
const LAYOUT_AT: usize = 2;
const DIGEST_AT: usize = 28;
const KEY_LAYOUT: u8 = 1;
const TOKEN_LAYOUT: u8 = 2;
