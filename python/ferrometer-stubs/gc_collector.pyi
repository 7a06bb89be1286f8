from prometheus_client.gc_collector import *
