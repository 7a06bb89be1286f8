from ferrometer.http.request_id import *
