//! How many distinct subjects were seen lately: HyperLogLog sketches that all workers write.
//!
//! | want to see | read |
//! |---|---|
//! | registers, and how a count is estimated from them | `sketch` |
//! | windows of time, and where everything lies | `table` |

pub mod sketch;
pub mod table;
