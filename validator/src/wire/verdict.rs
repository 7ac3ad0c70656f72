//! The binary form of a verdict.

use core::num::NonZeroU32;

use super::LayoutError;
use super::bytes::{Reader, Sink, Texts};
use super::record::{RecordView, to_principal};
use crate::environment::is_environment;
use crate::id::KeyId;
use crate::record::is_owner;
use crate::scope::is_scope;
use crate::verdict::{Code, Denial, Principal, Verdict};

const DENY: u8 = 0;
const ALLOW: u8 = 1;
const DENY_LEN: u16 = 8;
const ALLOW_LEN: usize = 40;
const API_KEY: u8 = 1;
const EXPIRES_AT: u8 = 1;

/// Writes the verdict of a judgement.
pub(super) fn put_verdict(judgement: &Result<RecordView<'_>, Denial>, out: &mut impl Sink) -> Result<(), LayoutError> {
    match judgement {
        Err(denial) => {
            out.put_u16(DENY_LEN)?;
            out.put(&[DENY, denial.code.number()])?;
            out.put_u32(denial.retry_after.map_or(0, NonZeroU32::get))
        }
        Ok(record) => {
            let len = ALLOW_LEN
                .saturating_add(record.environment.len())
                .saturating_add(record.owner.len())
                .saturating_add(record.scopes.raw().len());
            let [len_low, len_high] = u16::try_from(len).map_err(|_| LayoutError)?.to_le_bytes();
            let flags = if record.expires_at.is_some() { EXPIRES_AT } else { 0 };
            let short = |len: usize| u8::try_from(len).map_err(|_| LayoutError);
            let (environment_len, owner_len) = (short(record.environment.len())?, short(record.owner.len())?);
            // Whole rows instead of field by field: this is the hot path.
            out.put(&[len_low, len_high, ALLOW, 0, 0, 0, 0, 0])?;
            out.put(&[API_KEY, flags, environment_len, owner_len, record.scope_count, 0, 0, 0])?;
            out.put(record.key_id.as_bytes())?;
            out.put_u64(record.expires_at.map_or(0, |time| time.unix()))?;
            out.put(record.environment)?;
            out.put(record.owner.as_bytes())?;
            out.put(record.scopes.raw())
        }
    }
}

/// Reads one verdict off the front of an answer, and gives back what follows it.
///
/// The bytes come from a guest: nothing in them is taken on trust.
///
/// # Errors
/// [`LayoutError`] when the bytes are not a verdict. The caller must treat the credential as denied.
pub fn decode_verdict(answer: &[u8]) -> Result<(Verdict, &[u8]), LayoutError> {
    let len = usize::from(Reader::new(answer).u16()?);
    let (verdict, rest) = answer.split_at_checked(len).ok_or(LayoutError)?;
    let mut reader = Reader::new(verdict);
    reader.u16()?;
    let [kind, code] = *reader.array()?;
    let retry_after = NonZeroU32::new(reader.u32()?);
    let verdict = match kind {
        DENY => Verdict::Deny(Denial { code: Code::from_number(code).ok_or(LayoutError)?, retry_after }),
        ALLOW if code == 0 && retry_after.is_none() => Verdict::Allow(read_principal(&mut reader)?),
        _ => return Err(LayoutError),
    };
    reader.end()?;
    Ok((verdict, rest))
}

fn read_principal(reader: &mut Reader<'_>) -> Result<Principal, LayoutError> {
    let [kind, flags, environment_len, owner_len, scope_count] = *reader.array()?;
    let reserved = reader.array::<3>()?;
    if kind != API_KEY || flags & !EXPIRES_AT != 0 || *reserved != [0; 3] {
        return Err(LayoutError);
    }
    let key_id = KeyId::from_bytes(*reader.array()?);
    let time = reader.time()?;
    if flags & EXPIRES_AT == 0 && time.unix() != 0 {
        return Err(LayoutError);
    }
    let environment = reader.take(usize::from(environment_len))?;
    let owner = reader.text(usize::from(owner_len))?;
    if !is_environment(environment) || !(owner.is_empty() || is_owner(owner)) {
        return Err(LayoutError);
    }
    let scopes = Texts::read(reader, usize::from(scope_count), is_scope)?;
    to_principal(key_id, environment, owner, scopes, (flags & EXPIRES_AT != 0).then_some(time)).ok_or(LayoutError)
}
