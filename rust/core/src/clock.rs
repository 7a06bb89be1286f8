//! Time between two points in one process: the CPU's time-stamp counter where it can be trusted, and
//! the operating system's monotonic clock everywhere else.
//!
//! The counter is trusted when the CPU says that it is invariant *and* the kernel itself keeps time by
//! it (`clocksource` is `tsc`): the kernel demotes it when cores disagree or the hypervisor migrates
//! the machine to another frequency. A read costs 2 to 8 ns instead of 20.

use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Shorter calibrations than this could be off by more than one part in ten thousand.
const CALIBRATION: Duration = Duration::from_micros(500);

/// A stopwatch's source of ticks; one for the process.
pub struct Clock {
    counter: bool,
    /// The same moment on both clocks.
    ticks: u64,
    instant: Instant,
    /// Seconds per tick, as the bits of a double; refined by [`Clock::calibrate`].
    seconds: AtomicU64,
}

impl Clock {
    /// The process's clock. The first call takes half a millisecond where the counter is trusted.
    pub fn get() -> &'static Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        CLOCK.get_or_init(|| Clock::start(counter_is_trusted()))
    }

    fn start(counter: bool) -> Self {
        let instant = Instant::now();
        let clock = Clock { counter, ticks: read_counter(), instant, seconds: AtomicU64::new(1e-9f64.to_bits()) };
        while counter && clock.instant.elapsed() < CALIBRATION {
            std::hint::spin_loop();
        }
        clock.calibrate();
        clock
    }

    /// Whether ticks are those of the CPU's counter; nanoseconds otherwise.
    pub fn is_counter(&self) -> bool {
        self.counter
    }

    /// The current tick.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        if self.counter {
            read_counter()
        } else {
            self.instant.elapsed().as_nanos() as u64
        }
    }

    /// Seconds from one tick to a later one; zero when the clock went backwards between two cores.
    #[inline(always)]
    pub fn seconds(&self, from: u64, to: u64) -> f64 {
        // Past 2^63 ticks, a century, the difference can only be a step backwards.
        let ticks = i64::try_from(to.wrapping_sub(from)).unwrap_or(0);
        ticks as f64 * f64::from_bits(self.seconds.load(Relaxed))
    }

    /// Compares both clocks over the whole time since the start. Cheap; called at every scrape.
    pub fn calibrate(&self) {
        if self.counter {
            let seconds = self.instant.elapsed().as_secs_f64();
            let ticks = read_counter().wrapping_sub(self.ticks);
            if ticks > 0 {
                self.seconds.store((seconds / ticks as f64).to_bits(), Relaxed);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn read_counter() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC; it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn read_counter() -> u64 {
    0
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn counter_is_trusted() -> bool {
    const INVARIANT_TSC: u32 = 1 << 8;
    let invariant = std::arch::x86_64::__cpuid(0x8000_0000).eax >= 0x8000_0007
        && std::arch::x86_64::__cpuid(0x8000_0007).edx & INVARIANT_TSC != 0;
    let kernel = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    invariant && kernel.is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn counter_is_trusted() -> bool {
    false
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn both_sources_agree_with_the_system_clock() {
        for clock in [Clock::start(counter_is_trusted()), Clock::start(false)] {
            let (instant, tick) = (Instant::now(), clock.now());
            std::thread::sleep(Duration::from_millis(50));
            let ours = clock.seconds(tick, clock.now());
            let theirs = instant.elapsed().as_secs_f64();
            // The outer interval is the longer one; a preemption between the reads only widens it.
            assert!(ours > 0.0499 && ours <= theirs * 1.001, "{ours} against {theirs}");
        }
    }

    #[test]
    fn time_never_runs_backwards() {
        let clock = Clock::get();
        assert_eq!(clock.seconds(10, 5).to_bits(), 0.0f64.to_bits());
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(clock.seconds(last, now) >= 0.0);
            last = now;
        }
    }
}
