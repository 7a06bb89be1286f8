from ferrometer.metrics.timers import *
