//! The query engine under libFuzzer: any text as `PromQL`.
#![no_main]

use ferrometer_fuzz::queries::{ask, store};
use ferrometer_promql::memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static STORE: LazyLock<Memory> = LazyLock::new(store);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(query) = std::str::from_utf8(bytes) {
        ask(&STORE, query);
    }
});
