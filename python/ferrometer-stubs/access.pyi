from ferrometer.endpoints.access import *
