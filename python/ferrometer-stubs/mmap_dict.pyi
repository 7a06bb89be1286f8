from prometheus_client.mmap_dict import *
