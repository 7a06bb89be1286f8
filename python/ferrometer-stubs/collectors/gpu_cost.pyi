from ferrometer.collectors.gpu.cost import *
