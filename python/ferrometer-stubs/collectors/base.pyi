from ferrometer.background.collector import *
