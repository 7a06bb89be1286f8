from prometheus_client.parser import *
