from ferrometer.metrics.registry import *
