//! The judgement: one function over borrowed views, so that every face judges by the same code.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::digest::Digest;
use crate::key_format::{FormatMatch, KeyFormat};
use crate::record::{KeyRecord, KeyState};
use crate::request::Request;
use crate::scope;
use crate::verdict::{Code, Denial, Verdict};
use crate::wire::{FormatsView, RecordView, RequestView};

/// Longest credential that is looked at, in bytes. A longer one is `malformed`.
pub const MAX_CREDENTIAL_LEN: usize = 65_536;

/// Judges one credential.
///
/// `record` is what the caller found for it, or `None`; `formats` are the key formats in force,
/// which tell a typo (`unknown_key`) from something that is no key at all (`malformed`). The digest
/// is recomputed and compared in constant time, so the wrong record is a deny. The checks run in
/// this order: parse, checksum and digest; revoked; suspended; rotated; expired, not yet valid;
/// environment; address; scope; rate.
///
/// A record, request or list of formats that breaks a bound is answered with `unavailable`: the
/// validator cannot say.
///
/// ```
/// use keystile_validator::{Code, KeyFormat, Request, Timestamp, check};
/// let formats = [KeyFormat::with_defaults("hx")?];
/// let request = Request::at(Timestamp::from_unix(0)?);
/// assert_eq!(check(b"", None, &request, &formats).code(), Some(Code::MissingCredential));
/// assert_eq!(check(b"hello", None, &request, &formats).code(), Some(Code::Malformed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check(credential: &[u8], record: Option<&KeyRecord>, request: &Request, formats: &[KeyFormat]) -> Verdict {
    check_batch(&[(credential, record)], request, formats).pop().unwrap_or(Verdict::deny(Code::Unavailable))
}

/// Judges many credentials against one request: [`check`] for each, in order.
pub fn check_batch(items: &[(&[u8], Option<&KeyRecord>)], request: &Request, formats: &[KeyFormat]) -> Vec<Verdict> {
    let mut request_bytes = Vec::new();
    let mut formats_bytes = Vec::new();
    let encoded = crate::wire::encode_request(request, &mut request_bytes).is_ok()
        && crate::wire::encode_formats(formats, &mut formats_bytes).is_ok();
    let (Ok(request), Ok(formats), true) =
        (RequestView::read(&request_bytes), FormatsView::read(&formats_bytes), encoded)
    else {
        return items.iter().map(|_| Verdict::deny(Code::Unavailable)).collect();
    };
    let mut record_bytes = Vec::new();
    items
        .iter()
        .map(|(credential, record)| {
            record_bytes.clear();
            let record = match record {
                None => None,
                Some(record) => match crate::wire::encode_record(record, &mut record_bytes) {
                    Ok(()) => Some(record_bytes.as_slice()),
                    Err(_) => return Verdict::deny(Code::Unavailable),
                },
            };
            match judge(credential, record, &request, &formats) {
                Ok(record) => record.to_principal().map_or(Verdict::deny(Code::Unavailable), Verdict::Allow),
                Err(denial) => Verdict::Deny(denial),
            }
        })
        .collect()
}

/// Judges one credential; an allow gives back the record that proves it.
pub(crate) fn judge<'a>(
    credential: &[u8],
    record: Option<&'a [u8]>,
    request: &RequestView<'_>,
    formats: &FormatsView<'_>,
) -> Result<RecordView<'a>, Denial> {
    if credential.is_empty() {
        return deny(Code::MissingCredential);
    }
    if credential.len() > MAX_CREDENTIAL_LEN {
        return deny(Code::Malformed);
    }
    let Some(record) = record else {
        return deny(explain_miss(credential, formats));
    };
    let Ok(record) = RecordView::read(record) else {
        return deny(Code::Unavailable);
    };
    if !Digest::of(credential).matches(record.digest) {
        return deny(explain_miss(credential, formats));
    }
    match judge_record(&record, request) {
        Ok(()) => Ok(record),
        Err(denial) => Err(denial),
    }
}

/// Why no record fits. A digest that matches is proof whatever the secret looks like, so the
/// formats are asked only here.
fn explain_miss(credential: &[u8], formats: &FormatsView<'_>) -> Code {
    match formats.read_credential(credential) {
        FormatMatch::NoMatch => Code::Malformed,
        FormatMatch::WrongChecksum | FormatMatch::Match => Code::UnknownKey,
    }
}

/// The caller has the secret: may it do this, here and now?
fn judge_record(record: &RecordView<'_>, request: &RequestView<'_>) -> Result<(), Denial> {
    let now = request.now;
    match record.state {
        KeyState::Revoked => return deny(Code::Revoked),
        KeyState::Suspended => return deny(Code::Suspended),
        KeyState::Active => {}
    }
    if record.retires_at.is_some_and(|retires_at| now >= retires_at) {
        return deny(Code::Rotated);
    }
    if record.expires_at.is_some_and(|expires_at| now >= expires_at) {
        return deny(Code::Expired);
    }
    if record.not_before.is_some_and(|not_before| now < not_before) {
        return deny(Code::NotYetValid);
    }
    if request.environment.is_some_and(|environment| environment != record.environment) {
        return deny(Code::WrongEnvironment);
    }
    if !record.allows_address(request.address) {
        return deny(Code::AddressNotAllowed);
    }
    let has = |required: &[u8]| record.scopes().any(|granted| scope::grants(granted, required));
    if !request.all_of().all(has) || (request.any_of().next().is_some() && !request.any_of().any(has)) {
        return deny(Code::InsufficientScope);
    }
    if let (Some(rate), Some(usage)) = (record.rate, request.usage)
        && usage.used >= rate.limit()
        && now < usage.resets_at
    {
        let wait = u32::try_from(usage.resets_at.seconds_since(now)).unwrap_or(u32::MAX);
        return Err(Denial { code: Code::RateLimited, retry_after: NonZeroU32::new(wait) });
    }
    Ok(())
}

fn deny<T>(code: Code) -> Result<T, Denial> {
    Err(Denial { code, retry_after: None })
}
