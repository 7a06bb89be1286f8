//! Traces: spans of the application and of the middleware, and the context that travels with a request.
//!
//! | want to see | read |
//! |---|---|
//! | what is decided once: sampler, limits, conventions | [`tracer`] |
//! | a span's life, from its context to its record in the ring | [`core`] |
//! | what `with ferrometer.span(...)` executes | [`span`], then [`methods`] |
//! | spans that are begun by a call, and those of others | [`made`] |
//! | the span of a call that is over | [`finished`] |
//! | the running code's span | [`current`] |
//! | how a Python value becomes an attribute | [`value`] |
//! | headers in and out | [`propagation`] |

pub mod core;
pub mod current;
pub mod finished;
pub mod made;
mod methods;
pub mod propagation;
mod ready;
pub mod span;
pub mod tracer;
pub mod value;
