//! Time that all processes of a machine agree on: the monotonic clock, which no administrator sets.

fn read(clock: libc::clockid_t, per_second: u64) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives; these clocks are always there.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec.unsigned_abs() * per_second + now.tv_nsec.unsigned_abs() / (1_000_000_000 / per_second)
}

/// Nanoseconds since the machine was started.
#[inline]
pub fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC, 1_000_000_000)
}

/// Milliseconds since the machine was started.
#[inline]
pub fn now_ms() -> u64 {
    read(libc::CLOCK_MONOTONIC, 1000)
}

/// The same, as of the last tick of the kernel: up to ten milliseconds late, and read in a third of the time.
#[inline]
pub fn coarse_ms() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE, 1000)
}
