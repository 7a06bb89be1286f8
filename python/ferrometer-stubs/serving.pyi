from ferrometer.endpoints.own_port import *
