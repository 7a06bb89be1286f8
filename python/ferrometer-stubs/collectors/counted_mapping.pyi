from ferrometer.collectors.app.counted_mapping import *
