from ferrometer.collectors.host.runtime import *
