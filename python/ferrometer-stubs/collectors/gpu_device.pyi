from ferrometer.collectors.gpu.device import *
