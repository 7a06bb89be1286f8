from ferrometer.metrics.conventions import *
