//! The circuit breaker: one state for all workers.
//!
//! | want to see | read |
//! |---|---|
//! | when it opens, and for how long | `config` |
//! | the word that is its state | `word` |
//! | what became of the latest calls | `window` |
//! | the trial calls and whose they are | `trials` |
//! | where everything lies | `slot`, `table` |
//! | what happens at a call's begin and end | `circuit` |

pub mod circuit;
pub mod config;
pub mod slot;
pub mod table;
mod trials;
pub mod window;
pub mod word;
