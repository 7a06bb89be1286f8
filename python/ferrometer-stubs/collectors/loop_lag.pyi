from ferrometer.collectors.host.loop_lag import *
