//! `/logs`: the latest lines of all workers, on the own port and below the application's endpoints.

use super::reader::LogReader;
use crate::responder::NativeRoute;
use crate::thread_exit::protect;
use ferrometer_ring::{own, Kind};
use ferrometer_server::{Asked, Route};
use ferrometer_ship::fields::hex;
use hyper::header::{HeaderValue, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::Arc;

/// Lines of one answer.
const MOST: usize = 2000;

struct Recent {
    directory: Option<PathBuf>,
}

impl Recent {
    fn has_lines(&self) -> bool {
        match &self.directory {
            Some(directory) => directory.join(Kind::Lines.totals()).exists(),
            None => own::is_open(Kind::Lines),
        }
    }

    /// A JSON array for each line: time, level, process id, sequence number, trace id or null, the line.
    fn lines(&self, after: u64) -> std::io::Result<Vec<u8>> {
        let reader = LogReader::after(self.directory.clone(), after);
        let (mut records, mut more) = (Vec::new(), true);
        while more {
            let (read, _, is_more) = reader.look()?;
            records.extend(read);
            more = is_more;
        }
        // A process with many lines is read in several goes, and another one in between.
        records.sort_by_key(|(_, record)| record.head.time_ns);
        let mut body = Vec::new();
        for (pid, record) in &records[records.len().saturating_sub(MOST)..] {
            let (head, text) = (&record.head, String::from_utf8_lossy(&record.payload));
            let row = (head.time_ns, head.level.name(), pid, record.sequence, hex(&head.trace_id), text);
            serde_json::to_writer(&mut body, &row).map_err(std::io::Error::other)?;
            body.push(b'\n');
        }
        Ok(body)
    }
}

impl Route for Recent {
    fn path(&self) -> &'static str {
        "/logs"
    }

    fn methods(&self) -> &[Method] {
        &[Method::GET]
    }

    /// Lines after the time `after` (nanoseconds since 1970), the latest 2000 at the most, the oldest first. 400 for an
    /// `after` that is no number, 404 where nobody logs.
    fn respond(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let parameters = asked.parameters();
        self.answer(parameters.iter().find(|(name, _)| name == "after").map_or("0", |(_, value)| value))
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

impl Recent {
    fn answer(&self, after: &str) -> Response<Vec<u8>> {
        let Ok(after) = after.parse::<u64>() else {
            let text = format!("after must be nanoseconds since 1970, not {after:?}\n");
            return told(StatusCode::BAD_REQUEST, PLAIN, text.into_bytes());
        };
        if !self.has_lines() {
            // As every unknown path of the port.
            return told(StatusCode::NOT_FOUND, PLAIN, Vec::new());
        }
        match self.lines(after) {
            Ok(body) => told(StatusCode::OK, "application/x-ndjson", body),
            Err(error) => {
                let text = format!("the lines cannot be read: {error}\n");
                told(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, text.into_bytes())
            }
        }
    }
}

fn told(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The route `/logs` for a directory; without one, for the lines of this process.
#[pyfunction]
#[pyo3(signature = (directory=None))]
pub fn log_route(directory: Option<PathBuf>) -> NativeRoute {
    NativeRoute { route: Arc::new(Recent { directory }) }
}

/// The same answer for the application's own endpoint: status, media type, body.
#[pyfunction]
#[pyo3(signature = (directory, after))]
pub fn answer_logs(py: Python<'_>, directory: Option<PathBuf>, after: String) -> (u16, String, Bound<'_, PyBytes>) {
    protect();
    let answer = py.detach(move || Recent { directory }.answer(&after));
    let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (answer.status().as_u16(), media_type.to_owned(), PyBytes::new(py, answer.body()))
}
