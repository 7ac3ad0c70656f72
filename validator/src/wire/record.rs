//! The binary form of a key record.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::LayoutError;
use super::bytes::{Reader, Sink, Texts, flags};
use crate::address::AddressRange;
use crate::environment::is_environment;
use crate::id::KeyId;
use crate::record::{KeyRecord, KeyState, MAX_ADDRESSES, MAX_RECORD_LEN, MAX_SCOPES, Rate, is_owner};
use crate::scope::is_scope;
use crate::time::Timestamp;
use crate::verdict::{Principal, PrincipalTexts};

const LAYOUT: u8 = 1;
const NOT_BEFORE: u8 = 1;
const EXPIRES_AT: u8 = 2;
const RETIRES_AT: u8 = 4;
pub(super) const RATE: u8 = 8;
pub(super) const STARTS_GRACE: u8 = 16;
const ALL_FLAGS: u8 = NOT_BEFORE | EXPIRES_AT | RETIRES_AT | RATE | STARTS_GRACE;

/// Appends the binary form of a record.
///
/// # Errors
/// [`LayoutError`] when a bound of [`KeyRecord`] is broken; nothing is appended then.
pub fn encode_record(record: &KeyRecord, out: &mut Vec<u8>) -> Result<(), LayoutError> {
    record.validate().map_err(|_| LayoutError)?;
    let start = out.len();
    let owner = record.owner.as_deref().unwrap_or_default();
    out.put_u16(0)?;
    out.put_u8(LAYOUT)?;
    out.put_u8(match record.state {
        KeyState::Active => 0,
        KeyState::Suspended => 1,
        KeyState::Revoked => 2,
    })?;
    out.put_u8(flags([
        (record.not_before.is_some(), NOT_BEFORE),
        (record.expires_at.is_some(), EXPIRES_AT),
        (record.retires_at.is_some(), RETIRES_AT),
        (record.rate.is_some(), RATE),
        (record.starts_grace, STARTS_GRACE),
    ]))?;
    out.put_len(record.environment.as_str().len())?;
    out.put_len(owner.len())?;
    out.put_len(record.scopes.len())?;
    out.put_len(record.addresses.len())?;
    out.put(&[0; 3])?;
    out.put(record.key_id.as_bytes())?;
    out.put(record.digest.as_bytes())?;
    for time in [record.not_before, record.expires_at, record.retires_at].into_iter().flatten() {
        out.put_u64(time.unix())?;
    }
    if let Some(rate) = record.rate {
        out.put_u32(rate.limit())?;
        out.put_u32(rate.window())?;
    }
    out.put(record.environment.as_str().as_bytes())?;
    out.put(owner.as_bytes())?;
    for scope in &record.scopes {
        out.put_text(scope.as_str())?;
    }
    for range in &record.addresses {
        match range.network() {
            IpAddr::V4(v4) => {
                out.put(&[4, range.prefix_len()])?;
                out.put(&v4.octets())?;
            }
            IpAddr::V6(v6) => {
                out.put(&[6, range.prefix_len()])?;
                out.put(&v6.octets())?;
            }
        }
    }
    // The bounds above keep the record below MAX_RECORD_LEN, which fits into 16 bits.
    let len = u16::try_from(out.len().saturating_sub(start)).map_err(|_| LayoutError)?;
    for (byte, value) in out.iter_mut().skip(start).zip(len.to_le_bytes()) {
        *byte = value;
    }
    Ok(())
}

/// A record in its binary form, every length checked.
pub(crate) struct RecordView<'a> {
    pub(crate) key_id: KeyId,
    pub(crate) digest: &'a [u8; 32],
    pub(crate) state: KeyState,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) retires_at: Option<Timestamp>,
    pub(crate) rate: Option<Rate>,
    pub(crate) environment: &'a [u8],
    pub(crate) owner: &'a str,
    pub(crate) scope_count: u8,
    pub(crate) scopes: Texts<'a>,
    addresses: Reader<'a>,
}

impl<'a> RecordView<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<RecordView<'a>, LayoutError> {
        let mut reader = Reader::new(bytes);
        let len = usize::from(reader.u16()?);
        let [layout, state, flags, environment_len, owner_len, scope_count, address_count] = *reader.array()?;
        let reserved = reader.array::<3>()?;
        let in_bounds = len == bytes.len()
            && len <= MAX_RECORD_LEN
            && layout == LAYOUT
            && *reserved == [0; 3]
            && flags & !ALL_FLAGS == 0
            && usize::from(scope_count) <= MAX_SCOPES
            && usize::from(address_count) <= MAX_ADDRESSES;
        if !in_bounds {
            return Err(LayoutError);
        }
        let state = match state {
            0 => KeyState::Active,
            1 => KeyState::Suspended,
            2 => KeyState::Revoked,
            _ => return Err(LayoutError),
        };
        let key_id = KeyId::from_bytes(*reader.array()?);
        let digest = reader.array()?;
        let not_before = reader.when(flags & NOT_BEFORE != 0, Reader::time)?;
        let expires_at = reader.when(flags & EXPIRES_AT != 0, Reader::time)?;
        let retires_at = reader.when(flags & RETIRES_AT != 0, Reader::time)?;
        let rate = reader
            .when(flags & RATE != 0, |reader| Rate::new(reader.u32()?, reader.u32()?).map_err(|_| LayoutError))?;
        let environment = reader.take(usize::from(environment_len))?;
        let owner = reader.text(usize::from(owner_len))?;
        if !is_environment(environment) || !(owner.is_empty() || is_owner(owner)) {
            return Err(LayoutError);
        }
        let scopes = Texts::read(&mut reader, usize::from(scope_count), is_scope)?;
        let addresses = reader;
        for _ in 0..address_count {
            read_range(&mut reader)?;
        }
        reader.end()?;
        Ok(RecordView {
            key_id,
            digest,
            state,
            not_before,
            expires_at,
            retires_at,
            rate,
            environment,
            owner,
            scope_count,
            scopes,
            addresses,
        })
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.scopes.iter()
    }

    /// Whether the key may be used from here; an unknown address is in no range.
    pub(crate) fn allows_address(&self, address: Option<IpAddr>) -> bool {
        let mut reader = self.addresses;
        if reader.rest().is_empty() {
            return true;
        }
        let Some(address) = address else { return false };
        core::iter::from_fn(|| read_range(&mut reader).ok()).any(|range| range.contains(address))
    }

    pub(crate) fn to_principal(&self) -> Option<Principal> {
        to_principal(self.key_id, self.environment, self.owner, self.scopes, self.expires_at)
    }
}

/// The principal of these parts, which were checked when they were read.
pub(super) fn to_principal(
    key_id: KeyId,
    environment: &[u8],
    owner: &str,
    scopes: Texts<'_>,
    expires_at: Option<Timestamp>,
) -> Option<Principal> {
    let environment = core::str::from_utf8(environment).ok()?;
    // What was checked to be a scope is ASCII: none is left out here.
    let scopes = scopes.iter().filter_map(|scope| core::str::from_utf8(scope).ok());
    Principal::of_key(key_id, &PrincipalTexts { environment, owner, ..PrincipalTexts::default() }, scopes, expires_at)
}

fn read_range(reader: &mut Reader<'_>) -> Result<AddressRange, LayoutError> {
    let (family, prefix_len) = (reader.u8()?, reader.u8()?);
    let network = read_address(reader, family)?;
    AddressRange::new(network, prefix_len).map_err(|_| LayoutError)
}

/// An address of this family, 4 or 6.
pub(super) fn read_address(reader: &mut Reader<'_>, family: u8) -> Result<IpAddr, LayoutError> {
    match family {
        4 => Ok(IpAddr::from(*reader.array::<4>()?)),
        6 => Ok(IpAddr::from(*reader.array::<16>()?)),
        _ => Err(LayoutError),
    }
}
