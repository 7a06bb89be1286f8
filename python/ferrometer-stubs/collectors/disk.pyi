from ferrometer.collectors.host.disk import *
