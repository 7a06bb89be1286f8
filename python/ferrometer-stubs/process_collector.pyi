from prometheus_client.process_collector import *
