from prometheus_client.samples import *
