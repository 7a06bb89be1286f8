from ferrometer.drop_in.accelerate import *
