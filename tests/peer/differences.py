"""The tests of prometheus_client that ferrometer is meant to fail, by the reason; all others pass."""

from __future__ import annotations

_EXPOSITION = "test_exposition.py::test_"
_MULTI = "test_multiprocess.py::TestMultiProcess::test_"

#: The same definition twice is the same metric, and no error.
GET_OR_CREATE = {
    "test_core.py::TestCollectorRegistry::test_duplicate_metrics_raises",
    "test_core.py::TestCollectorRegistry::test_target_info_duplicate_detected",
}

#: It looks at what is no interface: the type of a lock.
INSIDES = {
    "test_core.py::TestCollectorRegistry::test_restricted_registry_does_not_yield_while_locked",
}

#: A directory named after the import is shared from then on: tests that ran before have named one and
#: removed it, which this one finds told among its families. Alone it passes.
LATE_SHARING = {"test_parser.py::TestParse::test_roundtrip"}

#: A family that cannot be printed is left out, counted and logged; the scrape goes on without it.
SCRAPES_SURVIVE = {
    *(
        f"{_EXPOSITION}basic_metric_families[{value}-{family}MetricFamily]"
        for value in ("None-TypeError", "-ValueError", "x-ValueError", "value3-TypeError", "value4-TypeError")
        for family in ("Counter", "Gauge")
    ),
    *(
        f"{_EXPOSITION}summary_metric_family[{values}]"
        for values in (
            *("None-0-TypeError", "0-None-TypeError", "-0-ValueError", "0--ValueError"),
            *("count_value4-0-TypeError", "0-sum_value5-TypeError"),
            *("count_value6-0-TypeError", "0-sum_value7-TypeError"),
        )
    ),
    *(
        f"{_EXPOSITION}histogram_metric_families[buckets{values}Error-GaugeHistogramMetricFamily]"
        for values in (
            *("0-None-Type", "1-0-Type", "2-0-Attribute", "3-0-Type"),
            *("4-0-Attribute", "5--Value", "6-0-Value", "7-0-Value"),
        )
    ),
}

#: One process plays several, by ids that it makes up, and names the directory after the import. The same
#: is asked of real processes, and of both libraries, in `tests/workers/test_multiprocess.py`.
MULTI_PROCESS = {
    _MULTI + name
    for name in (
        *("child_name_is_built_once_with_namespace_subsystem_unit", "collect", "collect_histogram_ordering"),
        *("collect_preserves_help", "counter_across_forks", "counter_adds", "histogram_adds", "summary_adds"),
        *(f"gauge_{mode}" for mode in ("all", "min", "max", "sum", "mostrecent")),
        *(f"gauge_live{mode}" for mode in ("all", "min", "max", "sum", "mostrecent")),
        *("initialization_detects_pid_change", "merge_no_accumulate", "namespace_subsystem"),
        *("remove_clear_warning", "restrict"),
    )
}

#: Header names of ASGI messages are lower case, as its specification asks for.
HEADERS = {
    f"test_asgi.py::ASGITest::test_{name}"
    for name in (
        *("gzip", "gzip_disabled", "openmetrics_encoding", "plaintext_encoding"),
        *(f"report_metrics_{number}" for number in (1, 2, 3, 4)),
    )
}

#: The answer comes from a thread, so that the event loop goes on; these tests give it no time at all.
IN_A_THREAD = {f"test_asgi.py::ASGITest::test_qs_parsing{kind}" for kind in ("", "_multi")}

DIFFERENCES = HEADERS | IN_A_THREAD | GET_OR_CREATE | INSIDES | LATE_SHARING | SCRAPES_SURVIVE | MULTI_PROCESS

#: Says how OpenSSL words an error, and fails with prometheus_client, too, where it words it otherwise.
NOT_ASKED = {"test_exposition.py::TestWsgiTLS::test_mtls_untrusted_client_cert_raises"}
