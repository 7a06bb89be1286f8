//! Where panics end.

use crate::http_metrics::Shared;
use crate::thread_exit::protect;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs what might panic. A panic becomes a count of `ferrometer_middleware_errors_total`, and the request goes on.
///
/// Unwinding costs nothing until it happens: the tables are read only then.
#[inline(always)]
pub fn shield<T>(shared: &Shared, work: impl FnOnce() -> T) -> Option<T> {
    protect();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Some(value),
        Err(panic) => {
            report(shared, panic);
            None
        }
    }
}

#[cold]
#[inline(never)]
fn report(shared: &Shared, panic: Box<dyn std::any::Any + Send>) {
    // Whatever the panic carried is dropped without running into another one; counting it can itself fail.
    std::mem::forget(panic);
    let _ = catch_unwind(AssertUnwindSafe(|| shared.fault("panic")));
}
