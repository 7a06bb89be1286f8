//! Cells that several processes see: one file per process in a directory that they share.
//!
//! | want to see | read |
//! |---|---|
//! | where every word of a file lies | [`format`] |
//! | what the log of a file says | [`record`] |
//! | what can be wrong with it | [`damage`] |

pub mod damage;
pub mod format;
pub mod record;
