from prometheus_client.validation import *
