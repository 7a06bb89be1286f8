from ferrometer.http.middleware import *
