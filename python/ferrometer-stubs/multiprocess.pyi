from ferrometer.drop_in.multiprocess import *
