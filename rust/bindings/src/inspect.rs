//! What lies in a directory of segments, for `ferrometer inspect`.

use crate::gil::detached;
use ferrometer_core::segment::damage::Damage;
use ferrometer_core::segment::format::hex;
use ferrometer_core::segment::inspect;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;

/// The files of a directory of segments, each as a dict. Raises `OSError` for one that cannot be read.
#[pyfunction(name = "inspect")]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn inspect_directory(py: Python<'_>, directory: PathBuf) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let found = detached(py, || inspect::inspect(&directory))?;
    found.into_iter().map(|segment| to_dict(py, &segment)).collect()
}

fn to_dict<'py>(py: Python<'py>, segment: &inspect::SegmentInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let header = segment.header.as_ref();
    dict.set_item("file", &segment.file)?;
    dict.set_item("state", segment.state.name())?;
    dict.set_item("bytes", segment.bytes)?;
    dict.set_item("pid", header.map(|header| header.pid))?;
    dict.set_item("created", header.map(|header| header.created))?;
    dict.set_item("uuid", header.map(|header| hex(&header.uuid)))?;
    dict.set_item("families", segment.families)?;
    dict.set_item("series", segment.series)?;
    dict.set_item("removed", segment.removed)?;
    dict.set_item("tombstones", segment.tombstones)?;
    dict.set_item("folded", segment.folded)?;
    dict.set_item("acted", segment.acted)?;
    dict.set_item("faults", segment.faults)?;
    dict.set_item("damage", segment.damage.map(Damage::reason))?;
    dict.set_item("explanation", segment.damage.map(|damage| damage.to_string()))?;
    dict.set_item("damages", segment.damages)?;
    Ok(dict)
}
