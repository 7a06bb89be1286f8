//! The last day of an application's metrics: a store that one process writes and all may ask.
//!
//! | want to see | read |
//! |---|---|
//! | how often, how long, how finely | [`level`] |
//! | what one series is, and what it is called outside | [`track`], [`catalog`], [`names`] |
//! | how samples become bits | [`bits`], [`scalar`], [`classic`], [`bins`], [`chunk`] |
//! | what one look at the registry adds to each level | [`recorder`], [`progress`], [`telling`], [`frame`] |
//! | what is remembered, and what goes first when it is too much | [`store`] |
//! | what PromQL gets to see | [`select`], [`chosen`], [`runs`], [`marks`], [`span`], [`ends`], [`natives`] |
//! | what of a registry is recorded, under which names | [`scan`] |
//! | the one process that writes, the others that follow, and the thread of both | [`writer`], [`follower`], [`history`] |
//! | the files | [`files`] |
//! | the HTTP API | [`api`] |
//! | what is kept together and dropped together | [`block`], [`tick`] |

pub mod api;
pub mod bins;
pub mod bits;
pub mod block;
pub mod catalog;
pub mod chosen;
pub mod chunk;
pub mod classic;
pub mod documents;
pub mod ends;
pub mod files;
pub mod follower;
pub mod frame;
pub mod history;
pub mod level;
pub mod marks;
pub mod names;
pub mod natives;
pub mod progress;
pub mod recorder;
pub mod runs;
pub mod scalar;
pub mod scan;
pub mod select;
pub mod span;
pub mod store;
pub mod telling;
pub mod tick;
pub mod track;
pub mod writer;
