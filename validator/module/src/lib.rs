//! The core wasm module of the Keystile validator: its exports, exactly as `docs/abi.md` lists them.
//!
//! This crate is the border between bytes that a host wrote and `keystile_validator::wire`, which
//! reads and judges them. It owns the two buffers, checks the length, and wipes the input.
//! On machines other than wasm it compiles, so that lints see it, and is of no use.

#![cfg_attr(target_arch = "wasm32", no_std)]
// The exports of a module are unmangled symbols, and its buffers are statics that a host writes to.
#![allow(unsafe_code)]

#[cfg(feature = "primitives")]
mod primitives;

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

use keystile_validator::jwt::TokenState;
use keystile_validator::wire;

/// The version of the ABI: 2.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_abi_version() -> i32 {
    i32::from(wire::ABI_VERSION)
}

/// The address of the input buffer.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_input() -> i32 {
    INPUT.address()
}

/// The size of the input buffer in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_input_size() -> i32 {
    BUFFER_SIZE as i32
}

/// The address of the output buffer.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_output() -> i32 {
    OUTPUT.address()
}

/// The size of the output buffer in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_output_size() -> i32 {
    BUFFER_SIZE as i32
}

/// Judges the message in the first `length` bytes of the input buffer, and wipes them.
///
/// The length of the answer in the output buffer, or a negative number when the message is
/// malformed.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_check(length: i32) -> i32 {
    // SAFETY: these are the only references to these statics, as in `with_input`.
    let (output, state) = unsafe { (&mut *OUTPUT.0.get(), &mut *STATE.0.get()) };
    with_input(length, |message| match wire::check_message(message, state.get_or_insert_default(), output) {
        Ok(length) => i32::try_from(length).unwrap_or(BAD_LENGTH),
        Err(error) => error.code(),
    })
}

/// Verifies the signature of the JWS in the message in the first `length` bytes of the input buffer,
/// and nothing else of it, and wipes them.
///
/// 0 when the signature is good, the number of a code when it is not, or a negative number when the
/// message is malformed.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_check_jws(length: i32) -> i32 {
    // SAFETY: as in `keystile_check`.
    let state = unsafe { &mut *STATE.0.get() };
    with_input(length, |message| match wire::check_jws(message, state.get_or_insert_default()) {
        Ok(code) => code.map_or(0, |code| i32::from(code.number())),
        Err(error) => error.code(),
    })
}

/// Reads the issuer in the first `length` bytes of the input buffer, prepares its keys, adds it in
/// place of the one of the same name, and wipes the buffer's bytes.
///
/// The number of its keys that can be used, or a negative number when it is no issuer or there are
/// too many; then nothing has changed.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_put_issuer(length: i32) -> i32 {
    // SAFETY: as in `keystile_check`.
    let state = unsafe { &mut *STATE.0.get() };
    with_input(length, |document| {
        wire::put_issuer(document, state.get_or_insert_default()).unwrap_or_else(|error| error.code())
    })
}

/// Forgets all issuers and all tokens that were verified.
#[unsafe(no_mangle)]
pub extern "C" fn keystile_forget_issuers() -> i32 {
    // SAFETY: as in `keystile_check`.
    let state = unsafe { &mut *STATE.0.get() };
    *state = None;
    0
}

/// Answers what is in the first `length` bytes of the input buffer, and wipes them.
fn with_input(length: i32, answer: impl FnOnce(&[u8]) -> i32) -> i32 {
    // SAFETY: this is the only reference to this static, it lives in this call alone, and no second
    // call runs meanwhile: a module without imports cannot be re-entered, and it has one thread.
    // Every byte of a buffer is initialized, and a host may write any value to it.
    let input = unsafe { &mut *INPUT.0.get() };
    let Some(message) = usize::try_from(length).ok().and_then(|length| input.get_mut(..length)) else {
        return BAD_LENGTH;
    };
    let answer = answer(message);
    wipe(message);
    answer
}

/// Overwrites a message, which held credentials.
///
/// The writes are volatile, so that no compiler finds them useless; eight bytes at a time, because
/// volatile writes are not merged.
fn wipe(message: &mut [u8]) {
    // SAFETY: any eight initialized bytes are a `u64`.
    let (before, words, after) = unsafe { message.align_to_mut::<u64>() };
    for byte in before.iter_mut().chain(after) {
        // SAFETY: the pointer comes from a unique reference.
        unsafe { ptr::write_volatile(byte, 0) };
    }
    for word in words {
        // SAFETY: the pointer comes from a unique reference.
        unsafe { ptr::write_volatile(word, 0) };
    }
    compiler_fence(Ordering::SeqCst);
}

/// A buffer at a fixed address, which the host reads and writes between two calls.
#[repr(align(16))]
struct Buffer(UnsafeCell<[u8; BUFFER_SIZE]>);

impl Buffer {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; BUFFER_SIZE]))
    }

    fn address(&self) -> i32 {
        // An address of wasm has 32 bits.
        self.0.get() as usize as i32
    }
}

// SAFETY: the module has one thread.
unsafe impl Sync for Buffer {}

/// What is kept of tokens; made when it is first needed.
struct State(UnsafeCell<Option<TokenState>>);

// SAFETY: the module has one thread.
unsafe impl Sync for State {}

static STATE: State = State(UnsafeCell::new(None));
static INPUT: Buffer = Buffer::new();
static OUTPUT: Buffer = Buffer::new();

/// The allocator that Rust's standard library has on this target; the standard library itself stays
/// out of the module, with its texts and formatting for panics.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic is a trap: the host throws the instance away and denies.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

const BUFFER_SIZE: usize = wire::MAX_MESSAGE_LEN;
const BAD_LENGTH: i32 = wire::MessageError::Length.code();
