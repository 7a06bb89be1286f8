//! x
use pyo3::prelude::*;
#[pymodule(gil_used = true)]
mod _core {
}
