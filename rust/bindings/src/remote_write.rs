//! Remote write requests, encoded and compressed without the GIL.

use crate::gil::detached;
use ferrometer_core::encode::remote_further::Wanted;
use ferrometer_core::encode::{remote_further, remote_write};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use snap::raw::Encoder;

/// Bodies (protobuf in snappy's block format), each with the number of what is in it.
type Requests<'py> = Vec<(Bound<'py, PyBytes>, usize)>;

/// The samples of a text exposition as bodies of remote write requests of at most `limit` samples each.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
pub fn write_requests<'py>(
    py: Python<'py>,
    text: &[u8],
    timestamp: i64,
    labels: Vec<(String, String)>,
    limit: usize,
) -> PyResult<Requests<'py>> {
    requests(py, |send| remote_write::encode(text, timestamp, &labels, limit, send))
}

/// The exemplars and native histograms of a protobuf exposition, likewise.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
pub fn write_further_requests<'py>(
    py: Python<'py>,
    families: &[u8],
    timestamp: i64,
    labels: Vec<(String, String)>,
    limit: usize,
    exemplars: bool,
    native_histograms: bool,
) -> PyResult<Requests<'py>> {
    let wanted = Wanted { exemplars, native_histograms };
    requests(py, |send| remote_further::encode(families, wanted, timestamp, &labels, limit, send))
}

fn requests(py: Python<'_>, encode: impl FnOnce(&mut dyn FnMut(&[u8], usize)) + Send) -> PyResult<Requests<'_>> {
    let requests = detached(py, || {
        let mut encoder = Encoder::new();
        let mut requests = Vec::new();
        encode(&mut |message, samples| {
            requests.push(encoder.compress_vec(message).map(|body| (body, samples)));
        });
        requests.into_iter().collect::<Result<Vec<_>, _>>()
    });
    let requests = requests.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(requests.into_iter().map(|(body, samples)| (PyBytes::new(py, &body), samples)).collect())
}
