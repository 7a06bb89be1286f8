from prometheus_client.metrics_core import *
