from ferrometer.background.scheduler import *
