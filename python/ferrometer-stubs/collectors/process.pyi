from ferrometer.collectors.host.process import *
