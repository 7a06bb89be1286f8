//! Reading what the processes of a directory logged, without moving anything.

use crate::thread_exit::protect;
use ferrometer_ring::file::{list, Ring};
use ferrometer_ring::own;
use ferrometer_ring::reader::{Place, Record};
use ferrometer_ring::Kind;
use ferrometer_ship::fields::hex;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A line: nanoseconds since 1970, level, pid, sequence number, trace id or nothing, payload.
type Line<'py> = (u64, &'static str, u64, u64, Option<String>, Bound<'py, PyBytes>);

/// What was logged since the last look.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct LogReader {
    directory: Option<PathBuf>,
    after: u64,
    /// Of this process's own memory, where it shares no directory.
    own: Mutex<Place>,
    places: Mutex<HashMap<PathBuf, (Option<Ring>, Place)>>,
}

/// Records with their pids, how many were overwritten, whether there may be more.
pub type Look = (Vec<(u64, Record)>, u64, bool);

#[pymethods]
impl LogReader {
    /// Of a directory; without one, of this process. Only lines after a time in nanoseconds since 1970.
    #[new]
    #[pyo3(signature = (directory=None, *, after=0))]
    fn new(directory: Option<PathBuf>, after: u64) -> Self {
        LogReader::after(directory, after)
    }

    /// Lines in the order of time, a few thousand at most; how many were overwritten before they could be read; and
    /// whether there may be more at once.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Line<'py>>, u64, bool)> {
        protect();
        let read = py.detach(|| self.look());
        let (records, lost, more) = read.map_err(|error| {
            PyOSError::new_err((error.raw_os_error().unwrap_or_default(), error.to_string(), self.directory.clone()))
        })?;
        let line = |(pid, record): (u64, Record)| {
            let head = record.head;
            let payload = PyBytes::new(py, &record.payload);
            (head.time_ns, head.level.name(), pid, record.sequence, hex(&head.trace_id), payload)
        };
        Ok((records.into_iter().map(line).collect(), lost, more))
    }
}

impl LogReader {
    /// Reads lines after a time.
    pub fn after(directory: Option<PathBuf>, after: u64) -> Self {
        LogReader { directory, after, own: Mutex::default(), places: Mutex::default() }
    }

    fn look_here(&self) -> Look {
        let Some((region, _)) = own::shown(Kind::Lines) else { return (Vec::new(), 0, false) };
        let mut place = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = region.recall(*place, 1 << 20);
        let lost = if *place == Place::default() { 0 } else { batch.overwritten };
        let more = !batch.records.is_empty() && batch.end.position < region.head();
        *place = batch.end;
        let wanted = batch.records.into_iter().filter(|record| record.head.time_ns > self.after);
        let pid = u64::from(std::process::id());
        (wanted.map(|record| (pid, record)).collect(), lost, more)
    }

    /// The records since the last look, in the order of time.
    pub fn look(&self) -> std::io::Result<Look> {
        let Some(directory) = &self.directory else { return Ok(self.look_here()) };
        let paths = list(directory, Kind::Lines)?;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for path in paths {
            // What is no ring is remembered, too: it will be none at the next look.
            places.entry(path).or_insert_with_key(|path| (Ring::open(path).ok(), Place::default()));
        }
        let (mut records, mut lost, mut more) = (Vec::new(), 0, false);
        for (ring, place) in places.values_mut() {
            let Some(ring) = ring else { continue };
            let batch = ring.region.recall(*place, 1 << 20);
            more |= !batch.records.is_empty() && batch.end.position < ring.region.head();
            // Of what was overwritten before the first look nobody asks.
            if *place != Place::default() {
                lost += batch.overwritten;
            }
            *place = batch.end;
            let wanted = batch.records.into_iter().filter(|record| record.head.time_ns > self.after);
            records.extend(wanted.map(|record| (ring.owner.pid, record)));
        }
        places.retain(|path, (_, _)| path.exists());
        records.sort_by_key(|(_, record)| record.head.time_ns);
        Ok((records, lost, more))
    }
}
