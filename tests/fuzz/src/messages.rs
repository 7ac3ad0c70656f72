//! Messages and the verdicts that answer them.

use keystile_validator::wire::{MAX_MESSAGE_LEN, check_message, decode_verdict};
use keystile_validator::{Principal, PrincipalKind, Verdict};

use crate::fixtures::with_state;

/// A message, as any host could send it. What is judged is answered with one readable verdict an
/// item and nothing behind them, the same one when it is asked again, and the same ones in a buffer
/// that is just long enough; in a shorter one there is no answer.
///
/// # Panics
/// When that does not hold.
pub fn message(data: &[u8]) {
    with_state(|state| {
        let mut answer = vec![0; MAX_MESSAGE_LEN];
        let len = match check_message(data, state, &mut answer) {
            Ok(len) => len,
            Err(error) => {
                assert!((-6..0).contains(&error.code()));
                return;
            }
        };
        let mut rest = &answer[..len];
        for _ in 0..u16::from_le_bytes([data[COUNT_AT], data[COUNT_AT + 1]]) {
            let (verdict, following) = decode_verdict(rest).expect("an item has a verdict");
            assert_eq!(encode(&verdict), rest[..rest.len() - following.len()]);
            rest = following;
        }
        assert!(rest.is_empty());
        let mut again = vec![0; len];
        assert_eq!(check_message(data, state, &mut again), Ok(len));
        assert_eq!(again, answer[..len]);
        assert!(check_message(data, state, &mut again[..len - 1]).is_err());
    });
}

/// A verdict, as any guest could write it. What is read is what a writer made from `docs/abi.md`
/// writes again, byte by byte, so no two answers are one verdict; what follows it changes nothing.
///
/// # Panics
/// When that does not hold.
pub fn verdict(data: &[u8]) {
    let Ok((verdict, rest)) = decode_verdict(data) else { return };
    let read = &data[..data.len() - rest.len()];
    assert_eq!(encode(&verdict), read);
    assert_eq!(decode_verdict(read), Ok((verdict.clone(), &[][..])));
    assert!(decode_verdict(&read[..read.len() - 1]).is_err());
    assert!(!format!("{verdict:?}").is_empty());
}

/// The binary form of a verdict.
fn encode(verdict: &Verdict) -> Vec<u8> {
    let mut out = vec![0, 0];
    match verdict {
        Verdict::Deny(denial) => {
            out.extend([0, denial.code.number()]);
            out.extend(denial.retry_after.map_or(0, |seconds| seconds.get()).to_le_bytes());
        }
        Verdict::Allow(principal) => {
            out.extend([1, 0, 0, 0, 0, 0]);
            match principal.kind() {
                PrincipalKind::ApiKey => encode_key(principal, &mut out),
                PrincipalKind::Jwt => encode_token(principal, &mut out),
                other => panic!("{other:?} has no form here"),
            }
        }
    }
    let len = u16::try_from(out.len()).expect("a verdict has at most 65,535 bytes").to_le_bytes();
    out[..2].copy_from_slice(&len);
    out
}

fn encode_key(principal: &Principal, out: &mut Vec<u8>) {
    let (environment, owner) = (principal.environment().unwrap_or_default(), principal.owner().unwrap_or_default());
    out.extend([1, u8::from(principal.expires_at().is_some()), environment.len() as u8, owner.len() as u8]);
    out.extend([principal.scopes().count() as u8, 0, 0, 0]);
    out.extend(principal.key_id().expect("a key has an id").as_bytes());
    out.extend(principal.expires_at().map_or(0, |time| time.unix()).to_le_bytes());
    out.extend([environment, owner].concat().as_bytes());
    encode_scopes(principal, out);
}

fn encode_token(principal: &Principal, out: &mut Vec<u8>) {
    let environment = principal.environment().unwrap_or_default();
    let texts = [
        principal.issuer(),
        principal.subject(),
        principal.organization(),
        principal.token_id(),
        principal.session_id(),
        principal.client_id(),
    ]
    .map(Option::unwrap_or_default);
    let issued_at = if principal.issued_at().is_some() { 2 } else { 0 };
    let wildcard_scopes = if principal.has_wildcard_scopes() { 4 } else { 0 };
    let flags = 1 | issued_at | wildcard_scopes;
    out.extend([2, flags, environment.len() as u8, 0]);
    out.extend((principal.scopes().count() as u16).to_le_bytes());
    out.extend((principal.roles().count() as u16).to_le_bytes());
    for time in [principal.expires_at(), principal.issued_at()] {
        out.extend(time.map_or(0, |time| time.unix()).to_le_bytes());
    }
    for text in texts {
        out.extend((text.len() as u16).to_le_bytes());
    }
    out.extend([0; 4]);
    out.extend(environment.as_bytes());
    out.extend(texts.concat().as_bytes());
    encode_scopes(principal, out);
    for role in principal.roles() {
        out.extend((role.len() as u16).to_le_bytes());
        out.extend(role.as_bytes());
    }
}

fn encode_scopes(principal: &Principal, out: &mut Vec<u8>) {
    for scope in principal.scopes() {
        out.push(scope.len() as u8);
        out.extend(scope.as_bytes());
    }
}

/// Where a message says how many items it has.
const COUNT_AT: usize = 2;
