from prometheus_client.bridge.graphite import *
