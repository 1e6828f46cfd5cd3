//! The memory that reading bytes takes, as the allocator sees it: reserved memory counts.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Memory that does not depend on the size of the message: an error and its text, a hash table's seed.
const BESIDE: usize = 32 << 10;

/// Reads a value, and returns it.
///
/// # Panics
/// If more than `most` bytes and a little were in use at once, besides those in use before.
pub fn within<T>(most: usize, read: impl FnOnce() -> T) -> T {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = read();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak <= most.saturating_add(BESIDE), "it took {peak} bytes where {most} are allowed");
    result
}
