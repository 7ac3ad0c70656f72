//! The wasm module of the JavaScript package: one validator behind a few exports, without imports.
//!
//! Nothing here calls JavaScript. The scripts in `package/` read the caller's objects, write them as
//! JSON into the input of this module, and read the answer from its output. So no exception passes
//! through wasm, and no code of the caller runs while the validator works.

// The exports of a module are unmangled symbols.
#![allow(unsafe_code)]

use std::cell::RefCell;

use keystile_validator::bounds::{MAX_CREDENTIAL_LEN, MAX_ISSUER_LEN};
use zeroize::Zeroizing;

use face::{Face, RecordKind, Refusal};

mod face;

/// Makes room for `length` bytes of input, all 0, and returns the address; 0 when that is more than
/// [`MAX_INPUT_LEN`]. The export that reads the input wipes it.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_input(length: u32) -> u32 {
    let length = length as usize;
    if length > MAX_INPUT_LEN {
        return 0;
    }
    // At least one byte, so that there is an address.
    let mut input = Zeroizing::new(vec![0; length.max(1)]);
    // An address of wasm has 32 bits.
    let address = input.as_mut_ptr() as usize as u32;
    INPUT.set(input);
    address
}

/// The address of the output.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_output() -> u32 {
    OUTPUT.with_borrow(|output| output.as_ptr() as usize as u32)
}

/// The length of the output, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_output_length() -> u32 {
    OUTPUT.with_borrow(|output| u32::try_from(output.len()).unwrap_or(0))
}

/// Takes the key formats in the input, a JSON array.
///
/// 0, or [`REFUSED`] with the reason in the output; then nothing has changed.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_set_formats(length: u32) -> i32 {
    with_input(|face, input| face.set_formats(part(input, 0, length)?).map(|()| 0))
}

/// Takes the issuer in the input, a JSON document, in place of the one of the same name.
///
/// How many of its keys can be used, or [`REFUSED`] with the reason in the output; then nothing has
/// changed.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_put_issuer(length: u32) -> i32 {
    with_input(|face, input| face.put_issuer(part(input, 0, length)?))
}

/// Forgets the issuer whose name is in the input, as UTF-8.
///
/// 1 when there was one, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_remove_issuer(length: u32) -> i32 {
    with_input(|face, input| face.remove_issuer(part(input, 0, length)?).map(i32::from))
}

/// Judges a credential. The input is the credential, the record and the request, one after the other,
/// each of the given length.
///
/// A credential longer than [`MAX_CREDENTIAL_LEN`] is `malformed`; it is not in the input. `kind` is
/// 0 without a record, 1 for the record of a key, 2 for that of a token. 0 with the verdict in the
/// output, or [`REFUSED`] with the reason there.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_check(credential: u32, kind: u32, record: u32, request: u32) -> i32 {
    with_input(|face, input| {
        let given = if credential as usize > MAX_CREDENTIAL_LEN { 0 } else { credential };
        let credential = if given == credential { part(input, 0, given)? } else { TOO_LONG };
        let record_json = part(input, given, record)?;
        let request = part(input, given.saturating_add(record), request)?;
        let verdict = face.check(credential, RecordKind::of(kind, record_json)?, request)?;
        OUTPUT.set(verdict);
        Ok(0)
    })
}

/// Answers what is in the input, and wipes it.
fn with_input(answer: impl FnOnce(&mut Face, &[u8]) -> Result<i32, Refusal>) -> i32 {
    let input = INPUT.take();
    FACE.with_borrow_mut(|face| answer(face, &input)).unwrap_or_else(|Refusal(reason)| {
        OUTPUT.set(reason.into_bytes());
        REFUSED
    })
}

fn part(input: &[u8], start: u32, length: u32) -> Result<&[u8], Refusal> {
    let rest = input.get(start as usize..).and_then(|rest| rest.get(..length as usize));
    rest.ok_or_else(|| Refusal("the input is shorter than it says · use the scripts of the same version".to_owned()))
}

thread_local! {
    static FACE: RefCell<Face> = RefCell::default();
    static INPUT: RefCell<Zeroizing<Vec<u8>>> = RefCell::default();
    static OUTPUT: RefCell<Vec<u8>> = RefCell::default();
}

/// An argument is not of its type; the reason is in the output.
const REFUSED: i32 = -1;
/// Longest JSON of one argument, in bytes; `package/internal/values.js` has the same bound.
const MAX_ARGUMENT_LEN: usize = MAX_ISSUER_LEN;
/// Longest input: a credential, a record and a request.
const MAX_INPUT_LEN: usize = MAX_CREDENTIAL_LEN + 2 * MAX_ARGUMENT_LEN;
/// Stands for every credential that is too long: nothing in it is looked at.
const TOO_LONG: &[u8] = &[0; MAX_CREDENTIAL_LEN + 1];
