//! The judgement: one function over borrowed views, so that every face judges by the same code.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::digest::Digest;
use crate::jwt::{TokenRecord, TokenState, VerifiedJwt, judge_token, looks_like_jws};
use crate::key_format::{FormatMatch, KeyFormat};
use crate::record::{KeyRecord, KeyState};
use crate::request::Request;
use crate::scope;
use crate::verdict::{Code, Denial, Principal, Verdict};
use crate::wire::{FormatsView, RecordView, RequestView, fits_verdict, is_token_record, read_token_record};

/// Longest credential that is looked at, in bytes. A longer one is `malformed`.
pub const MAX_CREDENTIAL_LEN: usize = 65_536;

/// Judges one key.
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
    let record = record.map(Record::Key);
    check_batch(&[(credential, record)], request, formats, &mut TokenState::empty())
        .pop()
        .unwrap_or(Verdict::deny(Code::Unavailable))
}

/// What a host's store says of a credential.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// The record of a key, found by the credential's digest.
    Key(&'a KeyRecord),
    /// What is known of a token, found by what it says of itself.
    Token(&'a TokenRecord),
}

/// Judges many credentials, keys and tokens, against one request: [`check`] for each, in order. Tokens
/// are judged by the issuers of `state`.
pub fn check_batch(
    items: &[(&[u8], Option<Record<'_>>)],
    request: &Request,
    formats: &[KeyFormat],
    state: &mut TokenState,
) -> Vec<Verdict> {
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
                Some(record) => {
                    let encoded = match record {
                        Record::Key(record) => crate::wire::encode_record(record, &mut record_bytes),
                        Record::Token(record) => crate::wire::encode_token_record(record, &mut record_bytes),
                    };
                    match encoded {
                        Ok(()) => Some(record_bytes.as_slice()),
                        Err(_) => return Verdict::deny(Code::Unavailable),
                    }
                }
            };
            judge(credential, record, &request, &formats, state).into_verdict()
        })
        .collect()
}

/// What a judgement found.
pub(crate) enum Judgement<'a> {
    /// A key with this record.
    Key(RecordView<'a>),
    /// This token.
    Token(VerifiedJwt),
    /// Neither.
    Deny(Denial),
}

impl Judgement<'_> {
    fn into_verdict(self) -> Verdict {
        let principal = match self {
            Judgement::Key(record) => record.to_principal(),
            // Owned types could hold it, but no message could: every face answers alike.
            Judgement::Token(token) if !fits_verdict(&token) => None,
            Judgement::Token(token) => Principal::of_token(&token),
            Judgement::Deny(denial) => return Verdict::Deny(denial),
        };
        principal.map_or(Verdict::deny(Code::Unavailable), Verdict::Allow)
    }
}

/// Judges one credential.
pub(crate) fn judge<'a>(
    credential: &[u8],
    record: Option<&'a [u8]>,
    request: &RequestView<'_>,
    formats: &FormatsView<'_>,
    state: &mut TokenState,
) -> Judgement<'a> {
    let judged = if record.is_none_or(is_token_record) && looks_like_jws(credential) {
        judge_jws(credential, record, request, state).map(Judgement::Token)
    } else {
        judge_key(credential, record, request, formats).map(Judgement::Key)
    };
    judged.unwrap_or_else(Judgement::Deny)
}

fn judge_jws(
    credential: &[u8],
    record: Option<&[u8]>,
    request: &RequestView<'_>,
    state: &mut TokenState,
) -> Result<VerifiedJwt, Denial> {
    let Ok(record) = record.map(read_token_record).transpose() else {
        return deny(Code::Unavailable);
    };
    // What is no token either is malformed: no key format has a secret with two dots.
    judge_token(credential, &state.issuers, &mut state.cache, record.as_ref(), request)
}

fn judge_key<'a>(
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
    if !request.is_granted(|required| record.scopes().any(|granted| scope::grants(granted, required))) {
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
