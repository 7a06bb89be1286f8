"""Native parts of ferrometer. Import from ``ferrometer``, not from here.

Whatever begins with an underscore is between this module and the Python files beside it.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar, final

from typing_extensions import disjoint_base

__all__ = [
    "MAX_SERIES",
    "STUCK_SECONDS",
    "Access",
    "Breaker",
    "BreakerCall",
    "CountInstrument",
    "Counter",
    "DirectoryShipper",
    "DistinctSubjects",
    "Enum",
    "Gauge",
    "Histogram",
    "HistogramBins",
    "History",
    "HttpMetrics",
    "Info",
    "Instrument",
    "JobRun",
    "JobType",
    "LivePage",
    "LogContext",
    "LogReader",
    "Logger",
    "Metric",
    "MetricsMiddleware",
    "MetricsServer",
    "NativeRoute",
    "RecordInstrument",
    "Registry",
    "Responder",
    "SampleStore",
    "SetInstrument",
    "Span",
    "Summary",
    "__version__",
    "answer_logs",
    "append_log_line",
    "append_metrics",
    "baggage_var",
    "breaker_route",
    "breakers_shared",
    "change_breaker",
    "check_expression",
    "choose_format",
    "client_span",
    "configure_logs",
    "configure_providers",
    "configure_traces",
    "current_span",
    "dashboard_route",
    "export_created",
    "exports_created",
    "flush_records",
    "fold_dead",
    "has_traces",
    "inspect",
    "list_breakers",
    "list_providers",
    "living",
    "log_context_var",
    "log_directly",
    "log_event",
    "log_failures",
    "log_format_keys",
    "log_level",
    "log_lines_wait",
    "log_record",
    "log_redactions",
    "log_requests",
    "log_route",
    "models_stats",
    "new_request_id",
    "own_methods",
    "parse_baggage",
    "parse_traceparent",
    "private_dict_layout",
    "protobuf_family",
    "providers_shared",
    "read_directory",
    "record_counts",
    "record_provider_call",
    "register_breaker_metrics",
    "register_distinct_metrics",
    "register_job_metrics",
    "register_provider_metrics",
    "register_record_metrics",
    "request_id_var",
    "running_jobs",
    "sample_logs",
    "set_log_level",
    "share",
    "share_log_level",
    "shared_directory",
    "shared_values",
    "sharing_failure",
    "show_call",
    "span",
    "span_elsewhere",
    "span_var",
    "start_shipping",
    "start_span",
    "state_troubles",
    "stop_shipping",
    "stop_traces",
    "trace_headers",
    "write_further_requests",
    "write_requests",
]

__version__: str

MAX_SERIES: int
STUCK_SECONDS: float
"""How many series a family may have where nothing else is said; further ones share its overflow series."""

#: Labels, value, and seconds since 1970.
_Exemplar: TypeAlias = tuple[dict[str, str], float, float]
#: Suffix, labels that the series does not have, value, label values, exemplar.
_Row: TypeAlias = tuple[str, dict[str, str], float, tuple[str, ...], _Exemplar | None]
#: Name, help, type, unit; samples as suffix, labels, value.
_Family: TypeAlias = tuple[str, str, str, str, list[tuple[str, dict[str, str], float]]]

@disjoint_base
class Metric:
    """The native base of all metrics: a family without labels, a labelled family, or one child of it.

    All methods hold the GIL and none waits for anything. A method that needs a value raises ValueError
    on a labelled family ("missing label values") and RuntimeError before ``_define``.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """An undefined metric, whatever the arguments: a subclass's ``__init__`` may take any."""

    def labels(self, *labelvalues: object, **labelkwargs: object) -> Self:
        """The child with these label values, made when it is not there.

        By position, in the order of the label names, or all by name. A value that is no str is taken as
        ``str(value)``; what UTF-8 cannot say (a lone surrogate) becomes ``?``. While somebody holds a
        child, the same values give the same object. Past the family's ``max_series``, new values give
        the child of the overflow series, whose label values are all ``__overflow__``.

        Raises ValueError when the values do not match the names, on a metric without labels, and on a
        child.
        """

    def _define(
        self,
        registry: Registry | None,
        kind: str,
        name: str,
        documentation: object,
        unit: str,
        labels: Sequence[str],
        detail: Iterable[Any],
        max_series: int,
        sample: float,
        plain: bool,
        meta: dict[str, Any],
    ) -> None:
        """Defines the metric, once; the same definition again changes nothing.

        ``detail`` is the buckets of a histogram, the quantiles of a summary, the states of an enum, the
        ``multiprocess_mode`` of a gauge. Raises ValueError for a name in use, with both definitions in
        the text, and TypeError for a class that does not derive from exactly the one native class of its
        kind.
        """

    def _become_child(self, parent: Metric, values: tuple[object, ...]) -> None:
        """Makes this undefined object, of a user's subclass, the child with these label values."""

    @property
    def __class__(self) -> type[Self]:
        """The type. Assigning another one raises TypeError: its methods would meet cells of another kind."""

    @__class__.setter
    def __class__(self, value: type[Self], /) -> None: ...
    @property
    def _meta(self) -> dict[str, Any]:
        """What the Python layer keeps: one dict for a family and all its children."""

    @property
    def _defined(self) -> bool:
        """Whether the definition was made."""

    @property
    def _labelvalues(self) -> tuple[str, ...]:
        """A child's label values; ``()`` for a family."""

    @property
    def _subclass_children(self) -> dict[tuple[str, ...], Any]:
        """The children that a user's subclass made, by label values."""

    @property
    def _is_removed(self) -> bool:
        """Whether the series of this child has been removed, by whichever object of the same family."""

    @property
    def _has_callbacks(self) -> bool:
        """Whether a value is to be asked for at scrapes."""

    @property
    def _created(self) -> float:
        """When counting began, in seconds since 1970: what ``time.time()`` said then."""

    @_created.setter
    def _created(self, value: float) -> None: ...
    def _children(self) -> list[tuple[str, ...]]:
        """The label values of all series, in order of creation."""

    def _remove(self, *labelvalues: object) -> bool:
        """Removes a series; False when there is none. Handles to it go on working, unseen."""

    def _clear(self) -> None:
        """Removes all series."""

    def _forget(self, *labelvalues: object) -> bool:
        """Removes a series of this process; other workers keep theirs. False when there is none."""

    def _forget_all(self) -> None:
        """Removes all series of this process; other workers keep theirs."""

    def _rows(self, here: bool = False) -> list[_Row]:
        """All samples; of a child, its own. The totals of all workers, or what is recorded in this one."""

    def _get(self) -> float:
        """The value of a counter or gauge, the index of an enum's state."""

    def _put(self, value: float) -> None:
        """Replaces the value of a counter or gauge."""

    def _reset(self) -> None:
        """Back to zero; ``_created`` becomes now."""

    def _set_function(self, function: Callable[[], Any]) -> None:
        """Asks ``function`` for a gauge's value at scrapes, in place of the function before."""

    def _run_callbacks(self) -> None:
        """Asks all functions. Raises what the first failing one raised, after the others."""

    def _take(self) -> bool:
        """Whether the next observation is to be looked at; decided before any clock is read."""

    def _record(self, value: float) -> None:
        """Records a value for which ``_take`` said yes."""

    def _hold(self) -> None:
        """Counts an observation for which ``_take`` said no."""

    def _quantiles(self, fractions: Sequence[float]) -> list[float]:
        """The values at these shares, NaN while nothing is recorded."""

    def _statistics(self) -> tuple[int, float, float, float]:
        """Count, sum, minimum (+Inf when empty) and maximum (-Inf when empty)."""

    def _set_info(self, labels: Sequence[tuple[str, object]]) -> None:
        """Replaces the labels of an info."""

    def _set_state(self, index: int) -> None:
        """Sets an enum's state."""

class Counter(Metric):
    """The native half of ``ferrometer.Counter``."""

    def inc(self, amount: float = 1, exemplar: Mapping[str, str] | None = None) -> None:
        """Adds to the count; int amounts up to 2**63 in all are exact, others are sums of doubles.

        Raises ValueError for a negative or non-finite amount, TypeError for what is no number, and
        OverflowError for an int beyond the doubles. ``exemplar`` is kept for OpenMetrics.
        """

class Gauge(Metric):
    """The native half of ``ferrometer.Gauge``."""

    def inc(self, amount: float = 1) -> None:
        """Adds any double, NaN and infinities included.

        Raises RuntimeError in the modes ``mostrecent`` and ``livemostrecent``.
        """

    def dec(self, amount: float = 1) -> None:
        """Subtracts. Raises as ``inc`` does."""

    def set(self, value: float) -> None:
        """Replaces the value by ``float(value)``."""

class Histogram(Metric):
    """The native half of ``ferrometer.Histogram``."""

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Records an amount in the metric's unit, into the first bucket with ``amount <= le``.

        Negative amounts and infinities are recorded. NaN is recorded nowhere and counted in
        ``ferrometer_observations_refused_total``. Raises TypeError for what is no number.
        """

class Summary(Metric):
    """The native half of ``ferrometer.Summary``."""

    def observe(self, amount: float) -> None:
        """As ``Histogram.observe``, without buckets."""

class Info(Metric):
    """The native half of ``ferrometer.Info``."""

class Enum(Metric):
    """The native half of ``ferrometer.Enum``."""

# A family of a collector written in Python: name, help, type, and samples of suffix, labels and value.
_TimedSample: TypeAlias = tuple[str, Sequence[tuple[str, str]], float, int | None]

@final
class Registry:
    """The native half of ``ferrometer.CollectorRegistry``: the families, and all sample names in use.

    Registries of one ``scope`` in several processes show each other's families, too.
    """

    def __new__(cls, scope: str = "") -> Self: ...
    def reserve(self, names: Sequence[str], description: str) -> None:
        """Takes names for something written in Python. Raises ValueError when one is taken."""

    def release(self, names: Sequence[str]) -> None:
        """Gives such names back."""

    def adopt(self, metric: Metric) -> None:
        """Registers a metric that was made without this registry. Raises ValueError as ``reserve``."""

    def unregister(self, metric: Metric) -> bool:
        """Removes a metric's family; False when it is not here."""

    def reset(self) -> None:
        """Sets what this process has counted and measured back to zero; infos and states stay."""

    def names(self) -> list[str]:
        """All sample names in use."""

    def computed(self, known: Sequence[Metric]) -> list[_Family]:
        """The families that native code records without a metric object, and what there is to say about
        the registry itself; ``known`` are the metrics that are read otherwise."""

    def fail(self, source: str) -> None:
        """Counts a callback or collector that raised, in ``ferrometer_scrape_errors_total``."""

    def text(self, leave_out: Sequence[Metric], before: bytes, after: bytes) -> bytes:
        """The Prometheus text format 0.0.4 without some metrics, between two other parts; the GIL is
        released meanwhile."""

    def openmetrics(self, leave_out: Sequence[Metric], before: bytes, after: bytes) -> bytes:
        """OpenMetrics 1.0, likewise; ``after`` brings the end mark."""

    def protobuf(
        self,
        leave_out: Sequence[Metric],
        names: set[str] | None,
        native_buckets: int,
        before: bytes,
        after: bytes,
    ) -> bytes:
        """Length-delimited ``io.prometheus.client.MetricFamily`` messages, likewise; where ``names`` are
        given, of only the families that have samples of one of these. Native histograms have at most
        ``native_buckets`` buckets."""

def protobuf_family(
    name: str, documentation: str, kind: str, unit: str, samples: Sequence[_TimedSample]
) -> bytes:
    """A family of a collector written in Python as a length-delimited protobuf message. Of a sample:
    suffix, labels, value, and its time in milliseconds since 1970."""

def write_requests(
    text: bytes, timestamp: int, labels: Sequence[tuple[str, str]], limit: int
) -> list[tuple[bytes, int]]:
    """The samples of a text exposition as bodies of remote write requests (protobuf in snappy's block
    format) of at most ``limit`` samples, each with their number. ``timestamp``, in milliseconds since 1970,
    is for samples without one; ``labels`` for those without such labels. The GIL is released meanwhile."""

def write_further_requests(
    families: bytes,
    timestamp: int,
    labels: Sequence[tuple[str, str]],
    limit: int,
    exemplars: bool,
    native_histograms: bool,
) -> list[tuple[bytes, int]]:
    """The exemplars and native histograms of a protobuf exposition, likewise."""

@final
class Access:
    """Decides who may read: by SHA-256 digests of bearer tokens or of a user and a password, and by networks.

    Raises ValueError for tokens and a user at once, and for a network that is none.
    """

    def __new__(
        cls,
        *,
        tokens: Sequence[bytes] | None = None,
        user: tuple[bytes, bytes] | None = None,
        networks: Sequence[tuple[str, int]] | None = None,
        unix: bool = False,
    ) -> Self:
        """Networks are an address and the length of its prefix; ``unix`` is Unix sockets."""

    def admits(self, host: str | None) -> bool:
        """Whether a client with this address may ask; None is a Unix socket."""

    def challenge(self, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """None where ``Authorization`` is a right secret or a cookie a session of it, else the challenge."""

@final
class NativeRoute:
    """An answer of another native crate, for a ``Responder`` or a ``MetricsServer``."""

    def respond(
        self,
        method: str,
        path: str,
        query: str,
        headers: Sequence[tuple[bytes, bytes]],
        host: str | None,
        body: bytes | None = None,
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The same answer below an application, which has checked who asks: status, headers, body."""

@final
class SampleStore:
    """Series in memory and PromQL over them, for tests of rules."""

    def __new__(cls) -> Self: ...
    def push(self, labels: Sequence[tuple[str, str]], time_ms: int, value: float | None) -> None:
        """Appends a sample; None ends the series at this time."""

    def instant(self, query: str, time_ms: int) -> tuple[bool, str]:
        """Whether an expression has a value at that time, and the answer of Prometheus's API to it."""

def check_expression(query: str) -> str | None:
    """None where PromQL can read the expression, else why not."""

@final
class LivePage:
    """The files of the live page: a name below ``/ferrometer/``, a media type and the contents of each; the
    page itself has an empty name."""

    def __new__(cls, files: Sequence[tuple[str, str, bytes]]) -> Self: ...
    def show(self) -> None:
        """Makes it the page that ``latest_routes`` are about."""

    def routes(self, access: Access | None = None) -> list[NativeRoute]:
        """The page, to those whom ``access`` lets in; it holds no figures."""

    @staticmethod
    def latest_routes(access: Access | None = None) -> list[NativeRoute]:
        """The same for the page of this process that is shown last; none where none is."""

@final
class Responder:
    """Answers requests to the application as the own port answers them."""

    def __new__(
        cls,
        registry: Registry,
        *,
        access: Access | None = None,
        figures: Registry | None = None,
        prefix: str = "",
        native_histograms: bool = False,
        routes: Sequence[NativeRoute] | None = None,
    ) -> Self:
        """``registry`` is what ``/metrics`` shows and where requests are counted; the JSON's other numbers
        are in ``figures``, their names begin with ``prefix``."""

    def respond(
        self,
        method: str,
        path: str,
        query: str,
        headers: Sequence[tuple[bytes, bytes]],
        host: str | None,
        body: bytes | None = None,
        *,
        from_python: Callable[[str, str, set[str] | None], object] | None = None,
        timestamp: str | None = None,
        health: str = "",
        requests: Mapping[str, float] | None = None,
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers, body. The GIL is released while the answer is made.

        ``from_python`` is asked for what only Python can tell of ``/metrics``: with the format, the escaping
        and the names asked for; it returns the metrics to leave out and what to write before and after, or
        the whole exposition. ``timestamp`` and ``health`` (members, each with a comma) go into the JSON;
        ``requests`` are the numbers of ``HttpMetrics.snapshot()``, where something else counts them.
        Raises ValueError for what is no method, and what ``from_python`` raises.
        """

def models_stats(registry: Registry, prefix: str) -> str:
    """The JSON of ``/models/stats``. The name of the models' costs begins with ``prefix``, or has none."""

def choose_format(accept: str | None) -> tuple[str, str, str]:
    """The format that an Accept header prefers, the escaping of odd names, and the media type."""

@final
class MetricsServer:
    """A thread that serves a registry on a port of its own and never takes the GIL.

    Raises OSError when it cannot listen there, ValueError for a malformed network.
    """

    def __new__(
        cls,
        registry: Registry,
        host: str,
        port: int,
        *,
        access: Access | None = None,
        figures: Registry | None = None,
        prefix: str = "",
        native: bool = False,
        routes: Sequence[NativeRoute] | None = None,
    ) -> Self:
        """The JSON's numbers besides the requests are in ``figures``; ``prefix`` begins their names."""

    @staticmethod
    def of_directory(
        directory: str | os.PathLike[str],
        host: str,
        port: int,
        *,
        access: Access | None = None,
        namespace: str | None = None,
        native: bool = False,
        routes: Sequence[NativeRoute] | None = None,
    ) -> MetricsServer:
        """Serves what the processes that record into a directory have recorded. Linux only. Raises OSError
        also for a directory that others can write; one that does not exist is empty until it does."""

    @property
    def host(self) -> str:
        """The address it listens on."""

    @property
    def port(self) -> int:
        """The port it listens on."""

    @property
    def running(self) -> bool:
        """Whether it serves: not once it is stopped, nor in a forked child."""

    def stop(self) -> None:
        """Ends the thread and waits for it; the GIL is released meanwhile."""

# Several workers.

def share(directory: str | os.PathLike[str]) -> None:
    """Records all metrics of this process, and of every process that it forks, into files in a directory that
    the other workers read. Raises OSError when the directory is not to be had, and ValueError when there is
    another one already; recording goes on in private memory then."""

def inspect(directory: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The files of a directory, in the order of their names: ``file``, ``state`` (live, dead, graveyard,
    unfinished, unreadable), ``bytes``, ``pid``, ``created`` (seconds since 1970), ``uuid``, ``families``,
    ``series``, ``removed``, ``tombstones``, ``folded``, ``acted``, ``faults``; of what is wrong first
    ``damage`` and its ``explanation``, and how often something is, ``damages``. Linux only. Raises OSError
    for a directory that cannot be read."""

def shared_directory() -> Path | None:
    """The directory that this process shares with others, or None."""

def fold_dead(at_least: int) -> None:
    """Puts dead processes' totals into one file, if the shared directory has so many files of processes."""

def living(directory: str | os.PathLike[str]) -> int:
    """How many processes share their metrics in a directory now. Raises OSError when it cannot be read."""

def read_directory(directory: str | os.PathLike[str]) -> list[_Family]:
    """All families that are recorded in a directory, whichever registries they are in, as all processes
    recorded them. Raises OSError when it cannot be read."""

def shared_values(metrics: Sequence[Metric]) -> list[float]:
    """The values of counters and gauges, each the total of all workers, at one look without the GIL. One that
    every worker has for itself is this process's own. Raises ValueError for anything else."""

def sharing_failure() -> str | None:
    """Why this process, the child of one that shares its metrics, could not go on with that; told once."""

# The middleware.

_Message: TypeAlias = MutableMapping[str, Any]
_App: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]

def start_shipping(config: str) -> None:
    """Open a ring of this process and start its shipper, by a configuration in JSON.

    Raises ValueError, OSError.
    """

def append_log_line(level: int, line: bytes, time_ns: int | None = None) -> bool:
    """Append a finished line as it is; levels are 0 (debug) to 4 (fatal). False when it is dropped."""

def append_metrics(families: bytes, time_ns: int, start_ns: int, is_exponential: bool) -> tuple[int, int]:
    """Put an exposition in Prometheus's protobuf into the queue of metrics, as OTLP. Returns how many data
    points it had, and how many batches of them found no room. ``start_ns``: since when series without a
    time of their own count."""

def flush_records(timeout: float, records: str = "lines") -> bool:
    """Wait until all that this process recorded has left; False at the deadline, in seconds. ``records`` are
    ``lines``, ``spans`` or ``metrics``, here and below; anything else raises ValueError."""

def stop_shipping(timeout: float, records: str = "lines") -> None:
    """Leave the shipping to others."""

def record_counts(records: str = "lines") -> str:
    """What was recorded and what became of it, as JSON; "null" where nobody records."""

def register_record_metrics(registry: Registry, namespace: str, records: str = "lines") -> None:
    """Show the same in a registry. Raises ValueError when one of the names is taken."""

@final
class DirectoryShipper:
    """A shipper of a directory in which this process does not log."""

    def __new__(cls, config: str) -> Self: ...
    @property
    def leads(self) -> bool:
        """Whether it is this process that ships."""

    def stop(self, timeout: float) -> None:
        """End it."""

def configure_logs(
    name: str,
    service: str,
    version: str,
    environment: str,
    hash_key: bytes,
    console: bool | None = None,
    *,
    project: str = "",
    redact_names: Sequence[str] | None = None,
    redact_patterns: Sequence[str] | None = None,
) -> None:
    """How lines are written: the format's name, the service, and the secret with which API keys are hashed.

    ``console``: lines for people, coloured or not, instead of JSON. ``project``: of Google's cloud, before
    a trace's id. ``redact_names``, ``redact_patterns``: rules of the user's own.
    Raises ValueError for a format or a pattern that is none.
    """

def log_format_keys(name: str) -> dict[str, str]:
    """How a format calls time, level, message, trace_id and span_id, and its word for a warning."""

def log_redactions() -> dict[str, int]:
    """How many secrets this process took out of its lines, by rule."""

def log_event(
    level: int,
    logger: str,
    message: object,
    fields: Mapping[str, object] | None = None,
    error: BaseException | None = None,
    time_ns: int | None = None,
    span: Span | None = None,
) -> None:
    """Log one event of another library's logger; level 0 (debug) to 4 (fatal). It happened in ``span``;
    without one, in the present span."""

def log_directly(wanted: bool, handler: type[logging.Handler]) -> None:
    """Has ``logging`` make no records where only handlers of this class would see them, or again all of them.

    Does nothing where somebody has replaced parts of ``logging``.
    """

def log_record(record: logging.LogRecord) -> None:
    """Log a record of ``logging``; its extra attributes are fields."""

def log_lines_wait(wanted: bool) -> None:
    """Have each line wait a quarter of a second at most until it has left, or not."""

def answer_logs(directory: str | os.PathLike[str] | None, after: str) -> tuple[int, str, bytes]:
    """The answer of ``/logs``: status, media type, body. ``after`` is nanoseconds since 1970."""

def log_route(directory: str | os.PathLike[str] | None = None) -> NativeRoute:
    """The route ``/logs``: the latest lines of a directory; without one, of this process."""

def log_requests(wanted: bool) -> None:
    """Have the middleware write a line for each request from now on, or not."""

def sample_logs(rates: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]) -> None:
    """By level (debug, info, warn): of one message the first so many a second, then one in so many.

    (0, 0) is all. Raises ValueError for one in none.
    """

def log_failures() -> int:
    """Events of this process that could not be told."""

def log_level() -> int:
    """The least level that is logged, 0 to 4; 5 is none."""

def set_log_level(level: int) -> None:
    """Set the least level, in all processes that share it."""

def share_log_level(path: str | os.PathLike[str]) -> None:
    """Share the least level with all processes that name the same file. Raises OSError."""

log_context_var: ContextVar[LogContext | None]

@final
class LogContext:
    """Fields of every line that is logged within it."""

    def __new__(cls, parent: LogContext | None, fields: Mapping[str, object]) -> Self: ...
    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""

@disjoint_base
class Logger:
    """A logger: a name, and fields that all its lines have. Nothing of it raises."""

    def __new__(cls, name: str, bound: LogContext | None = None) -> Self: ...
    @property
    def name(self) -> str:
        """The logger's name."""
    @property
    def bound(self) -> LogContext | None:
        """Fields that all its lines have."""
    def bind(self, **fields: object) -> Self:
        """A logger with more fields, of the same class; None takes one out."""
    def debug(self, event: object = "", /, *args: object, **fields: object) -> None:
        """For whoever debugs."""
    def info(self, event: object = "", /, *args: object, **fields: object) -> None:
        """An ordinary event."""
    def warning(self, event: object = "", /, *args: object, **fields: object) -> None:
        """Something unexpected that was dealt with."""
    def warn(self, event: object = "", /, *args: object, **fields: object) -> None:
        """The same as `warning`."""
    def error(self, event: object = "", /, *args: object, **fields: object) -> None:
        """Something failed."""
    def exception(self, event: object = "", /, *args: object, **fields: object) -> None:
        """Something failed, and the exception that is being handled says what."""
    def critical(self, event: object = "", /, *args: object, **fields: object) -> None:
        """The process cannot go on."""
    def fatal(self, event: object = "", /, *args: object, **fields: object) -> None:
        """The same as `critical`."""

@final
class LogReader:
    """What the processes of a directory logged since the last look, without moving anything."""

    def __new__(cls, directory: str | os.PathLike[str] | None = None, *, after: int = 0) -> Self:
        """Of a directory; without one, of this process.

        Only lines after a time in nanoseconds since 1970.
        """

    def read(self) -> tuple[list[tuple[int, str, int, int, str | None, bytes]], int, bool]:
        """Lines in the order of time: nanoseconds since 1970, level, pid, sequence number, trace id, payload.

        Then how many were overwritten before they could be read, and whether there may be more at once.
        """

@final
class HttpMetrics:
    """The HTTP metrics of one application: families, routes, totals.

    Two of these on one registry record into the same series; each has its own sampling. ``exemplars=True``
    keeps, for each bucket of the durations, the latest trace: that of OpenTelemetry's active span when the
    response starts, else that of the request's ``traceparent``; a function may tell it instead. Raises
    ValueError
    for a malformed namespace, a ``sample`` outside (0, 1] and bad buckets, TypeError for a registry that
    is not ferrometer's.
    """

    def __new__(
        cls,
        registry: object = None,
        namespace: str | None = None,
        sample: float = 1.0,
        buckets: Sequence[float] | None = None,
        exemplars: bool | Callable[[], str | None] | None = None,
    ) -> Self: ...
    @property
    def namespace(self) -> str | None:
        """The prefix of the views ``{namespace}_requests_total`` and so on, or None."""

    @property
    def registry(self) -> Any:
        """The registry that the families are in."""

    @property
    def sample(self) -> float:
        """The share of requests that are timed, in (0, 1]."""

    def in_flight(self) -> int:
        """The requests that are being served now; of several applications, those of this namespace."""

    def uptime(self) -> float:
        """Seconds since the application was first instrumented, in whichever process."""

    def snapshot(self) -> dict[str, float]:
        """Totals over all series: ``uptime_seconds``, ``total``, ``failed``, ``in_flight``, ``success_rate``
        (percent), and ``p50_ms``, ``p95_ms``, ``p99_ms``, ``avg_ms`` of the durations.

        Zero where nothing was recorded; the success rate is 100 then.
        """

@final
class MetricsMiddleware:
    """Measures every request to an ASGI application, and changes none.

    Give either ``metrics``, or what one is made of: ``namespace``, ``registry``, ``sample``, ``buckets``,
    ``exemplars``.
    ``skip_paths`` are not measured at all (a trailing ``*`` skips all that begin so), nor are
    ``skip_methods``. ``request_id=True`` takes or makes an X-Request-ID. ``route`` is a function from a
    scope to a template, or to None where it knows none.
    """

    def __new__(
        cls,
        app: _App,
        metrics: HttpMetrics | None = None,
        *,
        namespace: str | None = None,
        registry: object = None,
        sample: float | None = None,
        buckets: Sequence[float] | None = None,
        skip_paths: Iterable[str] | None = None,
        skip_methods: Iterable[str] | None = None,
        request_id: bool = False,
        route: Callable[[MutableMapping[str, Any]], str | None] | None = None,
        exemplars: bool | Callable[[], str | None] | None = None,
    ) -> Self: ...
    def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> Awaitable[None]:
        """Measures one connection of the application behind."""

    @property
    def app(self) -> _App:
        """The application behind."""

    @property
    def metrics(self) -> HttpMetrics:
        """What it records into."""

#: The id of the request that is being served, None outside of one.
request_id_var: ContextVar[str | None]

def new_request_id() -> str:
    """A fresh request id in the form of a random UUID."""

def private_dict_layout(wanted: bool | None = None) -> bool:
    """Whether the middleware reads dicts by CPython's own layout; ``wanted`` turns it on or off.

    The layout is that of CPython 3.11 to 3.13, compared with the official functions at import.
    """

def show_call(function: Callable[..., Any]) -> None:
    """Makes ``MetricsMiddleware.__call__`` look up as this coroutine function; calls go to native code."""

@disjoint_base
class Instrument:
    """A metric whose series have label names of their own, as OpenTelemetry's measurements bring them.

    ``kind`` is ``counter``, ``updowncounter``, ``gauge`` or ``histogram``; ``labels_of`` makes labels of
    attributes.
    """

    def __new__(
        cls,
        registry: Registry,
        kind: str,
        name: str,
        documentation: str,
        unit: str,
        buckets: Sequence[float],
        max_series: int,
        labels_of: Callable[[Mapping[str, Any] | None], list[tuple[str, str]]],
    ) -> Self: ...
    def observe_all(self, told: Sequence[tuple[float, object]]) -> None:
        """What callbacks say now: values and attributes. Series of before that they leave out are gone."""

class CountInstrument(Instrument):
    """The native half of OpenTelemetry's counters, also those that go down."""

    def add(self, amount: float, attributes: Any = None, context: object = None) -> None:
        """Adds an amount to the series of these attributes."""

class RecordInstrument(Instrument):
    """The native half of OpenTelemetry's histograms."""

    def record(self, amount: float, attributes: Any = None, context: object = None) -> None:
        """Records an amount in the series of these attributes."""

class SetInstrument(Instrument):
    """The native half of OpenTelemetry's gauges."""

    def set(self, amount: float, attributes: Any = None, context: object = None) -> None:
        """Sets the series of these attributes."""

def own_methods(class_: type[Metric | Instrument], /) -> None:
    """Gives a subclass descriptors of its own for the raw methods that it inherits."""

@final
class History:
    """What is remembered of a registry, or of the processes that share a directory."""

    def __new__(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        keep: Sequence[float] | None = None,
        budget: int | None = None,
        marks: list[str] | None = None,
        seconds: float | None = None,
        samples: int | None = None,
        result_bytes: int | None = None,
        per_client: int | None = None,
        at_once: int | None = None,
        job: str = "",
    ) -> Self:
        """Nothing is recorded before ``start``. ``keep`` are the seconds that the four levels reach back."""

    def start(self, registry: Registry) -> None:
        """Begins to record this registry, as soon as no other process of the directory does."""

    def stop(self) -> None:
        """Ends the thread and waits for it; another process goes on. Nothing when it was not started."""

    def after_fork(self) -> None:
        """In the child of a fork: the parent's thread and files are not here."""

    def record(self, samples: Sequence[tuple[str, Sequence[tuple[str, str]], float]]) -> None:
        """Records these, too, with each look, until others take their place."""

    def put_document(self, name: str, text: str) -> None:
        """Replaces a text that all processes of the directory read. Raises OSError."""

    def document(self, name: str) -> str | None:
        """A text as it was put last, by whichever process."""

    def routes(self) -> list[NativeRoute]:
        """The API as answers of a port: ``/api/v1/``, and ``/``, which some clients ask first."""

    @staticmethod
    def latest_routes() -> list[NativeRoute]:
        """The same for the history of this process that was started last, whenever that is."""

    @property
    def writes(self) -> bool:
        """Whether this process records."""

    def respond(
        self, method: str, path: str, parameters: list[tuple[str, str]], client: str = ""
    ) -> tuple[int, str, bytes]:
        """Answers a request to the API: status, media type and body. ``path`` follows ``/api/v1/``."""

def export_created(on: bool) -> None:
    """Whether the text formats and ``collect()`` tell when counting began, in ``_created`` series."""

def exports_created() -> bool:
    """Whether they do."""

# Traces.

_Function = TypeVar("_Function", bound=Callable[..., Any])

span_var: ContextVar[Span | None]
baggage_var: ContextVar[Mapping[str, str] | None]

@final
class Span:
    """A span of a trace. It begins with ``with``, ``async with``, the call of a function that it decorates,
    or ``start()``. All its methods do nothing once it has ended, and where it is not recorded; values of
    any type are taken, and none of them raises."""

    def __enter__(self) -> Self:
        """Begin it, and make it the present span."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End it; an exception is told, and goes on."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Awaitable[None]: ...
    def __call__(self, function: _Function, /) -> _Function:
        """The function with such a span around each call. Raises TypeError for what is no function."""

    def again(self) -> Span:
        """Another one with the same name and attributes, that has not begun."""

    def start(self) -> Self:
        """Begin it, and leave the present span as it is."""

    def end(self, end_ns: int | None = None) -> None:
        """End it, now or at nanoseconds since 1970. A second end does nothing."""

    def record_failure(self, error: BaseException) -> None:
        """Tell that an exception left it: an event, and the status. What is no ``Exception`` says nothing."""

    def record_exception(self, error: BaseException, attributes: Mapping[str, object] | None = None) -> None:
        """Add an event for an exception; the status stays as it is."""

    def set_attribute(self, name: str, value: object) -> None:
        """Set an attribute, in place of one of the same name. None sets nothing."""

    def set(self, **attributes: object) -> None:
        """Set attributes by name."""

    def add_event(
        self, name: str, attributes: Mapping[str, object] | None = None, time_ns: int | None = None
    ) -> None:
        """Add an event, of now or of nanoseconds since 1970."""

    def add_link(self, span: Span, attributes: Mapping[str, object] | None = None) -> None:
        """Add a link to another span."""

    def set_status(self, status: str, description: str | None = None) -> None:
        """Set the status: ``ok``, which is final, or ``error``. Raises ValueError for another word."""

    def update_name(self, name: str) -> None:
        """Give it another name."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def is_recording(self) -> bool:
        """Whether what is told it now will be seen."""

    @property
    def is_sampled(self) -> bool:
        """Whether its trace is recorded."""

    @property
    def is_remote(self) -> bool:
        """Whether it is a span of another process."""

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None before it begins."""

    @property
    def span_id(self) -> str | None:
        """16 hexadecimal digits; None before it begins."""

    @property
    def traceparent(self) -> str | None:
        """The header for a service that this span calls; None before it begins."""

    @property
    def tracestate(self) -> str:
        """What other tracing systems said, as the header has it; empty for nothing."""

def span(name: str, /, **attributes: object) -> Span:
    """A span that begins with ``with``, ``async with``, the call of a function that it decorates, or
    ``start()``. Raises TypeError when the name is no string."""

def start_span(
    name: str,
    kind: str = "internal",
    *,
    parent: Span | None = None,
    is_root: bool = False,
    attributes: Mapping[str, object] | None = None,
    start_ns: int | None = None,
    links: Sequence[tuple[Span, Mapping[str, object] | None]] | None = None,
    scope: tuple[str, str] | None = None,
) -> Span:
    """Make a span and begin it. ``kind``: internal, server, client, producer, consumer. ``parent``:
    without it the present span; ``is_root``: it begins a trace. ``scope``: the library that makes it, and
    its version. Raises ValueError for an unknown kind."""

def current_span() -> Span | None:
    """The span that the running code is in, recorded or not; None outside of all spans."""

def span_elsewhere(
    trace_id: str, span_id: str, is_sampled: bool = True, tracestate: str = "", is_remote: bool = True
) -> Span | None:
    """A span that is not recorded here, by its ids in hexadecimal digits; None when they are none."""

def parse_traceparent(traceparent: str, tracestate: str = "") -> Span | None:
    """The span of the caller that sent these headers; None when they tell of none."""

def parse_baggage(header: str) -> dict[str, str]:
    """The members of a ``baggage`` header; malformed ones are left out."""

def has_traces() -> bool:
    """Whether spans are recorded at all."""

def client_span(
    name: str, seconds: float, attributes: Mapping[str, object] | None = None, error: str | None = None
) -> None:
    """Record a client span below the present span, that began so many seconds ago and ends now. ``error``:
    the type of what it failed with."""

def trace_headers() -> dict[str, str]:
    """The headers for a service that the running code calls; none outside of a trace."""

def configure_traces(
    sampler: str, ratio: float, limits: tuple[int, int, int, int, int, int], hash_key: bytes, conventions: str
) -> None:
    """Record spans from now on. ``limits``: attributes, characters of a text, events, links, attributes of an
    event and of a link. Raises ValueError for an unknown sampler or convention."""

def stop_traces() -> None:
    """Begin no more spans; those that are open still end."""

@final
class Breaker:
    """A circuit breaker whose state all workers share; ``ferrometer.breaker.CircuitBreaker`` is for use."""

    def __new__(
        cls,
        name: str,
        group: str,
        *,
        consecutive: int,
        failure_rate: float,
        slow_rate: float,
        slow_seconds: float,
        window: float,
        minimum_calls: int,
        open_seconds: float,
        longest_open: float,
        backoff: float,
        jitter: float,
        trials: int,
        trials_needed: int,
        trial: float,
        opens_last: bool,
        judge: Callable[[BaseException], bool | float | None],
        changed: Callable[[str, str], object],
        refuse: Callable[[float | None], BaseException],
    ) -> Self: ...
    def call(self) -> BreakerCall:
        """A call that has not begun: ``with`` and ``async with`` begin and end it."""

    def begin(self) -> BreakerCall:
        """Begins a call; raises CircuitOpenError when there is no leave."""

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""

    @property
    def forced(self) -> bool:
        """Whether its state was forced."""

    @property
    def trials(self) -> int:
        """Trials under way, of all workers."""

    @property
    def rejected(self) -> int:
        """Calls refused, in all workers."""

    def force_open(self) -> None:
        """Makes it stay open until it is reset."""

    def force_closed(self) -> None:
        """Makes it stay closed until it is reset."""

    def reset(self) -> None:
        """Closes it, forced or not, and forgets its calls."""

@final
class BreakerCall:
    """One call through a breaker. What is dropped without an end says nothing about the provider."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Awaitable[None]: ...
    def success(self) -> None:
        """Ends it well."""

    def failure(self, retry_after: float = 0.0) -> None:
        """Ends it as the provider's failure, which may have said after how many seconds to come back."""

    def cancel(self) -> None:
        """Ends it without a word about the provider."""

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial of a half-open breaker."""

def register_breaker_metrics(registry: Registry, namespace: str | None) -> None:
    """Shows the breakers of all workers in a registry: the families of a namespace, or that without."""

def list_breakers(
    directory: str | os.PathLike[str] | None = None,
) -> list[tuple[str, str, bool, int, int]]:
    """Name, state, whether forced, refused calls and trials under way of each breaker."""

def change_breaker(name: str, action: str, directory: str | os.PathLike[str] | None = None) -> None:
    """Does ``open``, ``close`` or ``reset`` to a breaker; raises KeyError when there is none of that name."""

def breaker_route(
    directory: str | os.PathLike[str] | None = None, *, path: str = "/breakers", may_change: bool = False
) -> NativeRoute:
    """The list of the breakers of a directory, or of this process's table.

    A POST changes one, from this machine only unless ``may_change``.
    """

def dashboard_route(directory: str | os.PathLike[str] | None = None) -> NativeRoute:
    """The health of the providers of a directory, or of this process's table."""

def configure_providers(
    *,
    window: float,
    error_weight: float,
    target: float,
    latency_weight: float,
    unavailable_after: int,
    healthy_from: float,
    degraded_from: float,
) -> None:
    """Sets what the health of providers is made of, for all workers of the directory."""

def record_provider_call(
    provider: str,
    model: str,
    outcome: str,
    seconds: float | None = None,
    first_token_seconds: float | None = None,
    output_tokens: int | None = None,
) -> bool:
    """Records a call that ended: success, failure, or caller for its fault; whether there was room."""

def list_providers(
    directory: str | os.PathLike[str] | None = None,
) -> list[tuple[str, str, bool, float, float]]:
    """Name, status, availability, error rate and health score of each provider called in the window."""

def register_provider_metrics(registry: Registry, namespace: str | None) -> None:
    """Shows the health of providers in a registry: the families of a namespace, or those without."""

def providers_shared() -> bool | None:
    """Whether other workers can come by the providers of this process; None: it has none."""

def breakers_shared() -> bool | None:
    """Whether other workers can come by the breakers of this process; None: it has none."""

def state_troubles() -> list[str]:
    """Why state of this process is not shared with other workers; told once."""

@final
class DistinctSubjects:
    """One kind of subjects, counted over all workers; ``ferrometer.active_users.ActiveUsers`` is for use."""

    def __new__(cls, kind: str, key: tuple[int, int] | None = None) -> Self: ...
    def seen(self, subject: str | bytes, /) -> None:
        """Counts a subject, a str or bytes, which is hashed and not kept."""

    def counts(self) -> list[tuple[str, float]]:
        """About how many were seen in each window, by its name."""

def register_distinct_metrics(registry: Registry, namespace: str) -> None:
    """Shows the distinct subjects of all workers in a registry."""

@final
class JobType:
    """A type of job; ``ferrometer.jobs`` has what is for use. Raises ValueError for an empty name."""

    LONGEST_NAME: ClassVar[int]
    def __new__(cls, name: str) -> Self: ...
    @property
    def name(self) -> str:
        """Its name."""

    def submitted(self, count: int | None = None) -> None:
        """Counts jobs that were put into a queue; one without ``count``."""

    def start(self, id: str | None = None, wait: float | None = None) -> JobRun:  # noqa: A002
        """A job starts in this process; it was queued for ``wait`` seconds."""

    def end(self, id: str, status: str) -> float | None:  # noqa: A002
        """A job of that id has ended, in whatever process: its seconds, or None when none is running.

        Raises ValueError for a status that is not completed, failed, retried, cancelled or lost.
        """

@final
class JobRun:
    """A job that is running."""

    def end(self, status: str) -> bool:
        """It has ended; False when that was said before, and in a child of the process that runs it."""

def register_job_metrics(registry: Registry, namespace: str, stuck_after: float) -> None:
    """Shows the jobs of all workers in a registry."""

def running_jobs(stuck_after: float) -> list[tuple[str, int, int, float, int]]:
    """Type, jobs running, stuck, seconds of the oldest, lost so far; jobs of dead processes become lost."""

@final
class HistogramBins:
    """Counts by bin of the native grid, ascending, as all workers have recorded them."""

    def __new__(cls, pairs: Sequence[tuple[int, int]]) -> Self:
        """From pairs of an index and a count; raises ValueError for bins that do not ascend."""

    @staticmethod
    def of(histogram: Histogram) -> HistogramBins:
        """What a histogram, or a child of one, holds now."""

    def since(self, before: HistogramBins) -> HistogramBins:
        """What came since another moment."""

    def compare(self, window: HistogramBins) -> tuple[float, float, float | None] | None:
        """PSI, KS statistic and normalised Wasserstein distance of a window; None when a side is empty."""

    @property
    def count(self) -> int:
        """How many values there are."""

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of an index and a count."""
