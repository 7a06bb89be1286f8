//! Time between two points in one process: the CPU's time-stamp counter where it can be trusted, and
//! the operating system's monotonic clock everywhere else.
//!
//! The counter is trusted when the CPU says that it is invariant *and* the kernel itself keeps time by
//! it (`clocksource` is `tsc`): the kernel demotes it when cores disagree or the hypervisor migrates
//! the machine to another frequency. A read costs 2 to 8 ns instead of 20.

use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::sync::atomic::AtomicBool;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// Whether the process's clock is the counter: known without following a pointer.
static COUNTER: AtomicBool = AtomicBool::new(false);

/// The current tick of the process's clock, which is [`Clock::get`].
#[inline(always)]
pub fn ticks() -> u64 {
    if COUNTER.load(Relaxed) {
        read_counter()
    } else {
        Clock::get().now()
    }
}

impl Clock {
    /// The process's clock. The first call takes half a millisecond where the counter is trusted.
    ///
    /// It is made before it is stored: a fork in that time, by a thread that makes it or beside one, finds no
    /// lock held. Of two that were made at once the first stored is the clock.
    pub fn get() -> &'static Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        if let Some(clock) = CLOCK.get() {
            return clock;
        }
        let clock = Clock::start(counter_is_trusted());
        let counter = clock.counter;
        let clock = CLOCK.get_or_init(|| clock);
        COUNTER.store(counter, Relaxed);
        clock
    }

    fn start(counter: bool) -> Self {
        let (ticks, instant) = together();
        let clock = Clock { counter, ticks, instant, seconds: AtomicU64::new(1e-9f64.to_bits()) };
        if counter {
            while clock.instant.elapsed() < CALIBRATION {
                std::hint::spin_loop();
            }
            clock.seconds.store(clock.rate().to_bits(), Relaxed);
        }
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
            let known = f64::from_bits(self.seconds.load(Relaxed));
            let rate = self.rate();
            // Otherwise the machine slept in between, and only one of the two clocks went on.
            if (rate / known - 1.0).abs() < 1e-3 {
                self.seconds.store(rate.to_bits(), Relaxed);
            }
        }
    }

    /// Seconds per tick since the start.
    fn rate(&self) -> f64 {
        let (ticks, instant) = together();
        instant.duration_since(self.instant).as_secs_f64() / ticks.wrapping_sub(self.ticks) as f64
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// One moment on both clocks: of a few pairs of readings, the one least torn by interruptions.
fn together() -> (u64, Instant) {
    let pair = |_| {
        let instant = Instant::now();
        let ticks = read_counter();
        (instant.elapsed(), ticks, instant)
    };
    let (_, ticks, instant) = (0..5).map(pair).fold(pair(5), |best, pair| if pair.0 < best.0 { pair } else { best });
    (ticks, instant)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn read_counter() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC; it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline(always)]
fn read_counter() -> u64 {
    0
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
fn counter_is_trusted() -> bool {
    const INVARIANT_TSC: u32 = 1 << 8;
    let invariant = std::arch::x86_64::__cpuid(0x8000_0000).eax >= 0x8000_0007
        && std::arch::x86_64::__cpuid(0x8000_0007).edx & INVARIANT_TSC != 0;
    let kernel = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    invariant && kernel.is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
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
    fn a_machine_that_slept_does_not_change_the_rate() {
        let mut clock = Clock::start(true);
        let rate = clock.seconds.load(Relaxed);
        // The system's clock stood still for as long as the process lives, and longer.
        clock.ticks = clock.ticks.wrapping_sub(1 << 40);
        clock.calibrate();
        assert_eq!(clock.seconds.load(Relaxed), rate);
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
