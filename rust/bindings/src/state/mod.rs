//! State that all workers share: circuit breakers, distinct subjects, health of providers.
//!
//! | class or function | file |
//! |---|---|
//! | which table this process uses, and what is wrong with it | `tables.rs` |
//! | a breaker's settings, and where its words are | `handle.rs` |
//! | `Breaker` | `breaker.rs` |
//! | `BreakerCall`: one call through it | `call.rs` |
//! | its metrics, and what is done to it by name | `breaker_metrics.rs` |
//! | `/breakers` | `breaker_route.rs` |
//! | calls of providers, and their metrics | `providers.rs` |
//! | `/health/dashboard` | `dashboard.rs` |
//! | `DistinctSubjects`, and its metric | `distinct.rs` |

pub mod breaker;
pub mod breaker_metrics;
pub mod breaker_route;
pub mod call;
pub mod dashboard;
pub mod distinct;
pub mod handle;
pub mod providers;
pub mod ready;
pub mod tables;
