//! Distributed traces: what is said about a request between services, which traces are recorded, and how a span lies in
//! a ring until a shipper takes it.
//!
//! | want to see | read |
//! |---|---|
//! | ids, and where new ones come from | [`ids`] |
//! | `traceparent` | [`context`] |
//! | `tracestate` | [`tracestate`] |
//! | `baggage` | [`baggage`] |
//! | which traces are recorded | [`sampler`] |
//! | how much a span may hold | [`limits`] |
//! | where every byte of a record lies | [`mod@format`] |
//! | how a span is written into a ring | [`write`](mod@write) |
//! | how it is read out of one | [`read`](mod@read) |

pub mod baggage;
pub mod context;
pub mod format;
pub mod ids;
pub mod limits;
pub mod read;
pub mod sampler;
pub mod tracestate;
pub mod write;
