//! Segments as other processes read them: files that a writer made by the document alone, and a naive model
//! of what they say together.
#![cfg(all(target_os = "linux", not(loom)))]

mod damage;
mod file;
mod folds;
mod format;
mod model;
mod script;
mod speed;
mod views;
