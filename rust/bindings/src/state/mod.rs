//! State that all workers share: circuit breakers, distinct subjects.
//!
//! | class or function | file |
//! |---|---|
//! | which table this process uses, and what is wrong with it | `tables.rs` |
//! | a breaker's settings, and where its words are | `handle.rs` |
//! | `Breaker` | `breaker.rs` |
//! | `BreakerCall`: one call through it | `call.rs` |
//! | its metrics | `breaker_metrics.rs` |
//! | `DistinctSubjects`, and its metric | `distinct.rs` |

pub mod breaker;
pub mod breaker_metrics;
pub mod call;
pub mod distinct;
pub mod handle;
pub mod ready;
pub mod tables;
