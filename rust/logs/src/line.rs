//! One line: begun with what every line has, filled with fields, closed.

use crate::format::{Format, Key, Service};
use crate::redact::mark::Marker;
use crate::redact::{card, Action, Rule};
use crate::text;
use crate::time::iso;

/// The longest text of one value, in bytes.
pub const LONGEST_TEXT: usize = 32 * 1024;
/// Fields are left out once a line is that long; so it stays below 64 KiB and what is always there.
pub const LONGEST_LINE: usize = 64 * 1024 - LONGEST_TEXT;
/// Stands at the end of what was cut.
const CUT: &[u8] = b"\xe2\x80\xa6[truncated]";

/// What all lines of a service have in common.
pub struct Style {
    /// The names of the keys.
    pub format: &'static Format,
    /// Takes secrets out.
    pub marker: Marker,
    /// Stands before a trace's id: `projects/P/traces/` in Google's format.
    pub trace_prefix: String,
    /// `,"service":…` and what else never changes.
    constant: Vec<u8>,
}

impl Style {
    /// Of a service; version and environment may be empty.
    pub fn new(format: &'static Format, marker: Marker, service: &str, version: &str, environment: &str) -> Self {
        let mut constant = Vec::new();
        let told: Vec<(&str, &str)> = [("name", service), ("version", version), ("environment", environment)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let mut pair = |out: &mut Vec<u8>, key: &str, value: &str| {
            out.push(b'"');
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":\"");
            text::escape(out, value.as_bytes());
            out.push(b'"');
        };
        let object = |out: &mut Vec<u8>, key: &str, pair: &mut dyn FnMut(&mut Vec<u8>, &str, &str), first: &str| {
            out.extend_from_slice(format!(",\"{key}\":{{").as_bytes());
            for (place, (name, value)) in told.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                pair(out, if *name == "name" { first } else { name }, value);
            }
            out.push(b'}');
        };
        if !told.is_empty() {
            match format.service {
                Service::Name if service.is_empty() => {}
                Service::Name => {
                    constant.push(b',');
                    pair(&mut constant, "service", service);
                }
                Service::Object => object(&mut constant, "service", &mut pair, "name"),
                Service::Labels => object(&mut constant, "logging.googleapis.com/labels", &mut pair, "service"),
                Service::Dotted => {
                    for (name, value) in &told {
                        constant.push(b',');
                        pair(&mut constant, &format!("service.{name}"), value);
                    }
                }
            }
        }
        if !format.constant.is_empty() {
            constant.push(b',');
            constant.extend_from_slice(format.constant.as_bytes());
        }
        Style { format, marker, trace_prefix: String::new(), constant }
    }

    /// The project that traces belong to, in the format that names it.
    #[must_use]
    pub fn in_project(mut self, project: &str) -> Self {
        if self.format.traces_in_project && !project.is_empty() {
            self.trace_prefix = format!("projects/{project}/traces/");
        }
        self
    }

    /// What is to be known of a field's name.
    pub fn key(&self, name: &str) -> Key {
        let mut key = self.format.key(name);
        key.secret = self.marker.own.action(name.as_bytes());
        key.is_trace &= !self.trace_prefix.is_empty();
        key
    }

    /// Begins a line in an empty buffer; `group` is a second one, empty too.
    pub fn line<'a>(
        &'a self,
        out: &'a mut Vec<u8>,
        group: &'a mut Vec<u8>,
        level: usize,
        time_ns: u64,
        logger: &str,
        message: &[u8],
    ) -> Line<'a> {
        let format = self.format;
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(format.time.as_bytes());
        out.extend_from_slice(b"\":\"");
        iso(out, time_ns, format.digits);
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(format.level.as_bytes());
        out.extend_from_slice(b"\":\"");
        out.extend_from_slice(format.levels[level].as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.constant);
        if !format.logger.is_empty() && !logger.is_empty() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(format.logger.as_bytes());
            out.extend_from_slice(b"\":\"");
            text::escape(out, logger.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"");
        out.extend_from_slice(format.message.as_bytes());
        out.extend_from_slice(b"\":");
        let mut line = Line { style: self, out, group, is_cut: false, to_group: false };
        line.text(message);
        line
    }

    /// Fields apart from a line, each with a comma before it; not to be closed.
    pub fn fragment<'a>(&'a self, out: &'a mut Vec<u8>, group: &'a mut Vec<u8>) -> Line<'a> {
        Line { style: self, out, group, is_cut: false, to_group: false }
    }
}

/// A line that is being written.
pub struct Line<'a> {
    style: &'a Style,
    out: &'a mut Vec<u8>,
    group: &'a mut Vec<u8>,
    is_cut: bool,
    to_group: bool,
}

impl Line<'_> {
    /// Begins a field; `false` when the line is full, and the field is left out.
    pub fn field(&mut self, key: &Key) -> bool {
        if self.out.len() + self.group.len() > LONGEST_LINE {
            self.is_cut = true;
            return false;
        }
        self.to_group = key.in_group;
        let is_first = self.to_group && self.group.is_empty();
        let out = self.target();
        if !is_first {
            out.push(b',');
        }
        out.extend_from_slice(&key.json);
        true
    }

    /// Fields that were rendered before, each with a comma before it.
    pub fn rendered(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    fn target(&mut self) -> &mut Vec<u8> {
        if self.to_group {
            self.group
        } else {
            self.out
        }
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.out.len() + self.group.len() <= LONGEST_LINE
    }

    /// The line lost something.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Bytes of punctuation, as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.target().extend_from_slice(bytes);
    }

    /// A text, without its secrets.
    pub fn text(&mut self, value: &[u8]) {
        let shown = shortened(value);
        self.is_cut |= shown.len() < value.len();
        let is_cut = shown.len() < value.len();
        let style = self.style;
        let out = self.target();
        out.push(b'"');
        text::write(out, shown, &style.marker);
        if is_cut {
            out.extend_from_slice(CUT);
        }
        out.push(b'"');
    }

    /// The value of a field whose name says that it is a secret.
    pub fn secret(&mut self, value: &[u8], action: Action) {
        let style = self.style;
        let out = self.target();
        out.push(b'"');
        style.marker.write(out, value, Rule::Name, action);
        out.push(b'"');
    }

    /// A whole number.
    pub fn integer(&mut self, value: i64) {
        if u64::try_from(value).is_ok_and(card::is_card) {
            let (style, mut digits) = (self.style, itoa::Buffer::new());
            let out = self.target();
            out.push(b'"');
            style.marker.write(out, digits.format(value).as_bytes(), Rule::Card, Action::Remove);
            out.push(b'"');
        } else {
            self.raw(itoa::Buffer::new().format(value).as_bytes());
        }
    }

    /// A number; JSON has none for NaN and infinity, which become texts.
    pub fn float(&mut self, value: f64) {
        if value.is_nan() {
            self.raw(b"\"NaN\"");
        } else if value.is_infinite() {
            self.raw(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        } else {
            self.raw(ryu::Buffer::new().format_finite(value).as_bytes());
        }
    }

    /// Milliseconds as a text of seconds.
    pub fn latency(&mut self, milliseconds: f64) {
        let seconds = format!("\"{}s\"", milliseconds / 1000.0);
        self.raw(seconds.as_bytes());
    }

    /// Closes the line.
    pub fn close(self) -> bool {
        if let (false, Some(group)) = (self.group.is_empty(), &self.style.format.group) {
            self.out.extend_from_slice(b",\"");
            self.out.extend_from_slice(group.key.as_bytes());
            self.out.extend_from_slice(b"\":{");
            self.out.append(self.group);
            self.out.push(b'}');
        }
        if self.is_cut {
            self.out.extend_from_slice(b",\"truncated\":true");
        }
        self.out.push(b'}');
        self.is_cut
    }
}

/// So much of a text as a value may have, cut before a character and not within one.
fn shortened(value: &[u8]) -> &[u8] {
    if value.len() <= LONGEST_TEXT {
        return value;
    }
    let is_inside = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let end = (0..=LONGEST_TEXT).rev().find(|&end| !is_inside(value[end])).unwrap_or(0);
    &value[..end]
}
