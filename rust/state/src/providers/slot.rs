//! The words of one provider and model.

use super::health::{Call, Calls, Outcome, Settings};
use super::times::{bin, Times, WORDS as TIME_WORDS};
use crate::process::in_turn;
use crate::region::Region;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// The longest name of a provider, in bytes.
pub const MAX_PROVIDER: usize = 128;
/// The longest name of a model, in bytes.
pub const MAX_MODEL: usize = 256;
/// Slices of the window. It looks back between five and six of them.
pub const SLICES: usize = 6;
/// Words of a slot.
pub const WORDS: usize = SLICE + SLICES * SLICE_WORDS;

const KEY: usize = 0;
const LENGTHS: usize = 1;
const FAILED_IN_A_ROW: usize = 2;
const NAME: usize = 8;
const NAME_WORDS: usize = (MAX_PROVIDER + MAX_MODEL) / 8;
const SLICE: usize = NAME + NAME_WORDS;

const TAG: usize = 0;
const JUDGED: usize = 1;
const FAILURES: usize = 2;
const CALLER_FAULTS: usize = 3;
const TOKENS: usize = 4;
const TOKEN_MS: usize = 5;
const FIRST: usize = 8;
const WHOLE: usize = FIRST + TIME_WORDS;
const SLICE_WORDS: usize = WHOLE + TIME_WORDS;

/// One provider and model.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    /// Where it lies.
    pub region: &'a Region,
    /// Its words.
    pub words: &'a [AtomicU64],
}

/// At least one.
#[expect(clippy::cast_sign_loss, reason = "clamped")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).clamp(1.0, 1e12) as u64
}

fn add_time(words: &[AtomicU64], seconds: Option<f64>) {
    if let Some(seconds) = seconds {
        let bin = bin(seconds);
        words[bin / 2].fetch_add(1 << (bin % 2 * 32), Relaxed);
    }
}

fn read_times(words: &[AtomicU64], into: &mut Times) {
    for (index, word) in words.iter().enumerate() {
        let both = word.load(Relaxed);
        if both != 0 {
            into.add(index * 2, both & 0xffff_ffff);
            into.add(index * 2 + 1, both >> 32);
        }
    }
}

impl<'a> Slot<'a> {
    /// The hash of its names; 0: nobody's.
    pub fn key(self) -> &'a AtomicU64 {
        &self.words[KEY]
    }

    /// Provider and model; nothing before they have been written down.
    pub fn names(self) -> Option<(String, String)> {
        let lengths = self.words[LENGTHS].load(Acquire) as usize;
        let (provider, model) = (lengths & 0xffff, lengths >> 16);
        if provider == 0 || provider + model > NAME_WORDS * 8 {
            return None;
        }
        let words = &self.words[NAME..NAME + NAME_WORDS];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some((text(&bytes[..provider])?, text(&bytes[provider..provider + model])?))
    }

    /// Writes its names down. Several may do so at once: they write the same.
    pub fn set_names(self, provider: &str, model: &str) {
        let both = format!("{provider}{model}");
        for (word, bytes) in self.words[NAME..NAME + NAME_WORDS].iter().zip(both.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        self.words[LENGTHS].store((model.len() << 16 | provider.len()) as u64, Release);
    }

    fn slice(self, index: usize) -> &'a [AtomicU64] {
        &self.words[SLICE + index * SLICE_WORDS..][..SLICE_WORDS]
    }

    /// Records a call that ended now.
    pub fn record(self, call: &Call, settings: &Settings, now_ms: u64) {
        let tick = tick(settings, now_ms);
        let slice = self.slice(tick as usize % SLICES);
        if slice[TAG].load(Acquire) != tick {
            self.renew(slice, tick);
        }
        match call.outcome {
            Outcome::Caller => {
                slice[CALLER_FAULTS].fetch_add(1, Relaxed);
            }
            Outcome::Failure => {
                self.words[FAILED_IN_A_ROW].fetch_add(1, Relaxed);
                slice[FAILURES].fetch_add(1, Relaxed);
                slice[JUDGED].fetch_add(1, Relaxed);
            }
            Outcome::Success => {
                self.words[FAILED_IN_A_ROW].store(0, Relaxed);
                slice[JUDGED].fetch_add(1, Relaxed);
                add_time(&slice[WHOLE..][..TIME_WORDS], call.seconds);
                if let (Some(tokens), Some(seconds)) = (call.output_tokens, call.seconds) {
                    // Tokens are made after the first one has come; the wait before it is another number.
                    slice[TOKENS].fetch_add(tokens.min(1 << 40), Relaxed);
                    let making = milliseconds(seconds - call.first_token_seconds.unwrap_or(0.0));
                    slice[TOKEN_MS].fetch_add(making, Relaxed);
                }
            }
        }
        add_time(&slice[FIRST..][..TIME_WORDS], call.first_token_seconds);
    }

    /// Empties a slice for a new stretch of time. The tag is set last, so that whoever is killed before leaves it to
    /// the next one.
    #[cold]
    fn renew(self, slice: &[AtomicU64], tick: u64) {
        in_turn(self.region, || {
            if slice[TAG].load(Acquire) != tick {
                for word in &slice[1..] {
                    word.store(0, Relaxed);
                }
                slice[TAG].store(tick, Release);
            }
        });
    }

    /// Adds the calls in the window of a slot of another table, whose settings may be others.
    pub fn take_over(self, before: Slot<'_>, from: &Settings, to: &Settings, now_ms: u64) {
        let now = tick(to, now_ms);
        for old in before.in_window(from, now_ms) {
            let tick = tick(to, (old[TAG].load(Relaxed) - 1) * slice_ms(from));
            if now - tick >= SLICES as u64 {
                continue;
            }
            let slice = self.slice(tick as usize % SLICES);
            if slice[TAG].load(Acquire) < tick {
                self.renew(slice, tick);
            }
            // A later stretch of time has this slice where clocks jumped.
            if slice[TAG].load(Acquire) == tick {
                for (word, more) in slice[1..].iter().zip(&old[1..]) {
                    word.fetch_add(more.load(Relaxed), Relaxed);
                }
            }
        }
        let failed = before.words[FAILED_IN_A_ROW].load(Relaxed);
        self.words[FAILED_IN_A_ROW].fetch_add(failed, Relaxed);
    }

    /// The slices of the window that ends now.
    fn in_window(self, settings: &Settings, now_ms: u64) -> impl Iterator<Item = &'a [AtomicU64]> {
        let now = tick(settings, now_ms);
        (0..SLICES).map(move |index| self.slice(index)).filter(move |slice| {
            let tag = slice[TAG].load(Acquire);
            tag != 0 && tag <= now && now - tag < SLICES as u64
        })
    }

    /// The calls of the window that ends now.
    pub fn calls(self, settings: &Settings, now_ms: u64) -> Calls {
        let mut calls = Calls::default();
        for slice in self.in_window(settings, now_ms) {
            let count = |word: usize| slice[word].load(Relaxed);
            calls.judged += count(JUDGED);
            calls.failures += count(FAILURES);
            calls.caller_faults += count(CALLER_FAULTS);
            calls.tokens += count(TOKENS);
            calls.token_ms += count(TOKEN_MS);
            read_times(&slice[FIRST..][..TIME_WORDS], &mut calls.first);
            read_times(&slice[WHOLE..][..TIME_WORDS], &mut calls.whole);
        }
        calls.failures = calls.failures.min(calls.judged); // one that is being added just now
        let in_a_row = self.words[FAILED_IN_A_ROW].load(Relaxed);
        calls.available = calls.judged > 0 && in_a_row < settings.unavailable_after;
        calls
    }
}

fn slice_ms(settings: &Settings) -> u64 {
    (settings.window_ms / (SLICES as u64 - 1)).max(1)
}

fn tick(settings: &Settings, now_ms: u64) -> u64 {
    now_ms / slice_ms(settings) + 1
}
