from ferrometer.collectors.app.published import *
