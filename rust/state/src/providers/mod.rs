//! Health of providers: what became of the latest calls of each provider and model, in all workers.
//!
//! | want to see | read |
//! |---|---|
//! | what a health score is made of, and the settings | `health` |
//! | times of calls as bins, and their quantiles | `times` |
//! | where the words of a provider and model lie | `slot`, `table` |

pub mod health;
pub mod slot;
pub mod table;
pub mod times;
