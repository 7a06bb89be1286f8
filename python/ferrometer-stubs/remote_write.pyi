from ferrometer.export.remote_write import *
