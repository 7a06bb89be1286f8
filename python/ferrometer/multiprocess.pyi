from prometheus_client.multiprocess import *
