//! One instance of the validator: its memory, its buffers, and a call into it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use keystile_validator::Code;
use keystile_validator::wire::{self, JwsMessage};
use wasmtime::{Engine, Memory, Module, ResourceLimiter, Store, Trap, TypedFunc, WasmParams, WasmResults};

use super::issuers::{IssuerDocument, IssuerSet};
use super::{SandboxError, SandboxFailure};

/// How instances are made and called.
pub(super) struct Limits {
    pub(super) max_memory_bytes: usize,
    /// After which the guest is stopped, for messages.
    pub(super) deadline: Duration,
    /// The same in ticks of the engine's epoch.
    pub(super) ticks: u64,
}

/// A live instance. It is used by one thread at a time, and thrown away after any failure.
pub(super) struct Instance {
    store: Store<Quota>,
    memory: Memory,
    check: TypedFunc<u32, i32>,
    check_jws: TypedFunc<u32, i32>,
    put_issuer: TypedFunc<u32, i32>,
    forget_issuers: TypedFunc<(), i32>,
    issuers: IssuerSet,
    input: Range<usize>,
    output: Range<usize>,
}

impl Instance {
    /// Makes an instance and reads where its buffers are. Nothing that the guest says is believed
    /// beyond what `docs/abi.md` allows.
    pub(super) fn new(engine: &Engine, module: &Module, limits: &Limits) -> Result<Self, SandboxError> {
        let start = |error| SandboxError::Start(failure(&error, limits));
        let mut store = Store::new(engine, Quota::new(limits.max_memory_bytes));
        store.limiter(|quota| quota);
        // Making an instance can run guest code: a module may have a start function.
        store.set_epoch_deadline(limits.ticks);
        let guest = wasmtime::Instance::new(&mut store, module, &[]).map_err(start)?;

        let version = function::<(), i32>(&guest, &mut store, "keystile_abi_version")?;
        let found = version.call(&mut store, ()).map_err(start)?;
        if found != i32::from(wire::ABI_VERSION) {
            return Err(SandboxError::AbiVersion { found });
        }
        let memory = guest.get_memory(&mut store, "memory").ok_or(SandboxError::BadExport { name: "memory" })?;
        let check = function::<u32, i32>(&guest, &mut store, "keystile_check")?;
        let check_jws = function::<u32, i32>(&guest, &mut store, "keystile_check_jws")?;
        let put_issuer = function::<u32, i32>(&guest, &mut store, "keystile_put_issuer")?;
        let forget_issuers = function::<(), i32>(&guest, &mut store, "keystile_forget_issuers")?;
        let mut buffer = |name, address_of, size_of| {
            let address = function::<(), i32>(&guest, &mut store, address_of)?.call(&mut store, ()).map_err(start)?;
            let size = function::<(), i32>(&guest, &mut store, size_of)?.call(&mut store, ()).map_err(start)?;
            range(address, size, memory.data_size(&store)).ok_or(SandboxError::BadBuffer { name, address, size })
        };
        let input = buffer("input", "keystile_input", "keystile_input_size")?;
        let output = buffer("output", "keystile_output", "keystile_output_size")?;
        if input.start < output.end && output.start < input.end {
            return Err(SandboxError::BadBuffer {
                name: "output",
                // Both came from an `i32` with all bits used.
                address: output.start as i32,
                size: output.len() as i32,
            });
        }
        let issuers = IssuerSet::default();
        Ok(Self { store, memory, check, check_jws, put_issuer, forget_issuers, issuers, input, output })
    }

    /// Makes the guest know these issuers. After a failure it knows some of them: the instance must be
    /// thrown away.
    pub(super) fn load(&mut self, issuers: &IssuerSet, limits: &Limits) -> Result<(), SandboxFailure> {
        if self.issuers.is(issuers) {
            return Ok(());
        }
        let steps = issuers.since(&self.issuers);
        if steps.forget {
            self.store.set_epoch_deadline(limits.ticks);
            let answer = self.forget_issuers.call(&mut self.store, ()).map_err(|error| failure(&error, limits))?;
            if answer != 0 {
                return Err(SandboxFailure::Rejected { code: answer });
            }
        }
        for document in steps.put {
            self.put(document, limits)
                .map_err(|cause| SandboxFailure::Issuer { name: document.name().to_owned(), cause: Box::new(cause) })?;
        }
        self.issuers = issuers.clone();
        Ok(())
    }

    fn put(&mut self, document: &IssuerDocument, limits: &Limits) -> Result<(), SandboxFailure> {
        let input = self.memory.data_mut(&mut self.store).get_mut(self.input.clone());
        let place = input.and_then(|input| input.get_mut(..document.as_bytes().len()));
        let (Some(place), Ok(length)) = (place, u32::try_from(document.as_bytes().len())) else {
            return Err(SandboxFailure::NotEncoded);
        };
        place.copy_from_slice(document.as_bytes());
        self.store.set_epoch_deadline(limits.ticks);
        let answer = self.put_issuer.call(&mut self.store, length).map_err(|error| failure(&error, limits))?;
        if answer < 0 { Err(SandboxFailure::Rejected { code: answer }) } else { Ok(()) }
    }

    /// Lets `fill` write a message into the guest's input buffer and return its length, calls the
    /// guest, and lets `read` read the answer in the guest's output buffer.
    pub(super) fn check<T>(
        &mut self,
        limits: &Limits,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, SandboxFailure> {
        let length = self.ask(self.check.clone(), limits, fill)?;
        let output = self.memory.data(&self.store).get(self.output.clone());
        let answer = output
            .and_then(|output| output.get(..usize::try_from(length).ok()?))
            .ok_or(SandboxFailure::BadLength { length })?;
        read(answer).ok_or(SandboxFailure::BadAnswer { length })
    }

    /// Asks the guest for the signature of a JWS.
    pub(super) fn check_jws(
        &mut self,
        limits: &Limits,
        message: &JwsMessage<'_>,
    ) -> Result<Result<(), Code>, SandboxFailure> {
        let answer = self.ask(self.check_jws.clone(), limits, |buffer| message.write_to(buffer).ok())?;
        match u8::try_from(answer).map(Code::from_number) {
            Ok(_) if answer == 0 => Ok(Ok(())),
            Ok(Some(code)) => Ok(Err(code)),
            _ => Err(SandboxFailure::BadAnswer { length: answer }),
        }
    }

    /// Calls an export of the guest with what `fill` wrote into its input buffer; its answer, which is
    /// no negative number.
    fn ask(
        &mut self,
        export: TypedFunc<u32, i32>,
        limits: &Limits,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<u32, SandboxFailure> {
        // The memory of a guest never shrinks, so the range stays inside; it is checked all the same.
        let Some(input) = self.memory.data_mut(&mut self.store).get_mut(self.input.clone()) else {
            return Err(SandboxFailure::NotEncoded);
        };
        let size = input.len();
        let length = fill(&mut *input).filter(|length| *length <= size).and_then(|length| u32::try_from(length).ok());
        let Some(length) = length else {
            // A part of the message may be there, and this instance lives on.
            input.fill(0);
            return Err(SandboxFailure::NotEncoded);
        };

        self.store.set_epoch_deadline(limits.ticks);
        let answer = export.call(&mut self.store, length).map_err(|error| failure(&error, limits))?;
        u32::try_from(answer).map_err(|_| SandboxFailure::Rejected { code: answer })
    }
}

fn function<P: WasmParams, R: WasmResults>(
    guest: &wasmtime::Instance,
    store: &mut Store<Quota>,
    name: &'static str,
) -> Result<TypedFunc<P, R>, SandboxError> {
    guest.get_typed_func(store, name).map_err(|_| SandboxError::BadExport { name })
}

/// The bytes of a buffer, when it has the agreed size and lies inside the memory.
fn range(address: i32, size: i32, memory: usize) -> Option<Range<usize>> {
    // Wasm knows no signs: these are the same bits as a `u32`.
    let start = usize::try_from(address as u32).ok()?;
    let end = start.checked_add(BUFFER_SIZE)?;
    (size as u32 == BUFFER_SIZE as u32 && end <= memory).then_some(start..end)
}

/// What wasmtime's error means for a caller. The guest's own words are never in it.
fn failure(error: &wasmtime::Error, limits: &Limits) -> SandboxFailure {
    if error.downcast_ref::<QuotaExceeded>().is_some() {
        return SandboxFailure::MemoryLimit;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => SandboxFailure::Deadline { after: limits.deadline },
        Some(trap) => SandboxFailure::Trap { reason: trap.to_string() },
        None => SandboxFailure::NoInstance { reason: format!("{error:#}") },
    }
}

/// What the guest of a store may have.
struct Quota {
    memory_bytes: usize,
}

impl Quota {
    fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes }
    }
}

impl ResourceLimiter for Quota {
    // An error is a trap: a guest that cannot get memory has nothing better to do anyway, and the
    // reason would be lost.
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.memory_bytes {
            return Err(QuotaExceeded.into());
        }
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE_ELEMENTS {
            return Err(QuotaExceeded.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }
}

#[derive(Debug)]
struct QuotaExceeded;

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the guest wanted more than it may have")
    }
}

impl std::error::Error for QuotaExceeded {}

/// The size of each buffer in bytes.
const BUFFER_SIZE: usize = wire::MAX_MESSAGE_LEN;
/// The elements of a table: a Rust module has one for each function whose address it takes.
const MAX_TABLE_ELEMENTS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_lies_inside_the_memory_and_has_the_agreed_size() {
        let size = 262_144;
        assert_eq!(range(0, size, 262_144), Some(0..262_144));
        assert_eq!(range(16, size, 262_160), Some(16..262_160));
        assert_eq!(range(17, size, 262_160), None);
        assert_eq!(range(0, size - 1, 1 << 20), None);
        assert_eq!(range(0, size + 1, 1 << 20), None);
        assert_eq!(range(0, -1, 1 << 20), None);
        assert_eq!(range(-1, size, 1 << 20), None);
        assert_eq!(range(i32::MIN, size, 1 << 20), None);
    }
}
