//! The Keystile validator as a component: the types of `wit/keystile.wit` to those of
//! `keystile_validator` and back.
//!
//! What does not fit the validator's types is answered with `unavailable`, as everywhere.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use keystile_validator as validator;
use zeroize::Zeroize;

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
    fn check(
        credential: Vec<u8>,
        record: Option<wit::KeyRecord>,
        request: wit::Request,
        formats: Vec<wit::KeyFormat>,
    ) -> wit::Verdict {
        let verdicts = Self::check_batch(Vec::from([wit::Item { credential, record }]), request, formats);
        verdicts.into_iter().next().unwrap_or(UNAVAILABLE)
    }

    fn check_batch(items: Vec<wit::Item>, request: wit::Request, formats: Vec<wit::KeyFormat>) -> Vec<wit::Verdict> {
        let request = read_request(request);
        let formats: Option<Vec<_>> = formats.into_iter().map(read_format).collect();
        let judge = |mut item: wit::Item| {
            let verdict = match (item.record.map(read_record), &request, &formats) {
                (None, Some(request), Some(formats)) => {
                    write_verdict(validator::check(&item.credential, None, request, formats))
                }
                (Some(Some(record)), Some(request), Some(formats)) => {
                    write_verdict(validator::check(&item.credential, Some(&record), request, formats))
                }
                _ => UNAVAILABLE,
            };
            // The memory goes back to the allocator as it is.
            item.credential.zeroize();
            verdict
        };
        items.into_iter().map(judge).collect()
    }
}

const UNAVAILABLE: wit::Verdict = wit::Verdict::Deny(wit::Denial { code: wit::Code::Unavailable, retry_after: None });

fn read_record(record: wit::KeyRecord) -> Option<validator::KeyRecord> {
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
        validator::Verdict::Allow(principal) => match principal.kind() {
            validator::PrincipalKind::ApiKey => wit::Verdict::Allow(wit::Principal {
                kind: wit::PrincipalKind::ApiKey,
                key_id: principal.key_id().map(|key_id| key_id.to_string()).unwrap_or_default(),
                owner: principal.owner().map(ToString::to_string),
                environment: principal.environment().unwrap_or_default().to_string(),
                scopes: principal.scopes().map(ToString::to_string).collect(),
                expires_at: principal.expires_at().map(validator::Timestamp::unix),
            }),
            // A kind that this world cannot name is nobody.
            _ => UNAVAILABLE,
        },
        validator::Verdict::Deny(denial) => wit::Verdict::Deny(wit::Denial {
            code: write_code(denial.code),
            retry_after: denial.retry_after.map(core::num::NonZeroU32::get),
        }),
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
