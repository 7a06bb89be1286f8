from ferrometer.background.runner import *
