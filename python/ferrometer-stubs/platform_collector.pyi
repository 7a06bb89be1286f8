from prometheus_client.platform_collector import *
