from ferrometer.collectors.app.queues import *
