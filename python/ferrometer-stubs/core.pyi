from prometheus_client.metrics_core import (
    CounterMetricFamily as CounterMetricFamily,
)
from prometheus_client.metrics_core import (
    GaugeHistogramMetricFamily as GaugeHistogramMetricFamily,
)
from prometheus_client.metrics_core import (
    GaugeMetricFamily as GaugeMetricFamily,
)
from prometheus_client.metrics_core import (
    HistogramMetricFamily as HistogramMetricFamily,
)
from prometheus_client.metrics_core import (
    InfoMetricFamily as InfoMetricFamily,
)
from prometheus_client.metrics_core import (
    Metric as Metric,
)
from prometheus_client.metrics_core import (
    StateSetMetricFamily as StateSetMetricFamily,
)
from prometheus_client.metrics_core import (
    SummaryMetricFamily as SummaryMetricFamily,
)
from prometheus_client.metrics_core import (
    UnknownMetricFamily as UnknownMetricFamily,
)
from prometheus_client.metrics_core import (
    UntypedMetricFamily as UntypedMetricFamily,
)
from prometheus_client.samples import (
    BucketSpan as BucketSpan,
)
from prometheus_client.samples import (
    Exemplar as Exemplar,
)
from prometheus_client.samples import (
    NativeHistogram as NativeHistogram,
)
from prometheus_client.samples import (
    Sample as Sample,
)
from prometheus_client.samples import (
    Timestamp as Timestamp,
)

from ferrometer.metrics.families import DuplicateTimeseries as DuplicateTimeseries
from ferrometer.metrics.registry import REGISTRY as REGISTRY
from ferrometer.metrics.registry import CollectorRegistry as CollectorRegistry
from ferrometer.metrics.types import Counter as Counter
from ferrometer.metrics.types import Enum as Enum
from ferrometer.metrics.types import Gauge as Gauge
from ferrometer.metrics.types import Histogram as Histogram
from ferrometer.metrics.types import Info as Info
from ferrometer.metrics.types import Summary as Summary
