//! The functions of Prometheus 3 without feature flags, and the names of those that need one.

use crate::kind::Type;
use Type::{Matrix, Scalar, Text, Vector};

/// A function: its name, the types of its arguments and of its result.
#[derive(Debug)]
pub struct Function {
    /// The name.
    pub name: &'static str,
    /// The types; the last one repeats where there may be more arguments.
    pub arguments: &'static [Type],
    /// How many arguments there may be.
    pub count: Count,
    /// The type of the result.
    pub result: Type,
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// As many as are listed.
    Exact,
    /// The last one may be left out.
    Optional,
    /// All but the last one, and any number of that.
    Many,
}

/// What is known about a name.
pub enum Lookup {
    /// A function.
    Found(&'static Function),
    /// One that Prometheus has behind a feature flag only.
    Experimental,
    /// None.
    Unknown,
}

/// A function by its name.
pub fn lookup(name: &str) -> Lookup {
    if let Ok(at) = FUNCTIONS.binary_search_by(|function| function.name.cmp(name)) {
        return Lookup::Found(&FUNCTIONS[at]);
    }
    if EXPERIMENTAL.contains(&name) {
        return Lookup::Experimental;
    }
    Lookup::Unknown
}

/// The names of all functions, in ascending order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// Refused by name: Prometheus has them behind `--enable-feature=promql-experimental-functions`.
const EXPERIMENTAL: &[&str] = &[
    "double_exponential_smoothing",
    "end",
    "histogram_quantiles",
    "info",
    "mad_over_time",
    "max_of",
    "min_of",
    "range",
    "sort_by_label",
    "sort_by_label_desc",
    "start",
    "start_timestamp",
    "step",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];

const fn function(name: &'static str, arguments: &'static [Type]) -> Function {
    Function { name, arguments, count: Count::Exact, result: Vector }
}

const fn optional(name: &'static str, arguments: &'static [Type]) -> Function {
    Function { name, arguments, count: Count::Optional, result: Vector }
}

const fn scalar(name: &'static str, arguments: &'static [Type]) -> Function {
    Function { name, arguments, count: Count::Exact, result: Scalar }
}

/// In ascending order of their names.
static FUNCTIONS: &[Function] = &[
    function("abs", &[Vector]),
    function("absent", &[Vector]),
    function("absent_over_time", &[Matrix]),
    function("acos", &[Vector]),
    function("acosh", &[Vector]),
    function("asin", &[Vector]),
    function("asinh", &[Vector]),
    function("atan", &[Vector]),
    function("atanh", &[Vector]),
    function("avg_over_time", &[Matrix]),
    function("ceil", &[Vector]),
    function("changes", &[Matrix]),
    function("clamp", &[Vector, Scalar, Scalar]),
    function("clamp_max", &[Vector, Scalar]),
    function("clamp_min", &[Vector, Scalar]),
    function("cos", &[Vector]),
    function("cosh", &[Vector]),
    function("count_over_time", &[Matrix]),
    optional("day_of_month", &[Vector]),
    optional("day_of_week", &[Vector]),
    optional("day_of_year", &[Vector]),
    optional("days_in_month", &[Vector]),
    function("deg", &[Vector]),
    function("delta", &[Matrix]),
    function("deriv", &[Matrix]),
    function("exp", &[Vector]),
    function("first_over_time", &[Matrix]),
    function("floor", &[Vector]),
    function("histogram_avg", &[Vector]),
    function("histogram_count", &[Vector]),
    function("histogram_fraction", &[Scalar, Scalar, Vector]),
    function("histogram_quantile", &[Scalar, Vector]),
    function("histogram_stddev", &[Vector]),
    function("histogram_stdvar", &[Vector]),
    function("histogram_sum", &[Vector]),
    optional("hour", &[Vector]),
    function("idelta", &[Matrix]),
    function("increase", &[Matrix]),
    function("irate", &[Matrix]),
    Function { name: "label_join", arguments: &[Vector, Text, Text, Text], count: Count::Many, result: Vector },
    function("label_replace", &[Vector, Text, Text, Text, Text]),
    function("last_over_time", &[Matrix]),
    function("ln", &[Vector]),
    function("log10", &[Vector]),
    function("log2", &[Vector]),
    function("max_over_time", &[Matrix]),
    function("min_over_time", &[Matrix]),
    optional("minute", &[Vector]),
    optional("month", &[Vector]),
    scalar("pi", &[]),
    function("predict_linear", &[Matrix, Scalar]),
    function("present_over_time", &[Matrix]),
    function("quantile_over_time", &[Scalar, Matrix]),
    function("rad", &[Vector]),
    function("rate", &[Matrix]),
    function("resets", &[Matrix]),
    optional("round", &[Vector, Scalar]),
    scalar("scalar", &[Vector]),
    function("sgn", &[Vector]),
    function("sin", &[Vector]),
    function("sinh", &[Vector]),
    function("sort", &[Vector]),
    function("sort_desc", &[Vector]),
    function("sqrt", &[Vector]),
    function("stddev_over_time", &[Matrix]),
    function("stdvar_over_time", &[Matrix]),
    function("sum_over_time", &[Matrix]),
    function("tan", &[Vector]),
    function("tanh", &[Vector]),
    scalar("time", &[]),
    function("timestamp", &[Vector]),
    function("vector", &[Scalar]),
    optional("year", &[Vector]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(FUNCTIONS.windows(2).all(|two| two[0].name < two[1].name));
    }
}
