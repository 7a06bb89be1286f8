from prometheus_client.asgi import *
