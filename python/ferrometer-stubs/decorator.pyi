from prometheus_client.decorator import *
