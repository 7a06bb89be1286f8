//! Jobs: what is running, where, and what became of what ran.
//!
//! | want to see | read |
//! |---|---|
//! | one running job, as a word that one compare-and-swap opens and one closes | `entry` |
//! | the counts of one type of job | `kind` |
//! | the table; what a start and an end do; who is lost | `table` |

pub mod entry;
pub mod kind;
pub mod table;
