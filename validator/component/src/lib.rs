//! The Keystile validator as a component: the types of `wit/keystile.wit` to those of
//! `keystile_validator` and back.
//!
//! What does not fit the validator's types is answered with `unavailable`, as everywhere.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use keystile_validator::jwt::{TokenRecord, TokenState};
use keystile_validator::wire::{PutIssuerError, put_issuer};
use keystile_validator::{self as validator, Record};
use zeroize::Zeroizing;

use bindings::exports::keystile::validator::judging as wit;

/// What `wit-bindgen` generates from the world.
// Generated code: its `unsafe` is the canonical ABI, its documentation is in the WIT file.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    use super::Component;

    wit_bindgen::generate!({ world: "validator", path: "wit" });
    export!(Component);
}

struct Component;

impl wit::Guest for Component {
    type Issuers = Issuers;

    fn check(
        credential: Vec<u8>,
        record: Option<wit::CredentialRecord>,
        request: wit::Request,
        formats: Vec<wit::KeyFormat>,
        issuers: Option<wit::IssuersBorrow<'_>>,
    ) -> wit::Verdict {
        let items = Vec::from([wit::Item { credential, record }]);
        Self::check_batch(items, request, formats, issuers).into_iter().next().unwrap_or(UNAVAILABLE)
    }

    fn check_batch(
        items: Vec<wit::Item>,
        request: wit::Request,
        formats: Vec<wit::KeyFormat>,
        issuers: Option<wit::IssuersBorrow<'_>>,
    ) -> Vec<wit::Verdict> {
        let request = read_request(request);
        let formats: Option<Vec<_>> = formats.into_iter().map(read_format).collect();
        let mut nobody = TokenState::empty();
        // No second call runs meanwhile, so the state is always free.
        let mut known = issuers.as_ref().and_then(|issuers| issuers.get::<Issuers>().0.try_borrow_mut().ok());
        let state = known.as_deref_mut().unwrap_or(&mut nobody);
        let mut judge = |credential: &[u8], record: Option<Record<'_>>| {
            let (Some(request), Some(formats)) = (&request, &formats) else { return None };
            validator::check_batch(&[(credential, record)], request, formats, state).pop().map(write_verdict)
        };
        let judge_item = |item: wit::Item| {
            // The memory goes back to the allocator as it is.
            let credential = Zeroizing::new(item.credential);
            let verdict = match item.record {
                None => judge(&credential, None),
                Some(wit::CredentialRecord::Key(record)) => {
                    read_key_record(record).and_then(|record| judge(&credential, Some(Record::Key(&record))))
                }
                Some(wit::CredentialRecord::Token(record)) => {
                    read_token_record(record).and_then(|record| judge(&credential, Some(Record::Token(&record))))
                }
            };
            verdict.unwrap_or(UNAVAILABLE)
        };
        items.into_iter().map(judge_item).collect()
    }
}

/// The issuers that a host has put, and the tokens that were verified with them.
struct Issuers(RefCell<TokenState>);

impl wit::GuestIssuers for Issuers {
    fn new() -> Issuers {
        Issuers(RefCell::new(TokenState::default()))
    }

    fn put(&self, document: String) -> Result<u32, wit::IssuerError> {
        // It may hold secrets, and the memory goes back to the allocator as it is.
        let document = Zeroizing::new(document);
        // No second call runs meanwhile, so the state is always free.
        let mut state = self.0.try_borrow_mut().map_err(|_| wit::IssuerError::NoIssuer)?;
        let keys = put_issuer(document.as_bytes(), &mut state).map_err(write_issuer_error)?;
        u32::try_from(keys).map_err(|_| wit::IssuerError::NoIssuer)
    }

    fn remove(&self, name: String) -> bool {
        self.0.try_borrow_mut().is_ok_and(|mut state| state.issuers.remove(&name).is_some())
    }
}

const UNAVAILABLE: wit::Verdict = wit::Verdict::Deny(wit::Denial { code: wit::Code::Unavailable, retry_after: None });

fn read_key_record(record: wit::KeyRecord) -> Option<validator::KeyRecord> {
    let digest = <[u8; 32]>::try_from(record.digest).ok()?;
    let rate = match record.rate {
        Some(rate) => Some(validator::Rate::new(rate.limit, rate.window).ok()?),
        None => None,
    };
    Some(validator::KeyRecord {
        key_id: record.key_id.parse().ok()?,
        digest: validator::Digest::from_bytes(digest),
        state: match record.state {
            wit::KeyState::Active => validator::KeyState::Active,
            wit::KeyState::Suspended => validator::KeyState::Suspended,
            wit::KeyState::Revoked => validator::KeyState::Revoked,
        },
        owner: record.owner,
        environment: validator::Environment::new(record.environment).ok()?,
        scopes: read_scopes(record.scopes)?,
        not_before: read_time(record.not_before)?,
        expires_at: read_time(record.expires_at)?,
        retires_at: read_time(record.retires_at)?,
        addresses: record.addresses.iter().map(|range| range.parse().ok()).collect::<Option<_>>()?,
        rate,
        starts_grace: record.starts_grace,
    })
}

fn read_token_record(record: wit::TokenRecord) -> Option<TokenRecord> {
    let wit::TokenRecord { revoked, suspended, not_before } = record;
    Some(TokenRecord { revoked, suspended, not_before: read_time(not_before)? })
}

fn read_request(request: wit::Request) -> Option<validator::Request> {
    Some(validator::Request {
        now: validator::Timestamp::from_unix(request.now).ok()?,
        all_of: read_scopes(request.all_of)?,
        any_of: read_scopes(request.any_of)?,
        environment: match request.environment {
            Some(environment) => Some(validator::Environment::new(environment).ok()?),
            None => None,
        },
        address: match request.address {
            Some(address) => Some(address.parse().ok()?),
            None => None,
        },
        usage: match request.usage {
            Some(usage) => Some(validator::Usage {
                used: usage.used,
                resets_at: validator::Timestamp::from_unix(usage.resets_at).ok()?,
            }),
            None => None,
        },
    })
}

fn read_format(format: wit::KeyFormat) -> Option<validator::KeyFormat> {
    let separator = match format.separator {
        wit::Separator::Underscore => validator::Separator::Underscore,
        wit::Separator::Dot => validator::Separator::Dot,
    };
    let environments: Result<Vec<_>, _> = format.environments.into_iter().map(validator::Environment::new).collect();
    let checksum = match format.checksum {
        wit::Checksum::None => validator::Checksum::None,
        wit::Checksum::Crc32 => validator::Checksum::Crc32,
    };
    let body_length = usize::from(format.body_length);
    validator::KeyFormat::new(format.prefix, separator, environments.ok()?, body_length, checksum).ok()
}

fn read_scopes(names: Vec<String>) -> Option<Vec<validator::Scope>> {
    names.into_iter().map(|name| validator::Scope::new(name).ok()).collect()
}

/// An absent time is fine, one out of range is not.
fn read_time(seconds: Option<u64>) -> Option<Option<validator::Timestamp>> {
    seconds.map(|seconds| validator::Timestamp::from_unix(seconds).ok()).map_or(Some(None), |time| time.map(Some))
}

fn write_verdict(verdict: validator::Verdict) -> wit::Verdict {
    match verdict {
        // A principal that this world cannot name is nobody.
        validator::Verdict::Allow(principal) => write_principal(&principal).map_or(UNAVAILABLE, wit::Verdict::Allow),
        validator::Verdict::Deny(denial) => wit::Verdict::Deny(wit::Denial {
            code: write_code(denial.code),
            retry_after: denial.retry_after.map(core::num::NonZeroU32::get),
        }),
    }
}

fn write_principal(principal: &validator::Principal) -> Option<wit::Principal> {
    let owned = |text: Option<&str>| text.map(ToString::to_string);
    let scopes = principal.scopes().map(ToString::to_string).collect();
    let seconds = validator::Timestamp::unix;
    Some(match principal.kind() {
        validator::PrincipalKind::ApiKey => wit::Principal::ApiKey(wit::KeyPrincipal {
            key_id: principal.key_id()?.to_string(),
            owner: owned(principal.owner()),
            environment: principal.environment()?.to_string(),
            scopes,
            expires_at: principal.expires_at().map(seconds),
        }),
        validator::PrincipalKind::Jwt => wit::Principal::Jwt(wit::TokenPrincipal {
            issuer: principal.issuer()?.to_string(),
            subject: owned(principal.subject()),
            organization: owned(principal.organization()),
            environment: owned(principal.environment()),
            scopes,
            roles: principal.roles().map(ToString::to_string).collect(),
            client_id: owned(principal.client_id()),
            session_id: owned(principal.session_id()),
            token_id: owned(principal.token_id()),
            issued_at: principal.issued_at().map(seconds),
            expires_at: principal.expires_at().map(seconds)?,
        }),
        _ => return None,
    })
}

fn write_issuer_error(error: PutIssuerError) -> wit::IssuerError {
    match error {
        PutIssuerError::TooMany => wit::IssuerError::TooMany,
        // And any reason that this world does not have yet.
        _ => wit::IssuerError::NoIssuer,
    }
}

fn write_code(code: validator::Code) -> wit::Code {
    use validator::Code as From;
    match code {
        From::MissingCredential => wit::Code::MissingCredential,
        From::Malformed => wit::Code::Malformed,
        From::UnknownKey => wit::Code::UnknownKey,
        From::Revoked => wit::Code::Revoked,
        From::Suspended => wit::Code::Suspended,
        From::Expired => wit::Code::Expired,
        From::NotYetValid => wit::Code::NotYetValid,
        From::Rotated => wit::Code::Rotated,
        From::BadSignature => wit::Code::BadSignature,
        From::UnknownIssuer => wit::Code::UnknownIssuer,
        From::UnknownSigningKey => wit::Code::UnknownSigningKey,
        From::AlgorithmNotAllowed => wit::Code::AlgorithmNotAllowed,
        From::WrongAudience => wit::Code::WrongAudience,
        From::InvalidClaim => wit::Code::InvalidClaim,
        From::InsufficientScope => wit::Code::InsufficientScope,
        From::WrongEnvironment => wit::Code::WrongEnvironment,
        From::AddressNotAllowed => wit::Code::AddressNotAllowed,
        From::RateLimited => wit::Code::RateLimited,
        From::QuotaExceeded => wit::Code::QuotaExceeded,
        From::StaleBundle => wit::Code::StaleBundle,
        // And any code that this world does not have yet: it is a deny, and says the least.
        _ => wit::Code::Unavailable,
    }
}

/// The allocator that Rust's standard library has on this target; the standard library itself stays
/// out of the component.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic is a trap: the host throws the instance away and denies.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
