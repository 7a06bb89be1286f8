from ferrometer.stats.gpu import *
