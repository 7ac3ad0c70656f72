//! Signatures over bare bytes, so that the published vectors of the primitives run where tokens do.
//! Not in any module but that of the tests.

extern crate alloc;

use alloc::vec::Vec;
use core::cell::UnsafeCell;

use keystile_validator::jwt::{Algorithm, BaseTables, KeyError, SmallExponent, VerifyingKey};

/// Verifies the signature in the message in the first `length` bytes of the input buffer: u8 kind of
/// key, u8 number of the algorithm, u32 lengths of the key's two parts and of what is signed; these,
/// and the signature. The key is tried as loaded and prepared.
///
/// 1 when the signature is good, 0 when it is not, -1 when there is no such key, -2 when the message is
/// malformed or both answers differ.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn keystile_verify_signature(length: i32) -> i32 {
    // SAFETY: as in `keystile_check`.
    let last = unsafe { &mut *LAST.0.get() };
    super::with_input(length, |message| verify(message, last).unwrap_or(-2))
}

fn verify(message: &[u8], last: &mut Option<Last>) -> Option<i32> {
    let (&[kind, algorithm], mut rest) = message.split_first_chunk()?;
    let mut lengths = [0; 3];
    for length in &mut lengths {
        let (bytes, after) = rest.split_first_chunk()?;
        *length = usize::try_from(u32::from_le_bytes(*bytes)).ok()?;
        rest = after;
    }
    let [first, second, signed] = lengths;
    let (first, rest) = rest.split_at_checked(first)?;
    let (second, rest) = rest.split_at_checked(second)?;
    let (signed, signature) = rest.split_at_checked(signed)?;
    let algorithm = *Algorithm::ALL.get(usize::from(algorithm))?;
    if last.as_ref().is_none_or(|last| last.kind != kind || last.first != first || last.second != second) {
        let Ok(loaded) = load(kind, first, second) else { return Some(-1) };
        let mut prepared = load(kind, first, second).ok()?;
        prepared.prepare(&mut BaseTables::default());
        *last = Some(Last { kind, first: first.to_vec(), second: second.to_vec(), loaded, prepared });
    }
    let last = last.as_ref()?;
    let answer = last.loaded.verify(algorithm, signed, signature).is_ok();
    let again = last.prepared.verify(algorithm, signed, signature).is_ok();
    (answer == again).then_some(i32::from(answer))
}

fn load(kind: u8, first: &[u8], second: &[u8]) -> Result<VerifyingKey, KeyError> {
    match kind {
        0 => VerifyingKey::p256(first, second),
        1 => VerifyingKey::p384(first, second),
        2 => VerifyingKey::ed25519(first),
        3 => VerifyingKey::rsa(first, second, SmallExponent::Refuse),
        4 => VerifyingKey::rsa(first, second, SmallExponent::AllowThree),
        _ => VerifyingKey::hmac(first),
    }
}

/// The key of the last call: vectors come in groups with one key.
struct Last {
    kind: u8,
    first: Vec<u8>,
    second: Vec<u8>,
    loaded: VerifyingKey,
    prepared: VerifyingKey,
}

struct LastCell(UnsafeCell<Option<Last>>);

// SAFETY: the module has one thread.
unsafe impl Sync for LastCell {}

static LAST: LastCell = LastCell(UnsafeCell::new(None));
