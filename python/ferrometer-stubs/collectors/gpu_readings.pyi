from ferrometer.collectors.gpu.readings import *
