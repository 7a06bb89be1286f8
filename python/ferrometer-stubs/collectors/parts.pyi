from ferrometer.background.partial import *
