//! The evaluation: every node of the tree over all steps at once.

mod aggregate;
mod average;
mod binary;
mod calendar;
mod classic;
mod context;
mod counting;
mod elementwise;
mod evaluate;
mod group;
mod histograms;
mod invariant;
mod labels;
mod matching;
mod outcome;
mod over_time;
mod quantile;
mod rate;
mod regression;
mod scalars;
mod selector;
mod sets;
mod sort;
mod subquery;
mod table;
mod top;
mod windows;

pub(crate) use evaluate::evaluate;
pub(crate) use table::Grid;
