from prometheus_client.values import *
