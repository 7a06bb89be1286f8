from ferrometer.stats.process import *
