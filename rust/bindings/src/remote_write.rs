//! Remote write requests, encoded and compressed without the GIL.

use crate::gil::detached;
use ferrometer_core::encode::remote_write;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use snap::raw::Encoder;

/// The samples of a text exposition as bodies of remote write requests (protobuf in snappy's block format),
/// of at most `limit` samples each, which is told beside it.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
pub fn write_requests<'py>(
    py: Python<'py>,
    text: &[u8],
    timestamp: i64,
    labels: Vec<(String, String)>,
    limit: usize,
) -> PyResult<Vec<(Bound<'py, PyBytes>, usize)>> {
    let requests = detached(py, || {
        let mut encoder = Encoder::new();
        let mut requests = Vec::new();
        remote_write::encode(text, timestamp, &labels, limit, |message, samples| {
            requests.push(encoder.compress_vec(message).map(|body| (body, samples)));
        });
        requests.into_iter().collect::<Result<Vec<_>, _>>()
    });
    let requests = requests.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(requests.into_iter().map(|(body, samples)| (PyBytes::new(py, &body), samples)).collect())
}
