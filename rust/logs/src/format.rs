//! The formats: what each calls the keys of a line, its levels and its time.

use crate::redact::name;
use crate::redact::Action;

/// How many levels there are: debug, info, warn, error, fatal.
pub const LEVELS: usize = 5;

/// How a line looks.
#[derive(Debug)]
pub struct Format {
    /// What the configuration calls it.
    pub name: &'static str,
    /// The key of the time.
    pub time: &'static str,
    /// Digits of the second.
    pub digits: usize,
    /// The key of the level.
    pub level: &'static str,
    /// The levels' names.
    pub levels: [&'static str; LEVELS],
    /// The key of the text for people.
    pub message: &'static str,
    /// The key of the logger's name; "" leaves it out.
    pub logger: &'static str,
    /// How the service is told.
    pub service: Service,
    /// What fields are called that everybody else calls otherwise.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Fields that stand in an object of their own, where one of `by` is there.
    pub group: Option<Group>,
    /// Further keys with their values, as JSON.
    pub constant: &'static str,
    /// Whether a trace's id is told as `projects/P/traces/ID`.
    pub traces_in_project: bool,
}

/// How the service is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `"service":"name"`, and nothing for version and environment.
    Name,
    /// `"service":{"name":…,"version":…,"environment":…}`.
    Object,
    /// `"service.name":…,"service.version":…,"service.environment":…`.
    Dotted,
    /// `"logging.googleapis.com/labels":{"service":…,"version":…,"environment":…}`.
    Labels,
}

/// An object for some of the fields.
#[derive(Debug)]
pub struct Group {
    /// Its key.
    pub key: &'static str,
    /// Field by field, what it is called there.
    pub fields: &'static [(&'static str, &'static str)],
    /// The field that is a number of milliseconds and becomes a text of seconds, `"0.125s"`; "" for none.
    pub latency: &'static str,
}

const UPPER: [&str; LEVELS] = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const PYTHON: [&str; LEVELS] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const LOWER: [&str; LEVELS] = ["debug", "info", "warn", "error", "fatal"];

/// All of them; the first is the default.
pub const FORMATS: [Format; 6] = [
    Format {
        name: "gpuproxy",
        time: "timestamp",
        digits: 3,
        level: "level",
        levels: UPPER,
        message: "message",
        logger: "logger",
        service: Service::Name,
        renamed: &[],
        group: None,
        constant: "",
        traces_in_project: false,
    },
    Format {
        name: "omtx",
        time: "timestamp",
        digits: 3,
        level: "level",
        levels: PYTHON,
        message: "message",
        logger: "logger",
        service: Service::Object,
        renamed: &[],
        group: Some(Group {
            key: "performance",
            fields: &[("duration_ms", "duration_ms"), ("operation", "operation")],
            latency: "",
        }),
        constant: "",
        traces_in_project: false,
    },
    Format {
        name: "platform",
        time: "timestamp",
        digits: 3,
        level: "level",
        levels: PYTHON,
        message: "message",
        logger: "logger",
        service: Service::Name,
        renamed: &[],
        group: None,
        constant: "",
        traces_in_project: false,
    },
    Format {
        name: "staging",
        time: "timestamp",
        digits: 3,
        level: "level",
        levels: LOWER,
        message: "message",
        logger: "logger",
        service: Service::Name,
        renamed: &[],
        group: None,
        constant: "",
        traces_in_project: false,
    },
    Format {
        name: "gcp",
        time: "timestamp",
        digits: 9,
        level: "severity",
        levels: PYTHON,
        message: "message",
        logger: "logger",
        service: Service::Labels,
        renamed: &[
            ("trace_id", "logging.googleapis.com/trace"),
            ("span_id", "logging.googleapis.com/spanId"),
            ("trace_sampled", "logging.googleapis.com/trace_sampled"),
        ],
        group: Some(Group {
            key: "httpRequest",
            fields: &[
                ("method", "requestMethod"),
                ("path", "requestUrl"),
                ("status_code", "status"),
                ("user_agent", "userAgent"),
                ("client_ip", "remoteIp"),
                ("duration_ms", "latency"),
            ],
            latency: "duration_ms",
        }),
        constant: "",
        traces_in_project: true,
    },
    Format {
        name: "ecs",
        time: "@timestamp",
        digits: 3,
        level: "log.level",
        levels: LOWER,
        message: "message",
        logger: "log.logger",
        service: Service::Dotted,
        renamed: &[
            ("trace_id", "trace.id"),
            ("span_id", "span.id"),
            ("request_id", "http.request.id"),
            ("user_id", "user.id"),
            ("method", "http.request.method"),
            ("path", "url.path"),
            ("status_code", "http.response.status_code"),
            ("error", "error.message"),
            ("stack_trace", "error.stack_trace"),
        ],
        group: None,
        constant: "\"ecs.version\":\"8.11.0\"",
        traces_in_project: false,
    },
];

/// The format of that name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// What is to be known of a field's name, once and for all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `"name":`, escaped.
    pub json: Vec<u8>,
    /// What is done with its values.
    pub secret: Option<Action>,
    /// Whether it stands in the format's group.
    pub in_group: bool,
    /// Whether it is the number of milliseconds that becomes a text of seconds.
    pub is_latency: bool,
    /// Whether it is a trace's id, before which some formats have a path.
    pub is_trace: bool,
}

impl Format {
    /// Whether it has a key for whether a trace is sampled.
    pub fn tells_sampling(&self) -> bool {
        self.renamed.iter().any(|(field, _)| *field == "trace_sampled")
    }

    /// What is to be known of a field of that name. One that would clash with a key of the line gets a `_`.
    pub fn key(&self, name: &str) -> Key {
        let grouped = self.group.as_ref().and_then(|group| {
            let &(_, inner) = group.fields.iter().find(|(field, _)| *field == name)?;
            Some((inner, group.latency == name))
        });
        let renamed = self.renamed.iter().find(|(field, _)| *field == name).map(|&(_, to)| to);
        let clashes = [self.time, self.level, self.message, self.logger, "service", "truncated"].contains(&name)
            || self.service == Service::Dotted && name.starts_with("service.");
        let mut json = vec![b'"'];
        let shown = grouped.map(|(inner, _)| inner).or(renamed).unwrap_or(name);
        crate::text::escape(&mut json, shown.as_bytes());
        json.extend_from_slice(if clashes { b"_\":" } else { b"\":" });
        Key {
            json,
            secret: name::action(name.as_bytes()),
            in_group: grouped.is_some(),
            is_latency: grouped.is_some_and(|(_, is_latency)| is_latency),
            is_trace: name == "trace_id",
        }
    }
}
