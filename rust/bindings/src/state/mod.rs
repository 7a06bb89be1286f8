//! State that all workers share: circuit breakers, distinct subjects, health of providers, jobs.
//!
//! | class or function | file |
//! |---|---|
//! | which table this process uses, and what is wrong with it | `tables.rs` |
//! | a breaker's settings, and where its words are | `handle.rs` |
//! | `Breaker` | `breaker.rs` |
//! | `BreakerCall`: one call through it | `call.rs` |
//! | what every call does, as raw methods | `raw_calls.rs` |
//! | its metrics, and what is done to it by name | `breaker_metrics.rs` |
//! | `/breakers` | `breaker_route.rs` |
//! | calls of providers, and their metrics | `providers.rs` |
//! | `/health/dashboard` | `dashboard.rs` |
//! | `DistinctSubjects`, and its metric | `distinct.rs` |
//! | `JobType`, `JobRun`: jobs that start and end | `jobs.rs` |
//! | the metrics of jobs, and what is running | `job_metrics.rs` |

pub mod breaker;
pub mod breaker_metrics;
pub mod breaker_route;
pub mod call;
pub mod dashboard;
pub mod distinct;
pub mod handle;
pub mod job_metrics;
pub mod jobs;
pub mod providers;
pub mod raw_calls;
pub mod ready;
pub mod tables;
