from prometheus_client.openmetrics.parser import *
