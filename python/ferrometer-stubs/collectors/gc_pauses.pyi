from ferrometer.collectors.host.gc_pauses import *
