//! What is given back to the allocator: whether any of it still holds bytes that should have been wiped.
//!
//! Looking through memory afterwards finds only what nobody has written over; the allocator sees all of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The allocator of these tests.
pub(crate) struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static ARMED: AtomicBool = AtomicBool::new(false);
static NEEDLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
static FOUND: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the last block in which something was found, to find its owner by.
static LAST_SIZE: AtomicUsize = AtomicUsize::new(0);

/// Watches for these bytes while `work` runs; in how many blocks they were given back, and how large the last one was.
/// Once a process.
pub(crate) fn given_back(needles: Vec<Vec<u8>>, work: impl FnOnce()) -> (usize, usize) {
    assert!(NEEDLES.set(needles).is_ok(), "once a process");
    ARMED.store(true, Ordering::SeqCst);
    work();
    ARMED.store(false, Ordering::SeqCst);
    (FOUND.load(Ordering::SeqCst), LAST_SIZE.load(Ordering::SeqCst))
}

#[allow(unsafe_code, reason = "an allocator has no safe form")]
// SAFETY: all blocks are those of the system's allocator, with the layouts that were asked for.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the system's. Zeroed while it is watched, so that what an earlier owner has
        // left behind is not taken for what this one leaves.
        unsafe { if ARMED.load(Ordering::Relaxed) { System.alloc_zeroed(layout) } else { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ARMED.load(Ordering::Relaxed) {
            // SAFETY: the block is alive, that long, and initialized: it was zeroed, or is looked at byte by byte as
            // memory that only a test reads.
            look_at(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !ARMED.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise is the system's.
            return unsafe { System.realloc(block, layout, size) };
        }
        // As if it moved each time: whether it does is chance, and what it moves away from is left behind.
        // SAFETY: the new layout has the old alignment, and a size that the caller has checked; the blocks are two.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

fn look_at(block: &[u8]) {
    let Some(needles) = NEEDLES.get() else { return };
    if needles.iter().any(|needle| block.windows(needle.len()).any(|window| window == needle.as_slice())) {
        FOUND.fetch_add(1, Ordering::SeqCst);
        LAST_SIZE.store(block.len(), Ordering::SeqCst);
    }
}
