from ferrometer.collectors.app.caches import *
