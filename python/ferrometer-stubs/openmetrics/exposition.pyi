from ferrometer.drop_in.openmetrics_exposition import *
