from ferrometer.health.ready_made import *
