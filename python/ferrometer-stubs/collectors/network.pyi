from ferrometer.collectors.host.network import *
