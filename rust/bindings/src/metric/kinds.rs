//! The native classes below `Metric`, one for each kind.

use super::state::Metric;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[pyclass(extends = Metric, subclass, frozen, module = "ferrometer._core")]
        pub struct $name;

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (*_args, **_kwargs))]
            fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
                Metric::with($name)
            }
        }
    )*};
}

kinds! {
    /// The native half of `ferrometer.Counter`.
    Counter;
    /// The native half of `ferrometer.Gauge`.
    Gauge;
    /// The native half of `ferrometer.Histogram`.
    Histogram;
    /// The native half of `ferrometer.Summary`.
    Summary;
    /// The native half of `ferrometer.Info`.
    Info;
    /// The native half of `ferrometer.Enum`.
    Enum;
}

/// The class of each kind, in the order above.
pub fn natives(py: Python<'_>) -> [Bound<'_, PyType>; 6] {
    [
        py.get_type::<Counter>(),
        py.get_type::<Gauge>(),
        py.get_type::<Histogram>(),
        py.get_type::<Summary>(),
        py.get_type::<Info>(),
        py.get_type::<Enum>(),
    ]
}
