from prometheus_client.utils import *
