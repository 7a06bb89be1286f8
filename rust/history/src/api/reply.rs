//! Answers in the form of Prometheus's API.

use ferrometer_promql::json::text;
use ferrometer_promql::QueryError;
use flate2::write::GzEncoder;
use flate2::Compression;
use std::io::Write;

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

/// The media type of nearly all answers.
pub const JSON: &str = "application/json";

impl Reply {
    /// A success with this data.
    pub fn data(write: impl FnOnce(&mut String)) -> Self {
        let mut body = String::from("{\"status\":\"success\",\"data\":");
        write(&mut body);
        body.push('}');
        Reply { status: 200, media_type: JSON, body }
    }

    /// A failure.
    pub fn error(error: &QueryError) -> Self {
        Reply { status: error.kind.status(), media_type: JSON, body: error.to_json() }
    }

    /// There is no such path.
    pub fn unknown() -> Self {
        Reply { status: 404, media_type: "text/plain; charset=utf-8", body: "404 page not found\n".into() }
    }
}

impl Reply {
    /// The body as gzip has it. A JSON of numbers shrinks to a tenth at the first level already.
    ///
    /// # Panics
    /// Never: memory takes all that is written to it.
    pub fn packed(&self) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::with_capacity(self.body.len() / 8), Compression::new(1));
        packer.write_all(self.body.as_bytes()).and_then(|()| packer.finish()).expect("a vector takes all")
    }
}

/// An answer, or why there is none.
pub type Answered = Result<Reply, QueryError>;

/// A JSON list of strings.
pub fn list<'a>(body: &mut String, items: impl IntoIterator<Item = &'a str>) {
    body.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        text(body, item);
    }
    body.push(']');
}
