//! Segment files that nobody would write, made of files that somebody did, and whether they are read all the
//! same.
//!
//! - [`corpus`] has the real writer make files;
//! - [`anatomy`] says what lies where in one of them;
//! - [`history`] does all of it to a file of the history;
//! - [`mutation`] breaks it;
//! - [`queries`] does the same to expressions of `PromQL`;
//! - [`trial`] reads it as a scrape does, beside a file that is whole.
#![cfg(target_os = "linux")]

pub mod anatomy;
pub mod corpus;
pub mod history;
pub mod mutation;
pub mod queries;
pub mod random;
pub mod trial;
